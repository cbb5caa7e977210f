//! `mca-proxy` as a process of this machine, with the files that it would have in a pod.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    Cluster, Kubectl, Program, Ran, command,
    raw::{Endpoint, Response},
    wait, workspace,
};

/// How long it may take to end when it is asked to.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// A sidecar of one test's own, and what it has and writes.
#[derive(Debug)]
pub struct Sidecar {
    program: Option<Program>,
    directory: TempDir,
    port: u16,
    server: (String, String),
    variables: Vec<(String, String)>,
}

impl Sidecar {
    /// A sidecar for a service account, ready.
    ///
    /// # Panics
    /// If it doesn't come up.
    #[track_caller]
    pub fn start(cluster: &Cluster, namespace: &str, account: &str) -> Self {
        let mut sidecar = Self::prepare(cluster, namespace, account);
        sidecar.start_again();
        sidecar
    }

    /// The same, not running yet.
    ///
    /// # Panics
    /// If its files can't be made.
    #[track_caller]
    pub fn prepare(cluster: &Cluster, namespace: &str, account: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("mk8s-sidecar-")
            .tempdir()
            .expect("a directory");
        let authority = cluster.server().trim_start_matches("https://");
        let (host, port) = authority.rsplit_once(':').expect("a host and a port");
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let sidecar = Self {
            program: None,
            port: listener.local_addr().expect("an address").port(),
            server: (host.to_owned(), port.to_owned()),
            variables: Vec::new(),
            directory,
        };
        for directory in ["real", "shared", "state", "config", "credentials"] {
            fs::create_dir(sidecar.path(directory)).expect("a directory");
        }
        sidecar.write("real/ca.crt", &cluster.ca_pem());
        sidecar.write("real/namespace", namespace);
        sidecar.write("real/token", &cluster.service_account_token(namespace, account));
        sidecar
    }

    /// Sets a variable for the next start.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A file of its: `real` is the service account, `shared` what containers see, then `state`, `config`, `credentials`.
    pub fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes one.
    ///
    /// # Panics
    /// If it can't be written.
    #[track_caller]
    pub fn write(&self, file: &str, content: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("a directory");
        // As a mounted volume changes: at once.
        let new = path.with_extension("new");
        fs::write(&new, content)
            .and_then(|()| fs::rename(&new, &path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Reads one.
    ///
    /// # Panics
    /// If it can't be read.
    #[track_caller]
    pub fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(workspace::program("mca-proxy"));
        command
            .arg("run")
            .env_clear()
            .env("KUBERNETES_SERVICE_HOST", &self.server.0)
            .env("KUBERNETES_SERVICE_PORT", &self.server.1)
            .env("MCA_LISTEN", format!("127.0.0.1:{0},[::1]:{0}", self.port))
            .env("MCA_SERVICE_ACCOUNT_DIR", self.path("real"))
            .env("MCA_SHARED_DIR", self.path("shared"))
            .env("MCA_STATE_DIR", self.path("state"))
            .env("MCA_CONFIG_DIR", self.path("config"))
            .env("MCA_CREDENTIALS_DIR", self.path("credentials"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it (again), and waits until it is ready.
    ///
    /// # Panics
    /// If it doesn't come up.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.program = None;
        let program = Program::start("mca-proxy", &self.command(), &self.path("log"));
        let program = self.program.insert(program);
        let mut ended = || !program.is_running();
        let state = self.directory.path().join("state");
        let ready = wait::attempt(Duration::from_secs(20), || {
            (ready(&state).code == Some(0) || ended()).then_some(())
        });
        assert!(
            ready.is_some() && !ended(),
            "the sidecar isn't ready:\n{}",
            self.read("log")
        );
    }

    /// The running program.
    ///
    /// # Panics
    /// If it isn't running.
    #[track_caller]
    pub fn program(&mut self) -> &mut Program {
        self.program.as_mut().expect("a sidecar that was started")
    }

    /// Asks it to end, and waits for that.
    ///
    /// # Panics
    /// If it doesn't.
    #[track_caller]
    pub fn stop(&mut self) {
        let program = self.program();
        program.terminate();
        let status = program.wait(DRAIN_LIMIT);
        assert!(status.success(), "{status}");
    }

    /// `mca-proxy ready`.
    pub fn ready(&self) -> Ran {
        ready(&self.path("state"))
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The token that containers have.
    pub fn placeholder(&self) -> String {
        self.read("shared/token")
    }

    /// Its port, to send bytes to.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], self.port)),
            name: "kubernetes.default.svc".to_owned(),
            ca_pem: self.read("shared/ca.crt").into_bytes(),
        }
    }

    /// Asks it as a container does, with more headers.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let authorization = format!("Bearer {}", self.placeholder());
        let headers = [headers, &[("Authorization", authorization.as_str())]].concat();
        self.endpoint()
            .request(method, path, &headers, body)
            .expect("an answer of the sidecar")
    }

    /// kubectl with nothing but what a container has.
    ///
    /// # Panics
    /// If its kubeconfig can't be written.
    pub fn kubectl(&self) -> Kubectl {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority": self.path("shared/ca.crt"),
            }}],
            "users": [{"name": "u", "user": {"tokenFile": self.path("shared/token")}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": self.read("shared/namespace")}}],
            "current-context": "c",
        });
        self.write("kubeconfig", &config.to_string());
        Kubectl::new(&self.path("kubeconfig"))
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(log) = fs::read_to_string(self.path("log"))
        {
            eprintln!("the sidecar said:\n{log}");
        }
    }
}

fn ready(state: &Path) -> Ran {
    command::run(
        Command::new(workspace::program("mca-proxy"))
            .arg("ready")
            .env("MCA_STATE_DIR", state),
    )
}
