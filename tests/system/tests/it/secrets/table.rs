//! Every annotation and every format, each by a pod of its own on a real node. A pod's program looks at its files without waiting
//! for them, compares them byte for byte, prints them, and says when it looked.

use std::{
    collections::BTreeSet,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use mk8s_secrets::contract::{self, PREFIX};
use mk8s_testkit::{
    InPod,
    ksm::{Field, NewRecord},
};
use serde_json::{Value, json};

use super::{AUTHORITY, CONFIG, Secrets};

/// How many pods there are at a time: the node is small.
const AT_ONCE: usize = 5;
/// How long a pod may take from its creation to its end, on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// What each format must bring through.
const PASSWORD: &str = r#"a"b'c$d\e"#;
const BINARY: [u8; 5] = [0, 159, 146, 150, b'\n'];
const APP: &str =
    "{\n  \"Host\": \"db.example\",\n  \"login\": \"app\",\n  \"password\": \"a\\\"b'c$d\\\\e\"\n}";
const OTHER: &str = "{\n  \"login\": \"other\",\n  \"password\": \"other-value\"\n}";
const COMMA: &str = "{\n  \"login\": \"comma\",\n  \"password\": \"comma-value\"\n}";
const TEAM: &str = "{\n  \"login\": \"u\",\n  \"password\": \"in-folder\"\n}";

/// Looks, compares, prints. Its arguments are pairs: a path or `env:NAME`, and what it must be, in Base64.
const PROGRAM: &str = r#"
wrong=
i=0
for argument in "$@"; do
  i=$((i + 1))
  if [ $((i % 2)) = 1 ]; then
    case $argument in env:*) ;; *) [ -f "$argument" ] || wrong="$wrong; $argument isn't there" ;; esac
  fi
done
echo "looked at $(date +%s)"
while [ $# -gt 0 ]; do
  case $1 in
    env:*)
      name=${1#env:}
      eval "value=\"\${$name}\""
      found=$(printf %s "$value" | base64 | tr -d '\n')
      ;;
    *) found=$(base64 "$1" | tr -d '\n') ;;
  esac
  echo "$1 $found"
  [ "$found" = "$2" ] || wrong="$wrong; $1 is $found in place of $2"
  shift 2
done
[ -z "$wrong" ] || { echo "wrong$wrong"; exit 1; }
echo "all is there"
"#;

/// What is looked at when the pod has ended well.
type Check = fn(&Secrets, &InPod) -> Result<(), String>;

/// A pod, and what its program must find.
struct Row {
    name: &'static str,
    annotations: Vec<(String, String)>,
    /// Paths, and variables as `env:NAME`.
    expected: Vec<(String, Vec<u8>)>,
    /// Whether it shares its processes, and is the user that its sidecar is.
    shares_processes: bool,
    may_write_secrets: bool,
    checks: Vec<Check>,
}

impl Row {
    /// A pod with what all need that ask a vault.
    fn new(name: &'static str) -> Self {
        Self::bare(name)
            .says("inject", "true")
            .says("ksm-config", CONFIG)
            .says("ca-cert-configmap", AUTHORITY)
    }

    fn bare(name: &'static str) -> Self {
        Self {
            name,
            annotations: Vec::new(),
            expected: Vec::new(),
            shares_processes: false,
            may_write_secrets: false,
            checks: Vec::new(),
        }
    }

    fn says(mut self, annotation: &str, value: &str) -> Self {
        self.annotations
            .push((format!("{PREFIX}{annotation}"), value.to_owned()));
        self
    }

    fn without(mut self, annotation: &str) -> Self {
        let name = format!("{PREFIX}{annotation}");
        self.annotations.retain(|(there, _)| *there != name);
        self
    }

    fn has(mut self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.expected.push((path.to_owned(), content.as_ref().to_owned()));
        self
    }

