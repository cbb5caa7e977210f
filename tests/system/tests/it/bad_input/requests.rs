//! What isn't passed on to a cluster.

use std::time::Duration;

use mk8s_testkit::{
    Cluster, Gateway,
    gateway::{MAIN, Settings},
    raw::Connection,
};
use serde_json::Value;

use super::{ask, status};

/// The head of a request as the administrator, to which lines can be added; the empty line is the caller's.
fn head(gateway: &Gateway, method: &str, path: &str) -> String {
    let token = gateway.admin().token();
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n")
}

fn connect(gateway: &Gateway) -> Connection {
    gateway.endpoint().connect().expect("central listens")
}

#[test]
fn an_unknown_cluster_is_not_found() {
    let gateway = Gateway::without_agents(Settings::default());
    let message = status(
        &ask(&gateway, &format!("Bearer {}", gateway.admin().token())),
        404,
        "NotFound",
    );
    assert!(message.contains(MAIN), "which cluster: {message}");
    for path in [
        "/k8s/clusters/",
        "/k8s/clusters",
        "/k8s/clusters/..%2f..%2fusers/x",
        "/k8s/clusters/Not_A_Name/version",
    ] {
        assert_eq!(gateway.call("GET", path, &Value::Null).status, 404, "{path}");
    }
}

#[test]
fn a_disconnected_cluster_is_unavailable_for_now() {
    let mut gateway = Gateway::start();
    gateway.agent(MAIN).kill();
    gateway.disconnected(MAIN);
    let answer = ask(&gateway, &format!("Bearer {}", gateway.admin().token()));
    let message = status(&answer, 503, "ServiceUnavailable");
    assert!(
        message.contains(MAIN) && message.contains("disconnected"),
        "{message}"
    );
    let wait: u32 = answer
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .expect("when to come back");
    assert!((1..=60).contains(&wait));
}

#[test]
fn what_the_role_doesnt_allow_is_forbidden_and_names_verb_and_resource() {
    let gateway = Gateway::start();
    let viewer = gateway.user("viewer@example.com", &["viewer"]);
    let ran = viewer
        .kubectl(MAIN)
        .run(["delete", "pod", "web", "--namespace", "default"])
        .failed();
    assert!(ran.stderr.contains("Forbidden"), "{ran}");
    for word in [
        "viewer@example.com",
        "viewer",
        "\"delete\"",
        "\"pods\"",
        "default",
        MAIN,
    ] {
        assert!(ran.stderr.contains(word), "{word}: {ran}");
    }
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default/secrets");
    let answer = gateway.call_as(
        &viewer.token(),
        "POST",
        &path,
        &serde_json::json!({"kind": "Secret"}),
    );
    let message = status(&answer, 403, "Forbidden");
    assert!(
        message.contains("\"create\"") && message.contains("\"secrets\""),
        "{message}"
    );
    // Getting into a pod is no reading, although over WebSocket it is a GET.
    for subresource in ["exec?command=sh", "attach", "portforward?ports=1", "proxy/"] {
        let path = gateway.kube_path(
            MAIN,
            &format!("/api/v1/namespaces/default/pods/web/{subresource}"),
        );
        status(
            &gateway.call_as(&viewer.token(), "GET", &path, &Value::Null),
            403,
            "Forbidden",
        );
    }
    // Nothing of it reached the cluster.
    let nobody = gateway.user("nobody@example.com", &[]);
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces");
    status(
        &gateway.call_as(&nobody.token(), "GET", &path, &Value::Null),
        403,
        "Forbidden",
    );
}

#[test]
fn the_api_servers_own_refusal_comes_through_as_it_is() {
    let gateway = Gateway::start();
    let viewer = gateway.user("viewer@example.com", &["viewer"]);
    // Central's viewer reads everything; the group's rights in the cluster don't include Secrets.
    let ran = viewer
        .kubectl(MAIN)
        .run(["get", "secrets", "--namespace", "default"])
        .failed();
    assert!(
        ran.stderr
            .contains("secrets is forbidden: User \"viewer@example.com\" cannot list resource \"secrets\""),
        "{ran}"
    );
}

