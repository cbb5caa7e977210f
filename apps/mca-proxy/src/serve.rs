//! `mca-proxy run`: everything is wired here, in the order in which it starts.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context as _;
use jiff::Timestamp;
use mk8s_connect::in_cluster;
use mk8s_model::ClusterName;
use mk8s_net::{
    drain::{self, Drain},
    link::StreamCounters,
    listen::{self, ListenError},
    serve,
    workers::Workers,
};
use mk8s_proxy::{Proxy, Upstream, audit::LogOnly, decide::AllowAll, upstream::Naming};
use mk8s_tls::{ReloadingCertificate, server::ClientAuth};
use tokio::net::TcpListener;
use tracing::{debug, info, warn};

use crate::{
    certificate,
    cli::Run,
    custom_resources::CustomResources,
    dev,
    door::{Door, Entrance},
    inside::Inside,
    metrics::{self, Metrics},
    ready::Answering,
    routes::{Places, Routes},
    service_account::ServiceAccount,
};

/// Serves until a signal.
pub(crate) fn run(run: &Run) -> anyhow::Result<()> {
    mk8s_telemetry::init_logging(run.log_format, &run.log)?;
    if !run.dev {
        mk8s_net::conceal::conceal().context("can't keep others from looking into this process")?;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(run))
}

async fn serve(run: &Run) -> anyhow::Result<()> {
    // The ports first: nothing is written if somebody else has them.
    let listeners = bind(&run.listen)?;
    let target = if run.dev {
        dev::target(run)?
    } else {
        in_cluster::target(&run.service_account_dir, |name| std::env::var(name).ok())?
    };
    let server = target.server.clone();
    let namespace = target.namespace.clone().unwrap_or_else(|| "default".to_owned());
    let api_server = target.direct(Naming::AsSelf, Arc::new(StreamCounters::default()))?;

    let now = Timestamp::now();
    let account = ServiceAccount::keep(&run.state_dir(), now)?;
    let names = certificate::names(&run.cluster_domain, &run.name);
    let certificate =
        ReloadingCertificate::from_issued(&certificate::issue(&account.authority, &names, now)?)?;
    account.share(&run.shared_dir(), &namespace)?;
    if run.dev {
        dev::write_kubeconfig(run, &account, &namespace)?;
    }

    let home: ClusterName = mk8s_routing::HOME.parse()?;
    let places = Places {
        config: run.config_dir.clone(),
        credentials: run.credentials_dir.clone(),
        state: run.state_dir(),
    };
    let own = run.listen.iter().map(SocketAddr::to_string).collect();
    let api_server = Arc::new(api_server);
    let cache = run.cache();
    let custom_resources = run
        .custom_resources
        .then(|| CustomResources::new(api_server.clone(), namespace.clone()));
    let routes = Routes::open(
        places,
        home,
        Upstream::Direct(api_server),
        own,
        custom_resources,
        cache.clone(),
    )
    .await
    .context("clusters and routes")?;
    let proxy = Proxy::new(
        // The API server's RBAC decides on the pod's service account, and writes the audit log in its name.
        Arc::new(AllowAll::by("pod")),
        routes.clone(),
        Arc::new(LogOnly),
    )
    .relaying_impersonation();
    let tls = mk8s_tls::server::config(certificate.clone(), &ClientAuth::None, serve::ALPN)?;
    let metrics = Metrics::new(cache.clone());
    let traces = run.traces()?.map(Arc::new);
    let door = Door::new(Entrance {
        tls,
        placeholder: account.placeholder.clone(),
        limit: run.limit(),
        metrics: metrics.clone(),
        inside: Inside::new(proxy, routes.clone(), metrics.clone(), traces.clone(), cache)?,
    });
    let metrics_listener = match run.metrics_port {
        Some(port) => Some(TcpListener::from_std(listen::bind(metrics::address(port))?)?),
        None => None,
    };

    let workers = Arc::new(Workers::start("path", run.threads()).context("can't start the worker threads")?);
    let drain = Drain::new();
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let (door, watch) = (door.clone(), drain.watch());
            let serve = move |stream, _| door.clone().serve(stream, watch.clone());
            tokio::spawn(listen::accept(listener, workers.clone(), drain.watch(), serve))
        })
        .collect();
    let renewing = tokio::spawn(certificate::keep_valid(certificate, account.authority, names));
    let following = tokio::spawn(routes.follow(metrics.routes_current.clone()));
    let measuring = metrics_listener.map(|listener| tokio::spawn(metrics.serve(listener, drain.watch())));
    let answering = tokio::spawn(Answering::begin(&run.state_dir())?.answer(drain.watch()));
    info!(listen = ?run.listen, %server, namespace, "ready");
    if run.dev {
        info!(
            "try: kubectl --kubeconfig {} get pods",
            run.dev_kubeconfig().display()
        );
    }

    drain::stop_signal().await?;
    info!("stopping: no new requests; running ones have {:?}", run.drain());
    answering.abort();
    renewing.abort();
    following.abort();
    if let Some(measuring) = measuring {
        measuring.abort();
    }
    // The closures hold watches too: the accept loops must be over before everything can have let go.
    let accepting = async {
        for task in accepting {
            let _ = task.await;
        }
    };
    let (all_ended, ()) = tokio::join!(drain.finish(run.drain()), accepting);
    drop((door, workers));
    if !all_ended {
        warn!("requests that still ran were cut");
    }
    if let Some(traces) = traces.and_then(Arc::into_inner) {
        // It waits for a thread of its own, which needs this one to send.
        let _ = tokio::task::spawn_blocking(|| traces.finish()).await;
    }
    Ok(())
}

/// All addresses, but for those of a family that the machine doesn't have, as long as one is left.
fn bind(addresses: &[SocketAddr]) -> Result<Vec<std::net::TcpListener>, ListenError> {
    let mut bound = Vec::new();
    let mut absent = None;
    for address in addresses {
        match listen::bind(*address) {
            Ok(listener) => bound.push(listener),
            Err(error) if error.is_absent() => {
                debug!(%error, "not listening there");
                absent = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match absent {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}
