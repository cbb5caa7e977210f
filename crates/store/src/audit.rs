//! The audit log.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use jiff::Timestamp;
use mk8s_model::{AuditEvent, AuditId, AuditOpen};
use serde::Serialize;
use sqlx::{AssertSqlSafe, any::AnyRow};

use crate::{
    Engine, Store, StoreError,
    row::{Columns as _, millis, undecodable},
};

/// The most rows that one query answers with.
pub const MAX_AUDIT_ROWS: u32 = 1000;

/// The longest command, in characters; the whole is in the details.
const MAX_COMMAND_CHARS: usize = 500;

/// Which events are asked for; by default the newest [`MAX_AUDIT_ROWS`].
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Of this user only.
    pub user: Option<String>,
    /// On this cluster only.
    pub cluster: Option<String>,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub before: Option<Timestamp>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// An event, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRecord {
    /// Its id.
    pub id: AuditId,
    /// When the request came in, to the millisecond.
    pub created_at: Timestamp,
    /// Who asked; empty if that could not be found out.
    pub user: String,
    /// Of which cluster; none for the gateway's own API.
    pub cluster: Option<String>,
    /// What: `delete pods default/web`, `get deployments.apps/scale shop/web`, `POST /auth/login`.
    pub command: String,
    /// The HTTP status; none while it runs, 0 if none was answered.
    pub status: Option<i64>,
    /// How it ended ([`mk8s_model::Outcome::as_str`]); none while it runs.
    pub outcome: Option<String>,
    /// How long it took, in milliseconds; none while it runs.
    pub duration_ms: Option<i64>,
    /// The whole of it.
    pub detail: AuditEvent<'static>,
}

/// An event as the row it becomes.
struct Row<'a> {
    id: AuditId,
    at: i64,
    user: Cow<'a, str>,
    cluster: Option<Cow<'a, str>>,
    command: String,
    status: Option<i64>,
    outcome: Option<&'static str>,
    ms: Option<i64>,
    detail: String,
}

impl Store {
    /// Writes events down, in one transaction whatever their number; when it returns they are on disk. An event without
    /// its end is completed by the same with it, in this batch or a later one; what is complete stays as it is, so that
    /// a batch may be sent again.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked; then none was written.
    pub async fn append_audit(&self, events: &[AuditEvent<'_>]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let rows = rows(events).map_err(|e| StoreError::Other {
            place: self.place.to_string(),
            reason: e.to_string(),
        })?;
        let mut write = self.write().await?;
        let mut rest = rows.as_slice();
        for statement in appends(self.engine) {
            while rest.len() >= statement.rows {
                let (now, later) = rest.split_at(statement.rows);
                let mut query = sqlx::query(statement.sql.as_str());
                for row in now {
                    query = query
                        .bind(row.id.to_string())
                        .bind(row.at)
                        .bind(&*row.user)
                        .bind(row.cluster.as_deref())
                        .bind(&row.command)
                        .bind(row.status)
                        .bind(row.outcome)
                        .bind(row.ms)
                        .bind(&row.detail);
                }
                query
                    .execute(&mut *write.transaction)
                    .await
                    .map_err(|e| self.explain(e))?;
                rest = later;
            }
        }
        write.commit().await
    }

    /// The events that are asked for, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn audit_query(&self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let mut sql = String::from(
            "SELECT id, created_at, user_name, cluster_name, command, status, outcome, duration_ms, detail
             FROM audit_logs WHERE created_at >= $1 AND created_at < $2",
        );
        let names = [("user_name", &filter.user), ("cluster_name", &filter.cluster)];
        let mut bound = Vec::new();
        for (column, name) in names {
            if let Some(name) = name {
                bound.push(name.as_str());
                sql.push_str(&format!(" AND {column} = ${}", bound.len() + 2));
            }
        }
        let limit = filter.limit.unwrap_or(MAX_AUDIT_ROWS).min(MAX_AUDIT_ROWS);
        sql.push_str(&format!(" ORDER BY created_at DESC, id DESC LIMIT {limit}"));
        // Made of column names, placeholders and a number alone.
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(filter.since.map_or(i64::MIN, millis))
            .bind(filter.before.map_or(i64::MAX, millis));
        for name in bound {
            query = query.bind(name);
        }
        let rows = query.fetch_all(&self.pool).await.map_err(|e| self.explain(e))?;
        rows.iter()
            .map(record)
            .collect::<sqlx::Result<_>>()
            .map_err(|e| self.explain(e))
    }

    /// Removes all events before a time, and answers how many those were. In small steps, so that writers get between.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked; some may be removed then.
    pub async fn prune_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        const STEP: u64 = 2000;
        let mut removed = 0;
        loop {
            let mut write = self.write().await?;
            let step = sqlx::query(
                "DELETE FROM audit_logs WHERE id IN
                 (SELECT id FROM audit_logs WHERE created_at < $1 ORDER BY created_at LIMIT 2000)",
            )
            .bind(millis(before))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?
            .rows_affected();
            write.commit().await?;
            removed += step;
            if step < STEP {
                return Ok(removed);
            }
        }
    }
}

/// Values that a row has.
const COLUMNS: usize = 9;

/// A statement for so many rows at once.
struct Append {
    rows: usize,
    sql: String,
}

