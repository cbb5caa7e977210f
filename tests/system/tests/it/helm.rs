//! The charts, installed by Helm itself on a real cluster, with images made as the Dockerfile makes them.

use std::{path::PathBuf, process::Command, sync::LazyLock, time::Duration};

use mk8s_testkit::{Cluster, Namespace, Ran, command, within, workspace};
use serde_json::{Value, json};

/// The program, built by the first who asks.
fn helm() -> Command {
    static HELM: LazyLock<PathBuf> = LazyLock::new(|| {
        let mut script = Command::new(workspace::root().join("tools/test-helm.sh"));
        command::run_with(&mut script, b"", Duration::from_secs(600))
            .ok()
            .text()
            .into()
    });
    Command::new(&*HELM)
}

/// A release in a namespace of its own. It ends before the namespace does.
struct Release {
    namespace: Namespace,
    chart: &'static str,
    home: tempfile::TempDir,
}

impl Release {
    fn of(chart: &'static str) -> Self {
        Self {
            namespace: Cluster::shared().namespace(),
            chart,
            home: tempfile::tempdir().expect("a directory"),
        }
    }

    fn run(&self, arguments: &[&str], values: &Value) -> Ran {
        let file = self.home.path().join("values.json");
        std::fs::write(&file, values.to_string()).expect("written");
        let mut helm = helm();
        helm.env("HOME", self.home.path())
            .env("KUBECONFIG", Cluster::shared().kubeconfig())
            .args(arguments)
            .arg(workspace::root().join("deploy/helm").join(self.chart))
            .args(["--namespace", self.namespace.name(), "--values"])
            .arg(&file);
        command::run_with(&mut helm, b"", Duration::from_secs(240))
    }

    /// Installs or upgrades it, and waits until its pods are ready.
    #[track_caller]
    fn install(&self, values: &Value) {
        let arguments = [
            "upgrade",
            "--install",
            "mcp",
            "--wait",
            "--timeout",
            "120s",
            "--skip-crds",
        ];
        let ran = self.run(&arguments, values);
        if ran.code != Some(0) {
            let kubectl = self.namespace.kubectl();
            let pods = kubectl.run(["describe", "pods"]);
            let logs = kubectl.run([
                "logs",
                "--all-containers",
                "--selector",
                "app.kubernetes.io/instance=mcp",
            ]);
            panic!("{ran}\n{pods}\n{logs}");
        }
    }

    #[track_caller]
    fn get(&self, kind: &str, name: &str) -> Value {
        let ran = self
            .namespace
            .kubectl()
            .run(["get", kind, name, "--output", "json"]);
        ran.ok().json()
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let mut helm = helm();
        helm.env("HOME", self.home.path())
            .env("KUBECONFIG", Cluster::shared().kubeconfig())
            .args([
                "uninstall",
                "mcp",
                "--ignore-not-found",
                "--namespace",
                self.namespace.name(),
            ]);
        command::run_with(&mut helm, b"", Duration::from_secs(120));
    }
}

fn image(program: &str) -> Value {
    let name = Cluster::shared().image(program);
    let (repository, tag) = name.rsplit_once(':').expect("a tag");
    json!({"repository": repository, "tag": tag, "pullPolicy": "Never"})
}

#[test]
fn charts_are_as_helm_wants_them() {
    for (chart, values) in [("mk8s-mcp", json!({"allowAnonymous": true})), ("mk8s", json!({}))] {
        let release = Release::of(chart);
        let mut values = values;
        values["log"] = json!({"filter": "info"});
        release.run(&["lint", "--strict"], &values).ok();
    }
}

#[test]
fn values_that_cant_be_meant_are_refused_with_a_remedy() {
    let release = Release::of("mk8s-mcp");
    let oauth = json!({"issuer": "https://login.example.com", "resource": "https://mcp.example.com/mcp"});
    for (values, said) in [
        (json!({}), "nobody could come in"),
        (json!({"allowAnonymous": true, "oauth": oauth}), "opposites"),
        (
            json!({"enableDownstreamOAuth": true, "oauth": oauth}),
            "oauth.kubernetes",
        ),
        (
            json!({"allowAnonymous": true, "ingress": {"enabled": true}}),
            "ingress.host",
        ),
    ] {
        let ran = release.run(&["template", "mcp"], &values).failed();
        assert!(ran.stderr.contains(said), "{values}: {}", ran.stderr);
    }
}

/// The objects that a chart makes.
fn rendered(release: &Release, values: &Value) -> Vec<Value> {
    let yaml = release.run(&["template", "mcp"], values).ok().stdout;
    let documents = yaml
        .split("\n---\n")
        .filter(|document| document.contains("kind:"));
    let kubectl = Cluster::shared().kubectl();
    let objects = documents.map(|document| {
        let arguments = [
            "create",
            "--dry-run=client",
            "--output",
            "json",
            "--filename",
            "-",
        ];
        kubectl.run_with(arguments, document.as_bytes()).ok().json()
    });
    objects.collect()
}

