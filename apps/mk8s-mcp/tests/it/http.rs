//! The door for many: who is let in, who isn't, and how it ends.

use std::{net::TcpListener, time::Duration};

use mk8s_testkit::{Cluster, Oidc, OidcSettings, eventually};
use serde_json::{Value, json};

use crate::served::Served;

const RESOURCE: &str = "https://mcp.example.com/mcp";

/// For anybody, with the cluster's own administrator.
fn anybody() -> Value {
    json!({"kubernetes": {"kubeconfig": Cluster::shared().kubeconfig()}, "allowAnonymous": true})
}

fn provider() -> Oidc {
    Oidc::start(&OidcSettings {
        users: [("alice".to_owned(), json!({"groups": ["dev"]}))].into(),
        resources: [
            (RESOURCE.to_owned(), json!({"scope": "mcp:read mcp:write"})),
            (
                "https://other.example.com".to_owned(),
                json!({"scope": "mcp:read"}),
            ),
        ]
        .into(),
        ..OidcSettings::default()
    })
}

/// For those whom the provider knows, with the cluster's own administrator.
fn known(provider: &Oidc) -> Value {
    json!({
        "kubernetes": {"kubeconfig": Cluster::shared().kubeconfig()},
        "oauth": {
            "issuer": provider.issuer(),
            "resource": RESOURCE,
            "requiredScopes": ["mcp:read"],
            "groups": {"claim": "groups", "prefix": "oidc:"},
            "allowLoopbackHttp": true,
        },
    })
}

