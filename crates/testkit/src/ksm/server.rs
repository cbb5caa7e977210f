//! The server itself: a socket, TLS, and what all its connections share.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use mk8s_tls::{
    AuthorityError, CertificateAuthority, ConfigError, MaterialError, ReloadingCertificate, TlsAcceptor,
    server::{self as tls_server, ClientAuth},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{
    behaviour::{Behaviour, Behaviours, Endpoint, Limiter, RateLimit},
    clients::{AppConfig, Clients},
    contents::Contents,
    door,
    log::{Log, Logged},
    vault::Vault,
    wire::ServerKeys,
};

const VALIDITY: Duration = Duration::from_secs(7 * 24 * 3600);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long requests may take that are under way when the server stops.
const LAST: Duration = Duration::from_secs(5);

/// Where the server is, and what it is called.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens. Port 0 takes a free one; `0.0.0.0` is what pods on a local node can reach.
    pub listen: SocketAddr,
    /// DNS names and addresses in its certificate, beside `localhost`, the loopback addresses, the address above and
    /// [`Settings::host`].
    pub names: Vec<String>,
    /// What configurations call it, without a port. None: the address above, or 127.0.0.1 if that is every one.
    pub host: Option<String>,
}

/// Why the server doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or isn't this machine's.
    #[error("can't listen on {address}: {source}; choose another address, or port 0 for any that is free")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A name can't stand in a certificate.
    #[error("can't make the server's certificate: {0}; its names must be DNS names or IP addresses")]
    Certificate(#[from] AuthorityError),
    /// The certificate that was just made can't be used.
    #[error("can't use the server's certificate: {0}")]
    Material(#[from] MaterialError),
    /// TLS can't be configured.
    #[error("can't configure TLS: {0}")]
    Tls(#[from] ConfigError),
}

/// A Keeper Secrets Manager server with one application. It ends when it is dropped.
#[derive(Debug)]
pub struct KsmServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca_pem: String,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// What connections and tests look at.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) keys: ServerKeys,
    pub(super) contents: Contents,
    pub(super) clients: Clients,
    pub(super) behaviours: Behaviours,
    pub(super) limiter: Limiter,
    pub(super) log: Log,
    pub(super) hostname: String,
}

impl Settings {
    /// This address, and no more names.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            names: Vec::new(),
            host: None,
        }
    }

    fn client_host(&self) -> String {
        match &self.host {
            Some(host) => host.clone(),
            None if self.listen.ip().is_unspecified() => "127.0.0.1".to_owned(),
            None => self.listen.ip().to_string(),
        }
    }

    fn certificate_names(&self) -> Vec<String> {
        let mut names = vec![self.client_host()];
        let usual = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        for name in usual.iter().chain(&self.names) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        let ip = self.listen.ip().to_string();
        if !self.listen.ip().is_unspecified() && !names.contains(&ip) {
            names.push(ip);
        }
        names
    }
}

impl KsmServer {
    /// Listens here, with an empty vault.
    ///
    /// # Errors
    /// [`StartError`] if it can't.
    pub async fn start(listen: SocketAddr) -> Result<Self, StartError> {
        Self::start_with(Settings::new(listen)).await
    }

