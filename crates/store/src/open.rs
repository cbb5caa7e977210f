//! Opening the database, with every way in which that fails told apart.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::Arc,
    time::Duration,
};

use secrecy::ExposeSecret as _;
use sqlx::{
    AnyConnection, ConnectOptions as _, Connection as _, Row as _,
    any::{AnyConnectOptions, AnyPoolOptions},
};

use crate::{
    Database, Store, StoreError,
    database::{Engine, check_certificates, postgres_place, sqlite_url},
    error::system_reason,
    migrate::migrate,
    place::Place,
};

/// How long a first connection, or one from the pool, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one statement may take at PostgreSQL, and wait for another's lock; for the server to keep when we are gone.
const SERVER_LIMITS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'";
/// What is committed is on disk, whatever SQLite was built with.
const DURABLE: &str = "PRAGMA synchronous = FULL";
/// Readers and one writer: more only wait for the disk.
const SQLITE_CONNECTIONS: u32 = 4;
/// For each replica; PostgreSQL's own limit is 100 by default.
const POSTGRES_CONNECTIONS: u32 = 8;

impl Store {
    /// Opens the database, makes the SQLite file (mode 0600) if it isn't there, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError`], each with what to do about it.
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (engine, place, url) = match database {
            Database::Sqlite(path) => {
                let path = prepare_file(path)?;
                let url = sqlite_url(&path);
                (Engine::Sqlite, Place::File(path), url)
            }
            Database::Postgres(url) => {
                let url = url.expose_secret();
                check_certificates(url)?;
                (Engine::Postgres, postgres_place(url)?, url.to_owned())
            }
        };
        let options = AnyConnectOptions::from_str(&url)
            .map_err(|error| StoreError::explain(&place, error))?
            .disable_statement_logging();
        try_connection(&options, engine, &place).await?;
        let pool = AnyPoolOptions::new()
            .max_connections(match engine {
                Engine::Sqlite => SQLITE_CONNECTIONS,
                Engine::Postgres => POSTGRES_CONNECTIONS,
            })
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    let settings = match engine {
                        Engine::Sqlite => DURABLE,
                        Engine::Postgres => SERVER_LIMITS,
                    };
                    sqlx::raw_sql(settings).execute(connection).await.map(drop)
                })
            })
            .connect_lazy_with(options);
        migrate(&pool, engine, &place).await?;
        Ok(Self {
            pool,
            engine,
            place: Arc::new(place),
            writer: Arc::default(),
        })
    }
}

/// One connection by itself: the pool would take a refused one for a server that is starting, and retry until it can only
/// say that it timed out.
async fn try_connection(
    options: &AnyConnectOptions,
    engine: Engine,
    place: &Place,
) -> Result<(), StoreError> {
    let explain = |error| StoreError::explain(place, error);
    let connecting = tokio::time::timeout(PATIENCE, options.connect());
    let mut connection = connecting
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(explain)?;
    if engine == Engine::Sqlite {
        enable_wal(&mut connection).await.map_err(explain)?;
    }
    connection.close().await.map_err(explain)
}

/// Write-ahead logging, which lets readers read while one writes. It stays with the file. Turning it on needs the file
/// for a moment alone, and SQLite doesn't wait for that.
async fn enable_wal(connection: &mut AnyConnection) -> sqlx::Result<()> {
    const TRIES: u32 = 50;
    for attempt in 0.. {
        let mode: String = sqlx::query("PRAGMA journal_mode")
            .fetch_one(&mut *connection)
            .await?
            .try_get(0)?;
        if mode == "wal" {
            break;
        }
        match sqlx::query("PRAGMA journal_mode = WAL")
            .fetch_one(&mut *connection)
            .await
        {
            Ok(_) => break,
            Err(error) if attempt < TRIES && is_busy(&error) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// The file's full path, after seeing that it can be written; a new one is readable by its owner alone. SQLite gives its
/// companions (`-wal`, `-shm`) the same mode.
fn prepare_file(path: &Path) -> Result<PathBuf, StoreError> {
    let refuse = |error: &io::Error| match error.kind() {
        io::ErrorKind::IsADirectory => StoreError::NotADatabase {
            path: path.to_owned(),
            reason: "this is a directory",
        },
        _ => StoreError::NotWritable {
            path: path.to_owned(),
            reason: system_reason(error),
        },
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = match fs::canonicalize(parent) {
        Ok(directory) if directory.is_dir() => directory,
        Ok(_) => return Err(StoreError::NoDirectory(parent.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::NoDirectory(parent.to_owned()));
        }
        Err(error) => return Err(refuse(&error)),
    };
    let Some(name) = path.file_name() else {
        return Err(StoreError::NotADatabase {
            path: path.to_owned(),
            reason: "this is a directory",
        });
    };
    let path = directory.join(name);
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| refuse(&error))?;
    Ok(path)
}
