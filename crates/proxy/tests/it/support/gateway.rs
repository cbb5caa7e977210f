//! The gateway: a door that believes everybody to be one person, and one cluster behind it.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use mk8s_model::{AuthMethod, ClusterName, Identity};
use mk8s_net::{
    Body,
    drain::{Drain, Watch},
    link::{Link, LinkSet, StreamCounters},
    serve,
    workers::Workers,
};
use mk8s_proxy::{
    Caller, Clusters, Direct, Extra, Inbound, Proxy, Unroutable, Upgrade, Upstream,
    credentials::Credentials,
    rewrite::{AUDIT_ID, IMPERSONATE_GROUP, IMPERSONATE_USER},
    upstream::Naming,
};
use mk8s_testkit::Pki;
use mk8s_tls::{ClientConfig, ClientTlsStream, ServerName, TlsAcceptor, TlsConnector};
use secrecy::SecretString;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use crate::support::{ApiServer, Client, HTTP1, HTTP2, Log, Policy};

/// How the gateway reaches the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By itself.
    Direct,
    /// Over an agent's tunnel; the agent does.
    Agent,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Direct, Self::Agent];
}

/// What a test may choose.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) way: Way,
    pub(crate) credentials: Credentials,
    pub(crate) naming: Naming,
    pub(crate) user: &'static str,
    pub(crate) groups: &'static [&'static str],
    pub(crate) extra: Extra,
}

impl Default for Options {
    fn default() -> Self {
        let token = SecretString::from("the-gateways-own".to_owned());
        Self {
            way: Way::Direct,
            credentials: Credentials::token(&token).expect("a token"),
            naming: Naming::Impersonate,
            user: "jane@example.com",
            groups: &["mk8s:dev", "mk8s:ops"],
            extra: Extra::default(),
        }
    }
}

/// The gateway. The cluster is called `prod`; `away` is disconnected.
pub(crate) struct Gateway {
    pub(crate) log: Arc<Log>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) counters: Arc<StreamCounters>,
    address: SocketAddr,
    pki: Pki,
    until: Arc<Mutex<Option<Instant>>>,
    drain: Mutex<Option<Drain>>,
    // Held for the agent's sake.
    _agent: Option<Agent>,
}

struct Agent {
    _workers: Arc<Workers>,
    _drain: Drain,
}

impl Gateway {
    /// In front of this server, straight.
    pub(crate) async fn before(api: &ApiServer) -> Self {
        Self::with(api, Options::default()).await
    }

    /// In front of this server, this way.
    pub(crate) async fn on(api: &ApiServer, way: Way) -> Self {
        Self::with(
            api,
            Options {
                way,
                ..Options::default()
            },
        )
        .await
    }

    pub(crate) async fn with(api: &ApiServer, options: Options) -> Self {
        let gateway = Self::at(&api.url(), &api.pki, options).await;
        gateway.log.watch_cluster(api.counter());
        gateway
    }

    /// In front of whatever listens there.
    pub(crate) async fn at(url: &str, pki: &Pki, options: Options) -> Self {
        let counters = Arc::new(StreamCounters::default());
        let direct = direct(url, pki, &options, counters.clone());
        let (upstream, agent) = match options.way {
            Way::Direct => (Upstream::Direct(direct), None),
            Way::Agent => {
                let (links, agent) = tunnel(direct, counters.clone()).await;
                (Upstream::Agent(links), Some(agent))
            }
        };
        Self::start(upstream, agent, counters, &options).await
    }

    /// In front of links that a test made itself.
    pub(crate) async fn over(links: Arc<LinkSet>) -> Self {
        let counters = links.counters().clone();
        Self::start(Upstream::Agent(links), None, counters, &Options::default()).await
    }