#[tokio::test]
async fn the_door_is_for_mcp_and_for_those_who_look_after_it() {
    let mut config = anybody();
    let metrics = free_port();
    config["server"]["metrics"] = format!("127.0.0.1:{metrics}").into();
    let served = Served::start(config);
    for path in ["/healthz", "/livez", "/readyz"] {
        assert_eq!(served.get(path).await, (200, "ok".to_owned()), "{path}");
    }
    let (status, text) = served.get("/").await;
    assert_eq!(status, 404);
    assert!(text.contains("MCP is spoken at /mcp"), "{text}");
    assert_eq!(
        served.get("/mcp").await.0,
        405,
        "there are no streams without a request"
    );
    assert_eq!(served.get("/.well-known/oauth-protected-resource").await.0, 404);
    let (is_error, text) = served.call(None, "get", json!({"kind": "namespaces"})).await;
    assert!(!is_error && text.contains("kube-system"), "{text}");
    let page = reqwest::get(format!("http://127.0.0.1:{metrics}/metrics")).await;
    let page = page.expect("an answer").text().await.expect("text");
    assert!(
        page.contains("mk8s_mcp_calls_total{tool=\"get\",outcome=\"answered\"} 1")
            && page.contains("mk8s_mcp_answer_tokens_count 1"),
        "{page}"
    );
    let calls = served.audit();
    let call = calls.iter().find(|line| line["stage"] == "call").expect("a call");
    assert_eq!((&call["user"], &call["tool"]), (&json!("anybody"), &json!("get")));
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn an_origin_or_a_host_from_elsewhere_is_refused() {
    let mut config = anybody();
    config["server"]["allowedOrigins"] = json!(["https://app.example.com"]);
    config["server"]["allowedHosts"] = json!(["mcp.example.com"]);
    let served = Served::start(config);
    let port = served
        .url
        .split(':')
        .nth(2)
        .expect("a port")
        .trim_end_matches("/mcp")
        .to_owned();
    let own = format!("http://127.0.0.1:{port}");
    let neighbour = "http://127.0.0.1:1".to_owned();
    for (name, value, status) in [
        ("origin", "https://evil.example.com", 403),
        ("origin", "http://app.example.com", 403),
        ("origin", "https://app.example.com.evil.example", 403),
        ("origin", "null", 403),
        ("origin", "not an origin", 403),
        ("origin", neighbour.as_str(), 403),
        ("host", "evil.example.com", 403),
        ("host", "mcp.example.com.evil.example", 403),
        ("origin", "https://app.example.com", 200),
        ("origin", own.as_str(), 200),
        ("host", "mcp.example.com", 200),
    ] {
        let response = served.send("tools/list", json!({}), &[(name, value)]).await;
        assert_eq!(response.status(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn whoever_has_no_good_token_is_told_where_to_get_one() {
    let provider = provider();
    let served = Served::start(known(&provider));
    let (status, text) = served.get("/.well-known/oauth-protected-resource/mcp").await;
    let metadata: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status, 200);
    assert_eq!(metadata["resource"], RESOURCE);
    assert_eq!(metadata["authorization_servers"], json!([provider.issuer()]));

    let challenge = |response: reqwest::Response, status: u16| {
        assert_eq!(response.status(), status);
        let header = response.headers()["www-authenticate"]
            .to_str()
            .expect("text")
            .to_owned();
        let where_to =
            "resource_metadata=\"https://mcp.example.com/.well-known/oauth-protected-resource/mcp\"";
        assert!(
            header.contains(where_to) && header.contains("scope=\"mcp:read\""),
            "{header}"
        );
        header
    };
    let list = async |token: Option<String>| {
        let value = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = value
            .iter()
            .map(|value| ("authorization", value.as_str()))
            .collect();
        served.send("tools/list", json!({}), &headers).await
    };
    assert!(
        !challenge(list(None).await, 401).contains("error="),
        "nothing was wrong yet"
    );
    assert!(challenge(list(Some("nonsense".to_owned())).await, 401).contains("invalid_token"));
    let elsewhere = provider
        .token("alice", "https://other.example.com", "mcp:read")
        .await;
    assert!(challenge(list(Some(elsewhere)).await, 401).contains("for another resource"));
    let too_little = provider.token("alice", RESOURCE, "mcp:write").await;
    assert!(challenge(list(Some(too_little)).await, 403).contains("insufficient_scope"));
    let stranger = self::provider();
    let of_another = stranger.token("alice", RESOURCE, "mcp:read").await;
    assert!(challenge(list(Some(of_another)).await, 401).contains("of another issuer"));

    let good = provider.token("alice", RESOURCE, "mcp:read").await;
    assert_eq!(list(Some(good.clone())).await.status(), 200);
    let (is_error, text) = served
        .call(Some(&good), "get", json!({"kind": "namespaces"}))
        .await;
    assert!(!is_error && text.contains("kube-system"), "{text}");
    let audit = served.audit();
    let call = audit.iter().find(|line| line["stage"] == "call").expect("a call");
    assert_eq!(call["user"], "oidc:alice");
    assert_eq!(call["groups"], json!(["oidc:dev"]));
    let everything = audit.iter().map(Value::to_string).collect::<String>() + &served.program.log();
    assert!(!everything.contains(&good), "a token is written down nowhere");
}

#[tokio::test]
async fn it_isnt_ready_while_nobody_could_be_let_in() {
    let mut provider = provider();
    let config = known(&provider);
    provider.stop();
    let served = Served::start(config);
    let (status, text) = served.get("/readyz").await;
    assert_eq!(status, 503);
    assert!(text.contains("keys can't be fetched"), "{text}");
    assert_eq!(
        served.get("/healthz").await.0,
        200,
        "starting again would help nobody"
    );
    let response = served
        .send("tools/list", json!({}), &[("authorization", "Bearer a.b.c")])
        .await;
    assert_eq!(response.status(), 401, "what is no token isn't asked about");
}

#[tokio::test]
async fn any_replica_answers_any_request() {
    let (one, other) = (Served::start(anybody()), Served::start(anybody()));
    let legacy = async |served: &Served, message: Value| {
        let request = reqwest::Client::new()
            .post(&served.url)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&message);
        request.send().await.expect("an answer")
    };
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let response = legacy(&one, initialize).await;
    assert!(response.headers().get("mcp-session-id").is_none());
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "get", "arguments": {"kind": "namespaces"}}});
    let answer: Value = legacy(&other, call).await.json().await.expect("JSON");
    let text = answer["result"]["content"][0]["text"].as_str().expect("text");
    assert!(text.contains("kube-system"), "{text}");
}

// The connection is closed by a task of its own, while the test waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_when_its_client_goes() {
    // It takes connections, and never says a word.
    let silent = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let server = format!("https://{}", silent.local_addr().expect("an address"));
    let file = tempfile::NamedTempFile::new().expect("a file");
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server}}], "users": [{"name": "a", "user": {"token": "t"}}]});
    std::fs::write(file.path(), kubeconfig.to_string()).expect("written");
    let served = Served::start(json!({"kubernetes": {"kubeconfig": file.path()}, "allowAnonymous": true}));
    let call = served.call(None, "get", json!({"kind": "pods"}));
    // Once the cluster is asked, the client goes.
    let asked = tokio::task::spawn_blocking(move || {
        let connection = silent.accept().expect("a connection");
        (silent, connection)
    });
    // The cluster stays, or the call would end with it.
    let _silent = tokio::select! {
        _ = call => panic!("the cluster said nothing"),
        silent = asked => silent,
    };
    eventually("the call has ended", || {
        let audit = served.audit();
        let call = audit.iter().find(|line| line["stage"] == "call")?;
        (call["outcome"] == "cancelled").then_some(())
    });
}