#[test]
fn headers_that_choose_an_identity_are_refused_or_dropped() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let log = cluster.audit_log();
    let path = |marker: &str| gateway.kube_path(MAIN, &format!("/api/v1/namespaces/default?marker={marker}"));
    let send = |marker: &str, lines: &str| {
        let mut connection = connect(&gateway);
        let request = format!("{}{lines}\r\n", head(&gateway, "GET", &path(marker)));
        connection.send(request.as_bytes()).expect("sent");
        connection.response().expect("an answer")
    };
    for (index, lines) in [
        "Impersonate-User: system:admin\r\n",
        "impersonate-group: system:masters\r\n",
        "Impersonate-Uid: 1\r\n",
        "Impersonate-Extra-Scopes: all\r\n",
        "Impersonate-User: a\r\nConnection: Impersonate-User\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let message = status(&send(&format!("refused-{index}"), lines), 403, "Forbidden");
        assert!(
            message.to_lowercase().contains("impersonate-"),
            "which header: {message}"
        );
    }
    for (index, lines) in [
        "X-Remote-User: system:admin\r\nX-Remote-Group: system:masters\r\n",
        "X-Remote-Extra-Scopes: all\r\n",
        // Named as hop-by-hop, a header of ours would be dropped on the way, and the request run as the agent itself.
        "Connection: Impersonate-User, Impersonate-Group, Authorization\r\n",
        "Connection: close, impersonate-user\r\n",
        "X-Forwarded-User: root\r\nForwarded: for=1.2.3.4\r\n",
        "X-Mk8s-Method: DELETE\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let marker = format!("dropped-{index}");
        let answer = send(&marker, lines);
        assert_eq!(answer.status, 200, "{lines:?}: {}", answer.text());
        let event = log.event("the request in the API server's log", |event| {
            event.request_uri.contains(&marker)
        });
        let person = event
            .impersonated_user
            .unwrap_or_else(|| panic!("{lines:?}: run as {}", event.user.username));
        assert_eq!(person.username, "admin@example.com", "{lines:?}");
        assert_eq!(person.groups, ["mk8s:admin", "system:authenticated"], "{lines:?}");
    }
    assert!(
        log.events(|event| event.request_uri.contains("refused-"))
            .is_empty(),
        "what is refused never leaves"
    );
    // kubectl's own way to ask for it gets an answer that says what to do. (Of a refused discovery kubectl shows no message.)
    let ran = gateway
        .admin()
        .kubectl(MAIN)
        .run(["get", "--raw", "/api/v1/namespaces", "--as", "system:admin"])
        .failed();
    assert!(ran.stderr.contains("--as"), "{ran}");
}

#[test]
fn paths_that_can_be_read_in_two_ways_are_refused() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let log = cluster.audit_log();
    for path in [
        "/api/v1/namespaces/default/../kube-system/secrets",
        "/api/v1/namespaces/default/%2e%2e/kube-system/secrets",
        "/api/v1/namespaces/default%2F..%2Fkube-system/secrets",
        "/api/v1/namespaces/default/pods/web%2fexec",
        "/api/v1/namespaces/default/pods/web%5Cexec",
        "/api/v1/namespaces//secrets",
        "//api/v1/secrets",
        "/api/v1/secrets/%0d%0aImpersonate-User:%20system:admin",
        "/api/v1/secrets/%00",
        "/api/v1/secrets/%zz",
        "/api/v1/secrets/%ff",
    ] {
        let mut connection = connect(&gateway);
        let request = format!("{}\r\n", head(&gateway, "GET", &gateway.kube_path(MAIN, path)));
        connection.send(request.as_bytes()).expect("sent");
        let answer = connection.response().expect("an answer");
        status(&answer, 400, "BadRequest");
    }
    let own = log.events(|event| {
        event
            .impersonated_user
            .as_ref()
            .is_some_and(|user| user.username == "admin@example.com")
    });
    assert!(
        own.iter().all(|event| !event.request_uri.contains("secrets")),
        "{own:#?}"
    );
}

#[test]
fn line_breaks_in_a_head_end_nothing_but_the_request() {
    let gateway = Gateway::start();
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default");
    for lines in [
        "X-Test: a\rImpersonate-User: system:admin\r\n",
        "X-Test: a\nImpersonate-User: system:admin\r\n",
        "X-Test: a\r\n Impersonate-User: system:admin\r\n",
        "X-Test\r\n: a\r\n",
        "X Test: a\r\n",
        ": a\r\n",
        "X-Test: \0\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: -1\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let mut connection = connect(&gateway);
        let request = format!("{}{lines}\r\n0\r\n\r\n", head(&gateway, "GET", &path));
        connection.send(request.as_bytes()).expect("sent");
        match connection.response() {
            // Nobody knows where such a request ends: after its answer the connection is of no use.
            Ok(answer) if answer.status == 400 => {}
            Ok(answer) if answer.status == 403 && lines.contains("\nImpersonate") => {}
            Ok(answer) => panic!("{lines:?} was answered {}: {}", answer.status, answer.text()),
            Err(_) => {}
        }
    }
    assert_eq!(gateway.call("GET", &path, &Value::Null).status, 200);
}

