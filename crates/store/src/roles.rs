//! Roles: a name, and what it permits as a document that `policy` reads.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    row::{Columns as _, millis},
};

/// A role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Role {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it permits.
    pub permissions: Value,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// All roles, by name.
pub(crate) const ROLES: &str =
    "SELECT id, name, permissions, created_at, updated_at FROM roles ORDER BY name";

impl Store {
    /// All roles, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn roles(&self) -> Result<Vec<Role>, StoreError> {
        let rows = sqlx::query(ROLES)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        rows.iter()
            .map(role)
            .collect::<sqlx::Result<_>>()
            .map_err(|e| self.explain(e))
    }

    /// Makes a role, or gives the one of that name these permissions.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn upsert_role(
        &self,
        name: &str,
        permissions: &Value,
        at: Timestamp,
    ) -> Result<Role, StoreError> {
        let mut write = self.write().await?;
        let row = sqlx::query(
            "INSERT INTO roles (id, name, permissions, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
             ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions, updated_at = excluded.updated_at
             RETURNING id, name, permissions, created_at, updated_at",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(name)
        .bind(permissions.to_string())
        .bind(millis(at))
        .fetch_one(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        let role = role(&row).map_err(|e| self.explain(e))?;
        write.bump_version().await?;
        write.commit().await?;
        Ok(role)
    }

    /// Removes a role, also from whoever has it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none of that name.
    pub async fn delete_role(&self, name: &str) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let deleted = sqlx::query("DELETE FROM roles WHERE name = $1")
            .bind(name)
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::Missing(format!("role {name:?}")));
        }
        write.bump_version().await?;
        write.commit().await
    }
}

pub(crate) fn role(row: &AnyRow) -> sqlx::Result<Role> {
    Ok(Role {
        id: row.id("id")?,
        name: row.text("name")?,
        permissions: row.json("permissions")?,
        created_at: row.at("created_at")?,
        updated_at: row.at("updated_at")?,
    })
}
