//! Passwords: argon2id, and bcrypt as far as old hashes still verify.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{self, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of one hash in KiB: 19 MiB (OWASP Password Storage Cheat Sheet, argon2id).
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over that memory (same source).
pub const PASSES: u32 = 2;
/// Lanes (same source).
pub const LANES: u32 = 1;

/// The longest password taken, in bytes: longer ones only cost time.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// The shortest new password, in characters. Old ones, however short, still verify.
pub const MIN_NEW_PASSWORD_CHARS: usize = 8;

/// How many may wait for their turn before others are told to come back.
const MAX_WAITING: usize = 64;

/// What somebody would have to be given to stall us by a hash they chose: such hashes are refused when they come in.
const MAX_MEMORY_KIB: u32 = 262_144;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 16;
const MAX_BCRYPT_COST: u32 = 15;

/// Verified in place of an account that isn't there, so that the time taken doesn't tell. Its hash is all zeroes, which
/// no password is known to have.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bWs4cy1ub2JvZHktaGVyZQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password's hash: argon2 in PHC format, or bcrypt (`$2a$`, `$2b$`, `$2y$`). Cheap to clone; `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<str>);

/// The text is no password hash that we verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPasswordHash {
    /// Neither PHC nor bcrypt.
    #[error("this is no password hash: give argon2id in PHC format ($argon2id$v=19$…) or bcrypt ($2b$…)")]
    Unknown,
    /// It would take minutes or gigabytes to verify.
    #[error(
        "this password hash costs too much to verify: at most 256 MiB, 16 passes, 16 lanes, or bcrypt cost {MAX_BCRYPT_COST}"
    )]
    TooCostly,
}

/// Why a password couldn't be hashed or verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// A new password shorter than [`MIN_NEW_PASSWORD_CHARS`].
    #[error("the password is shorter than {MIN_NEW_PASSWORD_CHARS} characters")]
    TooShort,
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// Too many logins at once; try again in a second.
    #[error("too many logins at once: try again in a second")]
    Busy,
    /// The hashing itself failed (out of memory), or its thread died.
    #[error("the password could not be hashed: the machine is out of memory or shutting down")]
    Failed,
}

/// What came of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right {
        /// The hash is weaker than what [`Passwords::hash`] makes now.
        needs_rehash: bool,
    },
    /// It isn't, or there is no such account.
    Wrong,
}

/// Hashes and verifies on blocking threads, a bounded number at once: each takes 19 MiB and some 20 ms of a core, and a
/// flood of logins must cost neither all memory nor every core. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl PasswordHash {
    /// Reads a stored or imported hash.
    ///
    /// # Errors
    /// [`InvalidPasswordHash`] if it is none, or would cost too much.
    pub fn parse(text: &str) -> Result<Self, InvalidPasswordHash> {
        if is_bcrypt(text) {
            let parts = bcrypt::HashParts::from_str(text).map_err(|_| InvalidPasswordHash::Unknown)?;
            if parts.get_cost() > MAX_BCRYPT_COST {
                return Err(InvalidPasswordHash::TooCostly);
            }
            return Ok(Self(text.into()));
        }
        let phc = password_hash::PasswordHash::new(text).map_err(|_| InvalidPasswordHash::Unknown)?;
        let params = Params::try_from(&phc).map_err(|_| InvalidPasswordHash::Unknown)?;
        if Algorithm::try_from(phc.algorithm).is_err() || phc.hash.is_none() || phc.salt.is_none() {
            return Err(InvalidPasswordHash::Unknown);
        }
        if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES || params.p_cost() > MAX_LANES {
            return Err(InvalidPasswordHash::TooCostly);
        }
        Ok(Self(text.into()))
    }

    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether [`Passwords::hash`] would make a stronger one now.
    pub fn needs_rehash(&self) -> bool {
        let Ok(phc) = password_hash::PasswordHash::new(&self.0) else {
            return true;
        };
        let Ok(params) = Params::try_from(&phc) else {
            return true;
        };
        phc.algorithm != Algorithm::Argon2id.ident()
            || phc.version != Some(Version::V0x13.into())
            || params.m_cost() < MEMORY_KIB
            || params.t_cost() < PASSES
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

impl Passwords {
    /// At most `at_once` at the same time (at least one).
    pub fn new(at_once: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once.max(1))),
            waiting: Arc::default(),
        }
    }

    /// Hashes a new password with argon2id.
    ///
    /// # Errors
    /// [`PasswordError`] if it is too short or long, or too many wait.
    pub async fn hash(&self, password: SecretString) -> Result<PasswordHash, PasswordError> {
        if password.expose_secret().chars().count() < MIN_NEW_PASSWORD_CHARS {
            return Err(PasswordError::TooShort);
        }
        self.rehash(password).await
    }

    /// As [`Passwords::hash`], for a password that is in use already and may be shorter than new ones must be.
    ///
    /// # Errors
    /// [`PasswordError`] if it is too long, or too many wait.
    pub async fn rehash(&self, password: SecretString) -> Result<PasswordHash, PasswordError> {
        if password.expose_secret().len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        self.in_turn(move || hash_blocking(password.expose_secret()))
            .await?
    }

    /// Whether `password` is the one that `hash` was made of; for no account (`None`) it takes as long and is wrong.
    ///
    /// # Errors
    /// [`PasswordError::TooLong`], [`PasswordError::Busy`] or [`PasswordError::Failed`].
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<Verdict, PasswordError> {
        if password.expose_secret().len() > MAX_PASSWORD_BYTES {
            return Err(PasswordError::TooLong);
        }
        self.in_turn(move || verify_blocking(password.expose_secret(), hash.as_ref()))
            .await
    }

    /// Runs `work` on a blocking thread when its turn comes. If the caller goes away meanwhile, the turn ends with the
    /// work, not with the caller.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = self.turn().await?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(|_| PasswordError::Failed)
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, PasswordError> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
        let place = Waiting::take(&self.waiting).ok_or(PasswordError::Busy)?;
        let turn = Arc::clone(&self.turns)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Failed);
        drop(place);
        turn
    }
}

