//! Sessions and their refresh tokens.

use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_authn::{NewSession, RefreshRecord, Rotation, SecretHash, SessionStore, StorageError};
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::{
    Store, Write,
    row::{Columns as _, millis},
};

#[async_trait]
impl SessionStore for Store {
    async fn create_session(&self, session: &NewSession) -> Result<(), StorageError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_id, created_at, expires_at, token_expires_at) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(session.id.to_string())
        .bind(session.user_id.to_string())
        .bind(millis(session.created_at))
        .bind(millis(session.expires_at))
        .bind(millis(session.token_expires_at))
        .execute(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        let (hash, expires_at) = (session.refresh_hash, session.refresh_expires_at);
        write
            .add_refresh(session.id, hash, session.created_at, expires_at)
            .await?;
        Ok(write.commit().await?)
    }

    async fn find_refresh(&self, hash: &SecretHash) -> Result<Option<RefreshRecord>, StorageError> {
        let row = sqlx::query(
            "SELECT t.session_id, t.expires_at, t.rotated_at,
                    s.user_id, s.expires_at AS session_expires_at, s.revoked_at
             FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = $1",
        )
        .bind(hash.to_hex())
        .fetch_optional(&self.pool)
        .await
        .map_err(|e| self.explain(e))?;
        Ok(row
            .as_ref()
            .map(refresh_record)
            .transpose()
            .map_err(|e| self.explain(e))?)
    }

    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<bool, StorageError> {
        let mut write = self.write().await?;
        // The session first: at PostgreSQL its row makes those who rotate it, or end it, go one after the other.
        let alive = sqlx::query(
            "UPDATE sessions
             SET token_expires_at = CASE WHEN token_expires_at < $2 THEN $2 ELSE token_expires_at END
             WHERE id = $1 AND revoked_at IS NULL AND expires_at > $3",
        )
        .bind(rotation.session_id.to_string())
        .bind(millis(rotation.token_expires_at))
        .bind(millis(rotation.at))
        .execute(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        if alive.rows_affected() == 0 {
            return Ok(false);
        }
        if rotation.first_use {
            let marked = sqlx::query(
                "UPDATE refresh_tokens SET rotated_at = $3
                 WHERE hash = $1 AND session_id = $2 AND rotated_at IS NULL",
            )
            .bind(rotation.old_hash.to_hex())
            .bind(rotation.session_id.to_string())
            .bind(millis(rotation.at))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
            if marked.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let (hash, expires_at) = (rotation.new_hash, rotation.new_expires_at);
        write
            .add_refresh(rotation.session_id, hash, rotation.at, expires_at)
            .await?;
        write.commit().await?;
        Ok(true)
    }

    async fn revoke_session(&self, id: Uuid, at: Timestamp) -> Result<(), StorageError> {
        let mut write = self.write().await?;
        let ended = sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
            .bind(id.to_string())
            .bind(millis(at))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        if ended.rows_affected() > 0 {
            write.bump_version().await?;
        }
        Ok(write.commit().await?)
    }
}

impl Write {
    async fn add_refresh(
        &mut self,
        session: Uuid,
        hash: SecretHash,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StorageError> {
        sqlx::query(
            "INSERT INTO refresh_tokens (hash, session_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(hash.to_hex())
        .bind(session.to_string())
        .bind(millis(created_at))
        .bind(millis(expires_at))
        .execute(&mut *self.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        Ok(())
    }
}

fn refresh_record(row: &AnyRow) -> sqlx::Result<RefreshRecord> {
    Ok(RefreshRecord {
        session_id: row.id("session_id")?,
        user_id: row.id("user_id")?,
        expires_at: row.at("expires_at")?,
        rotated_at: row.maybe_at("rotated_at")?,
        session_expires_at: row.at("session_expires_at")?,
        revoked: row.maybe_number("revoked_at")?.is_some(),
    })
}
