//! The whole gateway as processes: `mk8s-central`, an `mk8s-agent` for each cluster, a logged-in `mk8s`.

mod agent;
mod settings;
mod user;

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use agent::{Agent, hopeless};
pub use settings::Settings;
pub use user::User;

use crate::{
    Cluster, Program, Ran, command,
    raw::{Endpoint, Response},
    wait, workspace,
};

/// What a gateway calls the shared cluster, unless it is told otherwise. The role `developer` is about `dev-*`.
pub const MAIN: &str = "dev-main";
/// The first administrator.
pub const ADMIN: &str = "admin@example.com";

/// How long central may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long central may take to end when it is asked to.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// A gateway of one test's own. All of it ends with the test, and what its programs said is shown if the test fails.
#[derive(Debug)]
pub struct Gateway {
    // In the order in which they are dropped: agents first, or they would complain about a central that is gone.
    agents: Vec<Agent>,
    central: Option<Program>,
    admin: Option<User>,
    ports: Ports,
    ca_pem: String,
    settings: Settings,
    directory: TempDir,
}

/// Where central listens on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For people.
    pub http: u16,
    /// For agents.
    pub grpc: u16,
}

impl Gateway {
    /// Central, an agent of the shared cluster under the name [`MAIN`], and an administrator who is logged in.
    ///
    /// # Panics
    /// If anything of it doesn't come up.
    #[track_caller]
    pub fn start() -> Self {
        let mut gateway = Self::without_agents(Settings::default());
        gateway.connect(MAIN, Cluster::shared());
        gateway
    }

