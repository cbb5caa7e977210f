//! The join tokens of agents.

use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_authn::{AgentTokenRecord, AgentTokenStore, SecretHash, StorageError};
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    row::{Columns as _, millis, undecodable},
};

/// The columns that [`record`] reads.
macro_rules! columns {
    () => {
        "id, hash, cluster_name, created_at, expires_at, used_at, used_by, revoked_at"
    };
}

impl Store {
    /// All join tokens, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn agent_tokens(&self) -> Result<Vec<AgentTokenRecord>, StoreError> {
        let query = concat!(
            "SELECT ",
            columns!(),
            " FROM agent_tokens ORDER BY created_at DESC, id DESC"
        );
        let rows = sqlx::query(query)
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        rows.iter()
            .map(record)
            .collect::<sqlx::Result<_>>()
            .map_err(|e| self.explain(e))
    }

    /// Makes a join token worthless. The version moves with it, so that every replica learns of it and cuts off the agent that
    /// joined by it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none with that id.
    pub async fn revoke_agent_token(&self, id: Uuid, at: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let revoked =
            sqlx::query("UPDATE agent_tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1")
                .bind(id.to_string())
                .bind(millis(at))
                .execute(&mut *write.transaction)
                .await
                .map_err(|e| self.explain(e))?;
        if revoked.rows_affected() == 0 {
            return Err(StoreError::Missing(format!("join token {id}")));
        }
        write.bump_version().await?;
        write.commit().await
    }
}

#[async_trait]
impl AgentTokenStore for Store {
    async fn create_agent_token(&self, token: &AgentTokenRecord) -> Result<(), StorageError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO agent_tokens (id, hash, cluster_name, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(token.id.to_string())
        .bind(token.hash.to_hex())
        .bind(token.cluster.as_str())
        .bind(millis(token.created_at))
        .bind(millis(token.expires_at))
        .execute(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        Ok(write.commit().await?)
    }

    async fn find_agent_token(&self, id: Uuid) -> Result<Option<AgentTokenRecord>, StorageError> {
        let row = sqlx::query(concat!("SELECT ", columns!(), " FROM agent_tokens WHERE id = $1"))
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(row
            .as_ref()
            .map(record)
            .transpose()
            .map_err(|e| self.explain(e))?)
    }

    async fn consume_agent_token(
        &self,
        id: Uuid,
        used_by: &str,
        at: Timestamp,
    ) -> Result<bool, StorageError> {
        let mut write = self.write().await?;
        let used = sqlx::query(
            "UPDATE agent_tokens SET used_at = $3, used_by = $2
             WHERE id = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $3",
        )
        .bind(id.to_string())
        .bind(used_by)
        .bind(millis(at))
        .execute(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        write.commit().await?;
        Ok(used.rows_affected() == 1)
    }
}

fn record(row: &AnyRow) -> sqlx::Result<AgentTokenRecord> {
    let hash = SecretHash::from_hex(&row.text("hash")?);
    Ok(AgentTokenRecord {
        id: row.id("id")?,
        hash: hash.ok_or_else(|| undecodable("hash", std::fmt::Error))?,
        cluster: row.parsed("cluster_name")?,
        created_at: row.at("created_at")?,
        expires_at: row.at("expires_at")?,
        used_at: row.maybe_at("used_at")?,
        used_by: row.maybe_text("used_by")?,
        revoked_at: row.maybe_at("revoked_at")?,
    })
}
