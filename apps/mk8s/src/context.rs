//! What a command works with: the environment as it was at the start, the directory, the configuration.

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use mk8s_model::ClusterName;

use crate::{
    central_url::CentralUrl,
    client::CentralClient,
    config::Config,
    credentials::CredentialStore,
    error::{Failure, Result},
    home::{self, Home},
    trust::Trust,
};

/// The environment, read once.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    user_home: Option<PathBuf>,
    mk8s_home: Option<PathBuf>,
    central: Option<String>,
    cluster: Option<String>,
    no_colour: bool,
    current_directory: Option<PathBuf>,
    /// Where programs are looked for.
    pub(crate) path: Option<OsString>,
    /// This program.
    pub(crate) executable: Option<PathBuf>,
    /// How many `mk8s kubectl` are above this process.
    pub(crate) depth: u32,
    /// Whether somebody can be asked.
    pub(crate) stdin_is_terminal: bool,
    stderr_is_terminal: bool,
    stdout_is_terminal: bool,
}

/// How many `mk8s kubectl` started from one another are more than anybody means.
const DEEPEST: u32 = 16;
/// Tells a `mk8s kubectl` how deep it is.
pub(crate) const DEPTH_VARIABLE: &str = "MK8S_KUBECTL_DEPTH";

impl Environment {
    /// Reads the environment of this process.
    pub(crate) fn read() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Self {
            user_home: path("HOME").map(PathBuf::from),
            mk8s_home: path("MK8S_HOME").map(PathBuf::from),
            central: text("MK8S_CENTRAL"),
            cluster: text("MK8S_CLUSTER"),
            no_colour: path("NO_COLOR").is_some() || path("TERM").is_some_and(|term| term == "dumb"),
            current_directory: std::env::current_dir().ok(),
            path: path("PATH"),
            executable: std::env::current_exe().ok(),
            depth: text(DEPTH_VARIABLE)
                .and_then(|depth| depth.parse().ok())
                .unwrap_or_default(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Whether messages may have colours.
    pub(crate) fn colour_on_stderr(&self) -> bool {
        self.stderr_is_terminal && !self.no_colour
    }

    /// Whether answers may have colours.
    pub(crate) fn colour_on_stdout(&self) -> bool {
        self.stdout_is_terminal && !self.no_colour
    }

    /// Refuses to go on when a kubectl that calls `mk8s kubectl` calls itself.
    pub(crate) fn refuse_endless_depth(&self) -> Result<()> {
        if self.depth < DEEPEST {
            return Ok(());
        }
        Err(Failure::new(
            "mk8s kubectl started itself: the kubectl that it runs is a script that calls mk8s kubectl",
        )
        .hint("name the real one in ~/.mk8s/config.yaml: `kubectl: /path/to/kubectl`"))
    }

    /// The path from the root, with `~/` as a shell reads it.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), &self.user_home, &self.current_directory) {
            (Ok(rest), Some(home), _) => home.join(rest),
            (_, _, Some(current)) => current.join(path),
            _ => path.to_owned(),
        }
    }

    fn home(&self) -> Result<Home> {
        let root = match (&self.mk8s_home, &self.user_home) {
            (Some(root), _) => self.absolute(root),
            (None, Some(home)) => home.join(".mk8s"),
            (None, None) => {
                return Err(Failure::new("HOME isn't set, so there is no ~/.mk8s")
                    .hint("set MK8S_HOME to a directory of your own"));
            }
        };
        Ok(Home::at(root))
    }
}

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) home: Home,
    pub(crate) config: Config,
}

impl<'a> Context<'a> {
    /// Reads the configuration.
    pub(crate) fn load(environment: &'a Environment) -> Result<Self> {
        let home = environment.home()?;
        let config = Config::load(&home)?;
        Ok(Self {
            environment,
            home,
            config,
        })
    }

    /// Central: the environment's, else the configured one.
    pub(crate) fn central(&self) -> Result<CentralUrl> {
        if let Some(text) = &self.environment.central {
            return text.parse();
        }
        self.configured_central()?.ok_or_else(|| {
            Failure::new("no central is configured").hint("mk8s login --central https://HOST:PORT")
        })
    }

    /// The central that the configuration, its chosen cluster included, is about.
    pub(crate) fn configured_central(&self) -> Result<Option<CentralUrl>> {
        let configured = self.config.central_url.as_deref().map(str::parse).transpose();
        configured.map_err(|failure: Failure| {
            Failure::new(format!(
                "{}: central_url: {failure}",
                self.home.config_file().display()
            ))
            .hint("mk8s login --central https://HOST:PORT sets it")
        })
    }

    /// The cluster that the environment names.
    pub(crate) fn cluster_from_environment(&self) -> Result<Option<ClusterName>> {
        let named = self
            .environment
            .cluster
            .as_deref()
            .map(|text| text.trim().parse::<ClusterName>());
        named
            .transpose()
            .map_err(|error| Failure::usage(format!("MK8S_CLUSTER: {error}")))
    }

    /// Whom to believe to be this central.
    pub(crate) fn trust(&self, central: &CentralUrl) -> Result<Trust> {
        let configured = match self.configured_central().ok().flatten() {
            Some(configured) if configured == *central => self.config.ca_file.as_deref(),
            _ => None,
        };
        if let Some(file) = configured {
            let path = if file.is_relative() && !file.starts_with("~") {
                self.home.root().join(file)
            } else {
                self.environment.absolute(file)
            };
            let pem = home::read(&path)?.ok_or_else(|| {
                Failure::new(format!(
                    "{} doesn't exist, and ca_file in {} names it",
                    path.display(),
                    self.home.config_file().display()
                ))
                .hint("put the certificate authority there, or remove ca_file and run `mk8s login`")
            })?;
            return Trust::only(path, pem);
        }
        let path = self.home.ca_file(central);
        match home::read(&path)? {
            Some(pem) => Trust::only(path, pem),
            None => Ok(Trust::System),
        }
    }

    /// The credentials file.
    pub(crate) fn credentials(&self) -> CredentialStore<'_> {
        CredentialStore::new(&self.home)
    }

    /// A client of this central.
    pub(crate) fn client(&self, central: &CentralUrl) -> Result<CentralClient> {
        CentralClient::new(central.clone(), self.trust(central)?)
    }
}

/// Runs what needs the network to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("can't start: {error}")))?;
    runtime.block_on(future)
}
