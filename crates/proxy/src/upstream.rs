//! Where a cluster's API server is, and how we get there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{
    Request, Response, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use mk8s_model::ClusterName;
use mk8s_net::{
    Body, BoxError,
    link::{Link, LinkBody, LinkSet, StreamCounters, Traffic},
    listen::tune,
};
use mk8s_tls::{ClientConfig, ServerName, TlsConnector};
use tokio::{net::TcpStream, sync::Mutex};

use crate::credentials::Credentials;

/// How long a connection to an API server may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Links to one API server at most. Each carries what the server allows, 100 streams as Kubernetes has it by default.
const MAX_LINKS: usize = 256;

/// The way to a cluster.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// We reach its API server ourselves.
    Direct(Arc<Direct>),
    /// An agent dialled us, and serves the API on its connections.
    Agent(Arc<LinkSet>),
}

/// Which clusters there are.
pub trait Clusters: Send + Sync + 'static {
    /// The way to a cluster.
    ///
    /// # Errors
    /// [`Unroutable`], if there is none now.
    fn upstream(&self, cluster: &ClusterName) -> Result<Upstream, Unroutable>;
}

/// The one cluster there is, whatever it is called.
#[derive(Clone, Debug)]
pub struct OnlyCluster(pub Upstream);

impl Clusters for OnlyCluster {
    fn upstream(&self, _: &ClusterName) -> Result<Upstream, Unroutable> {
        Ok(self.0.clone())
    }
}

/// Why there is no way to a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unroutable {
    /// Nobody knows it.
    #[error("there is no cluster {0}")]
    Unknown(ClusterName),
    /// Its agent is away.
    #[error("cluster {cluster} is disconnected: its agent has no connection to the gateway{}", since(.last_seen.as_ref()))]
    Disconnected {
        /// Which cluster.
        cluster: ClusterName,
        /// When its agent was last heard of (RFC 3339).
        last_seen: Option<String>,
    },
    /// It is known, but what is known of it can't be used.
    #[error("cluster {cluster} can't be used: {why}")]
    Unusable {
        /// Which cluster.
        cluster: ClusterName,
        /// What is wrong, and what to do.
        why: String,
    },
}

fn since(last_seen: Option<&String>) -> String {
    last_seen.map(|at| format!(" since {at}")).unwrap_or_default()
}

/// In whose name we speak to an API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In the caller's, by impersonation.
    Impersonate,
    /// In our own: the caller *is* whoever our credentials say.
    AsSelf,
}

/// An API server that we dial.
#[derive(Debug)]
pub struct Direct {
    scheme: Scheme,
    authority: Authority,
    /// What the server's URL has before `/api`, without a slash at its end.
    base_path: String,
    host: String,
    port: u16,
    /// What its certificate must say, where that isn't the host.
    server_name: Option<String>,
    http2: TlsConnectorFor,
    http1: TlsConnectorFor,
    credentials: Credentials,
    naming: Naming,
    connect_timeout: Duration,
    links: LinkSet,
    /// Held by whoever dials; what came of it is everybody's who waited meanwhile.
    dialling: Mutex<Option<FailedDial>>,
}

#[derive(Debug)]
struct FailedDial {
    at: Instant,
    why: String,
}

#[derive(Clone)]
struct TlsConnectorFor(Arc<ClientConfig>);

impl std::fmt::Debug for TlsConnectorFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnectorFor")
    }
}

/// A server URL that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no API server URL: {why}")]
pub struct InvalidServer {
    url: String,
    why: &'static str,
}

impl Direct {
    /// An API server by its URL, as a kubeconfig has it (`https://host:port[/path]`). `http2` and `http1` are the same
    /// TLS configuration, offering `h2` and `http/1.1` respectively.
    ///
    /// # Errors
    /// [`InvalidServer`] if the URL has no host or isn't https.
    pub fn new(
        url: &str,
        http2: Arc<ClientConfig>,
        http1: Arc<ClientConfig>,
        credentials: Credentials,
        naming: Naming,
        counters: Arc<StreamCounters>,
    ) -> Result<Self, InvalidServer> {
        let invalid = |why| InvalidServer {
            url: url.to_owned(),
            why,
        };
        let uri: Uri = url.parse().map_err(|_| invalid("it can't be parsed"))?;
        let authority = uri
            .authority()
            .cloned()
            .ok_or_else(|| invalid("it names no host"))?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(invalid("only https is spoken, because credentials are sent"));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = authority.port_u16().unwrap_or(443);
        Ok(Self {
            scheme: Scheme::HTTPS,
            base_path: uri.path().trim_end_matches('/').to_owned(),
            authority,
            host,
            port,
            server_name: None,
            http2: TlsConnectorFor(http2),
            http1: TlsConnectorFor(http1),
            credentials,
            naming,
            connect_timeout: CONNECT_TIMEOUT,
            links: LinkSet::new(counters),
            dialling: Mutex::new(None),
        })
    }

