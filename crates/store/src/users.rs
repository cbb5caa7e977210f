//! Accounts.

use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_authn::{Email, PasswordHash, StorageError, UserRecord, UserStore};
use serde::Serialize;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::{
    Store, StoreError, Write,
    row::{Columns as _, millis, undecodable},
};

/// An account, as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub email: String,
    /// May not log in.
    pub disabled: bool,
    /// Its roles' names, sorted.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// Its name.
    pub email: &'a Email,
    /// Its password.
    pub password: &'a PasswordHash,
    /// Its roles' names.
    pub roles: &'a [String],
}

impl Store {
    /// Makes an account.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is one of that name, [`StoreError::Missing`] if a role isn't there.
    pub async fn create_user(&self, user: NewUser<'_>, at: Timestamp) -> Result<User, StoreError> {
        let id = Uuid::now_v7();
        let mut write = self.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO users (id, email, password, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (email) DO NOTHING",
        )
        .bind(id.to_string())
        .bind(user.email.as_str())
        .bind(user.password.as_str())
        .bind(millis(at))
        .execute(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        if inserted.rows_affected() == 0 {
            return Err(StoreError::Exists(format!("a user {}", user.email)));
        }
        write.add_roles(id, user.roles).await?;
        let made = write.user(id).await?;
        write.bump_version().await?;
        write.commit().await?;
        Ok(made)
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id, u.email, u.disabled, u.created_at, u.updated_at, r.name AS role
             FROM users u LEFT JOIN user_roles m ON m.user_id = u.id LEFT JOIN roles r ON r.id = m.role_id
             ORDER BY u.email, r.name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|e| self.explain(e))?;
        users(&rows).map_err(|e| self.explain(e))
    }

    /// The account with that id.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn user(&self, id: Uuid) -> Result<Option<User>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(|e| self.explain(e))?;
        find_user(&mut connection, id).await.map_err(|e| self.explain(e))
    }

    /// The account of that name.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn user_named(&self, email: &Email) -> Result<Option<User>, StoreError> {
        match self.user_record("email", email.as_str()).await? {
            Some(record) => self.user(record.id).await,
            None => Ok(None),
        }
    }

    /// Gives an account another password, and ends all its sessions.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn set_password(
        &self,
        id: Uuid,
        password: &PasswordHash,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let changed = sqlx::query("UPDATE users SET password = $2, updated_at = $3 WHERE id = $1")
            .bind(id.to_string())
            .bind(password.as_str())
            .bind(millis(at))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        found(changed.rows_affected(), id)?;
        write.revoke_sessions_of(id, at).await?;
        write.bump_version().await?;
        write.commit().await
    }

    /// Disables an account, which ends all its sessions, or enables it again.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is no such account.
    pub async fn set_disabled(&self, id: Uuid, disabled: bool, at: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let changed = sqlx::query("UPDATE users SET disabled = $2, updated_at = $3 WHERE id = $1")
            .bind(id.to_string())
            .bind(i64::from(disabled))
            .bind(millis(at))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        found(changed.rows_affected(), id)?;
        if disabled {
            write.revoke_sessions_of(id, at).await?;
        }
        write.bump_version().await?;
        write.commit().await
    }

    /// Gives an account these roles and no others.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the account or a role isn't there; then nothing changed.
    pub async fn set_roles(&self, id: Uuid, roles: &[String], at: Timestamp) -> Result<User, StoreError> {
        let mut write = self.write().await?;
        // First of all, so that two who do this to one account do it one after the other.
        let changed = sqlx::query("UPDATE users SET updated_at = $2 WHERE id = $1")
            .bind(id.to_string())
            .bind(millis(at))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        found(changed.rows_affected(), id)?;
        sqlx::query("DELETE FROM user_roles WHERE user_id = $1")
            .bind(id.to_string())
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        write.add_roles(id, roles).await?;
        let user = write.user(id).await?;
        write.bump_version().await?;
        write.commit().await?;
        Ok(user)
    }

    async fn user_record(&self, column: &'static str, value: &str) -> Result<Option<UserRecord>, StoreError> {
        let query = match column {
            "email" => "SELECT id, email, password, disabled FROM users WHERE email = $1",
            _ => "SELECT id, email, password, disabled FROM users WHERE id = $1",
        };
        let row = sqlx::query(query).bind(value).fetch_optional(&self.pool).await;
        let row = row.map_err(|e| self.explain(e))?;
        row.as_ref()
            .map(user_record)
            .transpose()
            .map_err(|e| self.explain(e))
    }
}

