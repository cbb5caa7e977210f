//! How errors speak of the database: where it is, without its password.

use std::{fmt, path::PathBuf};

/// A file, or a server.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    File(PathBuf),
    Server {
        host: String,
        port: u16,
        user: String,
        database: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server {
                host, port, database, ..
            } => {
                write!(f, "PostgreSQL at {host}:{port}, database {database:?}")
            }
        }
    }
}