    /// Central, and an administrator who is logged in.
    ///
    /// # Panics
    /// If anything of it doesn't come up.
    #[track_caller]
    pub fn without_agents(settings: Settings) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("mk8s-gateway-")
            .tempdir()
            .expect("a directory");
        let mut gateway = Self {
            agents: Vec::new(),
            central: None,
            admin: None,
            ports: Ports { http: 0, grpc: 0 },
            ca_pem: String::new(),
            settings,
            directory,
        };
        gateway.initialize();
        gateway.start_central();
        gateway.admin = Some(gateway.log_in(ADMIN, &password_of(ADMIN)));
        gateway
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Central's configuration.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("central.yaml")
    }

    /// Where central keeps everything.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("central")
    }

    /// Where central listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Central's URL, as people give it.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.ports.http)
    }

    /// Central's certificate authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The file with central's certificate authority.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Central's port for people, to send bytes to.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], self.ports.http)),
            name: "localhost".to_owned(),
            ca_pem: self.ca_pem.clone().into_bytes(),
        }
    }

    /// The path of a cluster's API on central: `path` is the API server's own.
    pub fn kube_path(&self, cluster: &str, path: &str) -> String {
        format!("/k8s/clusters/{cluster}{path}")
    }

    /// The central that runs.
    ///
    /// # Panics
    /// If it was stopped.
    #[track_caller]
    pub fn central(&mut self) -> &mut Program {
        self.central.as_mut().expect("central was stopped")
    }

    /// The agent of a cluster.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn agent(&mut self, cluster: &str) -> &mut Agent {
        let agent = self.agents.iter_mut().find(|agent| agent.cluster == cluster);
        agent.unwrap_or_else(|| panic!("no agent of {cluster} was started"))
    }

    /// The administrator.
    pub fn admin(&self) -> &User {
        self.admin
            .as_ref()
            .expect("an administrator is logged in from the start")
    }

    /// A new user with these roles, logged in.
    ///
    /// # Panics
    /// If central doesn't want one.
    #[track_caller]
    pub fn user(&self, email: &str, roles: &[&str]) -> User {
        let password = password_of(email);
        let created = self.call(
            "POST",
            "/users",
            &json!({ "email": email, "password": password, "roles": roles }),
        );
        assert_eq!(created.status, 201, "{}", created.text());
        self.log_in(email, &password)
    }

    /// Calls one of central's own endpoints as the administrator.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Response {
        self.call_as(&self.admin().token(), method, path, body)
    }

    /// Calls one of central's own endpoints.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn call_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Response {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
        ];
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let response = self.endpoint().request(method, path, &headers, &body);
        response.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// `POST /auth/login`, whatever comes of it.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub fn try_login(&self, email: &str, password: &str) -> Response {
        let body = json!({ "email": email, "password": password }).to_string();
        let headers = [("Content-Type", "application/json")];
        self.endpoint()
            .request("POST", "/auth/login", &headers, body.as_bytes())
            .expect("an answer to a login")
    }

    /// The sum over all labels of one of central's metrics; zero if it isn't there yet.
    ///
    /// # Panics
    /// If central doesn't give any.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let response = self
            .endpoint()
            .request("GET", "/metrics", &[], b"")
            .expect("an answer with metrics");
        assert_eq!(response.status, 200, "{}", response.text());
        let text = response.text();
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.starts_with(['{', ' '])
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        samples.sum()
    }

    /// How many streams are open to agents, by central's own count.
    ///
    /// # Panics
    /// If central doesn't give metrics.
    #[track_caller]
    pub fn open_streams(&self) -> f64 {
        // Closed first: between the two questions a stream may close, and none should be counted as closed but never opened.
        let closed = self.metric("mk8s_tunnel_streams_closed_total");
        self.metric("mk8s_tunnel_streams_opened_total") - closed
    }

    /// A command of `mk8s-central` with this gateway's configuration.
    pub fn central_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(workspace::program("mk8s-central"));
        command.args(arguments).arg("--config").arg(self.config_file());
        command
    }

    /// Runs such a command.
    #[track_caller]
    pub fn run_central(&self, arguments: &[&str]) -> Ran {
        command::run(&mut self.central_command(arguments))
    }

    /// Starts central where it was before.
    ///
    /// # Panics
    /// If it doesn't become ready.
    #[track_caller]
    pub fn start_central(&mut self) {
        for _ in 0..5 {
            let mut command = self.central_command(&["serve"]);
            command.envs(self.settings.variables.iter().map(|(name, value)| (name, value)));
            let mut central = Program::start(
                "mk8s-central",
                &command,
                &self.directory.path().join("central.log"),
            );
            let ready = wait::attempt(READY_LIMIT, || {
                match self.endpoint().request("GET", "/readyz", &[], b"") {
                    Ok(response) if response.status == 200 => Some(true),
                    _ if !central.is_running() => Some(false),
                    _ => None,
                }
            });
            match ready {
                Some(true) => return self.central = Some(central),
                // Somebody took a port between our looking and central's.
                Some(false) if self.agents.is_empty() && central.log().to_lowercase().contains("in use") => {
                    self.ports = free_ports();
                    self.write_config();
                }
                _ => panic!(
                    "central isn't ready after {READY_LIMIT:?}; it said:\n{}",
                    central.log()
                ),
            }
        }
        panic!("central finds its ports taken, again and again");
    }

    /// From its next start on, central's environment is an ordinary one.
    pub fn clear_variables(&mut self) {
        self.settings.variables.clear();
    }

    /// Ends central as an upgrade would, and gives what it said.
    ///
    /// # Panics
    /// If it doesn't end, or fails.
    #[track_caller]
    pub fn stop_central(&mut self) -> String {
        let mut central = self.central.take().expect("central runs");
        central.terminate();
        let status = central.wait(DRAIN_LIMIT);
        assert!(
            status.success(),
            "central ended with {status}; it said:\n{}",
            central.log()
        );
        central.log()
    }

    /// Ends central as a power cut would.
    ///
    /// # Panics
    /// If it didn't run.
    #[track_caller]
    pub fn kill_central(&mut self) {
        self.central.take().expect("central runs").kill();
    }

    /// Starts an agent for a cluster and waits until central has it.
    ///
    /// # Panics
    /// If it doesn't connect.
    #[track_caller]
    pub fn connect(&mut self, name: &str, cluster: &Cluster) {
        let token = self.join_token(name);
        self.connect_with(name, cluster, &token);
    }

    /// The same with a join token that was made before.
    ///
    /// # Panics
    /// If it doesn't connect.
    #[track_caller]
    pub fn connect_with(&mut self, name: &str, cluster: &Cluster, token: &str) {
        let agent = Agent::start(self, name, cluster, token);
        self.agents.push(agent);
        self.connected(name);
    }

    /// A token by which an agent may join as this cluster.
    ///
    /// # Panics
    /// If central doesn't make one.
    #[track_caller]
    pub fn join_token(&self, cluster: &str) -> String {
        let ran = self
            .run_central(&["agent-token", "create", "--cluster", cluster, "--ttl", "1h"])
            .ok();
        ran.text().to_owned()
    }

    /// Waits until central has a cluster's agent.
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn connected(&mut self, cluster: &str) {
        self.reaches(cluster, "connected");
    }

    /// Waits until central has noticed that a cluster's agent is gone.
    ///
    /// # Panics
    /// If it never does.
    #[track_caller]
    pub fn disconnected(&mut self, cluster: &str) {
        self.reaches(cluster, "disconnected");
    }

    #[track_caller]
    fn reaches(&mut self, cluster: &str, wanted: &str) {
        let reached = wait::attempt(wait::PATIENCE, || {
            (self.status(cluster).as_deref() == Some(wanted)).then_some(())
        });
        if reached.is_none() {
            let status = self.status(cluster);
            let logs: String = self.agents.iter().map(|agent| agent.program.log()).collect();
            panic!("cluster {cluster} is {status:?}, not {wanted}; the agents said:\n{logs}");
        }
    }

    /// What central says of a cluster: `connected`, `disconnected`, or nothing.
    #[track_caller]
    pub fn status(&self, cluster: &str) -> Option<String> {
        let clusters = self.call("GET", "/clusters", &Value::Null).json();
        let clusters = clusters["clusters"].as_array()?.clone();
        let found = clusters.iter().find(|candidate| candidate["name"] == cluster)?;
        found["status"].as_str().map(str::to_owned)
    }

    #[track_caller]
    fn log_in(&self, email: &str, password: &str) -> User {
        let home = self.directory.path().join("homes").join(email);
        fs::create_dir_all(home.parent().expect("a home is in a directory")).expect("a directory for homes");
        User::log_in(email, password, &self.url(), &self.ca_file(), home)
    }

    #[track_caller]
    fn initialize(&mut self) {
        self.ports = free_ports();
        self.write_config();
        let mut init = self.central_command(&["init", "--admin-email", ADMIN, "--admin-password-stdin"]);
        command::run_with(&mut init, password_of(ADMIN).as_bytes(), command::LIMIT).ok();
        self.ca_pem = self.run_central(&["ca"]).ok().stdout;
        fs::write(self.ca_file(), &self.ca_pem).expect("a file for the authority");
    }

    fn write_config(&self) {
        let config = self.settings.central_yaml(self.ports, &self.data_directory());
        fs::write(self.config_file(), config).expect("a file for the configuration");
    }
}

/// Ports that nobody listens on.
pub fn free_ports() -> Ports {
    let listen = || TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    // Both at once, so that they differ.
    let (http, grpc) = (listen(), listen());
    Ports {
        http: port(&http),
        grpc: port(&grpc),
    }
}

/// Everybody's password: long enough for any rule, and nobody else's.
fn password_of(email: &str) -> String {
    format!("correct horse of {email}")
}