/// A few fixed sizes, largest first, so that both databases keep them prepared. Values are bound one by one: taking a
/// JSON array of events apart in the database costs four times as much.
fn appends(engine: Engine) -> &'static [Append; 3] {
    static SQLITE: LazyLock<[Append; 3]> = LazyLock::new(|| SIZES.map(|rows| append(Engine::Sqlite, rows)));
    static POSTGRES: LazyLock<[Append; 3]> =
        LazyLock::new(|| SIZES.map(|rows| append(Engine::Postgres, rows)));
    match engine {
        Engine::Sqlite => &SQLITE,
        Engine::Postgres => &POSTGRES,
    }
}

const SIZES: [usize; 3] = [100, 10, 1];

fn append(engine: Engine, rows: usize) -> Append {
    let mut sql = String::from(
        "INSERT INTO audit_logs
             (id, created_at, user_name, cluster_name, command, status, outcome, duration_ms, detail) VALUES ",
    );
    for row in 0..rows {
        let placeholders: Vec<String> = (1..=COLUMNS)
            .map(|column| match engine {
                // Nameless: for each value bound to a name, and a number is one, SQLite searches all names.
                Engine::Sqlite => "?".to_owned(),
                Engine::Postgres => format!("${}", row * COLUMNS + column),
            })
            .collect();
        let separator = if row == 0 { "" } else { ", " };
        sql.push_str(&format!("{separator}({})", placeholders.join(", ")));
    }
    // Only an end may be added to a row, and only once.
    sql.push_str(
        " ON CONFLICT (id) DO UPDATE SET status = excluded.status, outcome = excluded.outcome,
              duration_ms = excluded.duration_ms, detail = excluded.detail
          WHERE audit_logs.outcome IS NULL AND excluded.outcome IS NOT NULL",
    );
    Append { rows, sql }
}

/// The events as rows, each once: PostgreSQL refuses to touch a row twice in a statement.
fn rows<'a>(events: &'a [AuditEvent<'a>]) -> serde_json::Result<Vec<Row<'a>>> {
    let mut kept: Vec<&AuditEvent<'_>> = Vec::with_capacity(events.len());
    let mut places: HashMap<AuditId, usize> = HashMap::with_capacity(events.len());
    for event in events {
        match places.get(&event.open.id) {
            Some(&place) if kept[place].close.is_none() => kept[place] = event,
            Some(_) => {}
            None => {
                places.insert(event.open.id, kept.len());
                kept.push(event);
            }
        }
    }
    // Two that send the same events at once lock their rows in the same order, and neither waits for the other in a circle.
    kept.sort_unstable_by_key(|event| event.open.id);
    kept.into_iter().map(row).collect()
}

fn row<'a>(event: &'a AuditEvent<'a>) -> serde_json::Result<Row<'a>> {
    Ok(Row {
        id: event.open.id,
        at: millis(event.open.at),
        user: without_nul(&event.open.user),
        cluster: event.open.cluster.as_deref().map(without_nul),
        command: without_nul(&command(&event.open)).into_owned(),
        status: event.close.map(|close| i64::from(close.status)),
        outcome: event.close.map(|close| close.outcome.as_str()),
        ms: event
            .close
            .map(|close| i64::try_from(close.duration_ms).unwrap_or(i64::MAX)),
        // A NUL in it is written as an escape, which is text like any other.
        detail: serde_json::to_string(event)?,
    })
}

/// PostgreSQL has no text with a NUL in it. One can only come from a client that meant harm.
fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What was asked, as a person would say it.
fn command(open: &AuditOpen<'_>) -> String {
    let path = open.uri.split('?').next().unwrap_or_default();
    let text = if open.verb.is_empty() {
        format!("{} {path}", open.method)
    } else if open.resource.is_empty() {
        format!("{} {path}", open.verb)
    } else {
        let resource = match open.api_group.as_deref() {
            None | Some("") => Cow::Borrowed(&*open.resource),
            Some(group) => match open.resource.split_once('/') {
                Some((resource, subresource)) => Cow::Owned(format!("{resource}.{group}/{subresource}")),
                None => Cow::Owned(format!("{}.{group}", open.resource)),
            },
        };
        let object = match (open.namespace.as_deref(), open.name.as_deref()) {
            (Some(namespace), Some(name)) => format!(" {namespace}/{name}"),
            (Some(namespace), None) => format!(" {namespace}/"),
            (None, Some(name)) => format!(" {name}"),
            (None, None) => String::new(),
        };
        format!("{} {resource}{object}", open.verb)
    };
    match text.char_indices().nth(MAX_COMMAND_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn record(row: &AnyRow) -> sqlx::Result<AuditRecord> {
    Ok(AuditRecord {
        id: AuditId(row.id("id")?),
        created_at: row.at("created_at")?,
        user: row.text("user_name")?,
        cluster: row.maybe_text("cluster_name")?,
        command: row.text("command")?,
        status: row.maybe_number("status")?,
        outcome: row.maybe_text("outcome")?,
        duration_ms: row.maybe_number("duration_ms")?,
        detail: detail(&row.text("detail")?)?,
    })
}

fn detail(text: &str) -> sqlx::Result<AuditEvent<'static>> {
    serde_json::from_str::<AuditEvent<'_>>(text)
        .map(AuditEvent::into_owned)
        .map_err(|error| undecodable("detail", error))
}
