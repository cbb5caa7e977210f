//! What mk8s-central keeps: users, roles, sessions, clusters, join tokens and the audit log, in an SQLite file or in
//! PostgreSQL.
//!
//! One schema and one set of statements for both, through sqlx's `Any` driver: ids are text, times are milliseconds,
//! documents are JSON text, placeholders are `$1`. Where the two must differ (opening, the writers' lock, taking a JSON
//! array apart) an `Engine` decides, and nowhere else.
//!
//! Invariants:
//!
//! * a write that decisions depend on (users, roles, sessions' ends, the agents of clusters) moves
//!   [`Store::version`] in its own transaction: who has seen the version has seen the write;
//! * an event once appended is on disk, and appending it again changes nothing;
//! * no error and no log line holds a password, not even that in the database's URL;
//! * time is handed in: no statement asks the database for it.

mod agent_tokens;
mod audit;
mod clusters;
mod database;
mod error;
mod migrate;
mod open;
mod place;
mod roles;
mod row;
mod sessions;
mod snapshot;
mod sweep;
mod users;

use std::sync::Arc;

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use audit::{AuditFilter, AuditRecord, MAX_AUDIT_ROWS};
pub use clusters::{AgentIdentity, Cluster, ClusterStatus};
pub use database::Database;
pub use error::StoreError;
pub use migrate::SCHEMA;
pub use roles::Role;
pub use snapshot::{Snapshot, SnapshotUser};
pub use users::{NewUser, User};

use database::Engine;
use place::Place;

/// The database. Cheap to clone; all clones share a pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    engine: Engine,
    place: Arc<Place>,
    /// SQLite has one writer at a time. Waiting here is fair and costs nothing; waiting in SQLite is sleeping and trying.
    writer: Arc<Mutex<()>>,
}

/// A transaction that writes.
struct Write {
    transaction: Transaction<'static, Any>,
    place: Arc<Place>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Store {
    /// Begins a transaction that writes. On SQLite it has the write lock from its beginning, so that it can't find
    /// out half-way that another was faster.
    async fn write(&self) -> Result<Write, StoreError> {
        let (turn, begin) = match self.engine {
            Engine::Sqlite => (
                Some(Arc::clone(&self.writer).lock_owned().await),
                "BEGIN IMMEDIATE",
            ),
            Engine::Postgres => (None, "BEGIN"),
        };
        let transaction = self.pool.begin_with(begin).await.map_err(|e| self.explain(e))?;
        Ok(Write {
            transaction,
            place: Arc::clone(&self.place),
            _turn: turn,
        })
    }

    /// Begins a transaction that sees the database as it is now, and writes nothing.
    async fn read(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let begin = match self.engine {
            Engine::Sqlite => "BEGIN",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.pool.begin_with(begin).await.map_err(|e| self.explain(e))
    }

    fn explain(&self, error: sqlx::Error) -> StoreError {
        StoreError::explain(&self.place, error)
    }

    /// Ends all connections, after what they are doing.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Write {
    /// Moves the version that decisions are made by. Last in a transaction: from here to its end all other such writes
    /// wait, so that versions are seen in their order.
    async fn bump_version(&mut self) -> Result<(), StoreError> {
        sqlx::query("UPDATE meta SET number = number + 1 WHERE name = 'version'")
            .execute(&mut *self.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        Ok(())
    }

    async fn commit(self) -> Result<(), StoreError> {
        let Self {
            transaction,
            place,
            _turn,
        } = self;
        transaction
            .commit()
            .await
            .map_err(|e| StoreError::explain(&place, e))
    }

    fn explain(&self, error: sqlx::Error) -> StoreError {
        StoreError::explain(&self.place, error)
    }
}
