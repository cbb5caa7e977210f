//! Who has a way where to, and what those are told who have none.

use std::sync::Arc;

use http::{HeaderName, Method};
use mk8s_federation::{Federation, Management, Settings};
use mk8s_mcp_core::cluster::{Clusters as _, NoSuchCluster};
use mk8s_proxy::audit::LogOnly;
use serde_json::json;

use crate::{
    Hub, call, federation, federation_with, get, known, principal, read, settings, told, workload::Workload,
};

#[tokio::test]
async fn whatever_hides_a_cluster_is_told_alike() {
    let hub = Hub::new();
    let workload = Workload::start("prod").await;
    let good = workload.kubeconfig("first");
    let with_user = |user: &str| {
        let begin = good.find("users:").expect("users");
        format!("{}users: [{{name: u, user: {{{user}}}}}]\n", &good[..begin])
    };
    let kubeconfigs = [
        ("garbage", "{{{".to_owned()),
        ("empty", String::new()),
        (
            "exec",
            with_user("exec: {command: sh, apiVersion: client.authentication.k8s.io/v1}"),
        ),
        ("provider", with_user("auth-provider: {name: oidc}")),
        ("password", with_user("username: a, password: b")),
        ("file", with_user("tokenFile: /etc/hostname")),
        ("certificate", with_user("client-certificate: /a, client-key: /b")),
        ("nobody", with_user("")),
        ("plain", good.replace("https://", "http://")),
        (
            "insecure",
            good.replace(
                "certificate-authority-data",
                "insecure-skip-tls-verify: true, certificate-authority-data",
            ),
        ),
        (
            "proxied",
            good.replace(
                "certificate-authority-data",
                "proxy-url: \"https://p.example\", certificate-authority-data",
            ),
        ),
        (
            "authority",
            good.replace("certificate-authority-data: ", "certificate-authority-data: AAAA"),
        ),
        ("large", format!("{good}# {}\n", "x".repeat(300 << 10))),
    ];
    for (name, kubeconfig) in &kubeconfigs {
        hub.cluster("team-a", name);
        hub.kubeconfig("team-a", name, kubeconfig);
    }
    for name in ["no-secret", "no-key", "no-base64"] {
        hub.cluster("team-a", name);
    }
    hub.secret("team-a", "no-key", json!({"kubeconfig": ""}));
    hub.secret("team-a", "no-base64", json!({"value": "!"}));
    // A Secret alone is no cluster; nor is one whose Secret or Cluster they may not read.
    hub.kubeconfig("team-a", "no-cluster", &good);
    for namespace in ["no-secrets", "no-clusters"] {
        hub.cluster(namespace, "prod");
        hub.kubeconfig(namespace, "prod", &good);
    }
    for namespace in ["team-a", "no-secrets"] {
        hub.allow("anna", "clusters", namespace);
    }
    for namespace in ["team-a", "no-clusters"] {
        hub.allow("anna", "secrets", namespace);
    }

    let federation = federation(&hub);
    let anna = principal("anna");
    let mut clusters: Vec<_> = kubeconfigs
        .iter()
        .map(|(name, _)| format!("team-a.{name}"))
        .collect();
    clusters.extend(
        [
            "team-a.no-secret",
            "team-a.no-key",
            "team-a.no-base64",
            "team-a.no-cluster",
            "team-a.absent",
            "absent.absent",
            "absent",
            "no-secrets.prod",
            "no-clusters.prod",
        ]
        .map(str::to_owned),
    );
    let mut said = Vec::new();
    for cluster in &clusters {
        let response = federation
            .send(&call(&anna), &cluster.parse().expect("a name"), get())
            .await;
        assert!(
            response.extensions().get::<NoSuchCluster>().is_some(),
            "{cluster}"
        );
        let headers = response.headers().clone();
        said.push((headers, told(response).await));
    }
    for (cluster, said_of_it) in clusters.iter().zip(&said) {
        assert_eq!(*said_of_it, said[0], "{cluster}");
    }
    assert_eq!(said[0].1.0, 404);
    assert!(workload.seen().is_empty());
}