impl Write {
    async fn add_roles(&mut self, user: Uuid, roles: &[String]) -> Result<(), StoreError> {
        for role in roles {
            let added = sqlx::query(
                "INSERT INTO user_roles (user_id, role_id) SELECT $1, id FROM roles WHERE name = $2
                 ON CONFLICT (user_id, role_id) DO UPDATE SET user_id = excluded.user_id",
            )
            .bind(user.to_string())
            .bind(role.as_str())
            .execute(&mut *self.transaction)
            .await
            .map_err(|e| self.explain(e))?;
            if added.rows_affected() == 0 {
                return Err(StoreError::Missing(format!("role {role:?}")));
            }
        }
        Ok(())
    }

    async fn user(&mut self, id: Uuid) -> Result<User, StoreError> {
        let user = find_user(&mut self.transaction, id)
            .await
            .map_err(|e| self.explain(e))?;
        user.ok_or_else(|| missing(id))
    }

    async fn revoke_sessions_of(&mut self, user: Uuid, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
            .bind(user.to_string())
            .bind(millis(at))
            .execute(&mut *self.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(())
    }
}

#[async_trait]
impl UserStore for Store {
    async fn user_by_email(&self, email: &Email) -> Result<Option<UserRecord>, StorageError> {
        Ok(self.user_record("email", email.as_str()).await?)
    }

    async fn user_by_id(&self, id: Uuid) -> Result<Option<UserRecord>, StorageError> {
        Ok(self.user_record("id", &id.to_string()).await?)
    }

    async fn rehash_password(
        &self,
        id: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<(), StorageError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE users SET password = $3 WHERE id = $1 AND password = $2")
            .bind(id.to_string())
            .bind(old.as_str())
            .bind(new.as_str())
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(write.commit().await?)
    }
}

async fn find_user(connection: &mut sqlx::AnyConnection, id: Uuid) -> sqlx::Result<Option<User>> {
    let rows = sqlx::query(
        "SELECT u.id, u.email, u.disabled, u.created_at, u.updated_at, r.name AS role
         FROM users u LEFT JOIN user_roles m ON m.user_id = u.id LEFT JOIN roles r ON r.id = m.role_id
         WHERE u.id = $1 ORDER BY r.name",
    )
    .bind(id.to_string())
    .fetch_all(connection)
    .await?;
    Ok(users(&rows)?.pop())
}

/// Users from rows of users and roles; the rows of one user stand together.
fn users(rows: &[AnyRow]) -> sqlx::Result<Vec<User>> {
    let mut users: Vec<User> = Vec::new();
    for row in rows {
        let id = row.id("id")?;
        let role = row.maybe_text("role")?;
        match users.last_mut() {
            Some(user) if user.id == id => user.roles.extend(role),
            _ => users.push(User {
                id,
                email: row.text("email")?,
                disabled: row.flag("disabled")?,
                roles: role.into_iter().collect(),
                created_at: row.at("created_at")?,
                updated_at: row.at("updated_at")?,
            }),
        }
    }
    Ok(users)
}

fn user_record(row: &AnyRow) -> sqlx::Result<UserRecord> {
    let password = row.text("password")?;
    Ok(UserRecord {
        id: row.id("id")?,
        email: row.parsed("email")?,
        password: PasswordHash::parse(&password).map_err(|e| undecodable("password", e))?,
        disabled: row.flag("disabled")?,
    })
}

fn found(rows: u64, id: Uuid) -> Result<(), StoreError> {
    if rows == 0 { Err(missing(id)) } else { Ok(()) }
}

fn missing(id: Uuid) -> StoreError {
    StoreError::Missing(format!("user {id}"))
}
