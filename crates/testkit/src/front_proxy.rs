//! `mk8s-front-proxy` as a process of this machine, with an authority of a test's own for those who come in.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jiff::Timestamp;
use mk8s_tls::{CertificateAuthority, Issued, RevocationReason, Revoked, SerialNumber, authority::Terms};
use serde_json::json;
use tempfile::TempDir;

use crate::{Cluster, Kubectl, Program, raw::Endpoint, wait, workspace};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A front proxy before a cluster, and what it has and writes.
#[derive(Debug)]
pub struct FrontProxy {
    program: Option<Program>,
    directory: TempDir,
    authority: CertificateAuthority,
    port: u16,
    metrics_port: u16,
    revoked: Vec<Revoked>,
}

/// A person's certificate and key, as files.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl FrontProxy {
    /// One that asks the cluster with this kubeconfig, ready. `settings` are more lines of `front-proxy.yaml`.
    ///
    /// # Panics
    /// If it doesn't come up.
    #[track_caller]
    pub fn start(kubeconfig: &Path, settings: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("mk8s-front-proxy-")
            .tempdir()
            .expect("a directory");
        let authority =
            CertificateAuthority::generate("test operators", Timestamp::now()).expect("an authority");
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let issued = authority
            .issue_server(&names, DAY, Timestamp::now())
            .expect("a certificate");
        let mut proxy = Self {
            program: None,
            port: free_port(),
            metrics_port: free_port(),
            authority,
            directory,
            revoked: Vec::new(),
        };
        save(&issued, &proxy.path("tls.crt"), &proxy.path("tls.key"));
        fs::write(proxy.path("ca.crt"), proxy.authority.certificate_pem()).expect("written");
        fs::create_dir(proxy.path("lists")).expect("a directory");
        proxy.write_list();
        let config = format!(
            "server: {{bind: 127.0.0.1, port: {}, cert_file: {d}/tls.crt, key_file: {d}/tls.key, metrics: \"127.0.0.1:{}\"}}\n\
             clients: {{ca_files: [{d}/ca.crt], crl_files: [{d}/lists]}}\n\
             kubernetes: {{kubeconfig: {}}}\naudit: {{file: {d}/audit.jsonl}}\n\
             log: {{filter: 'info,mk8s_front_proxy=debug,mk8s_net=debug'}}\n{settings}\n",
            proxy.port,
            proxy.metrics_port,
            kubeconfig.display(),
            d = proxy.directory.path().display(),
        );
        fs::write(proxy.path("front-proxy.yaml"), config).expect("written");
        proxy.start_again();
        proxy
    }

    /// Starts it (again), and waits until it is ready.
    ///
    /// # Panics
    /// If it doesn't come up.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.program = None;
        let mut command = Command::new(workspace::program("mk8s-front-proxy"));
        command
            .arg("--config")
            .arg(self.path("front-proxy.yaml"))
            .env_remove("KUBECONFIG");
        let program = Program::start("mk8s-front-proxy", &command, &self.path("log"));
        let program = self.program.insert(program);
        wait::eventually("the front proxy to be ready", || {
            program.log().contains("ready").then_some(())
        });
    }

    /// A file of its.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// What it has said.
    ///
    /// # Panics
    /// If it isn't running.
    pub fn log(&self) -> String {
        self.program.as_ref().expect("a running program").log()
    }

    /// The audit events that it has written.
    ///
    /// # Panics
    /// If one can't be read.
    pub fn audit(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// The value of a metric.
    ///
    /// # Panics
    /// If there is no such metric.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let page = crate::raw::plain_get(self.metrics_port, "/metrics").expect("the page");
        page.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("there is no {name} in\n{page}"))
    }

    /// The authority of those who come in.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// A certificate for somebody, good for a day.
    ///
    /// # Panics
    /// If it can't be made.
    #[track_caller]
    pub fn certificate(&self, user: &str, groups: &[&str]) -> ClientFiles {
        self.certificate_for(user, groups, DAY)
    }

    /// The same for a time of its own.
    ///
    /// # Panics
    /// If it can't be made.
    #[track_caller]
    pub fn certificate_for(&self, user: &str, groups: &[&str], validity: Duration) -> ClientFiles {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        let issued = self
            .authority
            .issue_user(user, &groups, &Terms::of(validity), Timestamp::now())
            .expect("a certificate");
        self.client_files(&issued)
    }

    /// Writes a certificate and key down.
    ///
    /// # Panics
    /// If they can't be written.
    #[track_caller]
    pub fn client_files(&self, issued: &Issued) -> ClientFiles {
        let name = uuid::Uuid::new_v4().to_string();
        let files = ClientFiles {
            certificate: self.path(&format!("{name}.crt")),
            key: self.path(&format!("{name}.key")),
        };
        save(issued, &files.certificate, &files.key);
        files
    }

    /// kubectl with a certificate.
    ///
    /// # Panics
    /// If its kubeconfig can't be written.
    #[track_caller]
    pub fn kubectl(&self, client: &ClientFiles) -> Kubectl {
        let file = client.certificate.with_extension("kubeconfig");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url(), "certificate-authority": self.path("ca.crt")}}],
            "users": [{"name": "me", "user": {"client-certificate": client.certificate, "client-key": client.key}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "me"}}],
        });
        fs::write(&file, config.to_string()).expect("written");
        Kubectl::new(&file)
    }

    /// kubectl as somebody.
    ///
    /// # Panics
    /// If their certificate or kubeconfig can't be made.
    #[track_caller]
    pub fn kubectl_as(&self, user: &str, groups: &[&str]) -> Kubectl {
        self.kubectl(&self.certificate(user, groups))
    }

    /// Takes a certificate back.
    ///
    /// # Panics
    /// If it can't be read, or the list can't be written.
    #[track_caller]
    pub fn revoke(&mut self, client: &ClientFiles) {
        let pem = fs::read(&client.certificate).expect("the certificate");
        let chain = mk8s_tls::CertificateChain::from_pem(&pem).expect("a certificate");
        self.revoked.push(Revoked {
            serial: SerialNumber::of(chain.leaf()).expect("a serial number"),
            at: Timestamp::now(),
            reason: RevocationReason::KeyCompromise,
        });
        self.write_list();
    }

    fn write_list(&self) {
        let now = Timestamp::now();
        let next = now + jiff::SignedDuration::from_hours(24);
        let number = self.revoked.len() as u64 + 1;
        let list = self
            .authority
            .sign_revocation_list(&self.revoked, number, now, next)
            .expect("a list");
        let (new, path) = (self.path("lists/new"), self.path("lists/ca.crl"));
        fs::write(&new, list.pem())
            .and_then(|()| fs::rename(new, path))
            .expect("written");
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A kubeconfig with which a front proxy may speak for others in a cluster.
    ///
    /// # Panics
    /// If its service account can't be made.
    #[track_caller]
    pub fn account(cluster: &Cluster, directory: &Path) -> PathBuf {
        let manifest = workspace::root().join("deploy/front-proxy/rbac.yaml");
        let admin = cluster.kubectl();
        admin.apply(&fs::read_to_string(manifest).expect("deploy/front-proxy/rbac.yaml"));
        let file = directory.join("front-proxy.kubeconfig");
        cluster.service_account_kubeconfig("mk8s-system", "mk8s-front-proxy", &file);
        file
    }

    /// Where requests go that no well-behaved client would send; TLS is the caller's to configure.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: ([127, 0, 0, 1], self.port).into(),
            name: "localhost".to_owned(),
            ca_pem: self.authority.certificate_pem().into_bytes(),
        }
    }
}

fn save(issued: &Issued, certificate: &Path, key: &Path) {
    issued
        .save(certificate, key)
        .expect("certificate and key written");
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}
