//! The join tokens by which agents prove themselves the first time.
//!
//! A token is made for one cluster's name, lives for a while, and is used up by the first agent that presents it. The
//! agent is known by its public key: the same key may present the token again while it lives, because the answer to the
//! first time can get lost on the way; nobody else can.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use mk8s_model::ClusterName;
use uuid::Uuid;

use crate::{Clock, JoinToken, SecretHash, StorageError, clock::later};

/// A join token, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentTokenRecord {
    /// Its id, which is no secret.
    pub id: Uuid,
    /// The hash of its text.
    pub hash: SecretHash,
    /// The one cluster it is for.
    pub cluster: ClusterName,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used up.
    pub used_at: Option<Timestamp>,
    /// By which agent: the fingerprint of its public key.
    pub used_by: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Why a join token isn't taken.
#[derive(Debug, thiserror::Error)]
pub enum AgentTokenError {
    /// It has not the form of one.
    #[error(transparent)]
    Malformed(#[from] crate::InvalidSecret),
    /// There is none such; a wrong secret behind a known id is the same.
    #[error("the join token is unknown: make a new one on central and give it to the agent")]
    Unknown,
    /// It is for another cluster.
    #[error("the join token is for the cluster {bound_to}, not {asked_for}: make one for {asked_for}")]
    WrongCluster {
        /// The cluster it is for.
        bound_to: ClusterName,
        /// The cluster the agent says it is.
        asked_for: ClusterName,
    },
    /// Another agent used it up.
    #[error("the join token was used already, at {0} and by another agent: make a new one on central")]
    AlreadyUsed(Timestamp),
    /// It was revoked.
    #[error("the join token was revoked at {0}: make a new one on central")]
    Revoked(Timestamp),
    /// It lived its time.
    #[error("the join token expired at {0}: make a new one on central")]
    Expired(Timestamp),
    /// The store couldn't be asked.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Join tokens.
#[async_trait]
pub trait AgentTokenStore: Send + Sync {
    /// Keeps a new token.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn create_agent_token(&self, token: &AgentTokenRecord) -> Result<(), StorageError>;

    /// The token with that id.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn find_agent_token(&self, id: Uuid) -> Result<Option<AgentTokenRecord>, StorageError>;

    /// Marks a token as used up. False, and nothing happened, if it was used, revoked or expired: of two at once, one
    /// wins.
    ///
    /// # Errors
    /// [`StorageError`] if the store can't be asked.
    async fn consume_agent_token(&self, id: Uuid, used_by: &str, at: Timestamp)
    -> Result<bool, StorageError>;
}

/// Makes and takes join tokens. Cheap to clone.
#[derive(Clone)]
pub struct AgentTokens {
    store: Arc<dyn AgentTokenStore>,
    clock: Arc<dyn Clock>,
}

impl AgentTokens {
    /// Kept in `store`, by `clock`.
    pub fn new(store: Arc<dyn AgentTokenStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// A new token for a cluster, good for `ttl`. Its text can't be had again.
    ///
    /// # Errors
    /// [`StorageError`] if it couldn't be kept.
    pub async fn create(
        &self,
        cluster: &ClusterName,
        ttl: Duration,
    ) -> Result<(JoinToken, AgentTokenRecord), StorageError> {
        let token = JoinToken::generate();
        let now = self.clock.now();
        let record = AgentTokenRecord {
            id: token.id(),
            hash: token.hash(),
            cluster: cluster.clone(),
            created_at: now,
            expires_at: later(now, ttl),
            used_at: None,
            used_by: None,
            revoked_at: None,
        };
        self.store.create_agent_token(&record).await?;
        Ok((token, record))
    }

    /// Uses a token up for the agent whose public key has the fingerprint `agent_key`, and answers the token's id.
    ///
    /// # Errors
    /// [`AgentTokenError`] says what is wrong with it.
    pub async fn redeem(
        &self,
        token: &str,
        cluster: &ClusterName,
        agent_key: &str,
    ) -> Result<Uuid, AgentTokenError> {
        let token = JoinToken::parse(token)?;
        let record = self.find(&token).await?;
        if record.cluster != *cluster {
            let (bound_to, asked_for) = (record.cluster, cluster.clone());
            return Err(AgentTokenError::WrongCluster { bound_to, asked_for });
        }
        let now = self.clock.now();
        if record.admits(agent_key, now)? {
            return Ok(record.id);
        }
        if self.store.consume_agent_token(record.id, agent_key, now).await? {
            return Ok(record.id);
        }
        // Somebody was faster: say what they did, or find that it was ourselves.
        match self.find(&token).await?.admits(agent_key, now)? {
            true => Ok(record.id),
            false => Err(AgentTokenError::Unknown),
        }
    }

    async fn find(&self, token: &JoinToken) -> Result<AgentTokenRecord, AgentTokenError> {
        let record = self.store.find_agent_token(token.id()).await?;
        // Hashes of random bits: how long the comparison takes tells nothing that could be used.
        record
            .filter(|record| record.hash == token.hash())
            .ok_or(AgentTokenError::Unknown)
    }
}

impl AgentTokenRecord {
    /// Whether this agent has used it up before (true) or may do so now (false).
    fn admits(&self, agent_key: &str, now: Timestamp) -> Result<bool, AgentTokenError> {
        if let Some(at) = self.revoked_at {
            return Err(AgentTokenError::Revoked(at));
        }
        match self.used_at {
            Some(at) if self.used_by.as_deref() != Some(agent_key) => Err(AgentTokenError::AlreadyUsed(at)),
            _ if now >= self.expires_at => Err(AgentTokenError::Expired(self.expires_at)),
            used => Ok(used.is_some()),
        }
    }
}
