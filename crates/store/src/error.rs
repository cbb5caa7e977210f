//! What can go wrong, in one line each, with what to do.

use std::{io, path::PathBuf};

use mk8s_authn::StorageError;

use crate::place::Place;

/// Why the store couldn't do it. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `database.driver` or `database.url` is wrong.
    #[error("{0}")]
    Configuration(&'static str),
    /// The directory of an SQLite file isn't there.
    #[error("{}: no such directory: create it, or correct database.url", .0.display())]
    NoDirectory(PathBuf),
    /// The SQLite file or its directory can't be written.
    #[error(
        "{}: the database can't be written ({reason}): make the file and its directory writable for this user",
        path.display()
    )]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is something else, or damaged.
    #[error(
        "{}: {reason}: correct database.url, or move the file away (a new database is made then)",
        path.display()
    )]
    NotADatabase {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: &'static str,
    },
    /// A later version of this program changed the schema.
    #[error(
        "{place}: written by a newer mk8s-central (schema {found}, this one knows {known}): upgrade this program"
    )]
    Newer {
        /// Which database.
        place: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// No answer from PostgreSQL.
    #[error("{place}: no answer ({reason}): start it, or correct database.url")]
    Unreachable {
        /// Which database.
        place: String,
        /// What the system said.
        reason: String,
    },
    /// PostgreSQL answers, but no TLS as `sslmode` asks for.
    #[error("{place}: TLS failed ({reason}): correct sslmode and sslrootcert in database.url")]
    Tls {
        /// Which database.
        place: String,
        /// What TLS said.
        reason: String,
    },
    /// A file that the URL names can't be read.
    #[error("{}: {reason}: correct {parameter} in database.url", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// Where the URL names it.
        parameter: &'static str,
        /// What the system said.
        reason: String,
    },
    /// PostgreSQL doesn't let us in.
    #[error(
        "{place}: the user {user:?} is refused ({reason}): correct user and password in database.url, or pg_hba.conf"
    )]
    Refused {
        /// Which database.
        place: String,
        /// As whom.
        user: String,
        /// What PostgreSQL said.
        reason: String,
    },
    /// PostgreSQL has no such database.
    #[error("{0}: there is no such database: create it (createdb), or correct database.url")]
    NoDatabase(String),
    /// The disk is full.
    #[error("{0}: the disk is full: make room")]
    Full(String),
    /// Too much is going on, or another program holds the SQLite file.
    #[error("{0}: the database is busy: try again; if it stays so, see which other program uses it")]
    Busy(String),
    /// There is one of that name already.
    #[error("{0} exists already")]
    Exists(String),
    /// There is none of that name or id.
    #[error("there is no {0}")]
    Missing(String),
    /// Anything else.
    #[error("{place}: {reason}")]
    Other {
        /// Which database.
        place: String,
        /// What it said.
        reason: String,
    },
}

impl From<StoreError> for StorageError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}

impl StoreError {
    /// Whether the same call may succeed later without anybody changing anything but the database's state: an answer of
    /// 503 rather than 500.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Busy(_) | Self::Full(_) | Self::Refused { .. }
        )
    }

    /// What an error of sqlx means for whoever runs central.
    pub(crate) fn explain(place: &Place, error: sqlx::Error) -> Self {
        match (place, error) {
            (Place::File(path), sqlx::Error::Database(error)) => explain_sqlite(path.clone(), &*error),
            (Place::Server { user, .. }, sqlx::Error::Database(error)) => {
                explain_postgres(place.to_string(), user, &*error)
            }
            (_, sqlx::Error::PoolTimedOut) => match place {
                Place::File(_) => Self::Busy(place.to_string()),
                Place::Server { .. } => Self::Unreachable {
                    place: place.to_string(),
                    reason: "timed out".to_owned(),
                },
            },
            // This is how rustls says that it doesn't like a certificate.
            (Place::Server { .. }, sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                Self::Tls {
                    place: place.to_string(),
                    reason: one_line(&error.to_string()),
                }
            }
            (Place::Server { .. }, sqlx::Error::Io(error)) => Self::Unreachable {
                place: place.to_string(),
                reason: system_reason(&error),
            },
            (Place::Server { .. }, sqlx::Error::Tls(error)) => Self::Tls {
                place: place.to_string(),
                reason: one_line(&error.to_string()),
            },
            (Place::File(path), sqlx::Error::Io(error)) => Self::NotWritable {
                path: path.clone(),
                reason: system_reason(&error),
            },
            // It quotes what it couldn't read in the URL.
            (_, sqlx::Error::Configuration(_)) => Self::Configuration(
                "database.url: a parameter has a wrong value; sslmode is disable, allow, prefer, require, verify-ca or verify-full",
            ),
            (_, error) => Self::Other {
                place: place.to_string(),
                reason: one_line(&error.to_string()),
            },
        }
    }
}

/// By SQLite's primary result codes (sqlite.org/rescode.html).
fn explain_sqlite(path: PathBuf, error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let place = path.display().to_string();
    let extended: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or(0);
    match extended & 0xff {
        5 | 6 => StoreError::Busy(place),
        8 | 14 => StoreError::NotWritable {
            path,
            reason: one_line(error.message()),
        },
        11 => StoreError::NotADatabase {
            path,
            reason: "the database is damaged",
        },
        13 => StoreError::Full(place),
        26 => StoreError::NotADatabase {
            path,
            reason: "this is no SQLite database",
        },
        _ => StoreError::Other {
            place,
            reason: one_line(error.message()),
        },
    }
}

/// By SQLSTATE (PostgreSQL's manual, appendix A).
fn explain_postgres(place: String, user: &str, error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let code = error.code().unwrap_or_default();
    let reason = one_line(error.message());
    match &*code {
        "28P01" | "28000" | "42501" => StoreError::Refused {
            place,
            user: user.to_owned(),
            reason,
        },
        "3D000" => StoreError::NoDatabase(place),
        "53100" => StoreError::Full(place),
        // Shutting down, starting up, crashed; connection failures.
        "57P01" | "57P02" | "57P03" => StoreError::Unreachable { place, reason },
        code if code.starts_with("08") => StoreError::Unreachable { place, reason },
        // Too many connections, out of memory; deadlock; statement or lock timeout.
        "53200" | "53300" | "40P01" | "40001" | "57014" | "55P03" => StoreError::Busy(place),
        _ => StoreError::Other { place, reason },
    }
}

/// `connection refused` rather than `Connection refused (os error 111)`.
pub(crate) fn system_reason(error: &io::Error) -> String {
    let text = one_line(&error.to_string());
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}
