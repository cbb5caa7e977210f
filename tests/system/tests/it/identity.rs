//! Who it was: the API server's own audit log names the person, and joins with the gateway's.

use mk8s_testkit::{Cluster, Gateway, gateway::MAIN};
use serde_json::Value;

/// The service account that the agent has in the cluster.
const AGENT: &str = "system:serviceaccount:mk8s-system:mk8s-agent";

#[test]
fn the_api_server_writes_down_the_person_and_their_groups_and_not_the_agent() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let log = cluster.audit_log();
    let developer = gateway.user("dev@example.com", &["developer"]);
    let marker = format!("marker-{}", std::process::id());
    let selector = format!("app={marker}");
    developer
        .kubectl(MAIN)
        .run(["get", "pods", "--namespace", "default", "--selector", &selector])
        .ok();
    let event = log.event("the request in the API server's log", |event| {
        event.request_uri.contains(&marker)
    });
    let person = event.impersonated_user.expect("somebody in whose name it was");
    assert_eq!(person.username, "dev@example.com");
    assert_eq!(person.groups, ["mk8s:developer", "system:authenticated"]);
    assert_eq!(event.user.username, AGENT);
    assert_eq!(event.response_status.map(|status| status.code), Some(200));
    assert!(
        event.user_agent.starts_with("kubectl/"),
        "the client's own name: {}",
        event.user_agent
    );
}

#[test]
fn nothing_but_impersonation_is_done_with_the_agents_rights() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let log = cluster.audit_log();
    gateway.admin().kubectl(MAIN).run(["get", "namespaces"]).ok();
    let own = log.events(|event| event.user.username == AGENT && event.impersonated_user.is_none());
    assert!(
        own.iter().all(|event| {
            // The second is of agents in pods, which other tests run.
            ["/version", "/api/v1/namespaces/mk8s-system/secrets/"]
                .iter()
                .any(|path| event.request_uri.starts_with(path))
        }),
        "{own:#?}"
    );
    // And the rights are no more than that, whatever the agent asks for.
    let may = |arguments: &[&str]| {
        let words = ["auth", "can-i", "--quiet", "--as", AGENT]
            .iter()
            .chain(arguments)
            .copied();
        cluster.kubectl().run(words).code == Some(0)
    };
    assert!(may(&["impersonate", "users"]));
    assert!(may(&["impersonate", "groups/mk8s:admin"]));
    assert!(may(&[
        "patch",
        "secrets/mk8s-agent-identity",
        "--namespace",
        "mk8s-system"
    ]));
    for refused in [
        &["impersonate", "groups/system:masters"][..],
        &["impersonate", "serviceaccounts"],
        &["get", "pods"],
        &["get", "secrets"],
        &["get", "secrets", "--namespace", "mk8s-system"],
        &[
            "delete",
            "secrets/mk8s-agent-identity",
            "--namespace",
            "mk8s-system",
        ],
        &["create", "pods"],
        &["create", "tokenreviews"],
    ] {
        assert!(!may(refused), "the agent may {refused:?}");
    }
}

#[test]
fn one_id_joins_the_two_audit_logs() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let log = cluster.audit_log();
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default/configmaps?labelSelector=joined");
    let response = gateway.call("GET", &path, &Value::Null);
    assert_eq!(response.status, 200, "{}", response.text());
    let id = response
        .header("audit-id")
        .expect("the answer names its id")
        .to_owned();
    let event = log.event("the request in the API server's log", |event| {
        event.request_uri.contains("joined")
    });
    assert_eq!(event.audit_id, id);
    // A client can't choose it, or it could hide behind somebody else's.
    let authorization = format!("Bearer {}", gateway.admin().token());
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Audit-Id", "00000000-0000-0000-0000-000000000000"),
    ];
    let response = gateway
        .endpoint()
        .request("GET", &path, &headers, b"")
        .expect("an answer");
    assert_ne!(
        response.header("audit-id"),
        Some("00000000-0000-0000-0000-000000000000")
    );
}

#[test]
fn exec_and_its_like_are_in_the_persons_name_too() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    namespace.apply(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n\
         spec: {terminationGracePeriodSeconds: 1, containers: [{name: web, image: localhost/mk8s/busybox:dev, imagePullPolicy: Never}]}",
    );
    namespace
        .kubectl()
        .run(["wait", "--for=condition=Ready", "pod/web", "--timeout=60s"])
        .ok();
    let log = cluster.audit_log();
    for websocket in ["true", "false"] {
        let kubectl = gateway.admin().kubectl(MAIN).in_namespace(namespace.name());
        let kubectl = kubectl.with_variable("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websocket);
        kubectl.run(["exec", "web", "--", "echo", websocket]).ok();
        let event = log.event("the exec in the API server's log", |event| {
            event.request_uri.contains("/exec") && event.request_uri.contains(&format!("command={websocket}"))
        });
        assert_eq!(
            event.impersonated_user.expect("somebody").username,
            "admin@example.com"
        );
    }
}