#[test]
fn a_body_with_two_lengths_is_read_in_one_way() {
    let gateway = Gateway::start();
    // RFC 9112, 6.3: the chunks count. Whatever follows them isn't part of the body, and nothing after it is a request of ours.
    let mut connection = connect(&gateway);
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default/configmaps");
    let lengths = "Content-Type: application/json\r\nContent-Length: 500\r\nTransfer-Encoding: chunked\r\n";
    let request = format!(
        "{}{lengths}\r\n2\r\n{{}}\r\n0\r\n\r\n",
        head(&gateway, "POST", &path)
    );
    connection.send(request.as_bytes()).expect("sent");
    let answer = connection.response().expect("an answer");
    // The API server read {} and has something to say about it; with the other length it would wait for the rest.
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(
        answer.text().contains("name or generateName is required"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_header_or_a_path_of_100_kb_is_refused() {
    let gateway = Gateway::start();
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default");
    let long = "x".repeat(100 * 1024);
    for (path, line) in [
        (path.clone(), format!("X-Test: {long}\r\n")),
        (format!("{path}?x={long}"), String::new()),
    ] {
        let mut connection = connect(&gateway);
        let request = format!("{}{line}\r\n", head(&gateway, "GET", &path));
        // It may stop reading before the end.
        let _ = connection.send(request.as_bytes());
        if let Ok(answer) = connection.response() {
            assert!(
                [400, 413, 414, 431].contains(&answer.status),
                "{}: {}",
                answer.status,
                answer.text()
            );
        }
    }
    assert_eq!(gateway.call("GET", &path, &Value::Null).status, 200);
}

#[test]
fn a_body_cut_short_changes_nothing() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let namespace = cluster.namespace();
    let path = gateway.kube_path(
        MAIN,
        &format!("/api/v1/namespaces/{}/configmaps", namespace.name()),
    );
    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cut"}}"#;
    for (framing, sent) in [
        (
            format!("Content-Length: {}\r\n", body.len() + 10),
            body.to_owned(),
        ),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("{:x}\r\n{body}\r\n", body.len()),
        ),
    ] {
        let mut connection = connect(&gateway);
        let head = head(&gateway, "POST", &path);
        let request = format!("{head}Content-Type: application/json\r\n{framing}\r\n{sent}");
        connection.send(request.as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_millis(500));
        drop(connection);
    }
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(gateway.open_streams(), 0.0, "no stream waits for the rest");
    namespace.kubectl().run(["get", "configmap", "cut"]).failed();
    assert_eq!(gateway.call("GET", &path, &Value::Null).status, 200);
}

#[test]
fn an_upgrade_that_isnt_answered_101_splices_nothing() {
    let (cluster, gateway) = (Cluster::shared(), Gateway::start());
    let log = cluster.audit_log();
    // CVE-2018-1002105: after a refused upgrade, what follows on the connection must not reach the API server as the agent.
    let exec = gateway.kube_path(
        MAIN,
        "/api/v1/namespaces/default/pods/none/exec?command=sh&stdout=true",
    );
    let upgrades = [
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n",
    ];
    for upgrade in upgrades {
        let mut connection = connect(&gateway);
        let request = format!("{}{upgrade}\r\n", head(&gateway, "GET", &exec));
        connection.send(request.as_bytes()).expect("sent");
        let answer = connection.response().expect("an answer");
        let message = status(&answer, 404, "NotFound");
        assert!(message.contains("none"), "the API server's own words: {message}");
        let smuggled = "GET /api/v1/secrets?marker=smuggled HTTP/1.1\r\nHost: kubernetes\r\n\r\n";
        let _ = connection.send(smuggled.as_bytes());
        if let Ok(answer) = connection.response() {
            assert!(
                answer.status == 401 || answer.status == 404,
                "{}: {}",
                answer.status,
                answer.text()
            );
        }
    }
    // An upgrade where there is nothing to upgrade to is an ordinary request.
    let mut connection = connect(&gateway);
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default");
    let request = format!("{}{}\r\n", head(&gateway, "GET", &path), upgrades[1]);
    connection.send(request.as_bytes()).expect("sent");
    let answer = connection.response().expect("an answer");
    assert_ne!(answer.status, 101);
    // And one whose wish somebody on the way has removed gets an answer that says so.
    let mut connection = connect(&gateway);
    let request = format!(
        "{}X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n",
        head(&gateway, "GET", &exec)
    );
    connection.send(request.as_bytes()).expect("sent");
    let message = status(&connection.response().expect("an answer"), 400, "BadRequest");
    assert!(message.contains("Upgrade"), "{message}");
    assert!(
        log.events(|event| event.request_uri.contains("smuggled"))
            .is_empty()
    );
    assert_eq!(gateway.open_streams(), 0.0);
}

#[test]
fn methods_that_mean_nothing_are_refused() {
    let gateway = Gateway::start();
    let path = gateway.kube_path(MAIN, "/api/v1/namespaces/default");
    for method in ["TRACE", "CONNECT", "PROPFIND", "get"] {
        let mut connection = connect(&gateway);
        let request = format!("{}\r\n", head(&gateway, method, &path));
        connection.send(request.as_bytes()).expect("sent");
        if let Ok(answer) = connection.response() {
            assert!((400..500).contains(&answer.status), "{method}: {}", answer.status);
        }
    }
}
