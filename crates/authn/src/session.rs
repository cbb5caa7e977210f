//! Sessions: what a login begins, refresh tokens go on, and a logout ends.
//!
//! A refresh token is used once: each use gives another (RFC 9700, section 4.14.2). Two shells that refresh at the same
//! moment use the same one twice, so for [`GRACE`] after its first use an old token still gives a fresh one of the same
//! session, and both are good. Later it can only be a copy in somebody's hands: the whole session ends.

use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{SecretHash, StorageError};

/// How long after its first use a refresh token may be used again.
pub const GRACE: Duration = Duration::from_secs(30);

/// A session that begins.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id, the `sid` of its tokens.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// When it begins.
    pub created_at: Timestamp,
    /// When it ends, however often it is refreshed.
    pub expires_at: Timestamp,
    /// When the first access token ends: until then a revocation must be remembered.
    pub token_expires_at: Timestamp,
    /// The first refresh token.
    pub refresh_hash: SecretHash,
    /// When that ends.
    pub refresh_expires_at: Timestamp,
}

/// A refresh token, as it is stored, and the session it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshRecord {
    /// The session.
    pub session_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// When this token ends.
    pub expires_at: Timestamp,
    /// When it was first used.
    pub rotated_at: Option<Timestamp>,
    /// When the session ends.
    pub session_expires_at: Timestamp,
    /// The session was revoked.
    pub revoked: bool,
}

/// One refresh token in another's place.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The session.
    pub session_id: Uuid,
    /// The token that was used.
    pub old_hash: SecretHash,
    /// Whether it must not have been used before.
    pub first_use: bool,
    /// The token that is given.
    pub new_hash: SecretHash,
    /// When that ends.
    pub new_expires_at: Timestamp,
    /// When the access token given with it ends.
    pub token_expires_at: Timestamp,
    /// Now.
    pub at: Timestamp,
}

/// Sessions and their refresh tokens.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Begins a session.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked, or the user is gone.
    async fn create_session(&self, session: &NewSession) -> Result<(), StorageError>;

    /// The refresh token with that hash.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn find_refresh(&self, hash: &SecretHash) -> Result<Option<RefreshRecord>, StorageError>;

    /// Marks the old token as used and adds the new one, both or neither. False, and nothing happened, if the session is
    /// revoked or gone, or the token was used before and mustn't have been: of two at once with `first_use`, one wins.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn rotate_refresh(&self, rotation: &Rotation) -> Result<bool, StorageError>;

    /// Ends a session now; one that ended already stays as it is.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn revoke_session(&self, id: Uuid, at: Timestamp) -> Result<(), StorageError>;
}

/// What a refresh token that was presented deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// A fresh one.
    Rotate {
        /// It was never used.
        first_use: bool,
    },
    /// Nothing: too old, or its session is.
    Expired,
    /// Nothing: its session was ended.
    Revoked,
    /// The end of its session: somebody else has it.
    Stolen,
}

impl RefreshRecord {
    pub(crate) fn judge(&self, now: Timestamp) -> Judgement {
        if self.revoked {
            return Judgement::Revoked;
        }
        if now >= self.session_expires_at {
            return Judgement::Expired;
        }
        match self.rotated_at {
            // A stolen token is a stolen token, expired or not.
            Some(at) if now.duration_since(at) > SignedDuration::from_secs(GRACE.as_secs() as i64) => {
                Judgement::Stolen
            }
            _ if now >= self.expires_at => Judgement::Expired,
            rotated => Judgement::Rotate {
                first_use: rotated.is_none(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_judged_by_its_use_and_its_age() {
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        let fresh = RefreshRecord {
            session_id: Uuid::nil(),
            user_id: Uuid::nil(),
            expires_at: at(1000),
            rotated_at: None,
            session_expires_at: at(5000),
            revoked: false,
        };
        let used = RefreshRecord {
            rotated_at: Some(at(500)),
            ..fresh
        };
        let revoked = RefreshRecord {
            revoked: true,
            ..used
        };
        let rows = [
            (&fresh, 999, Judgement::Rotate { first_use: true }),
            (&fresh, 1000, Judgement::Expired),
            (&used, 530, Judgement::Rotate { first_use: false }),
            // Another replica's clock is behind.
            (&used, 490, Judgement::Rotate { first_use: false }),
            (&used, 531, Judgement::Stolen),
            (&used, 4999, Judgement::Stolen),
            (&used, 5000, Judgement::Expired),
            (&revoked, 501, Judgement::Revoked),
        ];
        for (record, now, expected) in rows {
            assert_eq!(record.judge(at(now)), expected, "{record:?} at {now}");
        }
    }
}
