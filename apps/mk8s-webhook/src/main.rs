//! `mk8s-webhook`: an admission webhook that changes pods as they are created. The API server asks at the [`door`];
//! [`admission`] answers, by its list of mutators: [`secrets`] and [`injection`]. `crates/serving` keeps what the API server knows
//! us by, together with the other replicas; [`statuses`] says of clusters and routes whether sidecars take them.

mod admission;
mod clients;
mod cluster;
mod config;
mod door;
mod injection;
mod metrics;
mod readiness;
mod review;
mod secrets;
mod statuses;
mod warnings;

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use mk8s_net::{
    drain::{self, Drain},
    listen,
    workers::Workers,
};
use mk8s_serving::ServedCertificate;
use prometheus_client::metrics::gauge::Gauge;
use tracing::{info, warn};

use crate::{
    admission::Admission,
    config::Config,
    door::Door,
    injection::ApiProxy,
    metrics::Metrics,
    readiness::Readiness,
    secrets::{Secrets, SecretsMetrics},
    statuses::Statuses,
};

const PORT: u16 = 8443;

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
    // kube takes its TLS from the process-wide provider.
    mk8s_tls::install_default_provider();
    mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let port = bind(config.listen)?;
    let address = port.local_addr()?;
    let served = ServedCertificate::first(&config.tls)?;
    let certificate = served.certificate().clone();
    let tls = clients::server_config(&config.clients, certificate.clone())?;
    let readiness = Readiness::new(served.clone());
    let leader = Gauge::default();
    let secrets = SecretsMetrics::default();
    let door = Door::new(
        tls,
        clients::rule(&config.clients),
        // The API proxy last: it leads what the others put in to itself, too.
        Admission::new(vec![
            Box::new(Secrets::new(config.secrets.clone(), secrets.clone())),
            Box::new(ApiProxy::new(config.injection.clone())),
        ]),
        readiness.clone(),
        Metrics::new(certificate.clone(), leader.clone(), &secrets),
    );
    let following_clients = clients::follow(config.clients.clone(), certificate.clone(), door.clone());

    let workers = Arc::new(Workers::per_core("reviews").context("can't start the worker threads")?);
    // The Lease is let go while endpoints are still being taken away, so that another replica needn't wait for that.
    let (drain, keeping_drain) = (Drain::new(), Drain::new());
    let connect = async || {
        let client = mk8s_connect::client(&config.kubernetes).await?;
        cluster::check_version(&client).await?;
        Ok(client)
    };
    let mut keeping = mk8s_serving::keep(&config.tls, served, connect, leader, keeping_drain.watch()).await?;
    if config.custom_resources.status {
        let client = mk8s_connect::client(&config.kubernetes).await?;
        keeping
            .tasks
            .spawn(Statuses::new(client).run(keeping.leading.clone()));
    }
    keeping.tasks.spawn(following_clients);
    let watch = drain.watch();
    let accepting = tokio::spawn(listen::accept(port, workers.clone(), drain.watch(), {
        move |stream, _: SocketAddr| door.clone().serve(stream, watch.clone())
    }));
    info!(%address, "listening");

    drain::stop_signal().await?;
    readiness.stop();
    info!(
        "stopping: not ready any more; everything is answered for {:?} more, then running requests have {:?}",
        config.shutdown.pause, config.shutdown.drain
    );
    let release = keeping_drain.finish(Duration::from_secs(10));
    tokio::join!(release, tokio::time::sleep(config.shutdown.pause));
    // The accept loop's closure holds a watch too: it must be over before everything can have let go.
    let (all_ended, _) = tokio::join!(drain.finish(config.shutdown.drain), accepting);
    if !all_ended {
        warn!("requests that still ran were cut");
    }
    if let Some(candidate) = keeping.candidate {
        let _ = candidate.await;
    }
    drop(workers);
    info!("stopped");
    Ok(())
}

/// All addresses, of both families where there are both.
fn bind(address: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(address) = address {
        return Ok(listen::bind(address)?);
    }
    listen::bind((Ipv6Addr::UNSPECIFIED, PORT).into())
        .or_else(|_| listen::bind((Ipv4Addr::UNSPECIFIED, PORT).into()))
        .context("listen")
}