    fn then(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// One entry of `config`, at a path of its own.
    fn entry(name: &'static str, entry: &str, content: impl AsRef<[u8]>) -> Self {
        Self::new(name)
            .says(
                "config",
                &format!("secrets:\n- {{{entry}, path: /app/config/it}}\n"),
            )
            .has("/app/config/it", content)
    }

    /// Makes the pod, and waits for its end.
    fn run(&self, secrets: &Secrets) -> Result<(), String> {
        let arguments = self
            .expected
            .iter()
            .flat_map(|(path, content)| [path.clone(), BASE64_STANDARD.encode(content)]);
        let command = ["sh", "-c", PROGRAM, "sh"].map(str::to_owned).into_iter();
        let mut builder = InPod::named(secrets.namespace(), self.name).command(command.chain(arguments));
        for (name, value) in &self.annotations {
            builder = builder.annotation(name, value);
        }
        if self.shares_processes {
            builder = builder.changed_by(|mut pod| {
                pod["spec"]["shareProcessNamespace"] = true.into();
                pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 65531.into();
                pod
            });
        }
        if self.may_write_secrets {
            let rules =
                json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}]);
            builder = builder.service_account("writer", &rules);
        }
        let pod = builder.prepare();
        let made = secrets.namespace().kubectl().run_with(
            ["create", "--filename", "-"],
            pod.into_json().to_string().as_bytes(),
        );
        if made.code != Some(0) {
            return Err(made.stderr);
        }
        let pod = InPod::existing(secrets.namespace(), self.name);
        let since = Instant::now();
        let phase = loop {
            let phase = pod.phase();
            if phase == "Succeeded" || phase == "Failed" || since.elapsed() > LIMIT {
                break phase;
            }
            thread::sleep(Duration::from_millis(300));
        };
        let log = pod.log();
        if phase != "Succeeded" || !log.contains("all is there") {
            return Err(format!(
                "{phase}\n{log}\n{}{}",
                pod.log_of("keeper-secrets-init"),
                pod.json()["status"]
            ));
        }
        let began = &pod.json()["status"]["containerStatuses"][0]["state"]["terminated"]["startedAt"];
        let (Some(began), Some(looked)) = (began.as_str(), looked(&log)) else {
            return Err(format!("no times: {began}, {log}"));
        };
        let began: Timestamp = began.parse().map_err(|error: jiff::Error| error.to_string())?;
        // Both are whole seconds.
        let delay = looked - began.as_second();
        if !(-1..=1).contains(&delay) {
            return Err(format!("it looked {delay} s after it began"));
        }
        self.checks.iter().try_for_each(|check| check(secrets, &pod))?;
        pod.delete();
        Ok(())
    }
}

/// When the program looked at the files, in seconds since 1970.
fn looked(log: &str) -> Option<i64> {
    let (_, time) = log.split_once("looked at ")?;
    time.lines().next()?.parse().ok()
}