    /// The same server, whose certificate says another name than its URL (`tls-server-name` in a kubeconfig).
    #[must_use]
    pub fn certified_as(mut self, name: String) -> Self {
        self.server_name = Some(name);
        self
    }

    /// The same server, to which a connection may take so long, TLS included.
    #[must_use]
    pub fn connecting_within(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Who we are towards it.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// In whose name we speak to it.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// Its URI for a path.
    pub(crate) fn uri(&self, path: &PathAndQuery) -> Result<Uri, http::Error> {
        let builder = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        if self.base_path.is_empty() {
            builder.path_and_query(path.clone()).build()
        } else {
            builder
                .path_and_query(format!("{}{path}", self.base_path))
                .build()
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A link to it: one that is there and has room, or a new one.
    pub(crate) async fn link(&self, traffic: Traffic) -> Result<Link, BoxError> {
        match self.usable(traffic) {
            Some(link) => Ok(link),
            // Boxed, because it is large and rare: each request's future has room for all that it may become.
            None => Box::pin(self.new_link(traffic)).await,
        }
    }

    async fn new_link(&self, traffic: Traffic) -> Result<Link, BoxError> {
        let asked = Instant::now();
        let mut last_failure = self.dialling.lock().await;
        if let Some(link) = self.usable(traffic) {
            return Ok(link);
        }
        // A server that can't be reached is dialled once for all who wait, not once by each after the other.
        if let Some(failed) = last_failure.as_ref().filter(|failed| failed.at >= asked) {
            return Err(failed.why.clone().into());
        }
        let open = self.links.prune();
        if open >= MAX_LINKS
            && let Some(link) = self.links.pick(traffic)
        {
            return Ok(link);
        }
        match self.dial_link().await {
            Ok(link) => {
                self.links.add(link.clone());
                Ok(link)
            }
            Err(why) => {
                *last_failure = Some(FailedDial {
                    at: Instant::now(),
                    why: why.to_string(),
                });
                Err(why)
            }
        }
    }

    async fn dial_link(&self) -> Result<Link, BoxError> {
        let stream = self.dial(&self.http2).await?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(format!("{}: the server does not speak HTTP/2", self.authority).into());
        }
        let link = Link::handshake(stream, self.links.counters().clone(), || {}).await;
        link.map_err(|why| format!("{}: {why}", self.authority).into())
    }

    /// Asks in our own name: for what a program itself needs to know. `request` has a path for its URI.
    ///
    /// # Errors
    /// If there is no connection or no answer.
    pub async fn ask_as_self(&self, mut request: Request<Body>) -> Result<Response<LinkBody>, BoxError> {
        if let Some(authorization) = self.credentials.authorization() {
            request
                .headers_mut()
                .insert(http::header::AUTHORIZATION, authorization);
        }
        let path = request
            .uri()
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = self.uri(&path)?;
        Ok(self.link(Traffic::Brief).await?.send(request).await?)
    }

    fn usable(&self, traffic: Traffic) -> Option<Link> {
        let best = self.links.pick(traffic)?;
        (best.has_room() && best.is_near() && best.suits(traffic)).then_some(best)
    }

    /// A connection of its own, for an upgrade.
    pub(crate) async fn dial_http1(&self) -> Result<mk8s_tls::ClientTlsStream<TcpStream>, BoxError> {
        self.dial(&self.http1).await
    }

    async fn dial(&self, tls: &TlsConnectorFor) -> Result<mk8s_tls::ClientTlsStream<TcpStream>, BoxError> {
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tune(&stream)?;
            let name = self.server_name.as_ref().unwrap_or(&self.host);
            let name = ServerName::try_from(name.clone())?;
            Ok::<_, BoxError>(TlsConnector::from(tls.0.clone()).connect(name, stream).await?)
        };
        match tokio::time::timeout(self.connect_timeout, connect).await {
            Ok(connected) => connected.map_err(|e| format!("{}: {e}", self.authority).into()),
            Err(_) => Err(format!(
                "{}: no connection within {} s",
                self.authority,
                self.connect_timeout.as_secs()
            )
            .into()),
        }
    }
}
