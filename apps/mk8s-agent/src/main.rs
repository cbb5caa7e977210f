//! `mk8s-agent` runs in (or next to) a cluster, dials `mk8s-central` and serves the cluster's API on that connection.
//!
//! Read on in the order of start-up: [`config`], [`cluster`] (the API server), [`identity`] (who we are to central,
//! and [`keep`], where that is kept), [`door`] (what is served on the tunnel), [`heartbeat`].

mod cluster;
mod command;
mod config;
mod door;
mod heartbeat;
mod identity;
mod keep;
mod kubectl_args;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Parser;
use mk8s_net::{
    drain::{self, Drain},
    link::StreamCounters,
    workers::Workers,
};
use tracing::info;

use crate::{config::Config, door::Door, identity::Identity};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let config = Config::load(config::Arguments::parse())?;
    mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let workers = Arc::new(Workers::per_core("tunnel").context("can't start the worker threads")?);
    let counters = Arc::new(StreamCounters::default());
    let api_server = Arc::new(cluster::connect(&config.kubernetes, counters).context("kubernetes")?);
    let version = cluster::version(&api_server).await;
    let identity = Identity::obtain(&config, &api_server, version.clone()).await?;
    info!(cluster = %config.cluster.name, kubernetes = %version.as_deref().unwrap_or("unreachable"), "agent ready");

    let drain = Drain::new();
    let door = Door::new(config.cluster.name.clone(), api_server.clone());
    let tunnels = tokio::spawn(mk8s_tunnel::agent::serve(
        identity.central(mk8s_tunnel::ALPN)?,
        config.central.connections,
        workers,
        drain.watch(),
        door,
    ));
    let heartbeat = tokio::spawn(heartbeat::run(identity, api_server));
    drain::stop_signal().await?;
    info!(
        "stopping: no new requests; running ones have {} s",
        config.drain_seconds
    );
    heartbeat.abort();
    drain.finish(Duration::from_secs(config.drain_seconds)).await;
    tunnels.abort();
    Ok(())
}