    async fn start(
        upstream: Upstream,
        agent: Option<Agent>,
        counters: Arc<StreamCounters>,
        options: &Options,
    ) -> Self {
        let (log, policy) = (Arc::new(Log::new()), Arc::new(Policy::new()));
        let clusters = Named(HashMap::from([("prod".parse().expect("a name"), upstream)]));
        let proxy = Proxy::new(policy.clone(), Arc::new(clusters), log.clone());
        let until = Arc::new(Mutex::new(None));
        let identity = Identity::new(options.user, options.groups, AuthMethod::Token).expect("an identity");
        let door = Door {
            proxy,
            identity,
            extra: options.extra.clone(),
            until: until.clone(),
        };
        let pki = Pki::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let drain = Drain::new();
        tokio::spawn(accept(listener, pki.server(serve::ALPN), drain.watch(), door));
        Self {
            log,
            policy,
            counters,
            address,
            pki,
            until,
            drain: Mutex::new(Some(drain)),
            _agent: agent,
        }
    }

    /// From now on logins end then.
    pub(crate) fn until(&self, at: Instant) {
        *self.until.lock().expect("no panic") = Some(at);
    }

    /// Begins to stop. The task returns what [`Drain::finish`] does.
    pub(crate) async fn stop(&self, grace: Duration) -> JoinHandle<bool> {
        let drain = self.drain.lock().expect("no panic").take().expect("stopped once");
        let mut watch = drain.watch();
        let stopping = tokio::spawn(drain.finish(grace));
        watch.draining().await;
        stopping
    }

    pub(crate) async fn connect(&self, alpn: &[u8]) -> ClientTlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(self.pki.client(&[alpn]))
            .connect(name, stream)
            .await
            .expect("a handshake")
    }

    pub(crate) async fn client(&self, alpn: &[u8]) -> Client {
        Client::over(self.connect(alpn).await, alpn).await
    }
}

/// The way to an API server, as our programs make it.
fn direct(url: &str, pki: &Pki, options: &Options, counters: Arc<StreamCounters>) -> Arc<Direct> {
    let tls = |alpn: &[u8]| -> Arc<ClientConfig> { pki.client(&[alpn]) };
    let credentials = options.credentials.clone();
    let direct = Direct::new(url, tls(HTTP2), tls(HTTP1), credentials, options.naming, counters);
    Arc::new(direct.expect("a server"))
}

/// An agent with one tunnel, up.
async fn tunnel(direct: Arc<Direct>, counters: Arc<StreamCounters>) -> (Arc<LinkSet>, Agent) {
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let central = mk8s_tunnel::agent::Central {
        host: "localhost".to_owned(),
        port: listener.local_addr().expect("an address").port(),
        tls: pki.client_named("prod", &[mk8s_tunnel::ALPN]),
    };
    let proxy = Proxy::new(
        Arc::new(Policy::new()),
        Arc::new(Named(HashMap::from([(
            "prod".parse().expect("a name"),
            Upstream::Direct(direct),
        )]))),
        Arc::new(Log::new()),
    );
    let workers = Arc::new(Workers::start("agent", 1).expect("threads"));
    let drain = Drain::new();
    tokio::spawn(mk8s_tunnel::agent::serve(
        central,
        1,
        workers.clone(),
        drain.watch(),
        AgentDoor(proxy),
    ));
    let (linked, link) = oneshot::channel::<Link>();
    let tls = pki.server_for_known_clients(&[mk8s_tunnel::ALPN]);
    let accepted = counters.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let stream = TlsAcceptor::from(tls).accept(stream).await.expect("a handshake");
        let link = mk8s_tunnel::central::accept(stream, accepted, || {})
            .await
            .expect("a tunnel");
        let _ = linked.send(link);
    });
    let links = Arc::new(LinkSet::new(counters));
    links.add(link.await.expect("a tunnel"));
    (
        links,
        Agent {
            _workers: workers,
            _drain: drain,
        },
    )
}

