//! Finds out who asks: passwords, the tokens given for them, and the sessions behind those.
//!
//! What a request carries is a short-lived RS256 token ([`token`]), checked without a database: the signature proves
//! the user and the session, and whether either was revoked since is the caller's to ask of its own snapshot. What
//! renews it is an opaque refresh token ([`session`]), which is worth nothing without the database. [`login`] puts
//! them together behind password ([`password`]) and rate limits ([`limit`]). Agents prove themselves the first time by
//! a one-time join token ([`agent_token`]).
//!
//! Invariants:
//!
//! * no secret is stored: passwords as argon2id, refresh and join tokens as SHA-256 of 256 random bits;
//! * an unknown account and a wrong password are one error, and cost the same time;
//! * time is always the handed [`Clock`]'s; no function here looks at the system's on its own;
//! * no storage is named here: what must be kept is said by the traits [`UserStore`], [`SessionStore`] and
//!   [`AgentTokenStore`].

pub mod agent_token;
mod clock;
mod email;
pub mod limit;
pub mod login;
pub mod password;
mod secret;
pub mod session;
mod storage;
pub mod token;

pub use agent_token::{AgentTokenError, AgentTokenRecord, AgentTokenStore, AgentTokens};
pub use clock::{Clock, ManualClock, SystemClock};
pub use email::{Email, InvalidEmail, MAX_EMAIL_BYTES};
pub use limit::{LoginLimits, Quota};
pub use login::{Lifetimes, LoginError, Logins, RefreshError, TokenPair};
pub use password::{InvalidPasswordHash, PasswordError, PasswordHash, Passwords};
pub use secret::{InvalidSecret, JoinToken, RefreshToken, SecretHash};
pub use session::{NewSession, RefreshRecord, Rotation, SessionStore};
pub use storage::{StorageError, UserRecord, UserStore};
pub use token::{SigningKeys, TokenError, TokenIssuer, TokenVerifier, Verified};
