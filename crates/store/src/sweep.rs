//! Forgetting what nobody can use any more.

use std::time::Duration;

use jiff::Timestamp;

use crate::{Store, StoreError, row::millis};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long ended sessions are kept, for whoever asks why they were logged out.
const SESSIONS: Duration = DAY;
/// How long a used refresh token is known as such: a copy that turns up within this time ends the session, and later is
/// only unknown.
const USED_REFRESH_TOKENS: Duration = Duration::from_secs(7 * DAY.as_secs());
/// How long join tokens are listed after their end.
const AGENT_TOKENS: Duration = Duration::from_secs(30 * DAY.as_secs());

impl Store {
    /// Removes sessions, refresh tokens and join tokens that ended long enough ago, and answers how many those were. For
    /// an hourly task; of several replicas any may do it, or all.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn sweep(&self, at: Timestamp) -> Result<u64, StoreError> {
        let ago = |time: Duration| millis(at) - i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let steps = [
            (
                "DELETE FROM sessions WHERE expires_at < $1 AND token_expires_at < $1",
                SESSIONS,
            ),
            (
                "DELETE FROM sessions WHERE revoked_at < $1 AND token_expires_at < $1",
                SESSIONS,
            ),
            (
                "DELETE FROM refresh_tokens WHERE expires_at < $1 OR rotated_at < $1",
                USED_REFRESH_TOKENS,
            ),
            (
                "DELETE FROM agent_tokens WHERE expires_at < $1 OR used_at < $1 OR revoked_at < $1",
                AGENT_TOKENS,
            ),
        ];
        let mut removed = 0;
        for (statement, kept) in steps {
            let mut write = self.write().await?;
            let deleted = sqlx::query(statement)
                .bind(ago(kept))
                .execute(&mut *write.transaction)
                .await
                .map_err(|e| self.explain(e))?;
            write.commit().await?;
            removed += deleted.rows_affected();
        }
        Ok(removed)
    }
}
