//! Who isn't let in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mk8s_testkit::{
    Gateway,
    gateway::{ADMIN, Settings},
    raw::Response,
};
use serde_json::{Value, json};

use super::{ask, problem, status};

/// A gateway without clusters: who asks is found out before where to.
fn gateway() -> Gateway {
    Gateway::without_agents(Settings::default())
}

/// That a token isn't taken, neither for a cluster nor for central's own endpoints; gives the message.
#[track_caller]
fn refused(gateway: &Gateway, token: &str) -> String {
    let message = status(&ask(gateway, &format!("Bearer {token}")), 401, "Unauthorized");
    let own = gateway.call_as(token, "GET", "/clusters", &Value::Null);
    problem(&own, 401);
    assert!(!message.contains(token), "the token itself isn't repeated");
    message
}

fn parts(token: &str) -> [Value; 2] {
    let part = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let mut split = token.split('.');
    [
        part(split.next().expect("a header")),
        part(split.next().expect("claims")),
    ]
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn a_wrong_password_and_an_unknown_account_are_refused_alike() {
    let gateway = gateway();
    let wrong = gateway.try_login(ADMIN, "wrong");
    let unknown = gateway.try_login("nobody@example.com", "wrong");
    assert_eq!(problem(&wrong, 401), problem(&unknown, 401));
    let user = gateway.admin();
    let mut login = user.command([
        "login",
        "--central",
        &gateway.url(),
        "--email",
        ADMIN,
        "--password-stdin",
        "--ca-file",
    ]);
    let ran = mk8s_testkit::command::run_with(
        login.arg(gateway.ca_file()),
        b"wrong\n",
        mk8s_testkit::command::LIMIT,
    )
    .failed();
    assert!(ran.stderr.contains("wrong e-mail or password"), "{ran}");
    assert_eq!(
        ask(&gateway, &format!("Bearer {}", user.token())).status,
        404,
        "the session from before goes on"
    );
}

#[test]
fn logins_are_limited_per_account() {
    let gateway = gateway();
    let answers: Vec<Response> = (0..16).map(|_| gateway.try_login(ADMIN, "wrong")).collect();
    let limited: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(
        answers[0].status == 401 && limited.len() >= 3,
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    let wait: u64 = limited[0]
        .header("retry-after")
        .and_then(|wait| wait.parse().ok())
        .expect("when to come back");
    assert!((1..=60).contains(&wait), "{wait}");
    // Others aren't locked out with them, and who is signed in stays it.
    assert_eq!(
        gateway.try_login("somebody.else@example.com", "wrong").status,
        401
    );
    assert_eq!(gateway.call("GET", "/clusters", &Value::Null).status, 200);
}

#[test]
fn logins_are_limited_per_address() {
    let gateway = gateway();
    let codes: Vec<u16> = (0..50)
        .map(|n| gateway.try_login(&format!("user{n}@example.com"), "wrong").status)
        .collect();
    assert!(
        codes.contains(&429),
        "fifty accounts tried from one address: {codes:?}"
    );
}

#[test]
fn an_expired_token_is_refused_and_says_so() {
    // Central begins in the past and gives out a token; then time goes on while it is away.
    let hour_ago = Settings::default()
        .with_yaml("auth: {token_expiry: 5m}")
        .with_variable("LD_PRELOAD", &super::agents::faketime())
        .with_variable("FAKETIME", "-1h")
        .with_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut gateway = Gateway::without_agents(hour_ago);
    let token = gateway.admin().token();
    assert_eq!(
        gateway.call_as(&token, "GET", "/clusters", &Value::Null).status,
        200
    );
    gateway.stop_central();
    gateway.clear_variables();
    gateway.start_central();
    let message = refused(&gateway, &token);
    assert!(message.contains("expired"), "{message}");
}

#[test]
fn a_tampered_token_is_refused() {
    let gateway = gateway();
    let token = gateway.admin().token();
    let [header, mut claims] = parts(&token);
    let signature = token.rsplit('.').next().expect("a signature");
    // Everybody's favourite: be somebody else, live longer.
    claims["exp"] = json!(4_102_444_800_u64);
    refused(
        &gateway,
        &format!("{}.{}.{signature}", encoded(&header), encoded(&claims)),
    );
    // One bit of the signature; not the last character, some of whose bits mean nothing.
    let at = token.len() - 10;
    let flipped = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    refused(
        &gateway,
        &format!("{}{flipped}{}", &token[..at], &token[at + 1..]),
    );
    refused(&gateway, &token[..token.len() - 4]);
    refused(&gateway, token.rsplit_once('.').expect("three parts").0);
}

#[test]
fn a_token_of_a_foreign_key_is_refused() {
    let (ours, theirs) = (gateway(), gateway());
    let foreign = theirs.admin().token();
    refused(&ours, &foreign);
    // Not even when it says that it was signed by our key.
    let [mut header, _] = parts(&foreign);
    let [our_header, _] = parts(&ours.admin().token());
    header["kid"] = our_header["kid"].clone();
    let rest = foreign.split_once('.').expect("three parts").1;
    refused(&ours, &format!("{}.{rest}", encoded(&header)));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let gateway = gateway();
    let token = gateway.admin().token();
    let [header, claims] = parts(&token);
    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": header["kid"]});
        refused(&gateway, &format!("{}.{}.", encoded(&header), encoded(&claims)));
    }
}

#[test]
fn a_token_signed_by_the_public_key_as_a_secret_is_refused() {
    let gateway = gateway();
    let [header, claims] = parts(&gateway.admin().token());
    let keys = gateway
        .endpoint()
        .request("GET", "/.well-known/jwks.json", &[], b"")
        .expect("an answer")
        .json();
    let modulus = keys["keys"][0]["n"].as_str().expect("an RSA key").to_owned();
    let mut forged = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    forged.kid = header["kid"].as_str().map(str::to_owned);
    for secret in [
        modulus.clone().into_bytes(),
        URL_SAFE_NO_PAD.decode(&modulus).expect("base64url"),
    ] {
        let key = jsonwebtoken::EncodingKey::from_secret(&secret);
        refused(
            &gateway,
            &jsonwebtoken::encode(&forged, &claims, &key).expect("a token"),
        );
    }
}

#[test]
fn what_is_no_bearer_token_is_refused() {
    let gateway = gateway();
    let token = gateway.admin().token();
    let endpoint = gateway.endpoint();
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        &token,
        &format!("Bearer {}", "x".repeat(20_000)),
    ] {
        status(&ask(&gateway, authorization), 401, "Unauthorized");
    }
    let bearer = format!("Bearer {token}");
    let twice = [("Authorization", bearer.as_str()), ("Authorization", "Bearer x")];
    let answer = endpoint
        .request("GET", &gateway.kube_path("any", "/version"), &twice, b"")
        .expect("an answer");
    status(&answer, 401, "Unauthorized");
    let answer = endpoint
        .request("GET", &gateway.kube_path("any", "/version"), &[], b"")
        .expect("an answer");
    status(&answer, 401, "Unauthorized");
    assert!(answer.header("www-authenticate").is_some());
    // A token in the query, where it would be in everybody's logs, is none.
    let query = gateway.kube_path("any", &format!("/version?access_token={token}"));
    assert_eq!(
        endpoint
            .request("GET", &query, &[], b"")
            .expect("an answer")
            .status,
        401
    );
}