#[tokio::test]
async fn a_request_is_in_its_users_name_and_says_what_it_is_for() {
    let hub = Hub::new();
    let workload = Workload::start("prod").await;
    hub.cluster("team-a", "prod");
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("first"));
    hub.allow("anna", "clusters", "team-a");
    hub.allow("anna", "secrets", "team-a");
    let (federation, anna) = (federation(&hub), principal("anna"));
    let (call, prod) = (call(&anna), "team-a.prod".parse().expect("a name"));
    let (status, _) = told(federation.send(&call, &prod, get()).await).await;
    assert_eq!(status, 200);
    let seen = workload.seen();
    let [seen] = &*seen else { panic!("{seen:?}") };
    assert_eq!(seen.all("impersonate-user"), ["anna"]);
    assert_eq!(seen.all("impersonate-group"), ["devs"]);
    assert_eq!(seen.all("impersonate-extra-agent"), ["mk8s-mcp"]);
    assert_eq!(seen.all("impersonate-extra-tool"), ["get"]);
    assert_eq!(seen.all("impersonate-extra-request-id"), [call.id.to_string()]);
    assert_eq!(seen.all("audit-id").len(), 1);

    // Nothing of the kind is ever taken from whoever asks.
    for name in [
        "impersonate-user",
        "impersonate-group",
        "impersonate-uid",
        "impersonate-extra-agent",
        "impersonate-extra-scopes",
    ] {
        let mut request = get();
        let name = HeaderName::from_static(name);
        request
            .headers_mut()
            .insert(name.clone(), "system:masters".parse().expect("a value"));
        let (status, text) = told(federation.send(&call, &prod, request).await).await;
        assert_eq!(status, 403, "{name}: {text}");
    }
    let mut request = get();
    for (name, value) in [("authorization", "Bearer x"), ("x-remote-user", "root")] {
        let value = value.parse().expect("a value");
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    assert_eq!(told(federation.send(&call, &prod, request).await).await.0, 200);
    let seen = workload.seen();
    let [seen] = &*seen else { panic!("{seen:?}") };
    assert_eq!(seen.all("authorization"), ["Bearer token-that-is-called-first"]);
    assert_eq!(seen.all("x-remote-user"), [""; 0]);
}

#[tokio::test]
async fn the_servers_own_account_reads_secrets_only_where_it_may() {
    let hub = Hub::new();
    let workload = Workload::start("prod").await;
    for namespace in ["team-a", "team-b"] {
        hub.cluster(namespace, "prod");
        hub.kubeconfig(namespace, "prod", &workload.kubeconfig("first"));
        // It could read both, had nobody said otherwise.
        hub.allow("server", "secrets", namespace);
        hub.allow("server", "clusters", namespace);
    }
    hub.allow("anna", "clusters", "*");
    let written = json!({"credentials": "service-account", "rbac": {"allowedNamespaces": ["team-a"]}});
    let federation = federation_with(&hub, settings(written));
    // What nobody can reach isn't listed.
    let listed: Vec<_> = known(&federation, "anna")
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(listed, ["management", "team-a.prod"]);
    hub.asked();
    let (status, _) = read(&federation, &principal("anna"), "team-a.prod").await;
    assert_eq!(status, 200);
    assert_eq!(
        hub.asked(),
        [
            "anna GET /apis/cluster.x-k8s.io/v1beta2/namespaces/team-a/clusters/prod",
            "server GET /api/v1/namespaces/team-a/secrets/prod-kubeconfig",
        ]
    );
    assert_eq!(workload.seen()[0].all("impersonate-user"), ["anna"]);
    assert_eq!(read(&federation, &principal("anna"), "team-b.prod").await.0, 404);
    // Who may not see the Cluster has no way to it, whatever the server may.
    assert_eq!(read(&federation, &principal("bob"), "team-a.prod").await.0, 404);
    assert_eq!(hub.secrets_read(), [""; 0]);

    let everywhere = json!({"credentials": "service-account", "rbac": {"clusterWideSecrets": true}});
    let federation = federation_with(&hub, settings(everywhere));
    assert_eq!(read(&federation, &principal("anna"), "team-b.prod").await.0, 200);
    assert_eq!(read(&federation, &principal("bob"), "team-b.prod").await.0, 404);
}

#[test]
fn an_account_of_the_servers_own_must_be_there_if_it_is_to_be_used() {
    let written = json!({"credentials": "service-account", "rbac": {"clusterWideSecrets": true}});
    let settings: Settings = settings(written);
    let management = Management {
        clusters: Hub::new(),
        cluster: "hub".parse().expect("a name"),
    };
    let refused = Federation::new(settings, management, None, Arc::new(LogOnly));
    let error = refused.map(|_| ()).expect_err("no account").to_string();
    assert!(error.starts_with("capiMode.credentials: "), "{error}");
}

#[tokio::test]
async fn changing_something_passes_too_in_the_users_name() {
    let hub = Hub::new();
    let workload = Workload::start("prod").await;
    hub.cluster("team-a", "prod");
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("first"));
    hub.allow("anna", "clusters", "*");
    hub.allow("anna", "secrets", "*");
    let federation = federation(&hub);
    let prod = "team-a.prod".parse().expect("a name");
    let request = crate::request(Method::PATCH);
    let response = federation.send(&call(&principal("anna")), &prod, request).await;
    assert_eq!(response.status(), 200);
    let seen = workload.seen();
    assert_eq!(
        (&seen[0].method, seen[0].all("impersonate-user")),
        (&Method::PATCH, vec!["anna"])
    );
}
