//! What of a request's head reaches the cluster, and in whose name.

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use mk8s_net::Body;
use mk8s_proxy::{
    Extra,
    sanitize::{self, Audience, Impersonation},
    upstream::Naming,
};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::support::{
    ApiServer, Gateway, HTTP1, HTTP2, Options, Way, answer, body_text, get, handler, status_json,
};

fn with(mut request: Request<Body>, headers: &[(&str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a name");
        request
            .headers_mut()
            .append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    request
}

const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn a_client_that_chooses_its_identity_is_refused_and_nothing_is_sent() {
    let api = ApiServer::start(answer("never")).await;
    let gateway = Gateway::before(&api).await;
    let names = [
        "Impersonate-User",
        "Impersonate-Group",
        "Impersonate-Uid",
        "Impersonate-Extra-Scopes",
        "impersonate-",
    ];
    for (number, name) in names.into_iter().enumerate() {
        let alpn = if number % 2 == 0 { HTTP1 } else { HTTP2 };
        let response = gateway
            .client(alpn)
            .await
            .send(with(get(PODS), &[(name, "system:masters")]))
            .await;
        assert_eq!(response.status(), 403, "{name}");
        let status = status_json(response).await;
        assert_eq!(status["reason"], "Forbidden");
        let message = status["message"].as_str().expect("text");
        assert!(
            message.contains(&name.to_lowercase()) && message.contains("--as"),
            "{message}"
        );
    }
    let events = gateway.log.closed(names.len()).await;
    assert!(
        events
            .iter()
            .all(|(open, close)| open.denied.is_some() && close.status == 403)
    );
    assert_eq!(api.seen().len(), 0);
}

#[tokio::test]
async fn the_caller_and_nobody_else_is_named_to_the_cluster() {
    for way in Way::BOTH {
        for alpn in [HTTP1, HTTP2] {
            let api = ApiServer::start(answer("ok")).await;
            let gateway = Gateway::on(&api, way).await;
            let smuggled = [
                ("Authorization", "Bearer the-clients-own"),
                ("X-Remote-User", "admin"),
                ("X-Remote-Group", "system:masters"),
                ("X-Remote-Extra-Scopes", "all"),
                ("X-Forwarded-User", "admin"),
                ("X-Mk8s-Method", "DELETE"),
                ("Audit-Id", "00000000-0000-0000-0000-000000000000"),
                ("Proxy-Authorization", "Basic eA=="),
                ("X-Unheard-Of", "1"),
                ("Cookie", "session=1"),
            ];
            let response = gateway.client(alpn).await.send(with(get(PODS), &smuggled)).await;
            assert_eq!(body_text(response).await, "ok");
            let seen = api.only();
            assert_eq!(seen.version, http::Version::HTTP_2, "whatever the client spoke");
            assert_eq!(seen.all("impersonate-user"), ["jane@example.com"]);
            assert_eq!(seen.all("impersonate-group"), ["mk8s:dev", "mk8s:ops"]);
            assert_eq!(seen.all("authorization"), ["Bearer the-gateways-own"]);
            assert_eq!(seen.all("audit-id"), [gateway.log.ids()[0].to_string()]);
            for (name, _) in &smuggled[1..] {
                if *name != "Audit-Id" {
                    assert_eq!(seen.header(name), None, "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_else_is_told_of_a_caller_reaches_the_api_server_and_no_agent() {
    for way in Way::BOTH {
        for naming in [Naming::Impersonate, Naming::AsSelf] {
            let api = ApiServer::start(answer("ok")).await;
            let options = Options {
                way,
                naming,
                extra: Extra::new([("agent", "a"), ("example.com/tool", "get")]).expect("extras"),
                ..Options::default()
            };
            let gateway = Gateway::with(&api, options).await;
            // Whatever a hop or a client says of them.
            let request = with(get(PODS), &[("Connection", "Impersonate-Extra-Agent")]);
            let response = gateway.client(HTTP1).await.send(request).await;
            assert_eq!(body_text(response).await, "ok");
            let seen = api.only();
            let told = [
                seen.header("impersonate-extra-agent"),
                seen.header("impersonate-extra-example.com%2ftool"),
            ];
            let is_told = way == Way::Direct && naming == Naming::Impersonate;
            let expected = if is_told {
                [Some("a"), Some("get")]
            } else {
                [None, None]
            };
            assert_eq!(told, expected, "{way:?} {naming:?}");
            let own = gateway
                .client(HTTP2)
                .await
                .send(with(get(PODS), &[("Impersonate-Extra-Agent", "b")]))
                .await;
            assert_eq!(own.status(), 403);
            assert_eq!(api.seen().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_connection_header_takes_nothing_away_that_we_set() {
    for way in Way::BOTH {
        let api = ApiServer::start(answer("ok")).await;
        let gateway = Gateway::on(&api, way).await;
        // HTTP/1.1 alone has it.
        for named in [
            "Impersonate-User",
            "close, Impersonate-User, Impersonate-Group, Impersonate-Extra-a",
            "Authorization",
            "Audit-ID, authorization, impersonate-user",
            "keep-alive, X-Mk8s-Method",
        ] {
            let request = with(get(PODS), &[("Connection", named)]);
            assert_eq!(
                body_text(gateway.client(HTTP1).await.send(request).await).await,
                "ok"
            );
        }
        let seen = api.seen();
        assert_eq!(seen.len(), 5);
        for (seen, id) in seen.iter().zip(gateway.log.ids()) {
            assert_eq!(seen.all("impersonate-user"), ["jane@example.com"]);
            assert_eq!(seen.all("impersonate-group"), ["mk8s:dev", "mk8s:ops"]);
            assert_eq!(seen.all("authorization"), ["Bearer the-gateways-own"]);
            assert_eq!(seen.all("audit-id"), [id.to_string()]);
            assert_eq!(seen.header("connection"), None);
        }
    }
}

#[tokio::test]
async fn what_connection_names_of_the_clients_own_is_dropped() {
    let api = ApiServer::start(answer("ok")).await;
    let gateway = Gateway::before(&api).await;
    let request = with(
        get(PODS),
        &[
            ("Connection", "Kubectl-Command"),
            ("Kubectl-Command", "get"),
            ("Accept", "a/b"),
        ],
    );
    body_text(gateway.client(HTTP1).await.send(request).await).await;
    let seen = api.only();
    assert_eq!(
        (seen.header("kubectl-command"), seen.header("accept")),
        (None, Some("a/b"))
    );
}

#[tokio::test]
async fn names_outside_of_ascii_arrive_as_they_are() {
    for way in Way::BOTH {
        let api = ApiServer::start(answer("ok")).await;
        let options = Options {
            way,
            user: "jürgen@例え.jp",
            groups: &["команда"],
            ..Options::default()
        };
        let gateway = Gateway::with(&api, options).await;
        body_text(gateway.client(HTTP2).await.send(get(PODS)).await).await;
        let seen = api.only();
        assert_eq!(
            seen.headers["impersonate-user"].as_bytes(),
            "jürgen@例え.jp".as_bytes()
        );
        assert_eq!(seen.headers["impersonate-group"].as_bytes(), "команда".as_bytes());
    }
}

#[tokio::test]
async fn what_kubectl_sends_arrives() {
    let api = ApiServer::start(answer("ok")).await;
    let gateway = Gateway::before(&api).await;
    let sent = [
        (
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        ),
        ("accept-encoding", "gzip"),
        ("content-type", "application/apply-patch+yaml"),
        ("kubectl-command", "kubectl apply"),
        ("kubectl-session", "6f8a"),
        ("user-agent", "kubectl/v1.37.0"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    body_text(gateway.client(HTTP2).await.send(with(get(PODS), &sent)).await).await;
    let seen = api.only();
    for (name, value) in sent {
        assert_eq!(seen.all(name), [value], "{name}");
    }
    assert_eq!(
        gateway.log.only().await.0.user_agent.as_deref(),
        Some("kubectl/v1.37.0")
    );
}

#[tokio::test]
async fn a_workload_gets_its_own_headers_and_no_credentials() {
    let api = ApiServer::start(answer("ok")).await;
    let gateway = Gateway::before(&api).await;
    let sent = [
        ("cookie", "session=1"),
        ("x-csrf-token", "2"),
        ("x-remote-user", "admin"),
        ("authorization", "Bearer x"),
    ];
    let request = with(
        get("/api/v1/namespaces/default/services/web/proxy/index.html"),
        &sent,
    );
    body_text(gateway.client(HTTP2).await.send(request).await).await;
    let seen = api.only();
    assert_eq!(
        (seen.header("cookie"), seen.header("x-csrf-token")),
        (Some("session=1"), Some("2"))
    );
    assert_eq!(seen.header("x-remote-user"), None);
    assert_eq!(seen.all("authorization"), ["Bearer the-gateways-own"]);
}

#[tokio::test]
async fn an_answer_keeps_its_headers_but_for_those_of_the_hop() {
    let api = ApiServer::start(handler(|_| async {
        let mut response = http::Response::new(Body::full("ok"));
        for (name, value) in [
            ("audit-id", "a"),
            ("warning", "299 - \"old\""),
            ("x-kubernetes-pf-flowschema-uid", "b"),
            ("cache-control", "no-cache, private"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
        ] {
            response
                .headers_mut()
                .insert(name, value.parse().expect("a value"));
        }
        response
    }))
    .await;
    for way in Way::BOTH {
        let gateway = Gateway::on(&api, way).await;
        let response = gateway.client(HTTP1).await.send(get(PODS)).await;
        let headers = response.headers();
        assert_eq!(headers["audit-id"], "a");
        assert_eq!(headers["warning"], "299 - \"old\"");
        assert_eq!(headers["x-kubernetes-pf-flowschema-uid"], "b");
        assert_eq!(headers["cache-control"], "no-cache, private");
        assert!(!headers.contains_key("keep-alive") && !headers.contains_key("proxy-authenticate"));
    }
}

#[tokio::test]
async fn the_path_and_query_arrive_byte_for_byte() {
    for way in Way::BOTH {
        let api = ApiServer::start(answer("ok")).await;
        let gateway = Gateway::on(&api, way).await;
        let long = format!("/api/v1/pods?labelSelector={}", "a%3Db%2C".repeat(7000));
        let paths = [
            "/api/v1/namespaces/n/services/http:web:80/proxy/a%2Fb//c;d?x=%2F&y=+&&z",
            "/api/v1/pods?fieldSelector=status.phase%21%3DRunning&limit=500",
            "/",
            "/version?",
            long.as_str(),
        ];
        for path in paths {
            body_text(gateway.client(HTTP1).await.send(get(path)).await).await;
        }
        let seen: Vec<_> = api
            .seen()
            .iter()
            .map(|s| s.uri.path_and_query().expect("a path").as_str().to_owned())
            .collect();
        assert_eq!(seen, paths);
    }
}

fn header_name() -> impl Strategy<Value = String> {
    let known = vec![
        "impersonate-user",
        "Impersonate-Group",
        "IMPERSONATE-UID",
        "impersonate-extra-a",
        "x-remote-user",
        "X-Remote-Group",
        "x-remote-extra-b",
        "authorization",
        "proxy-authorization",
        "audit-id",
        "x-mk8s-method",
        "x-forwarded-user",
        "connection",
        "upgrade",
        "te",
        "transfer-encoding",
        "host",
        "accept",
        "user-agent",
        "content-length",
        "sec-websocket-protocol",
        "sec-websocket-key",
        "cookie",
        "x-any",
    ];
    prop_oneof![6 => select(known).prop_map(str::to_owned), 1 => "[a-zA-Z][a-zA-Z0-9_-]{0,20}"]
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let known = vec![
        "close, Impersonate-User",
        "authorization",
        "X-Remote-User , audit-id",
        "Upgrade",
        "a,b,,c",
        "",
        "base64url.bearer.authorization.k8s.io.YQ, v5.channel.k8s.io",
        "keep-alive",
    ];
    prop_oneof![3 => select(known).prop_map(|v| v.as_bytes().to_vec()), 1 => vec(32_u8..=255, 0..20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_header_that_names_an_identity_ever_passes(
        sent in vec((header_name(), header_value()), 0..12),
        is_workload in any::<bool>(),
    ) {
        let audience = if is_workload { Audience::Workload } else { Audience::ApiServer };
        let mut headers = HeaderMap::new();
        for (name, value) in &sent {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        let chose = headers.keys().any(|name| name.as_str().starts_with("impersonate-"));
        let outcome = sanitize::request(&mut headers, audience, Impersonation::Refused);
        prop_assert_eq!(outcome.is_err(), chose, "an attempt is refused, and nothing else is");
        if outcome.is_ok() {
            for (name, value) in &headers {
                let is_identity = ["impersonate-", "x-remote-", "x-mk8s-"].iter().any(|p| name.as_str().starts_with(p))
                    || matches!(*name, header::AUTHORIZATION | header::PROXY_AUTHORIZATION)
                    || matches!(name.as_str(), "audit-id" | "x-forwarded-user");
                prop_assert!(!is_identity, "{}", name);
                let is_hop = matches!(
                    *name,
                    header::CONNECTION | header::UPGRADE | header::TE | header::TRANSFER_ENCODING | header::HOST
                );
                prop_assert!(!is_hop, "{}", name);
                let text = String::from_utf8_lossy(value.as_bytes()).to_lowercase();
                let is_protocol = *name == header::SEC_WEBSOCKET_PROTOCOL;
                prop_assert!(!(is_protocol && text.contains("base64url.bearer")), "{}", text);
            }
        }
    }

    #[test]
    fn an_answer_never_says_anything_of_its_hop(sent in vec((header_name(), header_value()), 0..12)) {
        let mut headers = HeaderMap::new();
        for (name, value) in &sent {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
                headers.append(name, value);
            }
        }
        sanitize::response(&mut headers);
        for name in [header::CONNECTION, header::UPGRADE, header::TE, header::TRANSFER_ENCODING] {
            prop_assert!(!headers.contains_key(&name), "{}", name);
        }
    }
}