#[test]
fn every_annotation_and_format_is_there_within_the_programs_first_second() {
    let secrets = Secrets::start();
    let rows = rows(&fill(&secrets), &secrets);
    every_annotation_has_a_row(&rows);
    let (waiting, failed) = (Mutex::new(rows.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no thread panicked").next();
                    let Some(row) = next else { break };
                    if let Err(why) = row.run(&secrets) {
                        let report = format!("--- {}: {why}", row.name);
                        failed.lock().expect("no thread panicked").push(report);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread panicked");
    assert!(
        failed.is_empty(),
        "{} of {} rows failed:\n{}",
        failed.len(),
        rows.len(),
        failed.join("\n")
    );
}

/// The clouds' own are tested with the clouds' answers (`apps/keeper-secrets`), as there is no cloud here.
const OF_CLOUDS: [&str; 5] = [
    "aws-secret-id",
    "aws-region",
    "gcp-secret-id",
    "azure-vault-name",
    "azure-secret-name",
];

fn every_annotation_has_a_row(rows: &[Row]) {
    let asked: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| &row.annotations)
        .filter_map(|(name, _)| name.strip_prefix(PREFIX))
        .collect();
    let missing: Vec<&str> = contract::KNOWN
        .iter()
        .filter_map(|name| name.strip_prefix(PREFIX))
        .filter(|name| !asked.contains(name) && !OF_CLOUDS.contains(name))
        .collect();
    assert!(missing.is_empty(), "annotations without a row: {missing:?}");
}

/// What the vault has of its own making.
struct Uids {
    app: String,
    folder: String,
}

fn fill(secrets: &Secrets) -> Uids {
    let vault = secrets.vault();
    let mut app = NewRecord::login("App DB", "app", PASSWORD)
        .custom(Field::new("text", "db.example").labelled("Host"))
        .file("store.bin", &BINARY);
    app.notes = Some("two\nlines".to_owned());
    let app = vault.add(app);
    vault.add(NewRecord::login("Other/One", "other", "other-value"));
    vault.add(NewRecord::login("A, B", "comma", "comma-value"));
    let mut many = Field::new("text", "one").labelled("Many");
    many.value.push("two".into());
    let host = json!({"hostName": "h1", "port": "5432"});
    vault.add(
        NewRecord::new("Hosts", "server")
            .field(Field::new("host", host))
            .custom(many),
    );
    let team = vault.add_folder("Team");
    let folder = vault.add_subfolder(&team, "Prod");
    vault.add_to(&folder, NewRecord::login("In Folder", "u", "in-folder"));
    let kept = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "kept"}});
    let plain = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ksm-json"},
        "stringData": {"config": secrets.vault.app_config().with_hostname(&secrets.vault.host_port()).json()}});
    let authority = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "ca"},
        "stringData": {"vault.pem": secrets.vault.ca_pem()}});
    for object in [kept, plain, authority] {
        secrets.namespace().apply(&object.to_string());
    }
    Uids { app, folder }
}

fn rows(uids: &Uids, secrets: &Secrets) -> Vec<Row> {
    let mut rows = short_forms(uids);
    rows.extend(formats(uids));
    rows.extend(behaviour());
    rows.extend(elsewhere(secrets));
    rows
}

/// `secret`, `secrets`, `secret-N`, `file-N`, `folder`.
fn short_forms(uids: &Uids) -> Vec<Row> {
    let app = &uids.app;
    let by_uid = format!("/keeper/secrets/{}.json", app.to_lowercase());
    vec![
        Row::new("secret").says("secret", "App DB").has("/keeper/secrets/app-db.json", APP),
        Row::new("secret-by-uid").says("secret", app).has(&by_uid, APP),
        Row::new("secrets")
            .says("secrets", r"App DB, Other/One, A\, B")
            .has("/keeper/secrets/app-db.json", APP)
            .has("/keeper/secrets/other-one.json", OTHER)
            .has("/keeper/secrets/a,-b.json", COMMA),
        Row::new("secret-n-path")
            .says("secret-Hidden", "App DB:/app/config/db.json")
            .says("secret-Other", "Other/One:/app/config/deep/other.json")
            .has("/app/config/db.json", APP)
            .has("/app/config/deep/other.json", OTHER),
        Row::new("secret-n-of-its-name")
            .says("secret-Hosts", "/app/config/hosts")
            .has(
                "/app/config/hosts",
                "{\n  \"Many\": [\n    \"one\",\n    \"two\"\n  ],\n  \"host\": {\n    \"hostName\": \"h1\",\n    \"port\": \"5432\"\n  }\n}",
            ),
        Row::new("secret-n-field")
            .says("secret-x", "App DB[password]:/app/config/password")
            .has("/app/config/password", PASSWORD),
        Row::new("secret-n-notation")
            .says("secret-x", &format!("keeper://{app}/field/password:/app/config/password"))
            .says("secret-y", "keeper://App DB/custom_field/Host:/app/config/host")
            .has("/app/config/password", PASSWORD)
            .has("/app/config/host", "db.example"),
        Row::new("file-n")
            .says("file-x", "App DB:store.bin")
            .says("file-y", "App DB:store.bin:/app/config/a.bin")
            .says("file-z", &format!("keeper://{app}/file/store.bin:/app/config/b.bin"))
            .has("/keeper/secrets/store.bin", BINARY)
            .has("/app/config/a.bin", BINARY)
            .has("/app/config/b.bin", BINARY),
        Row::new("folder").says("folder", "Team/Prod").has("/keeper/secrets/in-folder.json", TEAM),
        Row::new("folder-path")
            .says("folder", "Team/Prod")
            .says("folder-path", "/app/team")
            .has("/app/team/in-folder.json", TEAM),
        Row::new("folder-uid")
            .says("folder-uid", &uids.folder)
            .has("/keeper/secrets/in-folder.json", TEAM),
    ]
}

