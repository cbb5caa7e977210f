//! Requests that go to other clusters: by what they are about, or because the client says so.

use std::time::Duration;

use mk8s_testkit::{
    Cluster, Gateway, Namespace, Sidecar,
    gateway::{ADMIN, MAIN},
    wait,
};
use serde_json::json;

use super::{ALL, account, prepared_with};

/// A sidecar in one cluster, a namespace of the same rights in another.
struct Two {
    here: Namespace,
    there: Namespace,
    sidecar: Sidecar,
}

impl Two {
    /// `west` is the second cluster, by a token.
    fn prepare() -> Self {
        let (here, sidecar) = prepared_with(ALL);
        let second = Cluster::second();
        let there = second.namespace();
        account(&there, ALL);
        sidecar.write(
            "credentials/west/token",
            &second.service_account_token(there.name(), "app"),
        );
        sidecar.write("credentials/west/ca.crt", &second.ca_pem());
        let two = Self { here, there, sidecar };
        two.cluster("west", &json!({"server": second.server(), "credentials": "west"}));
        two
    }

    fn cluster(&self, name: &str, spec: &serde_json::Value) {
        let object = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name}, "spec": spec});
        self.sidecar
            .write(&format!("config/cluster-{name}.json"), &object.to_string());
    }

    fn route(&self, name: &str, spec: &serde_json::Value) {
        let object = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": "Route", "metadata": {"name": name}, "spec": spec});
        self.sidecar
            .write(&format!("config/route-{name}.json"), &object.to_string());
    }

    fn start(&mut self) {
        self.sidecar.start_again();
    }

    /// Who we are in the cluster that this goes to.
    fn whoami(&self, prefix: &str, headers: &[(&str, &str)]) -> String {
        let headers = [headers, &[("Content-Type", "application/json")]].concat();
        let path = format!("{prefix}/apis/authentication.k8s.io/v1/selfsubjectreviews");
        let review = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let answer = self.sidecar.request("POST", &path, &headers, review);
        assert_eq!(answer.status, 201, "{}", answer.text());
        let name = &answer.json()["status"]["userInfo"]["username"];
        name.as_str().expect("a name").to_owned()
    }

    fn account_here(&self) -> String {
        format!("system:serviceaccount:{}:app", self.here.name())
    }

    fn account_there(&self) -> String {
        format!("system:serviceaccount:{}:app", self.there.name())
    }
}

#[test]
fn a_client_may_name_the_cluster_by_header_or_path() {
    let mut two = Two::prepare();
    two.start();
    assert_eq!(two.whoami("", &[]), two.account_here());
    assert_eq!(two.whoami("", &[("X-Mca-Cluster", "west")]), two.account_there());
    assert_eq!(two.whoami("/clusters/west", &[]), two.account_there());
    assert_eq!(two.whoami("/clusters/local", &[]), two.account_here());
    assert_eq!(
        two.whoami("/clusters/west", &[("X-Mca-Cluster", "west")]),
        two.account_there()
    );
    let list = format!(
        "/clusters/west/api/v1/namespaces/{}/configmaps?limit=1",
        two.there.name()
    );
    assert_eq!(two.sidecar.request("GET", &list, &[], b"").status, 200);
    for (path, headers, status) in [
        ("/clusters/nowhere/api", &[][..], 404),
        ("/clusters/../api", &[], 404),
        ("/clusters//api", &[], 404),
        ("/api", &[("X-Mca-Cluster", "nowhere")], 404),
        ("/clusters/west/api", &[("X-Mca-Cluster", "local")], 400),
        (
            "/api",
            &[("X-Mca-Cluster", "west"), ("X-Mca-Cluster", "local")],
            400,
        ),
    ] {
        let answer = two.sidecar.request("GET", path, headers, b"");
        assert_eq!(answer.status, status, "{path} {headers:?}: {}", answer.text());
        assert_eq!(answer.json()["kind"], "Status");
    }
    let unknown = two
        .sidecar
        .request("GET", "/clusters/nowhere/api", &[], b"")
        .text();
    assert!(unknown.contains("local, west"), "{unknown}");
}

