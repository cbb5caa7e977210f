//! The sidecars that are compared. All do one job: TLS 1.3 and HTTP/2 towards the pod, the placeholder token checked, the real one
//! in its place, TLS 1.3 towards the API server over shared connections.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use mk8s_tls::{CertificateAuthority, Issued};
use serde_json::json;

use crate::{
    client::Target,
    contender::{Contender, free_port},
    haproxy,
    process::Process,
};

pub(crate) const NGINX: &str = "/usr/sbin/nginx";
/// What containers have.
const PLACEHOLDER: &str = "the-placeholder-of-this-pod";
/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(10);

/// What stands for the API server.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    pub(crate) authorities: Vec<u8>,
    pub(crate) token: String,
}

/// One of them, to be started as often as wanted.
#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) name: &'static str,
    program: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    dir: PathBuf,
    port: u16,
    trust: Trust,
}

/// How a client knows it.
#[derive(Debug)]
enum Trust {
    /// By these authorities, with [`PLACEHOLDER`].
    Given(Vec<u8>),
    /// By the files that it writes.
    Written(PathBuf),
}

impl Sidecar {
    /// haproxy, as Debian has it.
    pub(crate) fn haproxy(dir: PathBuf, api: &Api, ours: &Ours) -> anyhow::Result<Self> {
        let port = ours.write(&dir, api)?;
        let (at, server, token) = (dir.display(), api.address, &api.token);
        let configuration = format!(
            "global\n  nbthread 2\n  maxconn 5000\n\
             defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  http-reuse always\n\
             frontend pod\n  bind 127.0.0.1:{port} ssl crt {at}/server.pem alpn h2 ssl-min-ver TLSv1.3\n\
             \x20 http-request deny deny_status 401 unless {{ req.hdr(authorization) -m str \"Bearer {PLACEHOLDER}\" }}\n\
             \x20 http-request set-header authorization \"Bearer {token}\"\n\
             \x20 default_backend api\n\
             backend api\n  server api {server} ssl verify required ca-file {at}/api.pem alpn h2 ssl-min-ver TLSv1.3\n"
        );
        fs::write(dir.join("haproxy.cfg"), configuration)?;
        let arguments = vec!["-db".to_owned(), "-f".to_owned(), text(&dir.join("haproxy.cfg"))?];
        Ok(Self {
            name: "haproxy",
            program: haproxy::PROGRAM.into(),
            arguments,
            variables: Vec::new(),
            trust: Trust::Given(ours.authorities()),
            dir,
            port,
        })
    }

