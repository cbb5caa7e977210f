//! Who we are towards an API server: a bearer token that may change under us, or nothing (a client certificate in the
//! TLS configuration says it already).

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tracing::warn;

/// How long a token file is believed before it is read again. The kubelet replaces a projected token at 80 % of its
/// life, so a minute is soon enough (client-go does the same).
const TOKEN_FILE_TTL: Duration = Duration::from_secs(60);

/// What to put into `Authorization`.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A token that never changes.
    Token(Arc<SecretHeader>),
    /// A token in a file that somebody else renews.
    TokenFile(Arc<TokenFile>),
}

/// A header value that never shows in `Debug` output nor in HPACK's table.
pub struct SecretHeader(HeaderValue);

impl std::fmt::Debug for SecretHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHeader")
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file can't be read.
    #[error("can't read the token file {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no token in it, or one that is no header value.
    #[error("the token in {0} is empty or has characters that no token has")]
    Malformed(String),
}

impl Credentials {
    /// A token given once and for all.
    ///
    /// # Errors
    /// If it is empty or can't stand in a header.
    pub fn token(token: &SecretString) -> Result<Self, CredentialsError> {
        let header = bearer(token.expose_secret(), "the configuration")?;
        Ok(Self::Token(Arc::new(SecretHeader(header))))
    }

    /// A token file, read now and again as it changes.
    ///
    /// # Errors
    /// If it can't be read now.
    pub fn token_file(path: PathBuf) -> Result<Self, CredentialsError> {
        TokenFile::open(path).map(|file| Self::TokenFile(Arc::new(file)))
    }

    /// The value for `Authorization`, if there is one.
    pub fn authorization(&self) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Token(header) => Some(header.0.clone()),
            Self::TokenFile(file) => Some(file.current()),
        }
    }

    /// After a 401 to `used`: looks again. Returns another token if there is one now, so that asking again makes sense.
    pub fn renewed(&self, used: Option<&HeaderValue>) -> Option<HeaderValue> {
        let Self::TokenFile(file) = self else { return None };
        file.reread();
        // Compared with what was sent: somebody else may have read the file a moment ago.
        let current = file.current.load().0.clone();
        (Some(&current) != used).then_some(current)
    }
}

/// A bearer token in a file.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    current: ArcSwap<SecretHeader>,
    opened: Instant,
    /// Milliseconds after `opened` at which the file is read again.
    reread_at_ms: AtomicU64,
}

impl TokenFile {
    fn open(path: PathBuf) -> Result<Self, CredentialsError> {
        let header = read(&path)?;
        Ok(Self {
            path,
            current: ArcSwap::from_pointee(SecretHeader(header)),
            opened: Instant::now(),
            reread_at_ms: AtomicU64::new(millis(TOKEN_FILE_TTL)),
        })
    }

    fn current(&self) -> HeaderValue {
        let now = millis(self.opened.elapsed());
        let due = self.reread_at_ms.load(Ordering::Relaxed);
        // One caller wins and reads a file of 2 KB from the page cache; the others go on with what is there.
        if now >= due
            && self
                .reread_at_ms
                .compare_exchange(
                    due,
                    now + millis(TOKEN_FILE_TTL),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
        {
            self.reread();
        }
        self.current.load().0.clone()
    }

    fn reread(&self) {
        match read(&self.path) {
            Ok(header) => self.current.store(Arc::new(SecretHeader(header))),
            // The last token may still be good; if not, the API server's 401 says so.
            Err(error) => warn!(%error, "keeping the previous token"),
        }
    }
}

fn read(path: &PathBuf) -> Result<HeaderValue, CredentialsError> {
    let text = std::fs::read_to_string(path)
        .map(SecretString::from)
        .map_err(|source| CredentialsError::Read {
            path: path.clone(),
            source,
        })?;
    bearer(text.expose_secret(), &path.display().to_string())
}

fn bearer(token: &str, origin: &str) -> Result<HeaderValue, CredentialsError> {
    let token = token.trim();
    if token.is_empty() {
        return Err(CredentialsError::Malformed(origin.to_owned()));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| CredentialsError::Malformed(origin.to_owned()))?;
    header.set_sensitive(true);
    Ok(header)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_token_file_is_seen_on_refresh() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("token");
        std::fs::write(&path, "first\n").expect("write");
        let credentials = Credentials::token_file(path.clone()).expect("readable");
        assert_eq!(credentials.authorization().expect("token"), "Bearer first");
        let used = credentials.authorization().expect("token");
        assert_eq!(credentials.renewed(Some(&used)), None, "nothing changed");
        std::fs::write(&path, "second").expect("write");
        assert_eq!(
            credentials.renewed(Some(&used)).expect("renewed"),
            "Bearer second"
        );
        assert_eq!(credentials.authorization().expect("token"), "Bearer second");
        assert_eq!(
            credentials.renewed(Some(&used)).expect("renewed"),
            "Bearer second",
            "also for whoever asks next"
        );
    }

    #[test]
    fn a_vanished_or_emptied_token_file_keeps_the_last_token() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("token");
        std::fs::write(&path, "first").expect("write");
        let credentials = Credentials::token_file(path.clone()).expect("readable");
        let used = credentials.authorization().expect("token");
        std::fs::write(&path, "").expect("write");
        assert_eq!(credentials.renewed(Some(&used)), None);
        std::fs::remove_file(&path).expect("remove");
        assert_eq!(credentials.renewed(Some(&used)), None);
        assert_eq!(credentials.authorization().expect("token"), "Bearer first");
    }

    #[test]
    fn a_token_that_is_no_header_is_refused_and_not_shown() {
        let error = Credentials::token(&"se\ncret".to_owned().into()).expect_err("refused");
        assert!(!error.to_string().contains("cret"));
        let good = Credentials::token(&"secret".to_owned().into()).expect("token");
        assert!(!format!("{good:?}").contains("secret"));
        assert!(good.authorization().expect("token").is_sensitive());
    }
}
