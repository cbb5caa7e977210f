//! What people and programs write: with secrets in it, and without.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mk8s_mcp_core::answer::{Answer, Content, Rank, Section, Table};
use mk8s_mcp_core::render::redact::{Redactor, Stream};
use mk8s_mcp_core::render::{EnvPolicy, Nonce, render};
use serde_json::{Value, json};

fn text(text: &str) -> [String; 2] {
    let mut stream = Stream::default();
    let streamed = stream.feed(text.as_bytes()) + &stream.finish();
    [Redactor::new(EnvPolicy::Harmless).text(text), streamed]
}

fn object(mut object: Value) -> Value {
    Redactor::new(EnvPolicy::Harmless).object(&mut object);
    object
}

#[test]
fn credentials_in_text_are_hidden() {
    let mut wrong: Vec<String> = Vec::new();
    for line in [
        "spring.datasource.password=hunter2x",
        "password = \"hunter2x\"",
        "PASSWORD:hunter2x",
        "export DB_PASS='hunter2x'",
        "ENV API_KEY hunter2x1",
        "aws_secret_access_key = hunter2x",
        "time=x level=info msg=\"login\" password=hunter2x user=a",
        "{\"level\":\"info\",\"db\":{\"password\":\"hunter2x\"}}",
        "{\"msg\":\"{\\\"token\\\":\\\"hunter2x\\\"}\"}",
        "2026-11-22T10:00:00Z {\"config\":\"password: hunter2x\"}",
        "config: {user: a, password: hunter2x, port: 1}",
        "&{User:a Password:hunter2x Port:1}",
        "{'password': 'hunter2x'}",
        "mysql -u root -phunter --password hunter2x",
        "psql postgresql://a:hunter2x@db:5432/x?sslmode=disable",
        "amqp://a:hunter2x@mq",
        "mongodb+srv://a:hunter2x@c0.example.net/?retryWrites=true",
        "Server=db;User Id=a;Password=hunter2x;",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hunter2x==;EndpointSuffix=core",
        "GET /callback?access_token=hunter2x&state=1 HTTP/1.1",
        "https://a.blob.example.net/c?sv=1&sig=hunter2x%3D",
        "Set-Cookie: session=hunter2x; Path=/; HttpOnly",
        "Cookie: a=b; session=hunter2x",
        "X-Api-Key: hunter2x",
        "Authorization: Token hunter2x",
        "authorization: Basic aHVudGVyMng6aHVudGVyMng=",
        "Proxy-Authorization: Basic aHVudGVyMng6aHVudGVyMng=",
        "curl -u admin:hunter2x http://x",
        "curl -H \"Authorization: Bearer hunter2x\" http://x",
        "kubeadm join 10.0.0.1:6443 --token hunter2x.hunter2x --discovery-token-ca-cert-hash sha256:0",
        "helm install --set auth.password=hunter2x,auth.user=a x",
        "docker login -u a --password hunter2x",
        "vault write secret/a password=hunter2x",
        "ALTER USER a IDENTIFIED BY PASSWORD 'hunter2x'",
        "<property><password>hunter2x</password></property>",
        "machine example.com login a password hunter2x",
        "requirepass hunter2x",
        "//registry.example.com/:_authToken=hunter2x",
        "{\"auths\":{\"r\":{\"auth\":\"aHVudGVyMng6aHVudGVyMng=\"}}}",
        "client_secret: hunter2x",
        "  - password: hunter2x",
        "password: !!str hunter2x",
        "password=hunter2x!@#$%",
        "token: 'hunter2x",
        "Data:map[password:[104 117 110 116 101 114 50 120]]",
    ] {
        for shown in text(line) {
            for needle in ["hunter2x", "aHVudGVyMng", "104 117 110"] {
                if shown.contains(needle) {
                    wrong.push(format!("{line}: {shown}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_of_kubernetes_stay_as_they_are() {
    let mut wrong: Vec<String> = Vec::new();
    for line in [
        "MountVolume.SetUp failed for volume \"tls\" : secret \"web-tls\" not found",
        "Error: couldn't find key password in Secret shop/db",
        "secrets \"db\" is forbidden: User \"jane\" cannot get resource \"secrets\" in API group \"\" in the namespace \"shop\"",
        "Failed to pull image \"registry.example.com/shop/web:1\": rpc error: code = Unknown desc = pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
        "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.",
        "Readiness probe failed: Get \"http://10.0.0.5:8080/auth/token\": context deadline exceeded",
        "Back-off restarting failed container app in pod web-7d9c8b6f5d-x2x7k_shop(550e8400-e29b-41d4-a716-446655440000)",
        "Successfully assigned shop/web-7d9c8b6f5d-x2x7k to ip-10-0-3-17.eu-west-1.compute.internal",
        "Container image \"registry.example.com/shop/web@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" already present on machine",
        "I1122 10:00:00.123456       1 controller.go:17] \"Reconciling\" secretName=\"web-tls\" namespace=\"shop\"",
        "error looking up service account shop/web: serviceaccount \"web\" not found",
        "Unable to authenticate the request: [invalid bearer token, token lookup failed]",
        "panic: runtime error: invalid memory address or nil pointer dereference [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x1]",
        "goroutine 1 [running]:\nmain.main()\n\t/src/cmd/server/main.go:42 +0x1d",
        "listening on https://0.0.0.0:8443 and http://[::]:8080",
        "GET /api/v1/namespaces/shop/pods?limit=500&resourceVersion=0 200 12ms",
        "reading the password from file /etc/app/password",
        "tokens: 512, total_tokens=1024, max_tokens=4096",
        "author: jane, keyboard: us, monkey: yes, passed: 12, passing: true",
        "mailto:jane@example.com and git@github.com:shop/web.git",
    ] {
        wrong.extend(text(line).into_iter().filter(|shown| shown != line));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn objects_of_many_kinds_keep_what_is_no_secret() {
    let mut wrong: Vec<String> = Vec::new();
    for kind in [
        json!({"kind": "ServiceAccount", "secrets": [{"name": "web-token-abc"}], "imagePullSecrets": [{"name": "r"}]}),
        json!({"kind": "Role", "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db-password"], "verbs": ["get"]}]}),
        json!({"kind": "Ingress", "spec": {"tls": [{"hosts": ["a.example.com"], "secretName": "web-tls"}]}}),
        json!({"kind": "Certificate", "spec": {"secretName": "web-tls", "privateKey": {"algorithm": "RSA", "encoding": "PKCS1", "size": 2048, "rotationPolicy": "Always"}}}),
        json!({"kind": "ExternalSecret", "spec": {"secretStoreRef": {"name": "vault", "kind": "SecretStore"}, "refreshInterval": "1h"}}),
        json!({"kind": "Pod", "spec": {"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607, "audience": "vault"}}]}}]}}),
        json!({"kind": "CSIDriver", "spec": {"tokenRequests": [{"audience": "a", "expirationSeconds": 600}], "requiresRepublish": true}}),
        json!({"kind": "CustomResourceDefinition", "spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {"spec": {"type": "object", "properties": {"password": {"type": "string", "description": "The word that lets one in."}, "tokenRef": {"type": "object", "properties": {"name": {"type": "string"}}}}}}}}}]}}),
        json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"nginx.conf": "server {\n  listen 80;\n  location / { proxy_pass http://web; }\n}\n", "log": "info"}}),
        json!({"kind": "Event", "message": "secret \"db\" not found", "reason": "FailedMount"}),
    ] {
        let shown = object(kind.clone());
        if shown != kind {
            wrong.push(shown.to_string());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn objects_of_many_kinds_lose_their_secrets() {
    let mut wrong: Vec<String> = Vec::new();
    let dockerconfig = json!({"auths": {"r": {"username": "a", "password": "hunter2x", "auth": STANDARD.encode("a:hunter2x")}}}).to_string();
    for kind in [
        json!({"kind": "TokenRequest", "status": {"token": "hunter2x", "expirationTimestamp": "2026-11-22T10:00:00Z"}}),
        json!({"kind": "TokenReview", "spec": {"token": "hunter2x"}}),
        json!({"kind": "Widget", "spec": {"credentials": {"user": "a", "value": "hunter2x"}}}),
        json!({"kind": "Widget", "spec": {"passwords": ["hunter2x"], "pins": 1}}),
        json!({"kind": "Widget", "spec": {"password": 12_345_678, "note": "hunter"}}),
        json!({"kind": "Widget", "spec": {"env": {"GREETING": "hunter2x"}}}),
        json!({"kind": "Widget", "spec": {"extraEnv": [{"name": "GREETING", "value": "hunter2x"}]}}),
        json!({"kind": "Widget", "spec": {"params": [{"name": "db-password", "value": "hunter2x"}]}}),
        json!({"kind": "Pod", "spec": {"containers": [{"livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "hunter2x"}]}}}]}}),
        json!({"kind": "Pod", "spec": {"containers": [{"livenessProbe": {"exec": {"command": ["redis-cli", "-a", "x", "--pass", "hunter2x"]}}}]}}),
        json!({"kind": "Widget", "metadata": {"annotations": {"example.com/object": json!({"kind": "Secret", "data": {"a": "hunter2x"}}).to_string()}}}),
        json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {".dockerconfigjson": dockerconfig}}),
        json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  a: hunter2x\n"}}),
        json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "binaryData": {"x": STANDARD.encode("password: hunter2x\nuser: a\n")}}),
        json!({"kind": "Widget", "spec": {"template": {"kind": "SECRET", "data": {"a": "hunter2x"}}}}),
        json!({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Secret", "data": {"a": "hunter2x"}}]}),
        json!({"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": {"deeper": "hunter2x"}, "b": ["hunter2x"]}}),
    ] {
        let shown = object(kind.clone()).to_string();
        for needle in [
            "hunter2x".to_owned(),
            STANDARD.encode("a:hunter2x"),
            STANDARD.encode("password: hunter2x\nuser: a\n"),
            "12345678".to_owned(),
        ] {
            if shown.contains(&needle) {
                wrong.push(shown.clone());
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{}",
        wrong.join(
            "
"
        )
    );
}

#[test]
fn tables_hide_what_goes_over_their_rows() {
    let planted = crate::planted::pem(1);
    let token = crate::planted::jwt(1);
    let (first, second) = token.text.split_at(50);
    let mut rows: Vec<Vec<String>> = planted
        .text
        .lines()
        .map(|line| vec![line.to_owned(), "x".to_owned()])
        .collect();
    rows.push(vec![first.to_owned(), "hunter2x".to_owned()]);
    rows.push(vec![second.to_owned(), "hunter2x".to_owned()]);
    let table = Table {
        columns: vec!["line".to_owned(), "password".to_owned()],
        rows,
    };
    let answer = Answer::new("rows").with(Section::new(Rank::Essential, Content::Table(table)));
    let text = render(answer, &crate::planted::settings(6000), Nonce(1)).text;
    planted.assert_hidden(&text);
    token.assert_hidden(&text);
    assert!(!text.contains("hunter2x"), "{text}");
}

#[test]
fn our_own_words_lose_their_secrets_too() {
    let token = crate::planted::known_token(1);
    let words = format!("it said password=hunter2x and {}", token.text);
    let note = Section::new(Rank::Useful, Content::Note(words.clone())).under(words.clone());
    let answer = Answer::error(words.clone(), Some(words.clone()))
        .with(note)
        .with_more(words);
    let rendered = render(answer, &crate::planted::settings(6000), Nonce(1));
    token.assert_hidden(&rendered.text);
    assert!(
        !rendered.text.contains("hunter2x") && rendered.is_error && rendered.redactions == 10,
        "{rendered:?}"
    );
}

#[test]
fn other_kinds_of_keys_are_hidden() {
    let body = STANDARD.encode(crate::planted::bytes(9, 96));
    let pgp = format!(
        "-----BEGIN PGP {0} KEY BLOCK-----\n\n{body}\n=abcd\n-----END PGP {0} KEY BLOCK-----\n",
        "PRIVATE"
    );
    let putty = format!(
        "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nPrivate-Lines: 1\n{body}\nPrivate-MAC: 00\n"
    );
    let der = STANDARD.encode(
        [
            &[0x30, 0x82, 1, 0, 2, 1, 0, 2, 0x82][..],
            &crate::planted::bytes(9, 96),
        ]
        .concat(),
    );
    let config = json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [{"name": "u", "user": {"exec": {"env": [{"name": "X", "value": body}]}}}]});
    for planted in [
        pgp,
        putty,
        format!("key {der}"),
        config.to_string(),
        STANDARD.encode(config.to_string()),
    ] {
        for shown in text(&planted) {
            for needle in [&body[..20], &der[..20], &planted[planted.len() / 2..][..20]] {
                assert!(!shown.contains(needle), "{planted}: {shown}");
            }
        }
    }
}
