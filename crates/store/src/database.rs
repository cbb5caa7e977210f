//! Which database, and how to speak of it without giving its password away.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr as _,
};

use secrecy::SecretString;
use sqlx::any::AnyConnectOptions;

use crate::{StoreError, error::system_reason, place::Place};

/// The parameters of a PostgreSQL URL that are understood. Others are refused: sqlx would ignore them, and write their
/// values into the log.
const POSTGRES_PARAMETERS: [&str; 17] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// Where the data are. `Debug` and `Display` show no password.
#[derive(Clone)]
pub enum Database {
    /// An SQLite file, made when it isn't there. One central only.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by its URL (`postgres://user:password@host:port/database?sslmode=verify-full`). The
    /// parameters `sslmode`, `sslrootcert`, `sslcert` and `sslkey` are those of libpq.
    Postgres(SecretString),
}

/// The two that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Database {
    /// Reads `database.driver` and `database.url` of `central.yaml`. For `sqlite` the URL is a path, also as
    /// `sqlite:path` or `sqlite://path`.
    ///
    /// # Errors
    /// [`StoreError::Configuration`] says which of the two is wrong, and what it should be.
    pub fn parse(driver: &str, url: &str) -> Result<Self, StoreError> {
        match driver {
            "sqlite" | "sqlite3" => {
                let path = url.strip_prefix("sqlite:").unwrap_or(url);
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() || path.contains('\0') || path.contains("://") || path == ":memory:" {
                    return Err(StoreError::Configuration(
                        "database.url: give the path of the SQLite file",
                    ));
                }
                Ok(Self::Sqlite(PathBuf::from(path)))
            }
            "postgres" | "postgresql" => {
                let database = Self::Postgres(SecretString::from(url));
                postgres_place(url)?;
                Ok(database)
            }
            _ => Err(StoreError::Configuration(
                r#"database.driver: give "sqlite" or "postgres""#,
            )),
        }
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use secrecy::ExposeSecret as _;
        match self {
            Self::Sqlite(path) => Place::File(path.clone()).fmt(f),
            Self::Postgres(url) => match postgres_place(url.expose_secret()) {
                Ok(place) => place.fmt(f),
                Err(_) => f.write_str("PostgreSQL"),
            },
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

/// The parts of a PostgreSQL URL that may be shown.
pub(crate) fn postgres_place(url: &str) -> Result<Place, StoreError> {
    // A URL that can't be parsed may hold a password anywhere: nothing of it is shown.
    const HOW: StoreError =
        StoreError::Configuration("database.url: give postgres://user:password@host:5432/database");
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(HOW);
    }
    let options = AnyConnectOptions::from_str(url).map_err(|_| HOW)?;
    let url = &options.database_url;
    let mut host = url.host_str().unwrap_or_default().to_owned();
    let mut port = url.port();
    let mut user = url.username().to_owned();
    let mut database = url.path().trim_start_matches('/').to_owned();
    for (key, value) in url.query_pairs() {
        if !POSTGRES_PARAMETERS.contains(&&*key) && !key.starts_with("options[") {
            return Err(StoreError::Configuration(
                "database.url: a parameter behind the \"?\" is unknown; sslmode, sslrootcert, sslcert, sslkey and host are known",
            ));
        }
        match &*key {
            "host" | "hostaddr" => host = value.into_owned(),
            "port" => port = value.parse().ok(),
            "user" => user = value.into_owned(),
            "dbname" => database = value.into_owned(),
            _ => {}
        }
    }
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    let user = or(user, "postgres");
    Ok(Place::Server {
        host: or(host.replace("%2F", "/"), "localhost"),
        port: port.unwrap_or(5432),
        database: or(database, &user),
        user,
    })
}

/// Sees that the certificates and the key that a PostgreSQL URL names can be read: sqlx says only that some file can't.
pub(crate) fn check_certificates(url: &str) -> Result<(), StoreError> {
    let Ok(options) = AnyConnectOptions::from_str(url) else {
        return Ok(());
    };
    for (key, value) in options.database_url.query_pairs() {
        let parameter = match &*key {
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "sslrootcert",
            "sslcert" | "ssl-cert" => "sslcert",
            "sslkey" | "ssl-key" => "sslkey",
            _ => continue,
        };
        // The text itself may stand there too.
        if value.starts_with("-----BEGIN") {
            continue;
        }
        if let Err(error) = std::fs::File::open(&*value) {
            let path = PathBuf::from(value.into_owned());
            return Err(StoreError::NoCertificate {
                path,
                parameter,
                reason: system_reason(&error),
            });
        }
    }
    Ok(())
}

/// A path as an SQLite URL: everything but what is plain in every reading is percent-encoded.
pub(crate) fn sqlite_url(path: &Path) -> String {
    use std::{fmt::Write as _, os::unix::ffi::OsStrExt as _};
    let mut url = String::from("sqlite://");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => url.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => url.push(char::from(*byte)),
            byte => {
                let _ = write!(url, "%{byte:02X}");
            }
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for url in [
            "postgres://mk8s:s3cret@db.example:6432/mk8s",
            "postgres://mk8s@db.example:6432/mk8s?password=s3cret&sslmode=require",
            "postgresql:///?host=db.example&port=6432&dbname=mk8s&user=mk8s&password=s3cret",
        ] {
            let database = Database::parse("postgres", url).expect("a URL");
            assert_eq!(
                database.to_string(),
                "PostgreSQL at db.example:6432, database \"mk8s\""
            );
            assert_eq!(
                format!("{database:?}"),
                "Database(PostgreSQL at db.example:6432, database \"mk8s\")"
            );
        }
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        for (driver, url) in [
            ("postgres", "mysql://u:s3cret@h/d"),
            ("postgres", "postgres://u:s3cret@h:port/d"),
            ("postgres", "postgres://u@h/d?passwd=s3cret"),
            ("sqlite", "postgres://u:s3cret@h/d"),
            ("s3cret", "x"),
            ("sqlite", ""),
            ("sqlite", "sqlite://"),
            ("sqlite", ":memory:"),
        ] {
            let error = Database::parse(driver, url).expect_err(url);
            assert!(matches!(error, StoreError::Configuration(_)));
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn paths_are_taken_plain_or_as_urls() {
        for url in ["/var/lib/c.db", "sqlite:/var/lib/c.db", "sqlite:///var/lib/c.db"] {
            let database = Database::parse("sqlite", url).expect("a path");
            assert_eq!(database.to_string(), "/var/lib/c.db");
        }
        assert_eq!(
            sqlite_url(Path::new("/a b/c?d#e%.db")),
            "sqlite:///a%20b/c%3Fd%23e%25.db"
        );
    }
}