#[test]
fn routes_look_at_namespace_kind_and_labels() {
    let mut two = Two::prepare();
    let elsewhere = two.there.name().to_owned();
    two.route(
        "namespace",
        &json!({"match": [{"namespaces": [elsewhere], "resources": ["configmaps"]}], "clusters": ["west"]}),
    );
    two.route("labels", &json!({"match": [{"labels": {"where": "west"}}, {"annotations": {"where": "west"}}], "clusters": ["west"]}));
    two.start();
    let kubectl = two.sidecar.kubectl();
    // By namespace, and only that kind.
    let there = kubectl.in_namespace(&elsewhere);
    there.run(["create", "configmap", "by-namespace"]).ok();
    two.there.kubectl().run(["get", "configmap", "by-namespace"]).ok();
    let here = there.run(["get", "secrets"]).failed();
    assert!(here.stderr.contains(&two.account_here()), "{}", here.stderr);
    // By the labels of what is made; the namespace is there as well, because the pods' own has the same name nowhere else.
    let create = |name: &str, metadata: serde_json::Value| {
        let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata});
        object["metadata"]["name"] = name.into();
        let path = format!("/api/v1/namespaces/{elsewhere}/secrets");
        let headers = [("Content-Type", "application/json")];
        two.sidecar
            .request("POST", &path, &headers, object.to_string().as_bytes())
    };
    let labelled = create("by-label", json!({"labels": {"where": "west"}}));
    assert_eq!(labelled.status, 201, "{}", labelled.text());
    let annotated = create("by-annotation", json!({"annotations": {"where": "west"}}));
    assert_eq!(annotated.status, 201, "{}", annotated.text());
    assert_eq!(
        create("at-home", json!({"labels": {"where": "east"}})).status,
        403
    );
    let listed = there
        .run(["get", "secrets", "--selector", "where=west", "-o", "name"])
        .ok();
    assert_eq!(listed.text(), "secret/by-label");
    there
        .run(["get", "secrets", "--selector", "where!=west"])
        .failed();
}

#[test]
fn exec_and_logs_go_where_the_client_says() {
    // The other way round: from the second cluster to the one that has a node.
    let (first, second) = (Cluster::shared(), Cluster::second());
    let (here, there) = (second.namespace(), first.namespace());
    account(&here, ALL);
    account(&there, ALL);
    let mut sidecar = Sidecar::prepare(second, here.name(), "app");
    sidecar.write(
        "credentials/node/token",
        &first.service_account_token(there.name(), "app"),
    );
    sidecar.write("credentials/node/ca.crt", &first.ca_pem());
    let cluster = json!({"apiVersion": "mca.k8s.io/v1alpha1", "kind": "Cluster", "metadata": {"name": "node"},
        "spec": {"server": first.server(), "credentials": "node"}});
    sidecar.write("config/cluster.yaml", &cluster.to_string());
    sidecar.start_again();
    there
        .kubectl()
        .run([
            "run",
            "p",
            "--image=localhost/mk8s/busybox:dev",
            "--image-pull-policy=Never",
            "--",
            "sh",
            "-c",
            "echo said; sleep 600",
        ])
        .ok();
    there
        .kubectl()
        .run(["wait", "--for=condition=Ready", "pod/p", "--timeout=60s"])
        .ok();
    let kubeconfig = sidecar.kubectl().kubeconfig().to_owned();
    let config = std::fs::read_to_string(&kubeconfig).expect("readable");
    let port = sidecar.port();
    let config = config.replace(
        &format!("127.0.0.1:{port}\""),
        &format!("127.0.0.1:{port}/clusters/node\""),
    );
    std::fs::write(&kubeconfig, config).expect("written");
    let kubectl = mk8s_testkit::Kubectl::new(&kubeconfig).in_namespace(there.name());
    assert_eq!(
        kubectl.run(["exec", "p", "--", "echo", "there"]).ok().text(),
        "there"
    );
    assert_eq!(kubectl.run(["logs", "p"]).ok().text(), "said");
    there
        .kubectl()
        .run([
            "delete",
            "pod",
            "p",
            "--wait=false",
            "--grace-period=0",
            "--force",
        ])
        .ok();
}

#[test]
fn a_cluster_is_reached_by_kubeconfig_by_certificate_and_behind_a_gateway() {
    let mut two = Two::prepare();
    let second = Cluster::second();
    let file = two.sidecar.path("kubeconfig-of-west");
    second.service_account_kubeconfig(two.there.name(), "app", &file);
    let text = std::fs::read_to_string(&file).expect("readable");
    let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    use base64::Engine as _;
    let ca = base64::prelude::BASE64_STANDARD.encode(second.ca_pem());
    config["clusters"][0]["cluster"] = json!({"server": second.server(), "certificate-authority-data": ca});
    two.sidecar
        .write("credentials/by-kubeconfig/kubeconfig", &config.to_string());
    two.cluster("by-kubeconfig", &json!({"credentials": "by-kubeconfig"}));

    let (certificate, key) = admin_certificate(second);
    two.sidecar
        .write("credentials/by-certificate/tls.crt", &certificate);
    two.sidecar.write("credentials/by-certificate/tls.key", &key);
    two.cluster(
        "by-certificate",
        &json!({"server": second.server(), "credentials": "by-certificate", "certificateAuthorityData": ca}),
    );

    let gateway = Gateway::start();
    two.sidecar
        .write("credentials/gateway/token", &gateway.admin().token());
    two.sidecar.write("credentials/gateway/ca.crt", gateway.ca_pem());
    two.cluster(
        "by-gateway",
        &json!({"server": gateway.url(), "central": {"cluster": MAIN}, "credentials": "gateway"}),
    );

    two.start();
    assert_eq!(two.whoami("/clusters/by-kubeconfig", &[]), two.account_there());
    assert_eq!(two.whoami("/clusters/by-certificate", &[]), "kubernetes-admin");
    assert_eq!(two.whoami("/clusters/by-gateway", &[]), ADMIN);
}

