//! `mk8s-central serve`: everything is wired here, in the order in which it starts; it stops in the reverse.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use mk8s_audit::{Journal, Limits, Shipper};
use mk8s_authn::{
    AgentTokens, Clock, Lifetimes, LoginLimits, Logins, Passwords, Quota, SystemClock, TokenIssuer,
    TokenVerifier, token::TokenSettings,
};
use mk8s_net::{
    drain::{self, Drain},
    listen, serve,
    workers::Workers,
};
use mk8s_operators::Operators;
use mk8s_proxy::Proxy;
use mk8s_tls::{Roots, server::ClientAuth};
use mk8s_tunnel::proto::agent_service_server::AgentServiceServer;
use tokio::{runtime::Handle, sync::oneshot};
use tracing::{info, warn};

use crate::{
    access::Access,
    agents::{AgentsDoor, Control},
    config::Config,
    keeping::{self, StoredAudit},
    metrics::Metrics,
    operators::{Certified, OperatorsDoor},
    people::People,
    registry::Registry,
    upkeep::{self, Upkeep},
};

const AUDIENCE: &str = "mk8s";
/// Passwords checked at once; each takes 19 MiB and a core.
const PASSWORDS_AT_ONCE: usize = 2;
const REMEMBERED_TOKENS: usize = 10_000;

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    if config.has_jwt_secret() {
        warn!(
            "auth.jwt_secret does nothing: tokens are signed with RS256 by keys in the data directory; remove it"
        );
    }
    let address = |port| SocketAddr::new(config.server.bind, port);
    // The ports first: a second central on one machine should fail on them before it touches any file.
    let people_port = listen::bind(address(config.server.http_port))?;
    let agents_port = listen::bind(address(config.server.grpc_port))?;
    let operators_port = match &config.operators {
        Some(operators) => Some(listen::bind(address(operators.port))?),
        None => None,
    };

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = keeping::store(&config).await?;
    super::init::declare_roles(&config, &store).await?;
    let authority = Arc::new(keeping::authority(&config)?);
    let certificate = keeping::server_certificate(&config, &authority)?;
    let journal = Journal::open(
        &keeping::audit_dir(&config),
        Limits {
            max_bytes: config.audit.max_waiting_bytes,
        },
    )?;
    let shipper = Shipper::new(journal.clone(), Arc::new(StoredAudit(store.clone())))?;
    let access = Access::load(store.clone()).await?;
    let registry = Registry::load(store.clone()).await?;
    let metrics = Metrics::new(registry.clone(), journal.clone());

    let keys = keeping::signing_keys(&config)?;
    let issuer = format!("mk8s-central/{}", store.installation_id().await?);
    let settings = TokenSettings {
        issuer: issuer.clone(),
        audience: AUDIENCE.to_owned(),
        lifetime: config.auth.token_expiry,
    };
    let passwords = Passwords::new(PASSWORDS_AT_ONCE);
    let operators = match &config.operators {
        Some(settings) => {
            let operators =
                Operators::new(&settings.clients, metrics.questions.clone()).context("operators.clients")?;
            let certified = Certified::new(operators.holders(), access.clone());
            let door = OperatorsDoor {
                tls: mk8s_tls::server::config(certificate.clone(), &operators.client_auth(), serve::ALPN)?,
                proxy: Proxy::new(certified.clone(), registry.clone(), journal.clone()),
                operators: operators.clone(),
                access: access.clone(),
                organizations_as_groups: settings.organizations_as_groups,
                metrics: metrics.clone(),
            };
            let keeping = async move {
                tokio::join!(operators.keep(), certified.follow());
            };
            Some((door, tokio::spawn(keeping)))
        }
        None => None,
    };
    let people = Arc::new(People {
        tls: mk8s_tls::server::config(certificate.clone(), &ClientAuth::None, serve::ALPN)?,
        proxy: Proxy::new(access.clone(), registry.clone(), journal.clone()),
        jwks: keys.jwks(),
        verifier: TokenVerifier::new(keys.clone(), &issuer, AUDIENCE, clock.clone(), REMEMBERED_TOKENS),
        logins: Logins::new(
            Arc::new(store.clone()),
            Arc::new(store.clone()),
            passwords.clone(),
            Arc::new(LoginLimits::new(Quota::ACCOUNT, Quota::SOURCE, clock.clone())),
            TokenIssuer::new(keys, settings, clock.clone()),
            Lifetimes {
                refresh: config.auth.refresh_expiry,
                ..Lifetimes::default()
            },
            clock.clone(),
        ),
        access: access.clone(),
        registry: registry.clone(),
        passwords,
        store: store.clone(),
        journal: journal.clone(),
        metrics,
        clock: clock.clone(),
        own: Handle::current(),
    });
    let agents = AgentsDoor {
        tls: mk8s_tls::server::config_tls13(
            certificate.clone(),
            &ClientAuth::Optional(Roots::Certificates(vec![authority.certificate().clone()])),
            &[mk8s_tunnel::ALPN, mk8s_tunnel::GRPC_ALPN],
        )?,
        registry: registry.clone(),
        control: AgentServiceServer::new(Control {
            authority: authority.clone(),
            tokens: AgentTokens::new(Arc::new(store.clone()), clock.clone()),
            store: store.clone(),
            registry: registry.clone(),
            clock,
        }),
    };

    let workers = Arc::new(Workers::per_core("path").context("can't start the worker threads")?);
    let (stop_shipping, shipping_stops) = oneshot::channel::<()>();
    let shipping = tokio::spawn(shipper.run(async move {
        let _ = shipping_stops.await;
    }));
    let names = config
        .certificate_files()
        .is_none()
        .then(|| config.server.names.clone());
    let upkeep = tokio::spawn(upkeep::run(Upkeep {
        access,
        registry,
        store,
        certificate,
        authority,
        names,
    }));
    let (people_drain, agents_drain) = (Drain::new(), Drain::new());
    let agents_watch = agents_drain.watch();
    let agents_task = tokio::spawn(listen::accept(
        agents_port,
        workers.clone(),
        agents_drain.watch(),
        {
            let watch = agents_watch;
            move |stream, _| agents.clone().serve(stream, watch.clone())
        },
    ));
    let people_watch = people_drain.watch();
    let people_task = tokio::spawn(listen::accept(
        people_port,
        workers.clone(),
        people_drain.watch(),
        {
            let watch = people_watch;
            move |stream, peer: SocketAddr| people.clone().serve(stream, peer.ip(), watch.clone())
        },
    ));
    let (operators_task, keeping) = match (operators_port, operators) {
        (Some(port), Some((door, keeping))) => {
            let watch = people_drain.watch();
            let serve = move |stream, peer: SocketAddr| door.clone().serve(stream, peer.ip(), watch.clone());
            let task = tokio::spawn(listen::accept(port, workers.clone(), people_drain.watch(), serve));
            (Some(task), Some(keeping))
        }
        _ => (None, None),
    };
    info!(people = %address(config.server.http_port), agents = %address(config.server.grpc_port), "central is ready");

    drain::stop_signal().await?;
    info!("stopping: no new requests; running ones have {:?}", config.drain);
    // The closures hold watches too: the accept loops must be over before everything can have let go.
    let people_task = async {
        let _ = people_task.await;
        if let Some(task) = operators_task {
            let _ = task.await;
        }
    };
    let (all_ended, ()) = tokio::join!(people_drain.finish(config.drain), people_task);
    if !all_ended {
        warn!("requests that still ran were cut");
    }
    agents_drain.finish(Duration::from_secs(2)).await;
    let _ = agents_task.await;
    upkeep.abort();
    if let Some(keeping) = keeping {
        keeping.abort();
    }
    drop(workers);
    // Last, so that how the last requests ended is in the database too.
    let _ = stop_shipping.send(());
    let _ = shipping.await;
    info!("stopped");
    Ok(())
}