#[test]
fn who_asks_as_themselves_needs_a_server_without_rights() {
    let release = Release::of("mk8s-mcp");
    let oauth = json!({"issuer": "https://login.example.com", "resource": "https://mcp.example.com/mcp",
        "kubernetes": {"exchange": {"audience": "kubernetes", "client": {"secret": {"id": "mcp", "file": "/oauth/secret"}}}}});
    let kinds = |values: &Value| -> Vec<(String, String)> {
        let objects = rendered(&release, values);
        let of = |object: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&object["kind"]), text(&object["metadata"]["namespace"]))
        };
        objects
            .iter()
            .map(of)
            .filter(|(kind, _)| kind.contains("Role"))
            .collect()
    };
    let themselves = json!({"oauth": oauth, "enableDownstreamOAuth": true});
    assert_eq!(kinds(&themselves), []);
    // Their kubeconfigs are read with their own rights, too, unless it is to have rights for that, and then where it is told.
    let mut capi = themselves;
    capi["capiMode"] = json!({"enabled": true});
    assert_eq!(kinds(&capi), []);
    capi["capiMode"] =
        json!({"enabled": true, "credentials": "service-account", "rbac": {"allowedNamespaces": ["org-a"]}});
    let in_a = |kind: &str| (kind.to_owned(), "org-a".to_owned());
    assert_eq!(kinds(&capi), [in_a("Role"), in_a("RoleBinding")]);
    capi["capiMode"]["rbac"] = json!({"clusterWideSecrets": true});
    let everywhere = |kind: &str| (kind.to_owned(), String::new());
    assert_eq!(
        kinds(&capi),
        [everywhere("ClusterRole"), everywhere("ClusterRoleBinding")]
    );
}

/// Asks the server at its Service.
async fn call(release: &Release, tool: &str, arguments: Value) -> (bool, String) {
    let service = release.get("service", "mcp");
    let address = service["spec"]["clusterIP"]
        .as_str()
        .expect("an address")
        .to_owned();
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments}});
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client
        .post(format!("http://{address}/mcp"))
        .header("host", format!("mcp.{}.svc", release.namespace.name()))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&message);
    let response = request.send().await.expect("an answer");
    let answer: Value = response.json().await.expect("JSON");
    let text = answer["result"]["content"][0]["text"].as_str();
    let text = text.unwrap_or_else(|| panic!("no text: {answer}")).to_owned();
    (answer["result"]["isError"] == true, text)
}

#[tokio::test]
async fn the_mcp_server_is_installed_upgraded_and_removed() {
    mk8s_tls::install_default_provider();
    let release = Release::of("mk8s-mcp");
    let mut values = json!({"allowAnonymous": true, "image": image("mk8s-mcp"), "replicas": 2});
    release.install(&values);
    let (is_error, text) = call(&release, "get", json!({"kind": "namespaces"})).await;
    assert!(!is_error && text.contains("kube-system"), "{text}");
    // It has the rights of its account, and no others.
    let (is_error, text) = call(
        &release,
        "get",
        json!({"kind": "secrets", "namespace": "kube-system"}),
    )
    .await;
    assert!(is_error && text.contains("Forbidden"), "{text}");

    let spec = release.get("deployment", "mcp")["spec"]["template"]["spec"].clone();
    assert_eq!(spec["automountServiceAccountToken"], false);
    let volumes = spec["volumes"].as_array().expect("volumes");
    let account = volumes
        .iter()
        .find(|volume| volume["name"] == "account")
        .expect("its token");
    let source = &account["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(source["expirationSeconds"], 3600);
    assert_eq!(
        release.get("serviceaccount", "mcp")["automountServiceAccountToken"],
        false
    );
    let policy = release.get("networkpolicy", "mcp");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));

    // Other settings are other pods. What plans are sealed with stays.
    values["deniedResources"] = json!(["configmaps"]);
    values["mode"] = "full".into();
    values["dryRun"] = true.into();
    release.install(&values);
    let key = release.get("secret", "mcp-plans")["data"]["key"].clone();
    assert!(
        key.as_str().is_some_and(|key| key.len() >= 64),
        "a key that can't be guessed"
    );
    release.install(&values);
    assert_eq!(release.get("secret", "mcp-plans")["data"]["key"], key);
    within(Duration::from_secs(30), "the old pods to be gone", || {
        let pods = release
            .namespace
            .kubectl()
            .run(["get", "pods", "--output", "json"])
            .ok()
            .json();
        (pods["items"].as_array().expect("pods").len() == 2).then_some(())
    });
    let (is_error, text) = call(
        &release,
        "get",
        json!({"kind": "configmaps", "namespace": "kube-system"}),
    )
    .await;
    assert!(is_error && text.contains("deniedResources"), "{text}");

    let role = format!("mcp-{}", release.namespace.name());
    Cluster::shared()
        .kubectl()
        .run(["get", "clusterrole", &role])
        .ok();
    drop(release);
    Cluster::shared()
        .kubectl()
        .run(["get", "clusterrole", &role])
        .failed();
}

#[test]
fn the_webhook_is_installed_and_injects() {
    let release = Release::of("mk8s");
    let pods = Cluster::shared().namespace();
    // One of this test's own: other tests make pods with the label, too.
    let selector = json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [pods.name()]}]);
    release.install(&json!({"image": image("mk8s-webhook"), "webhook": {"namespaceSelector": selector}}));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"mca.k8s.io/inject": "true"}},
        "spec": {"containers": [{"name": "c", "image": "localhost/mk8s/busybox:dev"}]}});
    let arguments = [
        "create",
        "--dry-run=server",
        "--output",
        "json",
        "--filename",
        "-",
    ];
    let made = within(Duration::from_secs(30), "the API server to reach it", || {
        let ran = pods.kubectl().run_with(arguments, pod.to_string().as_bytes());
        (ran.code == Some(0)).then(|| ran.json())
    });
    let sidecars = made["spec"]["initContainers"].as_array().expect("the sidecar");
    assert_eq!(sidecars[0]["name"], "mca-proxy", "{made}");
}
