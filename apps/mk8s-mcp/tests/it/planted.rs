//! Secrets planted wherever a tool can read: none of them comes out, by any tool, in any form.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_testkit::{Cluster, eventually};
use serde_json::{Value, json};

use crate::client::Client;

/// Something that must not come out, and all forms in which it would be the same.
struct Plants(Vec<String>);

impl Plants {
    fn find(&self, text: &str) -> Option<&String> {
        self.0.iter().find(|plant| text.contains(plant.as_str()))
    }
}

/// Random, so that nothing in the project looks like a secret.
fn random(length: usize) -> String {
    let bytes = std::iter::repeat_with(|| uuid::Uuid::new_v4().simple().to_string());
    bytes.take(length / 32 + 1).collect::<String>()[..length].to_owned()
}

#[test]
fn no_planted_secret_comes_out_of_any_tool() {
    let namespace = Cluster::shared().namespace();
    let name = namespace.name();
    let (password, env, annotated) = (random(24), random(24), random(24));
    let jwt = {
        let part = |text: &str| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text);
        let (head, claims) = (
            part("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"),
            part(&format!("{{\"sub\":\"{}\"}}", random(24))),
        );
        format!("{head}.{claims}.{}", part(&random(64)))
    };
    let key_body = BASE64_STANDARD.encode(random(96));
    let pem = format!(
        "-----BEGIN {0}-----\n{key_body}\n-----END {0}-----",
        "PRIVATE KEY"
    );
    let token = random(40);
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nusers:\n- name: admin\n  user:\n    token: {token}\n    client-key-data: {}\n",
        BASE64_STANDARD.encode(&pem)
    );
    let plants = Plants(vec![
        password.clone(),
        BASE64_STANDARD.encode(&password),
        env.clone(),
        annotated.clone(),
        jwt.rsplit('.').next().expect("a signature").to_owned(),
        key_body,
        BASE64_STANDARD.encode(&pem)[40..80].to_owned(),
        token,
    ]);
    let script = format!(
        "cat <<'END'\nstarting\nusing {jwt} now\n{pem}\n{kubeconfig}\npassword={password}\nEND\nexec sleep 3600"
    );
    let objects = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "planted",
            "annotations": {"example.com/note": jwt}}, "stringData": {"password": password, "config": kubeconfig}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "planted"},
            "data": {"kubeconfig": kubeconfig, "tls.key": pem, "note": format!("Authorization: Bearer {jwt}"),
                "encoded": BASE64_STANDARD.encode(&pem)}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "planted", "annotations": {
                "example.com/applied": json!({"kind": "Secret", "data": {"x": BASE64_STANDARD.encode(&annotated)},
                    "stringData": {"y": annotated}}).to_string()}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main",
                "image": "localhost/mk8s/busybox:dev", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
                "env": [{"name": "DATABASE_URL", "value": format!("postgres://app:{env}@db/shop")},
                    {"name": "SETTING", "value": env}, {"name": "REPLICAS", "value": "3"}]}]}}),
    ];
    for object in &objects {
        // `kubectl apply` leaves the whole object in an annotation.
        namespace.apply(&object.to_string());
    }
    eventually("the planted pod to have written its log", || {
        let log = namespace.kubectl().run(["logs", "planted"]);
        log.stdout.contains(&password).then_some(())
    });

    let mut client = Client::start(Cluster::shared().kubeconfig(), &[]);
    let cluster = client.cluster();
    let mut calls: Vec<(&str, Value)> = vec![
        ("logs", json!({"pod": "planted", "namespace": name})),
        (
            "logs",
            json!({"pod": "planted", "namespace": name, "grep": &password[..8], "context": 50}),
        ),
        (
            "logs",
            json!({"pod": "planted", "namespace": name, "grep": "BEGIN|token|eyJ", "context": 50}),
        ),
        (
            "diagnose",
            json!({"kind": "pod", "name": "planted", "namespace": name}),
        ),
        ("events", json!({"namespace": name})),
    ];
    for kind in ["secrets", "configmaps", "pods"] {
        calls.push((
            "describe",
            json!({"kind": kind, "name": "planted", "namespace": name}),
        ));
        for output in ["slim", "names", "full"] {
            calls.push(("get", json!({"kind": kind, "namespace": name, "output": output})));
            calls.push((
                "get",
                json!({"kind": kind, "namespace": name, "name": "planted", "output": output}),
            ));
        }
        for field in [
            "$..*",
            ".data",
            ".data.*",
            ".stringData",
            ".metadata.annotations",
            "$..value",
            "$..env[*]",
            ".spec",
            "$..command",
            "$..[?@.name=='SETTING']",
            ".data['tls.key']",
            "$.data[?match(@, '.*')]",
        ] {
            calls.push(("get", json!({"kind": kind, "namespace": name, "fields": [field]})));
            calls.push((
                "get",
                json!({"kind": kind, "namespace": name, "name": "planted", "fields": [field]}),
            ));
        }
    }
    for (tool, arguments) in calls {
        let (_, text) = client.call(tool, arguments.clone());
        let found = plants.find(&text);
        assert!(
            found.is_none(),
            "{found:?} came out of {tool} {arguments}: {text}"
        );
    }
    // The same as resources.
    for kind in ["secrets", "configmaps", "pods"] {
        for below in ["", "/planted"] {
            let uri = format!("k8s://{cluster}/api/v1/namespaces/{name}/{kind}{below}");
            let text = client
                .resource(&uri)
                .unwrap_or_else(|error| panic!("{uri}: {error}"));
            let found = plants.find(&text);
            assert!(found.is_none(), "{found:?} came out of {uri}: {text}");
        }
    }
    let log = client.resource(&format!(
        "k8s://{cluster}/api/v1/namespaces/{name}/pods/planted/log"
    ));
    let log = log.expect("the log");
    assert!(log.contains("starting") && plants.find(&log).is_none(), "{log}");
    // And none is in what is written down, or in the program's own log.
    let audit = std::fs::read_to_string(client.audit_file()).expect("the audit file");
    assert!(plants.find(&audit).is_none() && plants.find(&client.log()).is_none());

    // What isn't secret is still told.
    let text = client.read(
        "get",
        json!({"kind": "pods", "namespace": name, "name": "planted", "fields": ["$..env[*]"]}),
    );
    assert!(
        text.contains("DATABASE_URL") && text.contains("redacted") && text.contains('3'),
        "{text}"
    );
    let text = client.read(
        "get",
        json!({"kind": "secrets", "namespace": name, "name": "planted"}),
    );
    assert!(
        text.contains("password") && text.contains("config"),
        "the keys are told: {text}"
    );
    let text = client.read("logs", json!({"pod": "planted", "namespace": name}));
    assert!(text.contains("starting"), "{text}");
}

#[test]
fn a_search_finds_out_nothing_about_what_is_hidden() {
    let namespace = Cluster::shared().namespace();
    let secret = random(24);
    namespace.apply(
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "planted"}, "spec": {
            "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "localhost/mk8s/busybox:dev",
            "imagePullPolicy": "Never", "command": ["sh", "-c", format!("echo password={secret}; exec sleep 3600")]}]}})
        .to_string(),
    );
    eventually("the log", || {
        namespace
            .kubectl()
            .run(["logs", "planted"])
            .stdout
            .contains(&secret)
            .then_some(())
    });
    let mut client = Client::start(Cluster::shared().kubeconfig(), &[]);
    let ask = |client: &mut Client, grep: &str| {
        client.read(
            "logs",
            json!({"pod": "planted", "namespace": namespace.name(), "grep": grep}),
        )
    };
    let (right, wrong) = (ask(&mut client, &secret[..4]), ask(&mut client, "zzzz"));
    assert!(
        right.contains("0 matches") && wrong.contains("0 matches"),
        "{right}\n{wrong}"
    );
    assert!(ask(&mut client, "^password=").contains("1 match"));
}
