//! Everything is wired here, in the order in which it starts; it stops in the reverse.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use kube::Client;
use mk8s_model::GroupResource;
use mk8s_net::{
    drain::{self, Drain},
    link::StreamCounters,
    listen, metrics as page,
    workers::Workers,
};
use mk8s_proxy::upstream::Naming;
use mk8s_serving::ServedCertificate;
use mk8s_telemetry::OPENMETRICS_CONTENT_TYPE;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::{
    api::Api,
    config::Config,
    door::{Door, Entrance},
    grants::Grants,
    metrics::Metrics,
    own::{ApiServer, Own},
    request_header::RequestHeader,
    resources::Served,
    reviews::Reviews,
    scopes::Scopes,
    seal_key::SealKey,
};

/// How long letting go of the Lease may take.
const RELEASE_LIMIT: Duration = Duration::from_secs(10);
/// The pause after the API server didn't say what there is to list.
const PAUSE: Duration = Duration::from_secs(2);

/// Serves until a signal.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    // The ports first: nothing else is touched if somebody else has them.
    let listener = listen::bind(config.server.address())?;
    let address = listener.local_addr()?;
    let metrics_listener = match config.server.metrics {
        Some(address) => Some(TcpListener::from_std(listen::bind(address)?)?),
        None => None,
    };
    let client = mk8s_connect::client(&config.kubernetes)
        .await
        .context("kubernetes")?;
    let target = config
        .kubernetes
        .target(|name| std::env::var(name).ok())
        .context("kubernetes")?;
    let server = target.server.clone();
    let streams = Arc::new(StreamCounters::default());
    let served = ServedCertificate::first(&config.tls)?;
    let metrics = Metrics::new(streams.clone(), served.certificate().clone());
    let api_server = Arc::new(ApiServer(Arc::new(
        target.direct(Naming::AsSelf, streams).context("kubernetes")?,
    )));
    let request_header = RequestHeader::load(client.clone(), served.certificate().clone()).await?;

    let kept = Duration::from_secs(config.cache_seconds);
    let reviews = Reviews::new(client.clone(), kept, metrics.reviews.clone());
    let grants = Grants::new();
    let scopes = Scopes::new(reviews.clone(), grants.clone(), config.teams, api_server.clone());
    metrics.count_scopes(scopes.clone());
    let seal_key = SealKey::new(&config.tls, served.clone())?;
    let own = Own {
        api_server,
        scopes: scopes.clone(),
        reviews: reviews.clone(),
        seal_key: seal_key.clone(),
        fresh_for: kept,
    };
    let api = Arc::new(OnceLock::new());
    let door = Door::new(Entrance {
        served: served.clone(),
        request_header: request_header.clone(),
        reviews,
        grants: grants.clone(),
        api: api.clone(),
        metrics: metrics.clone(),
    });

    let workers = Arc::new(Workers::per_core("path").context("can't start the worker threads")?);
    // The Lease is let go while requests still run, so that another replica needn't wait for them.
    let (drain, keeping_drain) = (Drain::new(), Drain::new());
    let connect = async || Ok(client.clone());
    let leader = metrics.leader.clone();
    let keeping = mk8s_serving::keep(&config.tls, served, connect, leader, keeping_drain.watch()).await?;
    let watch = drain.watch();
    let accepting = tokio::spawn(listen::accept(
        listener,
        workers.clone(),
        drain.watch(),
        move |stream, peer: SocketAddr| door.clone().serve(stream, peer.ip(), watch.clone()),
    ));
    let mut beside = vec![
        tokio::spawn(grants.follow(client.clone())),
        tokio::spawn(scopes.follow()),
        tokio::spawn(request_header.follow()),
        tokio::spawn(seal_key.follow()),
        tokio::spawn(async move {
            let served = known(&client, config.resources).await;
            let _ = api.set(Api::new(own, served));
        }),
    ];
    if let Some(listener) = metrics_listener {
        let text = move || metrics.encode();
        beside.push(tokio::spawn(page::serve(
            listener,
            drain.watch(),
            OPENMETRICS_CONTENT_TYPE,
            text,
        )));
    }
    info!(listen = %address, %server, "listening");

    drain::stop_signal().await?;
    info!(
        "stopping: no new requests; running ones have {} s",
        config.drain_seconds
    );
    for task in beside {
        task.abort();
    }
    // The closure holds a watch too: the accept loop must be over before everything can have let go.
    let accepting = async {
        let _ = accepting.await;
    };
    let grace = Duration::from_secs(config.drain_seconds);
    let release = keeping_drain.finish(RELEASE_LIMIT);
    let (all_ended, (), _) = tokio::join!(drain.finish(grace), accepting, release);
    if !all_ended {
        warn!("requests that still ran were cut");
    }
    if let Some(candidate) = keeping.candidate {
        let _ = candidate.await;
    }
    drop(workers);
    Ok(())
}

/// What the API server serves of the resources that are to be listed. It is asked until it answers; what it doesn't serve is
/// left out, and said.
async fn known(client: &Client, resources: Vec<GroupResource>) -> Vec<Served> {
    loop {
        match served(client, &resources).await {
            Ok(served) => return served,
            Err(error) => {
                warn!(%error, "the API server doesn't say what there is to list");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn served(client: &Client, resources: &[GroupResource]) -> kube::Result<Vec<Served>> {
    let groups = client.list_api_groups().await?;
    let mut found = Vec::new();
    for resource in resources {
        let listed = if resource.group.is_empty() {
            Some(("v1".to_owned(), client.list_core_api_resources("v1").await?))
        } else {
            let preferred = groups
                .groups
                .iter()
                .find(|group| group.name == resource.group)
                .and_then(|group| group.preferred_version.clone());
            match preferred {
                None => None,
                Some(preferred) => {
                    let listed = client.list_api_group_resources(&preferred.group_version).await?;
                    Some((preferred.version, listed))
                }
            }
        };
        let named = listed.and_then(|(version, listed)| {
            let named = listed
                .resources
                .into_iter()
                .find(|one| one.name == resource.resource && one.namespaced);
            named.map(|named| (version, named))
        });
        match named {
            None => warn!(
                %resource,
                "the API server has no such resource in namespaces; it is left out"
            ),
            Some((version, named)) => found.push(Served {
                resource: resource.clone(),
                version,
                kind: named.kind,
                singular: named.singular_name,
                short_names: named.short_names.unwrap_or_default(),
            }),
        }
    }
    Ok(found)
}
