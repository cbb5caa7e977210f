//! What of accounts must be stored, and how storage fails.

use std::error::Error;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Email, PasswordHash};

/// The store couldn't do it. Its text is one line, with a remedy, and holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StorageError(#[source] pub Box<dyn Error + Send + Sync>);

/// An account, as far as a login needs it.
#[derive(Clone, Debug)]
pub struct UserRecord {
    /// The account's id, which is the `sub` of its tokens.
    pub id: Uuid,
    /// Its name.
    pub email: Email,
    /// How its password is known.
    pub password: PasswordHash,
    /// May not log in or renew tokens.
    pub disabled: bool,
}

/// Accounts, as a login needs them.
#[async_trait]
pub trait UserStore: Send + Sync {
    /// The account of that name.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn user_by_email(&self, email: &Email) -> Result<Option<UserRecord>, StorageError>;

    /// The account with that id.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn user_by_id(&self, id: Uuid) -> Result<Option<UserRecord>, StorageError>;

    /// Replaces a hash by a stronger one of the same password, unless the password was changed meanwhile.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn rehash_password(
        &self,
        id: Uuid,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Result<(), StorageError>;
}
