//! Everything is wired here, in the order in which it starts; it stops in the reverse.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use mk8s_audit::AuditFile;
use mk8s_connect::Target;
use mk8s_federation::{CredentialMode, Federation, Management};
use mk8s_mcp_core::{
    cluster::Clusters,
    server::{Options, Server},
};
use mk8s_model::ClusterName;
use mk8s_net::{
    drain::{self, Drain},
    listen, metrics as page, serve,
    workers::Workers,
};
use mk8s_oauth::{Issuer, ProtectedResource, Verifier, kubernetes_tokens, system_clock};
use mk8s_telemetry::{OPENMETRICS_CONTENT_TYPE, Traces};
use mk8s_tls::{ReloadingCertificate, server::ClientAuth};
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::{
    cluster,
    config::{Config, PeopleSettings},
    door::{Door, Entrance, LetIn, mcp},
    metrics::{Counted, Metrics},
    people::People,
};
use crate::calls::Calls;

/// How often our certificate is read again.
const REFRESH: Duration = Duration::from_secs(5);

/// Serves until a signal.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    // The ports first: nothing else is touched if somebody else has them.
    let listener = listen::bind(config.server.address())?;
    let address = listener.local_addr()?;
    let metrics_listener = match config.server.metrics {
        Some(address) => Some(TcpListener::from_std(listen::bind(address)?)?),
        None => None,
    };
    let certificate = match (&config.server.cert_file, &config.server.key_file) {
        (Some(certificate), Some(key)) => {
            Some(ReloadingCertificate::from_files(certificate, key).context("server")?)
        }
        _ => None,
    };
    let tls = match &certificate {
        Some(certificate) => Some(mk8s_tls::server::config(
            certificate.clone(),
            &ClientAuth::None,
            serve::ALPN,
        )?),
        None => None,
    };
    let audit = match &config.audit_file {
        Some(path) => AuditFile::open(path).context("auditFile")?,
        None => AuditFile::standard_output(),
    };
    let traces = config.traces.as_ref().map(|traces| {
        let version = env!("CARGO_PKG_VERSION");
        Traces::to_collector(&traces.otlp_endpoint, "mk8s-mcp", version, traces.share).map(Arc::new)
    });
    let traces = traces.transpose().context("traces")?;
    let target = config
        .kubernetes
        .target(|name| std::env::var(name).ok())
        .context("kubernetes")?;
    let name = config.cluster_name;
    let api_server = target.server.clone();
    let (management, own) = (name.clone(), target.clone());

    let mut hosts = config.server.allowed_hosts;
    let (people, metadata, clusters): (_, _, Arc<dyn Clusters>) = match config.people {
        PeopleSettings::Anybody => {
            warn!(
                "whoever reaches the port is let in (allowAnonymous), with the rights of this server's own account"
            );
            let clusters = cluster::as_self(name, target, audit.clone())?;
            (People::anybody()?, None, Arc::new(clusters))
        }
        PeopleSettings::Known(oauth) => {
            hosts.extend(host(&oauth));
            let (people, metadata, _) = known(oauth)?;
            let clusters = cluster::as_self(name, target, audit.clone())?;
            (people, Some(metadata), Arc::new(clusters))
        }
        PeopleSettings::Themselves(oauth) => {
            hosts.extend(host(&oauth));
            let settings = oauth.clone();
            let (people, metadata, issuer) = known(oauth)?;
            let tokens = kubernetes_tokens(&settings, &issuer)
                .context("enableDownstreamOAuth needs oauth.kubernetes")?;
            let clusters = cluster::as_them(name, target, tokens, audit.clone());
            (people, Some(metadata), Arc::new(clusters))
        }
    };

    let clusters = match config.federation {
        Some(settings) => federated(settings, management, clusters, own, &audit).context("capiMode")?,
        None => clusters,
    };

    let metrics = Metrics::new();
    let log = Counted {
        metrics: metrics.clone(),
        next: Arc::new(Calls(audit)),
    };
    let mut options = Options::default();
    if let Some(key) = config.plan_key {
        options.plan_key = key;
    }
    let server = Server::with(Arc::new(LetIn), clusters, Arc::new(log), config.settings, options);
    let door = Door::new(Entrance {
        tls,
        people,
        metadata,
        path: config.server.path,
        mcp: mcp(
            server.clone(),
            hosts,
            config.server.allowed_origins,
            address.port(),
        ),
        metrics: metrics.clone(),
        traces: traces.clone(),
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
    let mut beside = Vec::new();
    if let Some(listener) = metrics_listener {
        let text = move || metrics.encode();
        let serving = page::serve(listener, drain.watch(), OPENMETRICS_CONTENT_TYPE, text);
        beside.push(tokio::spawn(serving));
    }
    if let Some(certificate) = certificate {
        beside.push(tokio::spawn(refresh(certificate)));
    }
    info!(listen = %address, server = %api_server, "ready");

    drain::stop_signal().await?;
    // They would last for as long as their clients like.
    server.end_subscriptions();
    let seconds = config.server.drain_seconds;
    info!("stopping: no new requests; running ones have {seconds} s");
    for task in beside {
        task.abort();
    }
    // The closure holds a watch too: the accept loop must be over before everything can have let go.
    let accepting = async {
        let _ = accepting.await;
    };
    let (all_ended, ()) = tokio::join!(drain.finish(Duration::from_secs(seconds)), accepting);
    if !all_ended {
        warn!("requests that still ran were cut");
    }
    drop(workers);
    if let Some(traces) = traces.and_then(Arc::into_inner) {
        // It blocks, on what this runtime sends.
        let _ = tokio::task::spawn_blocking(move || traces.finish()).await;
    }
    Ok(())
}

/// The cluster with those that its Cluster API knows.
fn federated(
    settings: mk8s_federation::Settings,
    name: ClusterName,
    clusters: Arc<dyn Clusters>,
    target: Target,
    audit: &Arc<AuditFile>,
) -> anyhow::Result<Arc<dyn Clusters>> {
    let management = Management {
        clusters,
        cluster: name.clone(),
    };
    let own = match settings.credentials {
        CredentialMode::User => None,
        CredentialMode::ServiceAccount => Some(Management {
            clusters: Arc::new(cluster::as_self(name.clone(), target, audit.clone())?),
            cluster: name,
        }),
    };
    let federation = Federation::new(settings, management, own, audit.clone())?;
    Ok(Arc::new(federation))
}

/// Those who come with tokens of an issuer, and what they are told before they have one.
fn known(oauth: mk8s_oauth::Settings) -> anyhow::Result<(People, ProtectedResource, Arc<Issuer>)> {
    let issuer = Arc::new(Issuer::new(&oauth, system_clock()).context("oauth")?);
    let metadata = ProtectedResource::new(&oauth);
    let verifier = Box::new(Verifier::new(oauth, issuer.clone()));
    let people = People::Known {
        verifier,
        issuer: issuer.clone(),
    };
    Ok((people, metadata, issuer))
}

/// What clients call us who were told of the resource.
fn host(oauth: &mk8s_oauth::Settings) -> Option<String> {
    let uri: http::Uri = oauth.resource().parse().ok()?;
    uri.authority().map(ToString::to_string)
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