#[test]
fn every_endpoint_refuses_strangers_and_only_administrators_manage_users() {
    let gateway = gateway();
    let viewer = gateway.user("viewer@example.com", &["viewer"]).token();
    let someone = json!({"email": "new@example.com", "password": "long enough, surely", "roles": ["admin"]});
    let rows = [
        ("GET", "/clusters", Value::Null, 200),
        ("GET", "/auth/whoami", Value::Null, 200),
        (
            "POST",
            "/clusters/none/exec",
            json!({"command": ["get", "pods"]}),
            404,
        ),
        ("GET", "/users", Value::Null, 403),
        ("POST", "/users", someone, 403),
        (
            "PUT",
            "/users/00000000-0000-0000-0000-000000000000/roles",
            json!({"roles": ["admin"]}),
            403,
        ),
    ];
    for (method, path, body, as_viewer) in rows {
        let stranger = gateway.call_as("none", method, path, &body);
        assert_eq!(stranger.status, 401, "{method} {path}: {}", stranger.text());
        let answer = gateway.call_as(&viewer, method, path, &body);
        assert_eq!(answer.status, as_viewer, "{method} {path}: {}", answer.text());
    }
}

#[test]
fn a_name_that_belongs_to_kubernetes_becomes_no_account() {
    let gateway = gateway();
    for email in [
        "system:admin",
        "system:masters@example.com",
        "a\r\nb@example.com",
        "",
        "no-at-sign",
    ] {
        let body = json!({"email": email, "password": "long enough, surely", "roles": ["viewer"]});
        problem(&gateway.call("POST", "/users", &body), 400);
    }
    let body =
        json!({"email": "new@example.com", "password": "long enough, surely", "roles": ["system:masters"]});
    problem(&gateway.call("POST", "/users", &body), 400);
}

#[test]
fn a_body_that_isnt_what_an_endpoint_takes_is_refused() {
    let gateway = gateway();
    let endpoint = gateway.endpoint();
    let json = [("Content-Type", "application/json")];
    for body in [
        "",
        "{",
        "[]",
        "{\"email\": 1}",
        "{\"email\": \"a@example.com\"}",
        &"[".repeat(100_000),
    ] {
        let answer = endpoint
            .request("POST", "/auth/login", &json, body.as_bytes())
            .expect("an answer");
        assert!(
            (400..=422).contains(&answer.status),
            "{}: {}",
            answer.status,
            answer.text()
        );
        problem(&answer, answer.status);
    }
    let huge = format!("{{\"email\": \"{}\"}}", "x".repeat(10_000_000));
    let answer = endpoint.request("POST", "/auth/login", &json, huge.as_bytes());
    assert!(
        answer.map_or(true, |answer| answer.status == 413),
        "10 MB to log in"
    );
    problem(&gateway.call("GET", "/nonsense", &Value::Null), 404);
    problem(&gateway.call("DELETE", "/clusters", &Value::Null), 405);
}
