//! Running one kubectl command in the name of a user.
//!
//! kubectl gets no credentials of the agent's. It speaks to a door of its own on the loopback, opened for this command
//! with a certificate, a token and a port of the moment; what comes in there goes the same path as any request, decided
//! by the user's roles and forwarded in the user's name.

use std::{
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, header};
use hyper::{body::Incoming, service::service_fn};
use jiff::Timestamp;
use mk8s_model::{AuthMethod, ClusterName, Decision, Identity, KubeRequest};
use mk8s_net::{Body, drain::Drain, listen, serve, status::Status};
use mk8s_policy::Policy;
use mk8s_proxy::{Authorizer, Caller, Clusters, Extra, Inbound, Proxy, Upgrade, audit::LogOnly};
use mk8s_tls::{CertificateAuthority, ReloadingCertificate, server::ClientAuth};
use mk8s_tunnel::proto::{CommandRequest, CommandResponse, command_service_server::CommandService};
use rand::RngCore;
use tokio::{net::TcpListener, sync::watch};
use tonic::Status as GrpcStatus;

use crate::kubectl_args;

/// The longest output kept, in bytes.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// The longest a command may run, in seconds.
const MAX_SECONDS: u32 = 300;
/// `timeout(1)`'s exit code.
const TIMED_OUT: i32 = 124;

/// The service that central calls. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Commands {
    cluster: ClusterName,
    clusters: Arc<dyn Clusters>,
}

impl Commands {
    pub(crate) fn new(cluster: ClusterName, clusters: Arc<dyn Clusters>) -> Self {
        Self { cluster, clusters }
    }
}

#[tonic::async_trait]
impl CommandService for Commands {
    async fn execute_command(
        &self,
        request: tonic::Request<CommandRequest>,
    ) -> Result<tonic::Response<CommandResponse>, GrpcStatus> {
        let request = request.into_inner();
        kubectl_args::check(&request.arguments)
            .map_err(|why| GrpcStatus::invalid_argument(why.to_string()))?;
        let identity = Identity::new(&request.user, &request.groups, AuthMethod::Peer)
            .map_err(|why| GrpcStatus::permission_denied(format!("the agent refuses: {why}")))?;
        let policy = Policy::from_yaml(&request.policy, 0)
            .map_err(|why| GrpcStatus::invalid_argument(format!("the user's roles can't be read: {why}")))?;
        let door = LoopbackDoor::open(self, identity, policy)
            .await
            .map_err(|why| GrpcStatus::internal(format!("can't open a door for the command: {why}")))?;
        let limit = Duration::from_secs(u64::from(request.timeout_seconds.clamp(1, MAX_SECONDS)));
        let ran = run_kubectl(&request.arguments, door.dir.path(), limit).await;
        door.close().await;
        ran.map(tonic::Response::new)
            .map_err(|why| GrpcStatus::failed_precondition(why.to_string()))
    }
}

/// An HTTPS listener on the loopback that serves one command.
struct LoopbackDoor {
    /// Holds the kubeconfig, and is the command's home and working directory.
    dir: tempfile::TempDir,
    drain: Drain,
}

impl LoopbackDoor {
    async fn open(commands: &Commands, identity: Identity, policy: Policy) -> anyhow::Result<Self> {
        let now = Timestamp::now();
        let authority = CertificateAuthority::generate("mk8s-agent command", now)?;
        let issued = authority.issue_server(&["127.0.0.1".to_owned()], Duration::from_secs(3600), now)?;
        let certificate = ReloadingCertificate::from_issued(&issued)?;
        let tls = mk8s_tls::server::config(certificate, &ClientAuth::None, serve::ALPN)?;
        let listener = TcpListener::from_std(listen::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?)?;
        let address = listener.local_addr()?;
        let token = random_token();
        let dir = tempfile::Builder::new().prefix("mk8s-command-").tempdir()?;
        write_kubeconfig(dir.path(), address, &authority.certificate_pem(), &token)?;

        let proxy = Proxy::new(
            Arc::new(UserRoles::new(policy)),
            commands.clusters.clone(),
            Arc::new(LogOnly),
        );
        let caller = Caller {
            identity,
            subject: None,
            session: None,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            until: None,
            extra: Extra::default(),
            held: None,
        };
        let entry = Arc::new(Entry {
            proxy,
            caller,
            cluster: commands.cluster.clone(),
            token: format!("Bearer {token}"),
        });
        let drain = Drain::new();
        let watch = drain.watch();
        tokio::spawn(async move {
            let mut stop = watch.clone();
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        Err(_) => return,
                    },
                    () = stop.draining() => return,
                };
                let (tls, entry, watch) = (tls.clone(), entry.clone(), watch.clone());
                tokio::spawn(async move {
                    let Some(stream) = serve::tls(tls, stream).await else {
                        return;
                    };
                    let protocol = serve::negotiated(&stream);
                    let service = service_fn(move |request| {
                        let entry = entry.clone();
                        async move { Ok::<_, std::convert::Infallible>(entry.serve(request).await) }
                    });
                    serve::connection(stream, protocol, service, watch).await;
                });
            }
        });
        Ok(Self { dir, drain })
    }

    async fn close(self) {
        self.drain.finish(Duration::from_millis(200)).await;
    }
}