#[tokio::test]
async fn a_signal_ends_it_in_order() {
    let mut served = Served::start(anybody());
    assert_eq!(served.get("/healthz").await.0, 200);
    served.program.terminate();
    let status = served.program.wait(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0), "{}", served.program.log());
}

#[tokio::test]
async fn a_plan_of_one_replica_is_approved_and_made_at_others() {
    let namespace = Cluster::shared().namespace();
    let provider = provider();
    let alice = provider.token("alice", RESOURCE, "mcp:read").await;
    let key = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(key.path(), "k".repeat(64)).expect("written");
    let replica = |key: Option<&std::path::Path>| {
        let mut config = known(&provider);
        config["mode"] = "full".into();
        if let Some(key) = key {
            config["planKeyFile"] = key.to_string_lossy().into();
        }
        let mut served = Served::start(config);
        served.can_ask = true;
        served
    };
    let (one, two, three) = (
        replica(Some(key.path())),
        replica(Some(key.path())),
        replica(Some(key.path())),
    );
    let stranger = replica(None);

    let manifest =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "1"}});
    let arguments = json!({"operation": "create", "namespace": namespace.name(), "manifest": manifest});
    let (is_error, text) = one.call(Some(&alice), "change", arguments).await;
    assert!(!is_error, "{text}");
    let (_, rest) = text.split_once("\"plan\": \"").expect("a plan");
    let (plan, _) = rest.split_once('"').expect("its end");

    let call = json!({"name": "change", "arguments": {"plan": plan}});
    let told = stranger.result(Some(&alice), call.clone()).await;
    assert_eq!(told["isError"], true, "it has another key: {told}");
    let asked = two.result(Some(&alice), call.clone()).await;
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let (question, _) = asked["inputRequests"]
        .as_object()
        .expect("questions")
        .iter()
        .next()
        .expect("one");
    let mut answered = call;
    answered["requestState"] = asked["requestState"].clone();
    answered["inputResponses"] = json!({question: {"action": "accept", "content": {}}});
    let made = three.result(Some(&alice), answered.clone()).await;
    assert_eq!(made["isError"], false, "{made}");
    let found = namespace
        .kubectl()
        .run(["get", "configmap", "made", "-o", "jsonpath={.data.a}"]);
    assert_eq!(found.text(), "1");

    // Once is enough: there it is used, and elsewhere what it would make is there already.
    for replica in [&three, &two] {
        let again = replica.result(Some(&alice), answered.clone()).await;
        assert_eq!(again["isError"], true, "{again}");
    }
    let call = three
        .audit()
        .into_iter()
        .find(|line| line["stage"] == "call")
        .expect("a call");
    assert_eq!(call["change"]["operation"], "create");
    assert_eq!(call["change"]["approval"], "approved");
}

#[tokio::test]
async fn who_cant_be_asked_over_http_doesnt_approve() {
    let namespace = Cluster::shared().namespace();
    let provider = provider();
    let alice = provider.token("alice", RESOURCE, "mcp:read").await;
    let mut config = known(&provider);
    config["mode"] = "full".into();
    let served = Served::start(config);
    let manifest = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}});
    let arguments = json!({"operation": "create", "namespace": namespace.name(), "manifest": manifest});
    let (is_error, text) = served.call(Some(&alice), "change", arguments).await;
    assert!(!is_error, "a plan is made, and shown: {text}");
    let (_, rest) = text.split_once("\"plan\": \"").expect("a plan");
    let (plan, _) = rest.split_once('"').expect("its end");
    // By the newer revision its client says that it can't; by the older one nobody knows, without a session.
    let (is_error, text) = served.call(Some(&alice), "change", json!({"plan": plan})).await;
    assert!(is_error && text.contains("elicitation"), "{text}");
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "change", "arguments": {"plan": plan}}});
    let request = reqwest::Client::new()
        .post(&served.url)
        .bearer_auth(&alice)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&message);
    let answer: Value = request
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let text = answer["result"]["content"][0]["text"].as_str().expect("text");
    assert!(text.contains("elicitation"), "{text}");
    let found = namespace.kubectl().run(["get", "configmap", "made"]);
    assert!(found.stderr.contains("NotFound"), "{found}");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused() {
    let served = Served::start(anybody());
    let params = json!({"name": "get", "arguments": {"kind": "x".repeat(3 << 20)}});
    assert_eq!(served.send("tools/call", params, &[]).await.status(), 413);
}