async fn accept(listener: TcpListener, tls: Arc<mk8s_tls::ServerConfig>, mut watch: Watch, door: Door) {
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.expect("a connection"),
            () = watch.draining() => return,
        };
        stream.set_nodelay(true).expect("an option");
        let (tls, watch, door) = (tls.clone(), watch.clone(), door.clone());
        tokio::spawn(async move {
            let Some(stream) = serve::tls(tls, stream).await else {
                return;
            };
            let protocol = serve::negotiated(&stream);
            serve::connection(stream, protocol, door, watch).await;
        });
    }
}

struct Named(HashMap<ClusterName, Upstream>);

impl Clusters for Named {
    fn upstream(&self, cluster: &ClusterName) -> Result<Upstream, Unroutable> {
        if cluster.as_str() == "away" {
            let last_seen = Some("2026-01-02T03:04:05Z".to_owned());
            return Err(Unroutable::Disconnected {
                cluster: cluster.clone(),
                last_seen,
            });
        }
        self.0
            .get(cluster)
            .cloned()
            .ok_or_else(|| Unroutable::Unknown(cluster.clone()))
    }
}

/// The people's door. `x-test-cluster` chooses another cluster than `prod`.
#[derive(Clone)]
struct Door {
    proxy: Proxy,
    identity: Identity,
    extra: Extra,
    until: Arc<Mutex<Option<Instant>>>,
}

impl hyper::service::Service<Request<Incoming>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let Self {
            proxy,
            identity,
            extra,
            until,
        } = self.clone();
        let cluster = request.headers_mut().remove("x-test-cluster");
        let cluster = cluster
            .as_ref()
            .map_or("prod", |name| name.to_str().expect("text"));
        let upgrade = Upgrade::from_http1(&mut request);
        let inbound = Inbound {
            caller: Caller {
                identity,
                subject: None,
                session: None,
                source: [192, 0, 2, 1].into(),
                until: *until.lock().expect("no panic"),
                extra,
                held: None,
            },
            cluster: cluster.parse().expect("a name"),
            request: Body::from_request(request),
            upgrade,
            audit_id: None,
        };
        Box::pin(async move { Ok(proxy.handle(inbound).await) })
    }
}

/// The agent's door, as `mk8s-agent` has it.
#[derive(Clone)]
struct AgentDoor(Proxy);

impl hyper::service::Service<Request<Incoming>> for AgentDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let proxy = self.0.clone();
        Box::pin(async move {
            if request.uri().path() == mk8s_tunnel::HEALTH_PATH {
                return Ok(Response::new(Body::full("ok")));
            }
            let upgrade = Upgrade::from_connect(&mut request);
            let headers = request.headers_mut();
            let user = headers.remove(&IMPERSONATE_USER).expect("a user");
            let groups: Vec<_> = headers
                .get_all(&IMPERSONATE_GROUP)
                .iter()
                .map(|group| std::str::from_utf8(group.as_bytes()).expect("text").to_owned())
                .collect();
            headers.remove(&IMPERSONATE_GROUP);
            let user = std::str::from_utf8(user.as_bytes()).expect("text");
            let audit_id = headers[&AUDIT_ID].to_str().expect("text").parse().expect("an id");
            let inbound = Inbound {
                caller: Caller {
                    identity: Identity::new(user, groups, AuthMethod::Peer).expect("an identity"),
                    subject: None,
                    session: None,
                    source: [0, 0, 0, 0].into(),
                    until: None,
                    extra: Extra::default(),
                    held: None,
                },
                cluster: "prod".parse().expect("a name"),
                request: Body::from_request(request),
                upgrade,
                audit_id: Some(mk8s_model::AuditId(audit_id)),
            };
            let mut response = proxy.handle(inbound).await;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                *response.status_mut() = StatusCode::OK;
                response.headers_mut().remove(header::CONNECTION);
                response.headers_mut().remove(header::UPGRADE);
            }
            Ok(response)
        })
    }
}