#[test]
fn a_target_that_is_down_or_refuses_us_is_named() {
    let mut two = Two::prepare();
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|l| l.local_addr())
        .expect("a port");
    two.cluster(
        "down",
        &json!({"server": format!("https://{nobody}"), "credentials": "west"}),
    );
    two.cluster(
        "expired",
        &json!({"server": Cluster::second().server(), "credentials": "expired"}),
    );
    two.sidecar
        .write("credentials/expired/token", "a.token.that-has-expired");
    two.sidecar
        .write("credentials/expired/ca.crt", &Cluster::second().ca_pem());
    two.cluster(
        "unmounted",
        &json!({"server": "https://w.example", "credentials": "unmounted"}),
    );
    two.cluster(
        "empty",
        &json!({"server": "https://w.example", "credentials": "empty"}),
    );
    two.sidecar.write("credentials/empty/other", "x");
    two.start();
    for (cluster, expected) in [
        ("down", "can't connect"),
        ("expired", "credentials"),
        ("unmounted", "no Secret mounted"),
        ("empty", "has no token"),
    ] {
        let answer = two
            .sidecar
            .request("GET", &format!("/clusters/{cluster}/api/v1/namespaces"), &[], b"");
        assert_eq!(answer.status, 503, "{cluster}: {}", answer.text());
        let message = answer.json()["message"].as_str().expect("a message").to_owned();
        assert!(
            message.contains(cluster) && message.contains(expected),
            "{message}"
        );
    }
    // The others aren't touched.
    assert_eq!(two.whoami("/clusters/west", &[]), two.account_there());
    // A new token is taken without a word, at the next refusal.
    let good = two.sidecar.read("credentials/west/token");
    two.sidecar.write("credentials/expired/token", &good);
    assert_eq!(two.whoami("/clusters/expired", &[]), two.account_there());
}

#[test]
fn changes_are_taken_over_live_and_a_wrong_set_changes_nothing() {
    let mut two = Two::prepare();
    two.start();
    assert_eq!(two.whoami("", &[]), two.account_here());
    two.route("everything", &json!({"clusters": ["west"]}));
    wait::within(Duration::from_secs(15), "the new route", || {
        (two.whoami("", &[]) == two.account_there()).then_some(())
    });
    // Wrong in three ways; the last good set goes on.
    two.sidecar.write(
        "config/wrong.yaml",
        "apiVersion: mca.k8s.io/v1alpha1\nkind: Route\nmetadata: {name: wrong}\nspec:\n  clusters:\n    - wset\n",
    );
    let said = |words: &[&str]| {
        wait::within(Duration::from_secs(15), "the complaint", || {
            let log = two.sidecar.read("log");
            log.lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
                .then_some(())
        });
    };
    said(&["wrong.yaml:6", "wset", "last good"]);
    assert_eq!(two.whoami("", &[]), two.account_there());
    two.sidecar.write(
        "config/wrong.yaml",
        &format!(
            "apiVersion: mca.k8s.io/v1alpha1\nkind: Cluster\nmetadata:\n  name: loop\nspec: {{server: 'https://localhost:{}'}}\n",
            two.sidecar.port()
        ),
    );
    said(&["wrong.yaml:4", "circle"]);
    // A restart in between changes nothing either.
    two.sidecar.program().kill();
    two.start();
    assert_eq!(two.whoami("", &[]), two.account_there());
    two.sidecar.write("config/wrong.yaml", "");
    two.route("everything", &json!({"clusters": ["local"]}));
    wait::within(Duration::from_secs(15), "the way back", || {
        (two.whoami("", &[]) == two.account_here()).then_some(())
    });
}

#[test]
fn a_wrong_set_at_the_first_start_is_an_error_with_file_and_line() {
    let two = Two::prepare();
    two.route("wrong", &json!({"clusters": ["wset"]}));
    let ran = mk8s_testkit::command::run(&mut two.sidecar.command()).failed();
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: clusters and routes: "), "{last}");
    assert!(
        last.contains("route-wrong.json:1: there is no cluster \"wset\""),
        "{last}"
    );
}