struct Entry {
    proxy: Proxy,
    caller: Caller,
    cluster: ClusterName,
    token: String,
}

impl Entry {
    async fn serve(&self, mut request: Request<Incoming>) -> Response<Body> {
        // Any process on this machine can reach the loopback; only the command has the token.
        if request
            .headers()
            .get(header::AUTHORIZATION)
            .is_none_or(|value| value.as_bytes() != self.token.as_bytes())
        {
            return Status::unauthorized("not this command's token").into_response();
        }
        let upgrade = Upgrade::from_http1(&mut request);
        let inbound = Inbound {
            caller: self.caller.clone(),
            cluster: self.cluster.clone(),
            request: Body::from_request(request),
            upgrade,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }
}

/// The roles that central sent along with the command.
struct UserRoles {
    policy: Policy,
    roles: Vec<String>,
}

impl UserRoles {
    fn new(policy: Policy) -> Self {
        let roles = policy.role_names().map(str::to_owned).collect();
        Self { policy, roles }
    }
}

impl Authorizer for UserRoles {
    fn decide(&self, caller: &Caller, cluster: &ClusterName, request: &KubeRequest<'_>) -> Decision {
        self.policy
            .decide(&self.roles, &caller.identity, cluster, request)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

fn random_token() -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn write_kubeconfig(dir: &Path, address: SocketAddr, ca: &str, token: &str) -> anyhow::Result<()> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "command",
        "clusters": [{"name": "command", "cluster": {
            "server": format!("https://{address}"), "certificate-authority-data": BASE64_STANDARD.encode(ca)}}],
        "users": [{"name": "command", "user": {"token": token}}],
        "contexts": [{"name": "command", "context": {"cluster": "command", "user": "command"}}],
    });
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(dir.join("kubeconfig"))?;
    Ok(serde_json::to_writer(file, &kubeconfig)?)
}

async fn run_kubectl(arguments: &[String], dir: &Path, limit: Duration) -> anyhow::Result<CommandResponse> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = tokio::process::Command::new(kubectl()?);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", dir)
        .env("KUBECONFIG", dir.join("kubeconfig"))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    // Its copies of the pipe's end must go, or the reader never sees the end.
    drop(command);
    let output = tokio::task::spawn_blocking(move || collect(reader));
    let exit_code = match tokio::time::timeout(limit, child.wait()).await {
        Ok(status) => {
            use std::os::unix::process::ExitStatusExt;
            let status = status?;
            status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
        }
        Err(_) => {
            child.kill().await?;
            TIMED_OUT
        }
    };
    let (output, truncated) = output.await??;
    Ok(CommandResponse {
        output: String::from_utf8_lossy(&output).into_owned(),
        exit_code,
        truncated,
    })
}

fn collect(mut reader: impl Read) -> std::io::Result<(Vec<u8>, bool)> {
    let mut output = Vec::new();
    reader.by_ref().take(MAX_OUTPUT as u64).read_to_end(&mut output)?;
    // Read on, so that kubectl is not stopped by a full pipe.
    let rest = std::io::copy(&mut reader, &mut std::io::sink())?;
    Ok((output, rest > 0))
}

fn kubectl() -> anyhow::Result<PathBuf> {
    ["/usr/local/bin/kubectl", "/usr/bin/kubectl", "/bin/kubectl"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .ok_or_else(|| anyhow::anyhow!("the agent has no kubectl; use `mk8s kubectl …`, which runs your own"))
}
