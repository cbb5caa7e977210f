//! Ours: mk8s-central and mk8s-agent as they are delivered, policy and audit on (SQLite), and somebody who signed in with
//! a password and has the role `viewer`.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::json;

use crate::{
    client::Target,
    contender::{Api, Contender, free_port},
    fixtures,
    process::Process,
};

const ADMINISTRATOR: &str = "admin@example.com";
const PERSON: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const CLUSTER: &str = "bench";
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A gateway that was set up once, to be started as often as wanted.
#[derive(Debug)]
pub(crate) struct Gateway {
    name: &'static str,
    dir: PathBuf,
    central: PathBuf,
    agent: PathBuf,
    people: SocketAddr,
    authorities: Vec<u8>,
    token: String,
}

impl Gateway {
    /// Makes both configurations, the database and its first people, and lets the person sign in.
    pub(crate) async fn prepare(
        name: &'static str,
        dir: PathBuf,
        programs: &Path,
        api: &Api,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(&dir)?;
        let (people, agents) = (free_port()?, free_port()?);
        let mut gateway = Self {
            name,
            central: programs.join("mk8s-central"),
            agent: programs.join("mk8s-agent"),
            people: ([127, 0, 0, 1], people).into(),
            authorities: Vec::new(),
            token: String::new(),
            dir,
        };
        gateway.write("central.yaml", &json!({
            "server": {"bind": "127.0.0.1", "http_port": people, "grpc_port": agents, "names": ["localhost", "127.0.0.1"]},
            "data_dir": gateway.dir.join("central"),
        }))?;
        let arguments = ["init", "--admin-email", ADMINISTRATOR, "--admin-password-stdin"];
        gateway.command(&arguments, &format!("{PASSWORD}\n"))?;
        gateway.authorities = gateway.command(&["ca"], "")?.into_bytes();
        gateway.write("ca.pem", &String::from_utf8(gateway.authorities.clone())?)?;
        let join_token = gateway.command(&["agent-token", "create", "--cluster", CLUSTER], "")?;
        gateway.write(
            "agent.yaml",
            &json!({
                "central": {"url": format!("https://127.0.0.1:{agents}"), "token": join_token.trim()},
                "cluster": {"name": CLUSTER},
                "tls": {"ca_file": gateway.dir.join("ca.pem")},
                "state_dir": gateway.dir.join("agent"),
                "kubernetes": {"kubeconfig": gateway.dir.join("kubeconfig")},
            }),
        )?;
        gateway.write("api.pem", &String::from_utf8(api.authorities.clone())?)?;
        gateway.write(
            "kubeconfig",
            &json!({
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "agent"}}],
                "clusters": [{"name": "c", "cluster": {
                    "server": format!("https://{}", api.address),
                    "certificate-authority": gateway.dir.join("api.pem"),
                }}],
                "users": [{"name": "agent", "user": {"token": api.agent_token}}],
            }),
        )?;

        let _central = gateway.start_central().await?;
        let administrator = gateway.sign_in(ADMINISTRATOR).await?;
        let person = json!({"email": PERSON, "password": PASSWORD, "roles": ["viewer"]});
        gateway
            .target()?
            .with_token(&administrator)?
            .connect()
            .await?
            .post("/users", &person)
            .await?;
        gateway.token = gateway.sign_in(PERSON).await?;
        Ok(gateway)
    }

    /// The token that the person got when they signed in.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Starts both programs, and waits until a request goes all the way.
    pub(crate) async fn start(&self) -> anyhow::Result<Contender> {
        let central = self.start_central().await?;
        let configuration = self.dir.join("agent.yaml");
        let arguments = [
            "--config",
            configuration.to_str().context("the path is not UTF-8")?,
        ];
        let agent = Process::start("agent", &self.agent, &arguments, self.dir.join("agent.log"))?;
        let target = self
            .target()?
            .below(&format!("/k8s/clusters/{CLUSTER}"))
            .with_token(&self.token)?;
        let contender = Contender {
            name: self.name,
            target,
            processes: vec![central, agent],
            backlog: Some(self.dir.join("central/audit")),
        };
        let mut connection = contender.target.connect().await?;
        for _ in 0..100 {
            match connection.fetch(fixtures::VERSION_PATH).await {
                Ok(_) => return Ok(contender),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        let said: String = contender.processes.iter().map(Process::said).collect();
        bail!("no request gets through the gateway; central and agent said: {said}")
    }

    async fn start_central(&self) -> anyhow::Result<Process> {
        let configuration = self.dir.join("central.yaml");
        let arguments = [
            "serve",
            "--config",
            configuration.to_str().context("the path is not UTF-8")?,
        ];
        let mut central = Process::start("central", &self.central, &arguments, self.dir.join("central.log"))?;
        central.until_says("central is ready", START_TIMEOUT).await?;
        Ok(central)
    }

    async fn sign_in(&self, email: &str) -> anyhow::Result<String> {
        let credentials = json!({"email": email, "password": PASSWORD});
        let answer = self
            .target()?
            .connect()
            .await?
            .post("/auth/login", &credentials)
            .await?;
        Ok(answer["token"]
            .as_str()
            .context("the login's answer has no token")?
            .to_owned())
    }

    fn target(&self) -> anyhow::Result<Target> {
        Target::new(self.people, &self.authorities)
    }

    /// JSON is YAML.
    fn write(&self, name: &str, content: &(impl std::fmt::Display + ?Sized)) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, content.to_string()).with_context(|| format!("can't write {}", path.display()))
    }

    /// Runs one of central's own commands. Returns what it printed.
    fn command(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut child = Command::new(&self.central)
            .args(arguments)
            .arg("--config")
            .arg(self.dir.join("central.yaml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "can't run {}; build it first (make bench does)",
                    self.central.display()
                )
            })?;
        child
            .stdin
            .take()
            .context("no input")?
            .write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!(
                "mk8s-central {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
