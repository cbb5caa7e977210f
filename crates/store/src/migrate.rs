//! Bringing a database to the schema that this program knows.
//!
//! All that is missing is done in one transaction: a program killed in the middle leaves the database as it was, and of
//! two that start at once one works while the other waits. sqlx's own migrator commits step by step, and takes no lock on
//! SQLite.

use sqlx::{Any, AnyPool, Row as _, Transaction};
use uuid::Uuid;

use crate::{StoreError, database::Engine, place::Place};

/// Migrations, in order; the first makes schema 1.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001.sql")];

/// The schema that this program knows.
pub const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// What every version of this program can read: the schema's number, the version that decisions are made by, and the id
/// of the installation.
const META: &str = "CREATE TABLE IF NOT EXISTS meta (
    name   TEXT   NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL DEFAULT 0,
    text   TEXT   NOT NULL DEFAULT ''
)";

/// Of PostgreSQL's advisory locks, the one that we take: "mk8sschm" in ASCII. Whoever waits for it, and works under it, may
/// take as long as it takes.
const LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;
    SELECT pg_advisory_xact_lock(7884457641150474349)";

pub(crate) async fn migrate(pool: &AnyPool, engine: Engine, place: &Place) -> Result<(), StoreError> {
    migrate_by(MIGRATIONS, pool, engine, place).await
}

async fn migrate_by(
    migrations: &'static [&'static str],
    pool: &AnyPool,
    engine: Engine,
    place: &Place,
) -> Result<(), StoreError> {
    let known = migrations.len() as i64;
    let explain = |error| StoreError::explain(place, error);
    // The usual start: all is done, and nothing need be locked.
    if current(pool, engine, place).await? == Some(known) {
        return Ok(());
    }
    let mut transaction = match engine {
        Engine::Sqlite => pool.begin_with("BEGIN IMMEDIATE").await.map_err(explain)?,
        Engine::Postgres => {
            let mut transaction = pool.begin().await.map_err(explain)?;
            sqlx::raw_sql(LOCK)
                .execute(&mut *transaction)
                .await
                .map_err(explain)?;
            transaction
        }
    };
    let found = prepare(&mut transaction).await.map_err(explain)?;
    if found > known {
        return Err(StoreError::Newer {
            place: place.to_string(),
            found,
            known,
        });
    }
    for script in migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        sqlx::raw_sql(*script)
            .execute(&mut *transaction)
            .await
            .map_err(explain)?;
    }
    sqlx::query("UPDATE meta SET number = $1 WHERE name = 'schema'")
        .bind(known)
        .execute(&mut *transaction)
        .await
        .map_err(explain)?;
    transaction.commit().await.map_err(explain)?;
    tracing::info!(database = %place, from = found, to = known, "database schema brought up to date");
    Ok(())
}

/// The database's schema; none if it is empty.
async fn current(pool: &AnyPool, engine: Engine, place: &Place) -> Result<Option<i64>, StoreError> {
    // Both in one statement: somebody else may be making the tables between two.
    let tables = match engine {
        Engine::Sqlite => {
            "SELECT (SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'meta'),
                    (SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%')"
        }
        // A schema of PostgreSQL may be shared with others.
        Engine::Postgres => {
            "SELECT COUNT(*), CAST(0 AS BIGINT) FROM pg_class WHERE oid = to_regclass('meta')"
        }
    };
    let explain = |error| StoreError::explain(place, error);
    let row = sqlx::query(tables).fetch_one(pool).await.map_err(explain)?;
    let (ours, all): (i64, i64) = (row.try_get(0).map_err(explain)?, row.try_get(1).map_err(explain)?);
    if ours > 0 {
        let found = sqlx::query("SELECT number FROM meta WHERE name = 'schema'")
            .fetch_optional(pool)
            .await;
        return found
            .map_err(explain)?
            .map(|row| row.try_get(0))
            .transpose()
            .map_err(explain);
    }
    match place {
        Place::File(path) if all > 0 => Err(StoreError::NotADatabase {
            path: path.clone(),
            reason: "this is another program's database",
        }),
        _ => Ok(None),
    }
}

/// Makes `meta` if it isn't there, and reads the schema's number from it.
async fn prepare(transaction: &mut Transaction<'static, Any>) -> sqlx::Result<i64> {
    sqlx::raw_sql(META).execute(&mut **transaction).await?;
    sqlx::query(
        "INSERT INTO meta (name, number, text) VALUES ('schema', 0, ''), ('version', 1, ''), ('installation', 0, $1)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(Uuid::new_v4().to_string())
    .execute(&mut **transaction)
    .await?;
    sqlx::query("SELECT number FROM meta WHERE name = 'schema'")
        .fetch_one(&mut **transaction)
        .await?
        .try_get(0)
}

#[cfg(test)]
mod tests {
    use mk8s_testkit::postgres::TestDatabase;
    use sqlx::any::AnyPoolOptions;

    use super::*;

    const BROKEN: &[&str] = &[
        MIGRATIONS[0],
        "CREATE TABLE half (id TEXT NOT NULL); SELECT nonsense FROM nowhere;",
    ];
    const NEXT: &[&str] = &[MIGRATIONS[0], "CREATE TABLE half (id TEXT NOT NULL);"];

    async fn pool(url: &str) -> AnyPool {
        sqlx::any::install_default_drivers();
        AnyPoolOptions::new()
            .max_connections(2)
            .connect(url)
            .await
            .expect("opened")
    }

    async fn a_failure_leaves_nothing(url: &str, engine: Engine) {
        let pool = pool(url).await;
        let place = Place::File("test".into());
        assert!(migrate_by(BROKEN, &pool, engine, &place).await.is_err());
        assert_eq!(
            current(&pool, engine, &place).await.expect("asked"),
            None,
            "not even the first"
        );
        migrate_by(MIGRATIONS, &pool, engine, &place).await.expect("made");
        migrate_by(MIGRATIONS, &pool, engine, &place)
            .await
            .expect("made before");
        assert!(migrate_by(BROKEN, &pool, engine, &place).await.is_err());
        assert_eq!(current(&pool, engine, &place).await.expect("asked"), Some(1));
        migrate_by(NEXT, &pool, engine, &place).await.expect("repaired");
        assert_eq!(current(&pool, engine, &place).await.expect("asked"), Some(2));
        let older = migrate_by(MIGRATIONS, &pool, engine, &place).await;
        assert!(
            matches!(
                older,
                Err(StoreError::Newer {
                    found: 2,
                    known: 1,
                    ..
                })
            ),
            "{older:?}"
        );
        pool.close().await;
    }

    fn sqlite() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite://{}/c.db?mode=rwc", directory.path().display());
        (directory, url)
    }

    #[tokio::test]
    async fn on_sqlite_a_failure_leaves_nothing() {
        let (_directory, url) = sqlite();
        a_failure_leaves_nothing(&url, Engine::Sqlite).await;
    }

    #[tokio::test]
    async fn on_postgres_a_failure_leaves_nothing() {
        let database = TestDatabase::create().expect("PostgreSQL");
        a_failure_leaves_nothing(&database.url(), Engine::Postgres).await;
    }
}
