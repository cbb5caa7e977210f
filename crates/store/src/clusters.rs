//! Clusters, and which agent may speak for each.

use jiff::Timestamp;
use mk8s_model::ClusterName;
use serde::Serialize;
use serde_json::Value;
use sqlx::any::AnyRow;
use uuid::Uuid;

use crate::{
    Store, StoreError,
    row::{Columns as _, millis},
};

/// A cluster that an agent registered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cluster {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: ClusterName,
    /// Whether its agent is connected.
    pub status: ClusterStatus,
    /// When its agent was last heard of.
    pub last_seen: Option<Timestamp>,
    /// What its agent says of it: a document.
    pub metadata: Value,
    /// The one agent that may speak for it.
    pub agent: Option<AgentIdentity>,
    /// When it first registered.
    pub created_at: Timestamp,
}

/// Whether a cluster can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterStatus {
    /// Its agent is connected.
    Connected,
    /// It isn't.
    Disconnected,
}

/// By what an agent is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentIdentity {
    /// The id that central gave it.
    pub agent_id: String,
    /// The fingerprint of its certificate.
    pub certificate: String,
    /// The serial number of that.
    pub serial: String,
    /// The fingerprint of its public key, which outlives its certificates.
    pub public_key: String,
}

/// The columns that [`cluster`] reads. Never `*`: PostgreSQL refuses a prepared `*` once a newer replica adds a column.
macro_rules! columns {
    () => {
        "id, name, status, last_seen, metadata, agent_id, agent_certificate, agent_serial, agent_key, created_at"
    };
}

impl ClusterStatus {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
        }
    }
}

impl Store {
    /// All clusters, by name.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, StoreError> {
        let rows = sqlx::query(concat!("SELECT ", columns!(), " FROM clusters ORDER BY name"))
            .fetch_all(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        rows.iter()
            .map(cluster)
            .collect::<sqlx::Result<_>>()
            .map_err(|e| self.explain(e))
    }

    /// The cluster of that name.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn cluster(&self, name: &ClusterName) -> Result<Option<Cluster>, StoreError> {
        let row = sqlx::query(concat!("SELECT ", columns!(), " FROM clusters WHERE name = $1"))
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await
            .map_err(|e| self.explain(e))?;
        row.as_ref().map(cluster).transpose().map_err(|e| self.explain(e))
    }

    /// Makes a cluster, or gives the one of that name another agent: from now on this one speaks for it, and no other.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be asked.
    pub async fn upsert_cluster(
        &self,
        name: &ClusterName,
        agent: &AgentIdentity,
        metadata: &Value,
        at: Timestamp,
    ) -> Result<Cluster, StoreError> {
        let mut write = self.write().await?;
        let row = sqlx::query(concat!(
            "INSERT INTO clusters (id, name, last_seen, metadata, agent_id, agent_certificate, agent_serial, agent_key,
                                   created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $3)
             ON CONFLICT (name) DO UPDATE SET
                 last_seen = excluded.last_seen, metadata = excluded.metadata, agent_id = excluded.agent_id,
                 agent_certificate = excluded.agent_certificate, agent_serial = excluded.agent_serial,
                 agent_key = excluded.agent_key
             RETURNING ",
            columns!(),
        ))
        .bind(Uuid::now_v7().to_string())
        .bind(name.as_str())
        .bind(millis(at))
        .bind(metadata.to_string())
        .bind(agent.agent_id.as_str())
        .bind(agent.certificate.as_str())
        .bind(agent.serial.as_str())
        .bind(agent.public_key.as_str())
        .fetch_one(&mut *write.transaction)
        .await
        .map_err(|e| self.explain(e))?;
        let cluster = cluster(&row).map_err(|e| self.explain(e))?;
        write.bump_version().await?;
        write.commit().await?;
        Ok(cluster)
    }

    /// Writes down that a cluster's agent connected, was heard of, or went away.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none of that name.
    pub async fn set_cluster_status(
        &self,
        name: &ClusterName,
        status: ClusterStatus,
        last_seen: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let changed = sqlx::query("UPDATE clusters SET status = $2, last_seen = $3 WHERE name = $1")
            .bind(name.as_str())
            .bind(status.as_str())
            .bind(millis(last_seen))
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::Missing(format!("cluster {name}")));
        }
        write.commit().await
    }

    /// Removes a cluster. Its agent can't come back without a new join token.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none of that name.
    pub async fn delete_cluster(&self, name: &ClusterName) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let deleted = sqlx::query("DELETE FROM clusters WHERE name = $1")
            .bind(name.as_str())
            .execute(&mut *write.transaction)
            .await
            .map_err(|e| self.explain(e))?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::Missing(format!("cluster {name}")));
        }
        write.bump_version().await?;
        write.commit().await
    }
}

fn cluster(row: &AnyRow) -> sqlx::Result<Cluster> {
    let agent = match row.maybe_text("agent_id")? {
        Some(agent_id) => Some(AgentIdentity {
            agent_id,
            certificate: row.text("agent_certificate")?,
            serial: row.text("agent_serial")?,
            public_key: row.text("agent_key")?,
        }),
        None => None,
    };
    let status = match &*row.text("status")? {
        "connected" => ClusterStatus::Connected,
        _ => ClusterStatus::Disconnected,
    };
    Ok(Cluster {
        id: row.id("id")?,
        name: row.parsed("name")?,
        status,
        last_seen: row.maybe_at("last_seen")?,
        metadata: row.json("metadata")?,
        agent,
        created_at: row.at("created_at")?,
    })
}