/// The administrator's client certificate and key, from the kubeconfig.
fn admin_certificate(cluster: &Cluster) -> (String, String) {
    let ran = cluster
        .kubectl()
        .run(["config", "view", "--raw", "-o", "json"])
        .ok()
        .json();
    let user = &ran["users"][0]["user"];
    let read = |data: &str, file: &str| match user[data].as_str() {
        Some(data) => {
            use base64::Engine as _;
            let decoded = base64::prelude::BASE64_STANDARD.decode(data).expect("base64");
            String::from_utf8(decoded).expect("PEM")
        }
        None => std::fs::read_to_string(user[file].as_str().expect("a file")).expect("readable"),
    };
    (
        read("client-certificate-data", "client-certificate"),
        read("client-key-data", "client-key"),
    )
}

#[test]
fn a_list_and_a_watch_span_clusters_and_objects_find_their_way_back() {
    let mut two = Two::prepare();
    // The same namespace's name in both: the test's own in the first, made for it in the second.
    let name = two.here.name().to_owned();
    let second = Cluster::second().kubectl();
    second.run(["create", "namespace", &name]).ok();
    second
        .in_namespace(&name)
        .run([
            "create",
            "rolebinding",
            "app",
            "--clusterrole=cluster-admin",
            &format!("--serviceaccount={}:app", two.there.name()),
        ])
        .ok();
    two.route("both", &json!({"match": [{"resources": ["configmaps"], "namespaces": [name]}], "clusters": ["local", "west"]}));
    two.start();
    let (here, there) = (
        two.here.kubectl(),
        Cluster::second().kubectl().in_namespace(&name),
    );
    for (kubectl, object) in [(&here, "one"), (&here, "both"), (&there, "two"), (&there, "both")] {
        kubectl
            .run(["create", "configmap", object, "--from-literal", "a=b"])
            .ok();
    }
    let kubectl = two.sidecar.kubectl();
    let listed = |extra: &[&str]| {
        let arguments = [&["get", "configmaps", "-o", "json"], extra].concat();
        let list = kubectl.run(arguments).ok().json();
        let mut names: Vec<_> = list["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                (
                    text(&item["metadata"]["annotations"]["mca.k8s.io/cluster"]),
                    text(&item["metadata"]["name"]),
                )
            })
            .filter(|(_, name)| name != "kube-root-ca.crt")
            .collect();
        names.sort();
        names
    };
    let pairs = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(c, n)| ((*c).to_owned(), (*n).to_owned()))
            .collect::<Vec<_>>()
    };
    let all = pairs(&[
        ("local", "both"),
        ("local", "one"),
        ("west", "both"),
        ("west", "two"),
    ]);
    assert_eq!(listed(&[]), all);
    assert_eq!(listed(&["--chunk-size=1"]), all, "page by page");
    let table = kubectl.run(["get", "configmaps"]).ok();
    let head = table.text().lines().next().unwrap_or_default().to_owned();
    assert!(head.starts_with("NAME") && head.contains("CLUSTER"), "{head}");

    let mut command = kubectl.command([
        "get",
        "configmaps",
        "--watch",
        "-o",
        "jsonpath={.metadata.annotations.mca\\.k8s\\.io/cluster}/{.metadata.name} {.data.a}{\"\\n\"}",
    ]);
    let watch = mk8s_testkit::Program::start(
        "kubectl --watch",
        command.env("A", "b"),
        &two.sidecar.path("watch"),
    );
    let sees = |line: &str| {
        wait::within(Duration::from_secs(20), line, || {
            two.sidecar.read("watch").contains(line).then_some(())
        });
    };
    sees("west/two b");
    // What is written back goes where it came from.
    let object = kubectl.run(["get", "configmaps", "-o", "json"]).ok().json();
    let mut item = object["items"]
        .as_array()
        .and_then(|items| {
            items.iter().find(|item| {
                item["metadata"]["name"] == "both"
                    && item["metadata"]["annotations"]["mca.k8s.io/cluster"] == "west"
            })
        })
        .expect("west's own")
        .clone();
    item["data"]["a"] = "changed".into();
    kubectl
        .run_with(["replace", "--filename", "-"], item.to_string().as_bytes())
        .ok();
    sees("west/both changed");
    let of = |kubectl: &mk8s_testkit::Kubectl| {
        kubectl
            .run(["get", "configmap", "both", "-o", "jsonpath={.data.a}"])
            .ok()
            .text()
            .to_owned()
    };
    assert_eq!((of(&here), of(&there)), ("b".to_owned(), "changed".to_owned()));
    let marked = there.run(["get", "configmap", "both", "-o", "json"]).ok().json();
    assert!(
        marked["metadata"]["annotations"]
            .get("mca.k8s.io/cluster")
            .is_none(),
        "{marked}"
    );
    drop(watch);
    Cluster::second()
        .kubectl()
        .run(["delete", "namespace", &name, "--wait=false"])
        .ok();
}
