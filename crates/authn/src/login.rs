//! Logging in, staying in, logging out.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    Clock, Email, LoginLimits, NewSession, PasswordError, Passwords, RefreshToken, Rotation, SecretHash,
    SessionStore, StorageError, TokenIssuer, UserRecord, UserStore,
    clock::later,
    password::Verdict,
    session::Judgement,
    token::{SigningFailed, Subject},
};

/// How often two refreshes of one token may get in each other's way before we give up.
const REFRESH_ATTEMPTS: usize = 4;

/// How long what lives. The access token's own is in [`crate::token::TokenSettings`].
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A refresh token that isn't used.
    pub refresh: Duration,
    /// A session, however often it is refreshed.
    pub session: Duration,
}

impl Default for Lifetimes {
    /// A week without use, and a month in all.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            refresh: 7 * DAY,
            session: 30 * DAY,
        }
    }
}

/// What a login or refresh gives, in the words of the REST API. Times in whole seconds, RFC 3339.
#[derive(Clone, Serialize)]
pub struct TokenPair {
    /// The token that requests carry.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// In how many seconds that is, for clients whose clock is off.
    pub expires_in: u64,
    /// What gives the next pair, once.
    pub refresh_token: String,
    /// When that ends.
    pub refresh_expires_at: Timestamp,
}

impl fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPair")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Why a login was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such account, or not its password: which of the two isn't said.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// The password is right, but the account was disabled.
    #[error("this account is disabled: ask your administrator")]
    Disabled,
    /// Too many attempts for this account or from this address.
    #[error("too many login attempts: try again in {} s", whole_seconds(*retry_after))]
    Limited {
        /// When the next may be tried.
        retry_after: Duration,
    },
    /// Too many logins are being checked at this moment.
    #[error("too many logins at once: try again in a second")]
    Busy,
    /// The store couldn't be asked.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Out of memory.
    #[error("the login could not be completed: the machine is out of memory or shutting down")]
    Failed,
}

/// Why a refresh was refused.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It is no refresh token of ours, or one forgotten long since.
    #[error("the refresh token is unknown: log in again")]
    Unknown,
    /// It lived its time, or its session did.
    #[error("the session expired: log in again")]
    Expired,
    /// Its session was ended by a logout, a new password or an administrator.
    #[error("the session was ended: log in again")]
    Revoked,
    /// It was used before. Somebody else may have it, so the session was ended.
    #[error("the refresh token was used before, so the session was ended for safety: log in again")]
    Reused,
    /// The account was disabled.
    #[error("this account is disabled: ask your administrator")]
    Disabled,
    /// The store couldn't be asked.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Out of memory, or the same token is being used very many times at once.
    #[error("the session could not be refreshed just now: try again in a second")]
    Failed,
}

impl From<SigningFailed> for LoginError {
    fn from(_: SigningFailed) -> Self {
        Self::Failed
    }
}

impl From<SigningFailed> for RefreshError {
    fn from(_: SigningFailed) -> Self {
        Self::Failed
    }
}

/// Logins, refreshes and logouts. Cheap to clone.
#[derive(Clone)]
pub struct Logins {
    users: Arc<dyn UserStore>,
    sessions: Arc<dyn SessionStore>,
    passwords: Passwords,
    limits: Arc<LoginLimits>,
    issuer: TokenIssuer,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
}

