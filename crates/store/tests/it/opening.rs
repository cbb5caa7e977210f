//! Opening SQLite files, and what stands in the way.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use mk8s_store::{Database, SCHEMA, Store, StoreError};
use sqlx::{AnyConnection, Connection as _};

use crate::support::{Bench, at, sqlite_path};

async fn refuse(path: &Path) -> StoreError {
    let error = Store::open(&Database::Sqlite(path.to_owned()))
        .await
        .expect_err("refused");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    assert!(
        text.starts_with(&path.display().to_string()) || text.contains("no such directory"),
        "{text}"
    );
    error
}

async fn execute(path: &Path, sql: &'static str) {
    sqlx::any::install_default_drivers();
    let mut connection = connect(path).await;
    sqlx::raw_sql(sql)
        .execute(&mut connection)
        .await
        .expect("executed");
    connection.close().await.expect("closed");
}

async fn connect(path: &Path) -> AnyConnection {
    AnyConnection::connect(&format!("sqlite://{}?mode=rwc", path.display()))
        .await
        .expect("opened")
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    // Also when the path has what means something in a URL.
    let path = directory.path().join("a b?c#d%20e.db");
    let store = Store::open(&Database::Sqlite(path.clone()))
        .await
        .expect("opened");
    store
        .upsert_role("a", &serde_json::json!({}), at(0))
        .await
        .expect("written");
    let mut seen = 0;
    for entry in fs::read_dir(directory.path()).expect("read") {
        let entry = entry.expect("an entry");
        assert_eq!(
            entry.metadata().expect("metadata").permissions().mode() & 0o777,
            0o600,
            "{entry:?}"
        );
        seen += 1;
    }
    assert_eq!(seen, 3, "the file, -wal and -shm");
    store.close().await;
    let again = Store::open(&Database::Sqlite(path)).await.expect("opened again");
    assert_eq!(again.roles().await.expect("roles").len(), 1);
}

#[tokio::test]
async fn a_relative_path_is_taken() {
    let directory = tempfile::tempdir_in(".").expect("a directory");
    let name = PathBuf::from(directory.path().file_name().expect("a name"));
    Store::open(&Database::Sqlite(name.join("c.db")))
        .await
        .expect("opened")
        .close()
        .await;
    assert!(directory.path().join("c.db").exists());
}

#[tokio::test]
async fn all_that_start_at_once_start() {
    for _ in 0..5 {
        let directory = tempfile::tempdir().expect("a directory");
        open_at_once(Database::Sqlite(directory.path().join("central.db"))).await;
    }
}

/// As `init` and a first start may, or several replicas.
pub(crate) async fn open_at_once(database: Database) {
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let database = database.clone();
        starting.spawn(async move { Store::open(&database).await?.installation_id().await });
    }
    let ids = starting
        .join_all()
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .expect("opened");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("none");
    let error = refuse(&missing.join("central.db")).await;
    let text = format!(
        "{}: no such directory: create it, or correct database.url",
        missing.display()
    );
    assert_eq!(error.to_string(), text);
    let file = directory.path().join("file");
    fs::write(&file, "").expect("written");
    assert!(matches!(
        refuse(&file.join("central.db")).await,
        StoreError::NoDirectory(_)
    ));
}

#[tokio::test]
async fn what_is_no_database_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let error = refuse(directory.path()).await;
    assert!(
        matches!(
            error,
            StoreError::NotADatabase {
                reason: "this is a directory",
                ..
            }
        ),
        "{error}"
    );
    let text = directory.path().join("text");
    let content = "this is a text, and a long one. ".repeat(100);
    fs::write(&text, &content).expect("written");
    let error = refuse(&text).await;
    assert!(
        matches!(
            error,
            StoreError::NotADatabase {
                reason: "this is no SQLite database",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&text).expect("read"), content);
    let other = directory.path().join("other.db");
    execute(&other, "CREATE TABLE songs (title TEXT)").await;
    let error = refuse(&other).await;
    let reason = "this is another program's database";
    assert!(
        matches!(error, StoreError::NotADatabase { reason: r, .. } if r == reason),
        "{error}"
    );
}