    /// As [`KsmServer::start`], called by more names.
    ///
    /// # Errors
    /// [`StartError`] if it can't.
    pub async fn start_with(settings: Settings) -> Result<Self, StartError> {
        let now = Timestamp::now();
        let authority = CertificateAuthority::generate("Keeper Secrets Manager test authority", now)?;
        let issued = authority.issue_server(&settings.certificate_names(), VALIDITY, now)?;
        let certificate = ReloadingCertificate::from_issued(&issued)?;
        let tls = TlsAcceptor::from(tls_server::config(
            certificate,
            &ClientAuth::None,
            &[b"http/1.1"],
        )?);
        let cannot = |source| StartError::Listen {
            address: settings.listen,
            source,
        };
        let listener = TcpListener::bind(settings.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                keys: ServerKeys::new(),
                contents: Contents::new(),
                clients: Clients::default(),
                behaviours: Behaviours::default(),
                limiter: Limiter::default(),
                log: Log::default(),
                hostname: with_port(&settings.client_host(), address.port()),
            }),
        });
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept(listener, tls, Arc::clone(&shared), stopped));
        Ok(Self {
            shared,
            address,
            ca_pem: authority.certificate_pem(),
            stop,
            task: Some(task),
        })
    }

    /// What is in it.
    pub fn vault(&self) -> Vault {
        Vault {
            shared: Arc::clone(&self.shared),
        }
    }

    /// The configuration of a new client, bound already, as a JSON document.
    pub fn app_config_json(&self) -> String {
        self.app_config().json()
    }

    /// The configuration of a new client, bound already.
    pub fn app_config(&self) -> AppConfig {
        let mut state = self.shared.lock();
        let State {
            keys,
            contents,
            clients,
            hostname,
            ..
        } = &mut *state;
        let (id, key) = keys.current();
        let key = super::crypto::encode_url(key.public());
        clients.new_bound(contents, hostname.clone(), (id.to_string(), key))
    }

    /// A token that binds one client. SDKs split what has colons in it: give them [`KsmServer::host_port`] apart.
    pub fn one_time_token(&self) -> String {
        self.shared.lock().clients.new_token()
    }

    /// Refuses all that a client asks from now on. False: there is no such client.
    pub fn revoke(&self, client_id: &str) -> bool {
        self.shared.lock().clients.revoke(client_id)
    }

    /// The authority that vouches for the server, as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as configurations have it.
    pub fn host_port(&self) -> String {
        self.shared.lock().hostname.clone()
    }

    /// `https://host:port`.
    pub fn url(&self) -> String {
        format!("https://{}", self.host_port())
    }

    /// The id of the server's current key.
    pub fn server_key_id(&self) -> String {
        self.shared.lock().keys.current().0.to_string()
    }

    /// The server's public keys by id, old ones too, as clients are given them.
    pub fn server_keys(&self) -> BTreeMap<String, String> {
        self.shared.lock().keys.public()
    }

    /// Makes a new key the current one: who uses an older one is told its id, and to ask again. Clients whose configuration
    /// has a key of its own (`serverPublicKey`) have no way to learn the new one.
    pub fn rotate_server_key(&self) -> String {
        self.shared.lock().keys.rotate().to_string()
    }

    /// Misbehaves. Of several behaviours that fit, the oldest comes first.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviours.add(behaviour);
    }

    /// Misbehaves no longer.
    pub fn behave_well(&self) {
        self.shared.lock().behaviours.clear();
    }

    /// Refuses clients that ask too often, or lets them ([`None`], as at the start).
    pub fn limit_rate(&self, limit: Option<RateLimit>) {
        self.shared.lock().limiter.limit = limit;
    }

    /// How many requests there were for an endpoint, refused ones too.
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.all_requests().get(&endpoint).copied().unwrap_or_default()
    }

    /// The same for all endpoints that there were requests for.
    pub fn all_requests(&self) -> BTreeMap<Endpoint, u64> {
        self.shared.lock().log.counts()
    }

    /// Every request since the start, oldest first, without secrets.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.lock().log.all()
    }

    /// Takes no more connections, answers what was asked, and returns; what hangs is cut off after five seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take() {
            // It can only have been cancelled, with its runtime.
            let _ = task.await;
        }
    }
}

impl Drop for KsmServer {
    fn drop(&mut self) {
        // Its connections are its own, and go with it.
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked has said why; others go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, tls.clone(), Arc::clone(&shared), stopped.clone()));
                }
                // Out of descriptors, most likely: some will be free again.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // What is left is cut off with the set.
    let _ = timeout(LAST, all).await;
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    // A client that doesn't trust us, or says nothing, is the test's to notice.
    let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await else {
        return;
    };
    let service = service_fn(move |request| door::answer(Arc::clone(&shared), request));
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        // Errors are what a cut answer or a client that went away looks like.
        _ = connection.as_mut() => return,
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

fn with_port(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