    /// nginx, as Debian has it, in one process, so that all of its cost is seen. It speaks HTTP/1.1 upstream; nothing else can
    /// be had.
    pub(crate) fn nginx(dir: PathBuf, api: &Api, ours: &Ours) -> anyhow::Result<Self> {
        let port = ours.write(&dir, api)?;
        let (at, server, token) = (dir.display(), api.address, &api.token);
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\n\
             worker_rlimit_nofile 16384;\nevents {{ worker_connections 8192; }}\n\
             http {{\n  access_log off;\n  client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3;\n\
             \x20 uwsgi_temp_path {at}/t4; scgi_temp_path {at}/t5;\n\
             \x20 upstream api {{ server {server}; keepalive 256; keepalive_requests 100000000; }}\n\
             \x20 server {{\n    listen 127.0.0.1:{port} ssl http2;\n    http2_max_concurrent_streams 256;\n    keepalive_requests 100000000;\n\
             \x20   ssl_certificate {at}/server.pem;\n    ssl_certificate_key {at}/server.pem;\n    ssl_protocols TLSv1.3;\n\
             \x20   location / {{\n      if ($http_authorization != \"Bearer {PLACEHOLDER}\") {{ return 401; }}\n\
             \x20     proxy_pass https://api;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n\
             \x20     proxy_set_header Authorization \"Bearer {token}\";\n      proxy_set_header Host {server};\n      proxy_ssl_name localhost;\n\
             \x20     proxy_ssl_verify on;\n      proxy_ssl_trusted_certificate {at}/api.pem;\n      proxy_ssl_protocols TLSv1.3;\n\
             \x20     proxy_ssl_session_reuse on;\n      proxy_buffering off;\n      proxy_read_timeout 1h;\n    }}\n  }}\n}}\n"
        );
        fs::write(dir.join("nginx.conf"), configuration)?;
        let arguments = ["-c", &text(&dir.join("nginx.conf"))?, "-p", &text(&dir)?];
        Ok(Self {
            name: "nginx",
            program: NGINX.into(),
            arguments: arguments.map(str::to_owned).into(),
            variables: Vec::new(),
            trust: Trust::Given(ours.authorities()),
            dir,
            port,
        })
    }

    /// `bench/go-proxy`: httputil.ReverseProxy.
    pub(crate) fn go(dir: PathBuf, api: &Api, ours: &Ours, program: &Path) -> anyhow::Result<Self> {
        let port = ours.write(&dir, api)?;
        fs::write(dir.join("placeholder"), PLACEHOLDER)?;
        fs::write(dir.join("token"), &api.token)?;
        let file = |name: &str| text(&dir.join(name));
        let arguments = vec![
            format!("--listen=127.0.0.1:{port}"),
            format!("--certificate={}", file("server.crt")?),
            format!("--key={}", file("server.key")?),
            format!("--upstream=https://{}", api.address),
            format!("--authorities={}", file("api.pem")?),
            format!("--placeholder={}", file("placeholder")?),
            format!("--token={}", file("token")?),
        ];
        Ok(Self {
            name: "go",
            program: program.to_owned(),
            arguments,
            variables: Vec::new(),
            trust: Trust::Given(ours.authorities()),
            dir,
            port,
        })
    }

    /// Ours, everything on: metrics, a rate limit, another cluster and routes that are asked of each request.
    pub(crate) fn mca_proxy(
        name: &'static str,
        dir: PathBuf,
        api: &Api,
        program: &Path,
    ) -> anyhow::Result<Self> {
        for directory in ["real", "shared", "state", "config", "credentials/other"] {
            fs::create_dir_all(dir.join(directory))?;
        }
        fs::write(dir.join("real/token"), &api.token)?;
        fs::write(dir.join("real/ca.crt"), &api.authorities)?;
        fs::write(dir.join("real/namespace"), "default")?;
        fs::write(dir.join("credentials/other/token"), &api.token)?;
        fs::write(dir.join("credentials/other/ca.crt"), &api.authorities)?;
        let other = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "other"},
            "spec": {"server": "https://other.example", "credentials": "other"}});
        fs::write(dir.join("config/cluster.json"), other.to_string())?;
        let route = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": "Route", "metadata": {"name": "other"},
            "spec": {"match": [{"namespaces": ["team-*"]}, {"apiGroups": ["apps"], "resources": ["deployments"]}], "clusters": ["other"]}});
        fs::write(dir.join("config/route.json"), route.to_string())?;
        let port = free_port()?;
        let at = |name: &str| text(&dir.join(name));
        let variables = [
            ("KUBERNETES_SERVICE_HOST", api.address.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", api.address.port().to_string()),
            ("MCA_LISTEN", format!("127.0.0.1:{port}")),
            ("MCA_SERVICE_ACCOUNT_DIR", at("real")?),
            ("MCA_SHARED_DIR", at("shared")?),
            ("MCA_STATE_DIR", at("state")?),
            ("MCA_CONFIG_DIR", at("config")?),
            ("MCA_CREDENTIALS_DIR", at("credentials")?),
            ("MCA_METRICS_PORT", free_port()?.to_string()),
            ("MCA_QPS", "1000000".to_owned()),
        ];
        Ok(Self {
            name,
            program: program.to_owned(),
            arguments: vec!["run".to_owned()],
            variables: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            trust: Trust::Written(dir.join("shared")),
            dir,
            port,
        })
    }

    /// Starts it, and waits until it answers. Returns how long that took, to the millisecond.
    pub(crate) async fn start(&self) -> anyhow::Result<(Contender, Duration)> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let started = Instant::now();
        let log = self.dir.join(format!("{}.log", self.name));
        let process = Process::start_with(self.name, &self.program, &arguments, &self.variables, log)?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        while tokio::net::TcpStream::connect(address).await.is_err() || !self.says_ready() {
            if started.elapsed() > START_LIMIT {
                bail!(
                    "{} does not answer; it said: {}",
                    self.name,
                    process.said().trim()
                );
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        let took = started.elapsed();
        let (authorities, token) = match &self.trust {
            Trust::Given(authorities) => (authorities.clone(), PLACEHOLDER.to_owned()),
            Trust::Written(directory) => (
                fs::read(directory.join("ca.crt"))?,
                fs::read_to_string(directory.join("token"))?,
            ),
        };
        let contender = Contender {
            name: self.name,
            target: Target::new(address, &authorities)?.with_token(&token)?,
            processes: vec![process],
            backlog: None,
        };
        Ok((contender, took))
    }
}

impl Sidecar {
    /// Ours takes connections before it serves them, and says by a socket when it does.
    fn says_ready(&self) -> bool {
        match self.trust {
            Trust::Given(_) => true,
            Trust::Written(_) => {
                std::os::unix::net::UnixStream::connect(self.dir.join("state/ready.sock")).is_ok()
            }
        }
    }
}

/// The certificate of those that don't make one themselves.
#[derive(Debug)]
pub(crate) struct Ours {
    authority: CertificateAuthority,
    certificate: Issued,
}

impl Ours {
    pub(crate) fn new(authority: CertificateAuthority) -> anyhow::Result<Self> {
        let certificate = crate::server_certificate(&authority)?;
        Ok(Self {
            authority,
            certificate,
        })
    }

    pub(crate) fn certificate(&self) -> &Issued {
        &self.certificate
    }

    /// Who signs everything here, PEM.
    pub(crate) fn authorities(&self) -> Vec<u8> {
        self.authority.certificate_pem().into_bytes()
    }

    /// What they all read; returns a port for them.
    fn write(&self, dir: &Path, api: &Api) -> anyhow::Result<u16> {
        fs::create_dir_all(dir)?;
        let (chain, key) = (self.certificate.chain.pem(), self.certificate.key.pem());
        fs::write(dir.join("server.pem"), format!("{chain}{}", key.as_str()))?;
        fs::write(dir.join("server.crt"), &chain)?;
        fs::write(dir.join("server.key"), key.as_str())?;
        fs::write(dir.join("api.pem"), &api.authorities)?;
        free_port()
    }
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(path.to_str().context("the path is not UTF-8")?.to_owned())
}