#[tokio::test]
async fn a_newer_schema_is_not_touched() {
    let bench = Bench::sqlite().await;
    bench.store.close().await;
    let path = sqlite_path(&bench.database);
    execute(&path, "UPDATE meta SET number = 7 WHERE name = 'schema'").await;
    let error = refuse(&path).await;
    let text = format!(
        "{}: written by a newer mk8s-central (schema 7, this one knows {SCHEMA}): upgrade this program",
        path.display()
    );
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be() {
    let bench = Bench::sqlite().await;
    bench.store.close().await;
    let path = sqlite_path(&bench.database);
    let mut content = fs::read(&path).expect("read");
    content[100..].fill(0xa5);
    fs::write(&path, content).expect("written");
    let error = refuse(&path).await;
    assert!(
        matches!(
            error,
            StoreError::NotADatabase {
                reason: "the database is damaged",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_another_holds_is_busy() {
    let bench = Bench::sqlite().await;
    let path = sqlite_path(&bench.database);
    let mut other = connect(&path).await;
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .expect("begun");
    let error = bench
        .store
        .upsert_role("a", &serde_json::json!({}), at(0))
        .await
        .expect_err("busy");
    assert!(
        matches!(error, StoreError::Busy(_)) && error.is_transient(),
        "{error}"
    );
    bench.store.roles().await.expect("reading goes on");
    sqlx::raw_sql("COMMIT")
        .execute(&mut other)
        .await
        .expect("committed");
    bench
        .store
        .upsert_role("a", &serde_json::json!({}), at(0))
        .await
        .expect("written");
}

/// A writer that was given up half-way leaves no trace, and the next isn't kept waiting.
#[tokio::test]
async fn a_write_that_is_given_up_leaves_nothing() {
    let bench = Bench::sqlite().await;
    for n in 0..50 {
        let role = format!("role-{n}");
        let permissions = serde_json::json!({});
        let write = bench.store.upsert_role(&role, &permissions, at(0));
        // Cut off at some point or other.
        let _ = tokio::time::timeout(Duration::from_micros(n * 20), write).await;
    }
    let begin = std::time::Instant::now();
    bench
        .store
        .upsert_role("last", &serde_json::json!({}), at(0))
        .await
        .expect("written");
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

/// Root may write anything, whatever its mode says; so as root this runs itself again without root's powers.
#[tokio::test]
async fn what_cannot_be_written_is_named() {
    const AGAIN: &str = "MK8S_TEST_WITHOUT_POWERS";
    let directory = tempfile::tempdir().expect("a directory");
    let probe = directory.path().join("probe");
    fs::write(&probe, "").expect("written");
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o400)).expect("set");
    if fs::OpenOptions::new().write(true).open(&probe).is_ok() {
        assert!(std::env::var_os(AGAIN).is_none(), "still all-powerful");
        let name = "opening::what_cannot_be_written_is_named";
        let status = Command::new("setpriv")
            .args(["--inh-caps=-all", "--bounding-set=-all", "--"])
            .arg(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--nocapture"])
            .env(AGAIN, "1")
            .status()
            .expect("setpriv (apt-get install util-linux)");
        assert!(status.success());
        return;
    }
    let bench = Bench::sqlite().await;
    bench.store.close().await;
    let path = sqlite_path(&bench.database);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("set");
    let error = refuse(&path).await;
    assert!(
        matches!(&error, StoreError::NotWritable { reason, .. } if reason == "permission denied"),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.ends_with("make the file and its directory writable for this user"),
        "{text}"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("set");
    // The file can be written, but not the companions beside it.
    let parent = path.parent().expect("a directory");
    fs::set_permissions(parent, fs::Permissions::from_mode(0o500)).expect("set");
    let error = refuse(&path).await;
    assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
    assert!(matches!(
        refuse(&parent.join("new.db")).await,
        StoreError::NotWritable { .. }
    ));
    fs::set_permissions(parent, fs::Permissions::from_mode(0o700)).expect("set");
}