/// What stands in `config`.
fn formats(uids: &Uids) -> Vec<Row> {
    let app = &uids.app;
    let of = |format: &str| format!("record: App DB, format: {format}");
    let notation = |what: &str| format!("notation: 'keeper://{what}'");
    let template = "{{ .login | upper }}@{{ .Host }} {{ .password | b64enc }}";
    let rendered = format!("APP@db.example {}", BASE64_STANDARD.encode(PASSWORD));
    vec![
        Row::entry("format-json", &of("json"), APP),
        Row::entry(
            "format-env",
            &of("env"),
            "HOST=db.example\nLOGIN=app\nPASSWORD=\"a\\\"b'c\\$d\\\\e\"\n",
        ),
        Row::entry(
            "format-properties",
            &of("properties"),
            "Host=db.example\nlogin=app\npassword=a\"b'c$d\\\\e\n",
        ),
        Row::entry(
            "format-yaml",
            &of("yaml"),
            "Host: 'db.example'\nlogin: 'app'\npassword: \"a\\\"b'c$d\\\\e\"\n",
        ),
        Row::entry(
            "format-ini",
            &of("ini"),
            "[secret]\nHost=db.example\nlogin=app\npassword=a\"b'c$d\\e\n",
        ),
        Row::entry("format-raw", "record: App DB, fields: [password], format: raw", PASSWORD),
        Row::entry("format-template", &format!("record: App DB, template: '{template}'"), rendered),
        Row::entry(
            "config-fields",
            "record: App DB, fields: [login, Host]",
            "{\n  \"Host\": \"db.example\",\n  \"login\": \"app\"\n}",
        ),
        Row::entry("config-file", "record: App DB, file: store.bin", BINARY),
        Row::entry("config-file-name", "record: App DB, fileName: store.bin", BINARY),
        Row::entry("notation-title", &notation(&format!("{app}/title")), "App DB"),
        Row::entry("notation-type", &notation(&format!("{app}/type")), "login"),
        Row::entry("notation-notes", &notation(&format!("{app}/notes")), "two\nlines"),
        Row::entry("notation-file", &notation(&format!("{app}/file/store.bin")), BINARY),
        Row::entry("notation-index", &notation("Hosts/custom_field/Many[1]"), "two"),
        Row::entry("notation-property", &notation("Hosts/field/host[0][port]"), "5432"),
        Row::new("config-folders")
            .says(
                "config",
                &format!(
                    "folders:\n- {{folderPath: Team/Prod, outputPath: /app/team}}\n- {{uid: {}, outputPath: /app/again}}\n",
                    uids.folder
                ),
            )
            .has("/app/team/in-folder.json", TEAM)
            .has("/app/again/in-folder.json", TEAM),
    ]
}

