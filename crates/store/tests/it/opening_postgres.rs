//! Opening PostgreSQL databases, and what stands in the way.

use std::net::TcpListener;

use mk8s_store::{Database, Store, StoreError};
use mk8s_testkit::postgres::{PASSWORD, TestDatabase, USER};

use crate::{opening::open_at_once, support::at};

async fn open(url: &str) -> Result<Store, StoreError> {
    Store::open(&Database::parse("postgres", url)?).await
}

async fn refuse(url: &str) -> StoreError {
    let error = open(url).await.expect_err("refused");
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains(PASSWORD) && !text.contains("s3cret") && !text.contains('\n'),
        "{text}"
    );
    error
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").port()
    };
    let error = refuse(&format!("postgres://u:s3cret@127.0.0.1:{port}/mk8s")).await;
    let text = format!(
        "PostgreSQL at 127.0.0.1:{port}, database \"mk8s\": no answer (connection refused): start it, or correct database.url"
    );
    assert_eq!(error.to_string(), text);
    assert!(error.is_transient());
    let error = refuse("postgres://u:s3cret@no-such-host.invalid/mk8s").await;
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn all_that_start_at_once_start() {
    let database = TestDatabase::create().expect("PostgreSQL");
    open_at_once(Database::parse("postgres", &database.url()).expect("a URL")).await;
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let database = TestDatabase::create().expect("PostgreSQL");
    let (port, name) = (database.port(), database.name());
    let error = refuse(&format!("postgres://{USER}:s3cret@127.0.0.1:{port}/{name}")).await;
    let text = format!(
        "PostgreSQL at 127.0.0.1:{port}, database \"{name}\": the user \"mk8s\" is refused (password authentication failed for user \"mk8s\"): correct user and password in database.url, or pg_hba.conf"
    );
    assert_eq!(error.to_string(), text);
    let error = refuse(&format!("postgres://nobody:s3cret@127.0.0.1:{port}/{name}")).await;
    assert!(
        matches!(&error, StoreError::Refused { user, .. } if user == "nobody"),
        "{error}"
    );
    let error = refuse(&format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{port}/none")).await;
    let text = format!(
        "PostgreSQL at 127.0.0.1:{port}, database \"none\": there is no such database: create it (createdb), or correct database.url"
    );
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn tls_is_as_sslmode_says() {
    let database = TestDatabase::create().expect("PostgreSQL");
    let url = |parameters: &str| format!("{}?{parameters}", database.url());
    let ca = database.ca_file();
    let ca = ca.display();
    let encrypted = async |parameters: &str| {
        let store = open(&url(&format!("{parameters}&application_name=tls-test")))
            .await
            .expect("opened");
        store.version().await.expect("asked");
        let query = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                     WHERE a.application_name = 'tls-test' AND a.datname = current_database()";
        let answer = database.psql(query).expect("asked");
        store.close().await;
        answer == "t"
    };
    assert!(!encrypted("sslmode=disable").await);
    assert!(encrypted("sslmode=prefer").await);
    assert!(encrypted("sslmode=require").await);
    assert!(encrypted(&format!("sslmode=verify-ca&sslrootcert={ca}")).await);
    assert!(encrypted(&format!("sslmode=verify-full&sslrootcert={ca}")).await);
    let error = refuse(&url("sslmode=verify-full")).await;
    assert!(matches!(error, StoreError::Tls { .. }), "{error}");
    let error = refuse(&url("sslmode=verify-full&sslrootcert=/none")).await;
    let text = "/none: no such file or directory: correct sslrootcert in database.url";
    assert_eq!(error.to_string(), text);
    let error = refuse(&url("sslmode=perhaps")).await;
    assert!(matches!(error, StoreError::Configuration(_)), "{error}");
}

#[tokio::test]
async fn connections_that_broke_are_made_again() {
    let database = TestDatabase::create().expect("PostgreSQL");
    let store = open(&database.url()).await.expect("opened");
    for n in 0..3 {
        store
            .upsert_role(&format!("role-{n}"), &serde_json::json!({}), at(n))
            .await
            .expect("written");
        let killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.psql(killed).expect("killed");
    }
    assert_eq!(store.roles().await.expect("asked").len(), 3);
}

#[tokio::test]
async fn a_newer_schema_is_not_touched() {
    let database = TestDatabase::create().expect("PostgreSQL");
    open(&database.url()).await.expect("opened").close().await;
    database
        .psql("UPDATE meta SET number = 7 WHERE name = 'schema'")
        .expect("updated");
    let error = refuse(&database.url()).await;
    assert!(matches!(error, StoreError::Newer { found: 7, .. }), "{error}");
}

/// A user that may use the tables but not make them, as careful operators have it.
#[tokio::test]
async fn a_user_without_the_right_to_make_tables_is_told() {
    let database = TestDatabase::create().expect("PostgreSQL");
    let name = database.name();
    let user = format!("plain_{name}");
    database
        .psql(&format!("CREATE USER {user} PASSWORD 's3cret'"))
        .expect("made");
    let url = format!("postgres://{user}:s3cret@127.0.0.1:{}/{name}", database.port());
    let error = refuse(&url).await;
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    open(&database.url()).await.expect("opened").close().await;
    database
        .psql(&format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}"))
        .expect("granted");
    let store = open(&url).await.expect("the schema is there");
    store
        .upsert_role("a", &serde_json::json!({}), at(0))
        .await
        .expect("written");
    store.close().await;
    database.psql(&format!("DROP OWNED BY {user}")).expect("dropped");
    database.psql(&format!("DROP USER {user}")).expect("dropped");
}
