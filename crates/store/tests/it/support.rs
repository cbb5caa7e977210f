//! A store on a database of the test's own.

use std::path::PathBuf;

use jiff::Timestamp;
use mk8s_authn::{Email, PasswordHash};
use mk8s_store::{Database, NewUser, Store, User};
use mk8s_testkit::postgres::TestDatabase;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) database: Database,
    _keep: Keep,
}

/// What goes when the test is over.
#[expect(dead_code, reason = "held, not read")]
enum Keep {
    Directory(TempDir),
    Database(TestDatabase),
}

impl Bench {
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::Sqlite(directory.path().join("central.db"));
        Self::new(database, Keep::Directory(directory)).await
    }

    pub(crate) async fn postgres() -> Self {
        let own = TestDatabase::create().expect("PostgreSQL");
        let database = Database::parse("postgres", &own.url()).expect("a URL");
        Self::new(database, Keep::Database(own)).await
    }

    async fn new(database: Database, keep: Keep) -> Self {
        let store = Store::open(&database).await.expect("opened");
        Self {
            store,
            database,
            _keep: keep,
        }
    }

    /// The same database with connections of its own, as another replica has it.
    pub(crate) async fn replica(&self) -> Store {
        Store::open(&self.database).await.expect("opened")
    }

    pub(crate) async fn add_role(&self, name: &str) {
        let permissions = serde_json::json!({"clusters": [{"name": "*"}]});
        self.store
            .upsert_role(name, &permissions, at(0))
            .await
            .expect("a role");
    }

    pub(crate) async fn add_user(&self, name: &str, roles: &[&str]) -> User {
        let roles: Vec<String> = roles.iter().map(|role| (*role).to_owned()).collect();
        let user = NewUser {
            email: &email(name),
            password: &password(0),
            roles: &roles,
        };
        self.store.create_user(user, at(0)).await.expect("a user")
    }
}

/// So many seconds after the test's beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).expect("a time")
}

pub(crate) fn email(name: &str) -> Email {
    format!("{name}@example.com").parse().expect("an address")
}

/// Hashes of no password, but well-formed.
pub(crate) fn password(n: u8) -> PasswordHash {
    let letter = char::from(b'A' + n);
    let hash = format!(
        "$argon2id$v=19$m=19456,t=2,p=1$bWs4cy1ub2JvZHktaGVyZQ${letter}{}",
        "A".repeat(42)
    );
    PasswordHash::parse(&hash).expect("a hash")
}

pub(crate) fn nobody() -> Uuid {
    Uuid::from_u128(7)
}

pub(crate) fn sqlite_path(database: &Database) -> PathBuf {
    match database {
        Database::Sqlite(path) => path.clone(),
        Database::Postgres(_) => panic!("no file"),
    }
}