/// A place in the queue, given back when dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A password to begin with: 24 characters, 144 bits.
pub fn random_password() -> SecretString {
    let mut secret = crate::secret::random_secret();
    secret.truncate(24);
    SecretString::from(secret)
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_blocking(password: &str) -> Result<PasswordHash, PasswordError> {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Failed)?;
    let hash = argon2id()?
        .hash_password(password.as_bytes(), &salt)
        .map_err(|_| PasswordError::Failed)?;
    Ok(PasswordHash(hash.to_string().into()))
}

fn verify_blocking(password: &str, hash: Option<&PasswordHash>) -> Verdict {
    let text = hash.map_or(NOBODY, PasswordHash::as_str);
    let right = if is_bcrypt(text) {
        bcrypt::verify(password, text).unwrap_or(false)
    } else {
        password_hash::PasswordHash::new(text).is_ok_and(|phc| {
            Argon2::default()
                .verify_password(password.as_bytes(), &phc)
                .is_ok()
        })
    };
    match hash {
        Some(hash) if right => Verdict::Right {
            needs_rehash: hash.needs_rehash(),
        },
        _ => Verdict::Wrong,
    }
}

fn is_bcrypt(text: &str) -> bool {
    text.len() == 60
        && ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_verifies_its_password_alone() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash("correct horse".into()).await.expect("hashed");
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(PasswordHash::parse(hash.as_str()), Ok(hash.clone()));
        let right = passwords.verify("correct horse".into(), Some(hash.clone())).await;
        assert_eq!(right, Ok(Verdict::Right { needs_rehash: false }));
        assert_eq!(
            passwords.verify("correct horse ".into(), Some(hash)).await,
            Ok(Verdict::Wrong)
        );
    }

    #[tokio::test]
    async fn bcrypt_still_verifies_and_asks_for_a_rehash() {
        let passwords = Passwords::new(2);
        let made = bcrypt::hash("hunter2", 4).expect("hashed");
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let hash = PasswordHash::parse(&made.replace("$2b$", prefix)).expect("bcrypt");
            let verdict = passwords.verify("hunter2".into(), Some(hash.clone())).await;
            assert_eq!(verdict, Ok(Verdict::Right { needs_rehash: true }), "{prefix}");
            assert_eq!(
                passwords.verify("hunter3".into(), Some(hash)).await,
                Ok(Verdict::Wrong)
            );
        }
    }

    #[tokio::test]
    async fn nobody_has_no_password() {
        assert_eq!(
            PasswordHash::parse(NOBODY).map(|h| h.needs_rehash()),
            Ok(false),
            "costs what ours cost"
        );
        assert_eq!(
            Passwords::new(1).verify("anything".into(), None).await,
            Ok(Verdict::Wrong)
        );
    }

    #[tokio::test]
    async fn lengths_are_limited() {
        let passwords = Passwords::new(1);
        let hash = |text: String| passwords.hash(text.into());
        assert_eq!(hash("x".repeat(7)).await, Err(PasswordError::TooShort));
        assert_eq!(hash("ü".repeat(7)).await, Err(PasswordError::TooShort));
        assert_eq!(hash("x".repeat(1025)).await, Err(PasswordError::TooLong));
        assert!(hash("x".repeat(1024)).await.is_ok());
        assert_eq!(
            passwords.verify("x".repeat(1025).into(), None).await,
            Err(PasswordError::TooLong)
        );
    }

    #[tokio::test]
    async fn a_flood_is_told_to_come_back() {
        let passwords = Passwords::new(1);
        let _taken = passwords.turn().await.expect("free");
        let floods: Vec<_> = (0..MAX_WAITING)
            .map(|_| {
                let passwords = passwords.clone();
                tokio::spawn(async move { passwords.verify("x".into(), None).await })
            })
            .collect();
        while passwords.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.verify("x".into(), None).await, Err(PasswordError::Busy));
        floods.iter().for_each(tokio::task::JoinHandle::abort);
        for flood in floods {
            assert!(flood.await.is_err_and(|e| e.is_cancelled()));
        }
        assert_eq!(
            passwords.waiting.load(Ordering::Relaxed),
            0,
            "places are given back"
        );
    }

    #[test]
    fn a_hash_that_would_stall_us_is_refused() {
        let costly = bcrypt::hash("x", 4).expect("hashed").replace("$04$", "$31$");
        assert_eq!(PasswordHash::parse(&costly), Err(InvalidPasswordHash::TooCostly));
        let costly = NOBODY.replace("m=19456", "m=4000000");
        assert_eq!(PasswordHash::parse(&costly), Err(InvalidPasswordHash::TooCostly));
        for bad in [
            "",
            "x",
            "$1$abc",
            "$2b$nonsense",
            "$argon2id$v=19$m=19456,t=2,p=1$bWs4cy1ub2JvZHk",
        ] {
            assert_eq!(
                PasswordHash::parse(bad),
                Err(InvalidPasswordHash::Unknown),
                "{bad}"
            );
        }
        assert_eq!(format!("{:?}", PasswordHash(NOBODY.into())), "PasswordHash(…)");
    }
}
