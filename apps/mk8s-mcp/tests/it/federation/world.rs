//! An issuer, a management cluster that believes it, and two workload clusters that don't know it.

use std::{fs, path::PathBuf};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_testkit::{Cluster, Kubectl, Oidc, OidcSettings, Pki, eventually};
use serde_json::{Value, json};

const RESOURCE: &str = "https://mcp.example.com/mcp";
/// What the management cluster's API server is called in tokens.
const KUBERNETES: &str = "https://kubernetes.default.svc";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

pub(super) struct World {
    pub(super) hub: Cluster,
    /// Alice's, in namespace `team-a`.
    pub(super) west: Cluster,
    /// Bob's, in namespace `team-b`.
    pub(super) east: Cluster,
    provider: Oidc,
    directory: tempfile::TempDir,
}

fn objects(items: Value) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// A role in a namespace, or everywhere, and whose it is.
fn granted(name: &str, namespace: Option<&str>, rules: Value, subject: Value) -> [Value; 2] {
    let (role, binding) = match namespace {
        Some(_) => ("Role", "RoleBinding"),
        None => ("ClusterRole", "ClusterRoleBinding"),
    };
    let metadata = match namespace {
        Some(namespace) => json!({"name": name, "namespace": namespace}),
        None => json!({"name": name}),
    };
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    [
        json!({"apiVersion": version, "kind": role, "metadata": metadata, "rules": rules}),
        json!({"apiVersion": version, "kind": binding, "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": role, "name": name}, "subjects": [subject]}),
    ]
}

fn group(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name})
}

fn account(name: &str) -> Value {
    json!({"kind": "ServiceAccount", "name": name, "namespace": "agents"})
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
}

/// As much of Cluster API's definition as we read, in both versions. Objects are the same in both.
fn definition() -> Value {
    let text = json!({"type": "string"});
    let conditions = json!({"type": "array", "items": {"type": "object", "required": ["type", "status"], "properties": {
        "type": text, "status": text, "reason": text, "message": text, "lastTransitionTime": text}}});
    let version = |name: &str, is_stored: bool, more: Value| {
        let mut status = json!({"phase": text, "conditions": conditions});
        for (key, value) in more.as_object().expect("an object") {
            status[key] = value.clone();
        }
        json!({"name": name, "served": true, "storage": is_stored, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"infrastructureRef": {"type": "object", "properties": {
                "apiGroup": text, "apiVersion": text, "kind": text, "name": text, "namespace": text}}}},
            "status": {"type": "object", "properties": status}}}}})
    };
    let truth = json!({"type": "boolean"});
    let initialization = json!({"initialization": {"type": "object", "properties": {
        "infrastructureProvisioned": truth, "controlPlaneInitialized": truth}}});
    let ready = json!({"infrastructureReady": truth, "controlPlaneReady": truth});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusters.cluster.x-k8s.io",
            // The group is protected: whoever defines it says who agreed to it.
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {"group": "cluster.x-k8s.io", "scope": "Namespaced",
            "names": {"kind": "Cluster", "listKind": "ClusterList", "plural": "clusters", "singular": "cluster"},
            "versions": [version("v1beta2", false, initialization), version("v1beta1", true, ready)]}})
}

fn cluster(namespace: &str) -> Value {
    json!({"apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": "prod", "namespace": namespace, "labels": {"giantswarm.io/organization": "acme"}},
        "spec": {"infrastructureRef": {"kind": "DockerCluster", "name": "prod"}},
        "status": {"phase": "Provisioned", "infrastructureReady": true, "controlPlaneReady": true,
            "conditions": [{"type": "Ready", "status": "True"}]}})
}

