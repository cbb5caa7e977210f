//! `mk8s-central agent-token …`

use std::{sync::Arc, time::Duration};

use mk8s_authn::{AgentTokens, SystemClock};
use mk8s_model::{ClusterName, duration};
use uuid::Uuid;

use crate::{config::Config, keeping};

use super::say;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token by which one agent can join for one cluster, once
    Create {
        /// The cluster's name
        #[arg(long, value_name = "NAME")]
        cluster: ClusterName,
        /// How long it can be used
        #[arg(long, default_value = "24h", value_parser = duration::parse_positive)]
        ttl: Duration,
    },
    /// List the tokens (never their secrets)
    List,
    /// Revoke a token; the agent that joined with it loses its connections within seconds
    Revoke {
        /// The token's id, as `list` shows it
        id: Uuid,
    },
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let store = keeping::store(config).await?;
    let now = jiff::Timestamp::now();
    match command {
        Command::Create { cluster, ttl } => {
            let tokens = AgentTokens::new(Arc::new(store), Arc::new(SystemClock));
            let (token, _) = tokens.create(&cluster, ttl).await?;
            say(token.expose());
        }
        Command::List => {
            say(format_args!(
                "{:<38}{:<26}{:<12}EXPIRES",
                "ID", "CLUSTER", "STATE"
            ));
            for token in store.agent_tokens().await? {
                let state = if token.revoked_at.is_some() {
                    "revoked"
                } else if token.used_at.is_some() {
                    "used"
                } else if token.expires_at <= now {
                    "expired"
                } else {
                    "unused"
                };
                say(format_args!(
                    "{:<38}{:<26}{state:<12}{:.0}",
                    token.id.to_string(),
                    token.cluster.to_string(),
                    token.expires_at
                ));
            }
        }
        Command::Revoke { id } => {
            store.revoke_agent_token(id, now).await?;
            say(format_args!("revoked {id}"));
        }
    }
    Ok(())
}