impl Logins {
    /// Puts the parts together.
    pub fn new(
        users: Arc<dyn UserStore>,
        sessions: Arc<dyn SessionStore>,
        passwords: Passwords,
        limits: Arc<LoginLimits>,
        issuer: TokenIssuer,
        lifetimes: Lifetimes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            users,
            sessions,
            passwords,
            limits,
            issuer,
            lifetimes,
            clock,
        }
    }

    /// Begins a session. `source` is the address of the connection itself.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn login(
        &self,
        email: &str,
        password: SecretString,
        source: IpAddr,
    ) -> Result<TokenPair, LoginError> {
        let Ok(email) = email.parse::<Email>() else {
            return Err(LoginError::WrongCredentials);
        };
        let attempt = self
            .limits
            .attempt(&email, source)
            .map_err(|retry_after| LoginError::Limited { retry_after })?;
        let user = self.users.user_by_email(&email).await?;
        let hash = user.as_ref().map(|user| user.password.clone());
        let verdict = match self.passwords.verify(password.clone(), hash).await {
            Ok(verdict) => verdict,
            // No account has such a password.
            Err(PasswordError::TooLong | PasswordError::TooShort) => Verdict::Wrong,
            Err(PasswordError::Busy) => {
                // No password was looked at.
                attempt.succeeded();
                return Err(LoginError::Busy);
            }
            Err(PasswordError::Failed) => return Err(LoginError::Failed),
        };
        let (Some(user), Verdict::Right { needs_rehash }) = (user, verdict) else {
            return Err(LoginError::WrongCredentials);
        };
        attempt.succeeded();
        if user.disabled {
            return Err(LoginError::Disabled);
        }
        if needs_rehash {
            self.rehash(&user, password).await;
        }
        self.begin_session(&user).await
    }

    /// Gives another pair for a refresh token, which is used up by it.
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<TokenPair, RefreshError> {
        let token = RefreshToken::parse(refresh_token).map_err(|_| RefreshError::Unknown)?;
        let hash = token.hash();
        for _ in 0..REFRESH_ATTEMPTS {
            if let Some(pair) = self.try_refresh(hash).await? {
                return Ok(pair);
            }
        }
        Err(RefreshError::Failed)
    }

    /// Ends the session of a refresh token, whatever its state. An unknown token has none.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked; then the session goes on.
    pub async fn logout(&self, refresh_token: &str) -> Result<(), StorageError> {
        let Ok(token) = RefreshToken::parse(refresh_token) else {
            return Ok(());
        };
        match self.sessions.find_refresh(&token.hash()).await? {
            Some(record) => {
                self.sessions
                    .revoke_session(record.session_id, self.clock.now())
                    .await
            }
            None => Ok(()),
        }
    }

    async fn begin_session(&self, user: &UserRecord) -> Result<TokenPair, LoginError> {
        let now = self.clock.now();
        let expires_at = whole(later(now, self.lifetimes.session));
        let next = RefreshToken::generate();
        let session = NewSession {
            id: Uuid::now_v7(),
            user_id: user.id,
            created_at: now,
            expires_at,
            token_expires_at: self.issuer.expiry(),
            refresh_hash: next.hash(),
            refresh_expires_at: self.refresh_expiry(now, expires_at),
        };
        self.sessions.create_session(&session).await?;
        Ok(self.pair(user, session.id, &next, session.refresh_expires_at, now)?)
    }

    /// None if somebody else used the token at the same moment, and it must be judged again.
    async fn try_refresh(&self, hash: SecretHash) -> Result<Option<TokenPair>, RefreshError> {
        let record = self
            .sessions
            .find_refresh(&hash)
            .await?
            .ok_or(RefreshError::Unknown)?;
        let now = self.clock.now();
        let first_use = match record.judge(now) {
            Judgement::Rotate { first_use } => first_use,
            Judgement::Expired => return Err(RefreshError::Expired),
            Judgement::Revoked => return Err(RefreshError::Revoked),
            Judgement::Stolen => {
                self.sessions.revoke_session(record.session_id, now).await?;
                tracing::warn!(user = %record.user_id, session = %record.session_id, "a used refresh token came again: session ended");
                return Err(RefreshError::Reused);
            }
        };
        let user = self
            .users
            .user_by_id(record.user_id)
            .await?
            .ok_or(RefreshError::Revoked)?;
        if user.disabled {
            return Err(RefreshError::Disabled);
        }
        let next = RefreshToken::generate();
        let rotation = Rotation {
            session_id: record.session_id,
            old_hash: hash,
            first_use,
            new_hash: next.hash(),
            new_expires_at: self.refresh_expiry(now, record.session_expires_at),
            token_expires_at: self.issuer.expiry(),
            at: now,
        };
        if !self.sessions.rotate_refresh(&rotation).await? {
            return Ok(None);
        }
        Ok(Some(self.pair(
            &user,
            record.session_id,
            &next,
            rotation.new_expires_at,
            now,
        )?))
    }

    fn refresh_expiry(&self, now: Timestamp, session_expires_at: Timestamp) -> Timestamp {
        whole(later(now, self.lifetimes.refresh)).min(session_expires_at)
    }

    fn pair(
        &self,
        user: &UserRecord,
        session_id: Uuid,
        refresh: &RefreshToken,
        refresh_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<TokenPair, SigningFailed> {
        let subject = Subject {
            user_id: user.id,
            session_id,
            email: user.email.clone(),
        };
        let issued = self.issuer.issue(&subject)?;
        let left = issued.expires_at.duration_since(now).max(SignedDuration::ZERO);
        Ok(TokenPair {
            token: issued.token,
            expires_at: issued.expires_at,
            expires_in: left.unsigned_abs().as_secs(),
            refresh_token: refresh.expose().to_owned(),
            refresh_expires_at,
        })
    }

    /// Makes a weaker hash a stronger one, now that the password is at hand. It is no reason to refuse the login if that
    /// fails.
    async fn rehash(&self, user: &UserRecord, password: SecretString) {
        let hash = match self.passwords.rehash(password).await {
            Ok(hash) => hash,
            Err(error) => {
                return tracing::warn!(user = %user.id, %error, "password hash stays as weak as it was");
            }
        };
        if let Err(error) = self.users.rehash_password(user.id, &user.password, &hash).await {
            tracing::warn!(user = %user.id, %error, "password hash stays as weak as it was");
        }
    }
}

/// Cut to whole seconds, as they are shown.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Rounded up: who comes back then is let through.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
