//! Everything is wired here, in the order in which it starts; it stops in the reverse.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use mk8s_audit::AuditFile;
use mk8s_model::ClusterName;
use mk8s_net::{
    drain::{self, Drain},
    link::StreamCounters,
    listen, metrics as page, serve,
    workers::Workers,
};
use mk8s_operators::Operators;
use mk8s_proxy::{OnlyCluster, Proxy, Upstream, upstream::Naming};
use mk8s_telemetry::OPENMETRICS_CONTENT_TYPE;
use mk8s_tls::ReloadingCertificate;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    config::Config,
    door::{Door, Entrance},
    metrics::Metrics,
};

/// What the one cluster is called in the audit log.
const CLUSTER: &str = "local";
/// How often our certificate is read again.
const REFRESH: Duration = Duration::from_secs(5);

/// Serves until a signal.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    // The ports first: nothing else is touched if somebody else has them.
    let listener = listen::bind(config.server.address())?;
    let metrics_listener = match config.server.metrics {
        Some(address) => Some(TcpListener::from_std(listen::bind(address)?)?),
        None => None,
    };
    let target = config
        .kubernetes
        .target(|name| std::env::var(name).ok())
        .context("kubernetes")?;
    let server = target.server.clone();
    let streams = Arc::new(StreamCounters::default());
    let metrics = Metrics::new(streams.clone());
    let api_server = Arc::new(
        target
            .direct(Naming::Impersonate, streams)
            .context("kubernetes")?,
    );
    let operators = Operators::new(&config.clients, metrics.questions.clone()).context("clients")?;
    let certificate = ReloadingCertificate::from_files(&config.server.cert_file, &config.server.key_file)
        .context("server")?;
    let audit = match &config.audit_file {
        Some(path) => AuditFile::open(path).context("audit")?,
        None => AuditFile::standard_output(),
    };
    let mut proxy = Proxy::new(
        operators.holders(),
        Arc::new(OnlyCluster(Upstream::Direct(api_server))),
        audit,
    )
    .rerouting(config.reroutes);
    if let Some(server) = &config.interactive_at {
        proxy = proxy.redirecting_interactive(server);
    }
    let door = Door::new(Entrance {
        tls: mk8s_tls::server::config(certificate.clone(), &operators.client_auth(), serve::ALPN)?,
        proxy,
        cluster: CLUSTER.parse::<ClusterName>()?,
        operators: operators.clone(),
        metrics: metrics.clone(),
    });

    let workers = Arc::new(Workers::per_core("path").context("can't start the worker threads")?);
    let drain = Drain::new();
    let watch = drain.watch();
    let accepting = tokio::spawn(listen::accept(
        listener,
        workers.clone(),
        drain.watch(),
        move |stream, peer: SocketAddr| door.clone().serve(stream, peer.ip(), watch.clone()),
    ));
    let measuring = metrics_listener.map(|listener| {
        let metrics = metrics.clone();
        let text = move || metrics.encode();
        tokio::spawn(page::serve(
            listener,
            drain.watch(),
            OPENMETRICS_CONTENT_TYPE,
            text,
        ))
    });
    let refreshing = tokio::spawn(refresh(certificate));
    let keeping = tokio::spawn(operators.keep());
    info!(listen = %config.server.address(), %server, "ready");

    drain::stop_signal().await?;
    info!(
        "stopping: no new requests; running ones have {} s",
        config.drain_seconds
    );
    refreshing.abort();
    keeping.abort();
    if let Some(measuring) = measuring {
        measuring.abort();
    }
    // The closure holds a watch too: the accept loop must be over before everything can have let go.
    let accepting = async {
        let _ = accepting.await;
    };
    let grace = Duration::from_secs(config.drain_seconds);
    let (all_ended, ()) = tokio::join!(drain.finish(grace), accepting);
    if !all_ended {
        warn!("requests that still ran were cut");
    }
    drop(workers);
    Ok(())
}

/// Reads our own certificate again and again. What is bad is told, and what was good stays.
async fn refresh(certificate: Arc<ReloadingCertificate>) {
    loop {
        tokio::time::sleep(REFRESH).await;
        if let Err(error) = certificate.refresh() {
            warn!(%error, "the server's certificate can't be read again; the last good one stays");
        }
    }
}