impl World {
    pub(super) fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let pki = Pki::new();
        let secret = ["not", "a", "secret"].join("-");
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("written");
        write("issuer-ca.pem", &pki.roots_pem());
        write("client-secret", &secret);
        let provider = provider(&pki, &secret);
        let authentication = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
            "jwt": [{"issuer": {"url": provider.issuer(), "audiences": [KUBERNETES], "certificateAuthority": pki.roots_pem()},
                "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}, "groups": {"claim": "groups", "prefix": "oidc:"}}}]});
        write("authentication.yaml", &authentication.to_string());
        let file = directory.path().join("authentication.yaml");
        let file = file.to_str().expect("text");
        let world = Self {
            hub: Cluster::own("hub", &["--authentication-config", file]),
            west: Cluster::own("west", &[]),
            east: Cluster::own("east", &[]),
            provider,
            directory,
        };
        world.fill_workload(&world.west, "west", "oidc:team-a");
        world.fill_workload(&world.east, "east", "oidc:team-b");
        world.fill_hub();
        world.give_kubeconfig("team-a", &world.west, "first");
        world.give_kubeconfig("team-b", &world.east, "first");
        world
    }

    fn fill_hub(&self) {
        let kubectl = self.hub.kubectl();
        kubectl.apply(&definition().to_string());
        let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
        kubectl
            .run(wait.into_iter().chain(["crd/clusters.cluster.x-k8s.io"]))
            .ok();
        let mut items = vec![namespace("agents")];
        let clusters = rule("cluster.x-k8s.io", &["clusters"], &["get", "list"]);
        let secrets = rule("", &["secrets"], &["get"]);
        for team in ["team-a", "team-b"] {
            items.push(namespace(team));
            items.push(cluster(team));
            let rules = json!([clusters, secrets]);
            items.extend(granted(
                "federation",
                Some(team),
                rules,
                group(&format!("oidc:{team}")),
            ));
            items.extend(granted("server", Some(team), json!([secrets]), account("server")));
        }
        items.extend(granted("lookers", None, json!([clusters]), group("oidc:lookers")));
        items.extend(granted("server", None, json!([clusters]), account("server")));
        items.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "server", "namespace": "agents"}}));
        kubectl.apply(&objects(json!(items)));
    }

    fn fill_workload(&self, cluster: &Cluster, name: &str, team: &str) {
        let mut items = vec![namespace("agents"), namespace("shop")];
        items.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "whereabouts", "namespace": "shop"},
            "data": {"here": name}}));
        let rules = json!([rule("", &["configmaps"], &["get", "list"])]);
        items.extend(granted("readers", Some("shop"), rules, group(team)));
        cluster.kubectl().apply(&objects(json!(items)));
        self.impersonator(cluster, "first");
    }

    /// Makes an account on a workload cluster that may say for whom it asks, and do nothing else.
    pub(super) fn impersonator(&self, cluster: &Cluster, name: &str) {
        let extras = ["userextras/agent", "userextras/tool", "userextras/request-id"];
        let rules = json!([
            rule("", &["users", "groups"], &["impersonate"]),
            rule("authentication.k8s.io", &extras, &["impersonate"]),
        ]);
        let mut items = vec![
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "agents"}}),
        ];
        items.extend(granted(
            &format!("impersonator-{name}"),
            None,
            rules,
            account(name),
        ));
        cluster.kubectl().apply(&objects(json!(items)));
    }

    /// Writes a workload cluster's kubeconfig to where Cluster API keeps it.
    pub(super) fn give_kubeconfig(&self, namespace: &str, cluster: &Cluster, name: &str) {
        let token = cluster.service_account_token("agents", name);
        let kubeconfig = kubeconfig(cluster, &json!({"token": token}));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "cluster.x-k8s.io/secret",
            "metadata": {"name": "prod-kubeconfig", "namespace": namespace, "labels": {"cluster.x-k8s.io/cluster-name": "prod"}},
            "data": {"value": BASE64_STANDARD.encode(kubeconfig)}});
        self.hub.kubectl().apply(&secret.to_string());
    }

    /// kubectl by the very kubeconfig that is there now: an API server takes a token that it took a moment ago a while longer.
    pub(super) fn by_given_kubeconfig(&self, namespace: &str) -> Kubectl {
        let wanted = [
            "get",
            "secret",
            "prod-kubeconfig",
            "--output",
            "jsonpath={.data.value}",
        ];
        let given = self.hub.kubectl().in_namespace(namespace).run(wanted).ok();
        let kubeconfig = BASE64_STANDARD.decode(given.text()).expect("base64");
        let kubeconfig = String::from_utf8(kubeconfig).expect("text");
        Kubectl::new(&self.write("given.kubeconfig", &kubeconfig))
    }

    pub(super) fn serve_only_v1beta1(&self) {
        let kubectl = self.hub.kubectl();
        let patch = r#"[{"op": "replace", "path": "/spec/versions/0/served", "value": false}]"#;
        kubectl
            .run([
                "patch",
                "crd",
                "clusters.cluster.x-k8s.io",
                "--type=json",
                "--patch",
                patch,
            ])
            .ok();
        eventually("v1beta2 is gone", || {
            let asked = kubectl.run(["get", "--raw", "/apis/cluster.x-k8s.io/v1beta2/clusters"]);
            (asked.code != Some(0)).then_some(())
        });
    }

    pub(super) async fn token(&self, user: &str) -> String {
        self.provider.token(user, RESOURCE, "mcp:read").await
    }

    /// A server that has no credentials of its own: each user comes to the management cluster by a token of theirs.
    pub(super) fn as_each_user(&self) -> Value {
        let kubeconfig = self.write("hub.kubeconfig", &kubeconfig(&self.hub, &json!({})));
        let exchange = json!({"audience": KUBERNETES,
            "client": {"secret": {"id": "mcp", "file": self.directory.path().join("client-secret")}}});
        let mut oauth = self.oauth();
        oauth["kubernetes"] = json!({"exchange": exchange});
        json!({"kubernetes": {"kubeconfig": kubeconfig}, "oauth": oauth, "enableDownstreamOAuth": true,
            "capiMode": {"enabled": true, "rbac": {"allowedNamespaces": ["team-a", "team-b"]}}})
    }

    /// A server with an account of its own on the management cluster, which reads Secrets in one namespace.
    pub(super) fn as_the_server(&self) -> Value {
        let token = self.hub.service_account_token("agents", "server");
        let kubeconfig = self.write(
            "server.kubeconfig",
            &kubeconfig(&self.hub, &json!({"token": token})),
        );
        json!({"kubernetes": {"kubeconfig": kubeconfig}, "oauth": self.oauth(),
            "capiMode": {"enabled": true, "credentials": "service-account", "rbac": {"allowedNamespaces": ["team-a"]}}})
    }

    fn oauth(&self) -> Value {
        json!({"issuer": self.provider.issuer(), "caFile": self.directory.path().join("issuer-ca.pem"), "resource": RESOURCE,
            "requiredScopes": ["mcp:read"], "groups": {"claim": "groups", "prefix": "oidc:"}})
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.directory.path().join(name);
        fs::write(&file, text).expect("written");
        file
    }
}

fn provider(pki: &Pki, secret: &str) -> Oidc {
    let client = json!({"client_id": "mcp", "grant_types": [EXCHANGE], "response_types": [], "redirect_uris": [],
        "client_secret": secret, "token_endpoint_auth_method": "client_secret_basic"});
    let user = |name: &str, group: &str| (name.to_owned(), json!({"groups": [group]}));
    let settings = OidcSettings {
        users: [
            user("alice", "team-a"),
            user("bob", "team-b"),
            user("dana", "lookers"),
        ]
        .into(),
        resources: [
            (RESOURCE.to_owned(), json!({"scope": "mcp:read"})),
            (KUBERNETES.to_owned(), json!({"scope": ""})),
        ]
        .into(),
        clients: vec![client],
        exchanges: [("mcp".to_owned(), json!({"from": RESOURCE, "to": [KUBERNETES]}))].into(),
    };
    Oidc::start_over_tls(&settings, pki)
}

/// One that names no files.
fn kubeconfig(cluster: &Cluster, user: &Value) -> String {
    let authority = BASE64_STANDARD.encode(cluster.ca_pem());
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": cluster.server(), "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": user}]})
    .to_string()
}
