//! All that decisions are made by, as of one moment, to be held in memory.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use mk8s_authn::token::LEEWAY;
use sqlx::{Any, Row as _, Transaction};
use uuid::Uuid;

use crate::{
    Role, Store, StoreError,
    roles::{ROLES, role},
    row::{Columns as _, millis},
};

/// How much longer than its tokens live a revoked session is remembered: the leeway of their verification, and as much
/// again for replicas whose clocks differ.
const REMEMBERED: Duration = Duration::from_secs(2 * LEEWAY.as_secs());

/// Users, roles and revoked sessions at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// The [`Store::version`] it was made at.
    pub version: i64,
    /// The users by id.
    pub users: HashMap<Uuid, SnapshotUser>,
    /// The roles, by name.
    pub roles: Vec<Role>,
    /// The sessions that were revoked and of which an access token may still be about.
    pub revoked_sessions: HashSet<Uuid>,
}

/// A user in a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotUser {
    /// Their name.
    pub email: Arc<str>,
    /// None of their tokens is to be taken.
    pub disabled: bool,
    /// The names of their roles, sorted.
    pub roles: Vec<Arc<str>>,
}

impl Store {
    /// A number that moves with every write that decisions depend on: whoever holds a snapshot of the same version needs
    /// no other. One row by its key; cheap enough for every other second.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn version(&self) -> Result<i64, StoreError> {
        let row = sqlx::query(VERSION)
            .fetch_one(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        row.try_get(0).map_err(|e| self.explain(e))
    }

    /// Users, roles and revoked sessions as of now (`at`: only for what may be forgotten).
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn snapshot(&self, at: Timestamp) -> Result<Snapshot, StoreError> {
        let mut transaction = self.read().await?;
        let snapshot = snapshot(&mut transaction, at)
            .await
            .map_err(|e| self.explain(e))?;
        transaction.commit().await.map_err(|e| self.explain(e))?;
        Ok(snapshot)
    }

    /// The id that this installation got when its database was made.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn installation_id(&self) -> Result<Uuid, StoreError> {
        let row = sqlx::query("SELECT text FROM meta WHERE name = 'installation'")
            .fetch_one(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        row.id("text").map_err(|e| self.explain(e))
    }
}

const VERSION: &str = "SELECT number FROM meta WHERE name = 'version'";

async fn snapshot(transaction: &mut Transaction<'static, Any>, at: Timestamp) -> sqlx::Result<Snapshot> {
    let version = sqlx::query(VERSION)
        .fetch_one(&mut **transaction)
        .await?
        .try_get(0)?;
    let mut users = HashMap::new();
    for row in sqlx::query("SELECT id, email, disabled FROM users")
        .fetch_all(&mut **transaction)
        .await?
    {
        let user = SnapshotUser {
            email: row.text("email")?.into(),
            disabled: row.flag("disabled")?,
            roles: vec![],
        };
        users.insert(row.id("id")?, user);
    }
    let mut roles: Vec<Role> = Vec::new();
    let mut names: HashMap<Uuid, Arc<str>> = HashMap::new();
    for row in sqlx::query(ROLES).fetch_all(&mut **transaction).await? {
        let role = role(&row)?;
        names.insert(role.id, role.name.as_str().into());
        roles.push(role);
    }
    for row in sqlx::query("SELECT user_id, role_id FROM user_roles")
        .fetch_all(&mut **transaction)
        .await?
    {
        if let (Some(user), Some(name)) = (users.get_mut(&row.id("user_id")?), names.get(&row.id("role_id")?))
        {
            user.roles.push(Arc::clone(name));
        }
    }
    users.values_mut().for_each(|user| user.roles.sort());
    let revoked =
        sqlx::query("SELECT id FROM sessions WHERE revoked_at IS NOT NULL AND token_expires_at > $1")
            .bind(millis(at) - i64::try_from(REMEMBERED.as_millis()).unwrap_or(i64::MAX))
            .fetch_all(&mut **transaction)
            .await?;
    let revoked_sessions = revoked
        .iter()
        .map(|row| row.id("id"))
        .collect::<sqlx::Result<_>>()?;
    Ok(Snapshot {
        version,
        users,
        roles,
        revoked_sessions,
    })
}