/// What says when and how.
fn behaviour() -> Vec<Row> {
    let usual = |name| {
        Row::new(name)
            .says("secret", "App DB")
            .has("/keeper/secrets/app-db.json", APP)
    };
    let mut signalled = usual("signal").says("signal", "SIGHUP");
    signalled.shares_processes = true;
    let mut written = usual("k8s-secret");
    written.may_write_secrets = true;
    vec![
        usual("inject-in-capitals").without("inject").says("inject", "TRUE"),
        usual("injected-already").says("injected", "true"),
        usual("refresh-interval").says("refresh-interval", "1h30m"),
        usual("init-only").says("init-only", "true").then(|_, pod| {
            let json = pod.json();
            match container(&json, "keeper-secrets-sidecar") {
                None => Ok(()),
                Some(_) => Err("it has a sidecar".to_owned()),
            }
        }),
        Row::new("fail-on-error")
            .says("fail-on-error", "false")
            .says("secrets", "App DB, No Such Record")
            .has("/keeper/secrets/app-db.json", APP),
        usual("strict-lookup").says("strict-lookup", "true"),
        signalled,
        usual("env-vars")
            .says("inject-env-vars", "true")
            .says("env-prefix", "db_")
            .has("env:DB_PASSWORD", PASSWORD)
            .has("env:DB_HOST", "db.example"),
        Row::new("env-vars-of-one")
            .says(
                "config",
                "secrets:\n- {record: App DB, injectAsEnvVars: true, envPrefix: ONE_}\n- {record: Other/One, path: /app/config/o}\n",
            )
            .has("env:ONE_PASSWORD", PASSWORD)
            .has("/app/config/o", OTHER),
        written
            .says("inject-as-k8s-secret", "true")
            .says("k8s-secret-name", "written")
            .says("k8s-secret-mode", "merge")
            .says("k8s-secret-type", "kubernetes.io/basic-auth")
            .says("k8s-secret-rotation", "true")
            .says("k8s-secret-owner-ref", "false")
            .then(|secrets, _| {
                let ran = secrets
                    .namespace()
                    .kubectl()
                    .run(["get", "secret", "written", "--output", "json"]);
                let secret: Value = serde_json::from_str(&ran.stdout).map_err(|error| error.to_string())?;
                let is_so = secret["data"]["password"] == BASE64_STANDARD.encode(PASSWORD)
                    && secret["type"] == "kubernetes.io/basic-auth"
                    && secret["metadata"].get("ownerReferences").is_none();
                if is_so { Ok(()) } else { Err(format!("the Secret is {secret}")) }
            }),
    ]
}

/// Where the configuration and authorities are.
fn elsewhere(secrets: &Secrets) -> Vec<Row> {
    let usual = |name| {
        Row::new(name)
            .says("secret", "App DB")
            .has("/keeper/secrets/app-db.json", APP)
    };
    let mut written = usual("k8s-secret-namespace")
        .says("inject-as-k8s-secret", "true")
        .says("k8s-secret-name", "in-its-own")
        .says("k8s-secret-namespace", secrets.namespace().name());
    written.may_write_secrets = true;
    vec![
        usual("ksm-config-in-json")
            .without("ksm-config")
            .says("ksm-config", "ksm-json"),
        usual("auth-secret")
            .without("ksm-config")
            .says("auth-secret", CONFIG),
        usual("auth-method").says("auth-method", "secret"),
        usual("ca-cert-secret")
            .without("ca-cert-configmap")
            .says("ca-cert-secret", "ca")
            .says("ca-cert-key", "vault.pem"),
        Row::bare("auth-method-kubernetes")
            .says("inject", "true")
            .says("auth-method", "kubernetes")
            .says("secret", "db")
            .has("/keeper/secrets/db.json", "{\n  \"password\": \"kept\"\n}"),
        written,
    ]
}

fn container<'p>(pod: &'p Value, name: &str) -> Option<&'p Value> {
    let inits = pod["spec"]["initContainers"].as_array()?;
    inits.iter().find(|container| container["name"] == name)
}
