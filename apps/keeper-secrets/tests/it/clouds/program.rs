//! `keeper-secrets init`, with an environment of the test's own.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mk8s_testkit::ksm::{NewRecord, Served, Settings};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the record's password is.
const PASSWORD: &str = "made up for a test";

/// As talkative as can be, with modules of SDKs by their names.
const LOG: &str = "trace,aws_smithy_runtime=trace,azure_core=trace,google_cloud_auth=trace";

/// The program, the vault that its configuration is good for, and a directory.
pub(super) struct Program {
    vault: Served,
    directory: TempDir,
    auth: Value,
    environment: BTreeMap<String, String>,
    /// What must never be printed.
    hidden: Vec<String>,
    authorities: String,
    /// What the pod brings.
    brought: Option<String>,
}

/// It ended.
pub(super) struct Ran {
    pub(super) is_success: bool,
    /// All that it printed, at the most talkative level.
    pub(super) output: String,
    pub(super) took: Duration,
    file: PathBuf,
}

impl Program {
    /// With the configuration at that place.
    pub(super) fn new(auth: &Value) -> Self {
        let address = "127.0.0.1:0".parse().expect("an address");
        let vault = Served::start(Settings::new(address)).expect("a vault");
        vault.vault().add(NewRecord::login("Database", "app", PASSWORD));
        let authorities = vault.ca_pem().to_owned();
        Self {
            vault,
            directory: tempfile::tempdir().expect("a directory"),
            auth: auth.clone(),
            environment: BTreeMap::new(),
            hidden: vec![PASSWORD.to_owned()],
            authorities,
            brought: None,
        }
    }

    /// The configuration, as a cloud should have it.
    pub(super) fn configuration(&mut self) -> String {
        let config = self.vault.app_config_json();
        let parsed: Value = serde_json::from_str(&config).expect("JSON");
        for key in ["privateKey", "appKey"] {
            self.hide(parsed[key].as_str().expect("a key"));
        }
        config
    }

    pub(super) fn trust(&mut self, authority: &str) {
        self.authorities.push_str(authority);
    }

    /// Trusts it because the pod brings it, and not because the system does.
    pub(super) fn bring(&mut self, authority: &str) {
        self.authorities = self.authorities.replace(authority, "");
        self.brought = Some(authority.to_owned());
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// Says that this must never be printed.
    pub(super) fn hide(&mut self, secret: &str) {
        self.hidden.push(secret.to_owned());
    }

    /// A file in a directory of its own; its path.
    pub(super) fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    /// Runs it to its end, and makes sure that it printed nothing secret.
    pub(super) fn run(&self) -> Ran {
        let out = self.directory.path().join("out");
        std::fs::create_dir_all(&out).expect("made");
        let file = out.join("database.json");
        let mut request = json!({
            "version": 1, "auth": self.auth,
            "secrets": [{
                "origin": "a test", "source": {"record": {"record": "Database"}},
                "file": {"path": file, "content": {"format": "json"}},
            }],
            "refreshSeconds": 300, "initOnly": true, "failOnError": true, "strictLookup": false,
            "kubernetesSecrets": {"mode": "overwrite", "rotation": false, "ownerReference": false},
        });
        if let Some(brought) = &self.brought {
            self.file("ca.crt", brought);
            request["certificateAuthorities"] = json!({"object": {"configMap": "ca"}, "key": "ca.crt"});
        }
        let begun = Instant::now();
        let ran = Command::new(env!("CARGO_BIN_EXE_keeper-secrets"))
            .args(["init", "--log", LOG, "--request"])
            .arg(request.to_string())
            .arg("--config-dir")
            .arg(self.directory.path())
            .arg("--ca-dir")
            .arg(self.directory.path())
            .env_clear()
            .env("SSL_CERT_FILE", self.file("authorities.pem", &self.authorities))
            .env("KEEPER_SECRETS_HOSTS", self.vault.host_port())
            .env("NO_PROXY", "127.0.0.1")
            .envs(&self.environment)
            .stdin(Stdio::null())
            .output()
            .expect("the program runs");
        let took = begun.elapsed();
        let output = [ran.stdout, ran.stderr].concat();
        let output = String::from_utf8(output).expect("text");
        for secret in &self.hidden {
            let lines: Vec<_> = output.lines().filter(|line| line.contains(secret)).collect();
            assert!(lines.is_empty(), "secrets are printed: {lines:#?}");
        }
        Ran {
            is_success: ran.status.success(),
            output,
            took,
            file,
        }
    }
}

impl Ran {
    /// The record is there.
    #[track_caller]
    pub(super) fn is_right(&self) {
        assert!(self.is_success, "{}", self.error());
        let written = std::fs::read_to_string(&self.file).expect("a file");
        assert!(written.contains(PASSWORD), "{written}");
    }

    /// It failed with an error of one line that has all of these words, and wrote nothing.
    #[track_caller]
    pub(super) fn says(&self, words: &[&str]) {
        let error = self.error();
        assert!(!self.is_success && !self.file.exists());
        for word in words {
            assert!(error.contains(word), "no {word:?} in: {error}");
        }
        assert!(self.took < Duration::from_secs(15), "{:?}", self.took);
    }

    /// The last line.
    fn error(&self) -> &str {
        let last = self.output.lines().last().unwrap_or_default();
        assert!(
            self.is_success || last.starts_with("error: "),
            "the error isn't one line: {}",
            self.output
        );
        last
    }
}
