//! What can be written in a configuration file, and what can't.

use mk8s_oauth::{KubernetesSettings, Settings};

const LEAST: &str = "issuer: https://login.example.com/realm\nresource: https://mcp.example.com/mcp\n";

fn read(more: &str) -> Result<Settings, String> {
    serde_saphyr::from_str(&format!("{LEAST}{more}")).map_err(|error| error.to_string())
}

#[test]
fn issuer_and_resource_are_enough() {
    let settings = read("").expect("settings");
    assert_eq!(settings.resource(), "https://mcp.example.com/mcp");
    assert_eq!(settings.issuer(), "https://login.example.com/realm");
    assert!(settings.required_scopes().is_empty() && settings.kubernetes().is_none());
}

#[test]
fn all_that_there_is_to_set_is_read() {
    let settings = read(
        "
requiredScopes: [mcp:read]
supportedScopes: [mcp:read, mcp:write]
algorithms: [RS256, PS256, ES256, EdDSA]
username: {claim: email, prefix: ''}
groups: {claim: groups, prefix: 'oidc:'}
leeway: 30s
maxLifetime: 12h
requireAtJwt: true
idTokenClaims: [at_hash]
authorizedParties: [cli]
caFile: /etc/ca.crt
keys: {refresh: 15m, minInterval: 10s, keep: 1d}
timeout: 5s
resourceName: Kubernetes
resourceDocumentation: https://docs.example.com
kubernetes:
  exchange:
    audience: https://kubernetes.default.svc
    resource: https://kubernetes.default.svc
    scopes: [kubernetes]
    requestedTokenType: jwt
    tokenEndpoint: https://login.example.com/token
    client: {privateKey: {id: mcp, file: /etc/key.pem, algorithm: ES256, keyId: one, audience: https://login.example.com}}
    leeway: 1m
    cacheEntries: 100
",
    );
    assert!(matches!(
        settings.expect("settings").kubernetes(),
        Some(KubernetesSettings::Exchange(_))
    ));
    for client in [
        "secret: {id: mcp, file: /etc/secret}",
        "secret: {id: mcp, file: /etc/secret, inForm: true}",
        "serviceAccountToken: {file: /var/run/secrets/tokens/issuer}",
    ] {
        let exchange = format!("kubernetes: {{exchange: {{audience: x, client: {{{client}}}}}}}");
        assert!(read(&exchange).is_ok(), "{client}");
    }
}

#[test]
fn what_is_written_wrong_is_told_with_what_to_write() {
    for (wrong, told) in [
        ("algorithms: [none]", "RS256"),
        ("algorithms: [HS256]", "RS256"),
        ("algorithms: []", "leave it out"),
        ("algorithm: [RS256]", "algorithms"),
        ("username: {claim: sub}", "'' for none"),
        ("username: {claim: '', prefix: x}", "name one"),
        ("groups: {claim: groups, prefix: x, suffix: y}", "prefix"),
        ("leeway: 5", "30s"),
        ("leeway: 10m", "NTP"),
        ("maxLifetime: 0s", "24h"),
        ("keys: {refresh: 1h, keep: 10m}", "make it longer"),
        ("requiredScopes: ['a b']", "one an item"),
        ("resourceDocumentation: http://docs.example.com", "https"),
        (
            "kubernetes: {passThrough: {audience: x}}",
            "iAcceptThatMcpForbidsThis",
        ),
        (
            "kubernetes: {passThrough: {audience: x, iAcceptThatMcpForbidsThis: false}}",
            "kubernetes.exchange",
        ),
        ("kubernetes: {exchange: {audience: x}}", "client"),
        (
            "kubernetes: {exchange: {audience: x, client: {secret: {id: a, file: b, word: c}}}}",
            "inForm",
        ),
        (
            "kubernetes: {exchange: {audience: x, tokenEndpoint: 'http://x.example', client: {secret: {id: a, file: b}}}}",
            "https",
        ),
    ] {
        let error = read(wrong).expect_err(wrong);
        assert!(error.contains(told), "{wrong}: {error}");
    }
}

#[test]
fn urls_that_are_not_safe_or_not_what_all_would_write_are_refused() {
    let with = |issuer: &str, resource: &str, more: &str| {
        let text = format!("issuer: '{issuer}'\nresource: '{resource}'\n{more}");
        serde_saphyr::from_str::<Settings>(&text).map_err(|error| error.to_string())
    };
    let (issuer, resource) = ("https://login.example.com", "https://mcp.example.com/mcp");
    assert!(with(issuer, resource, "").is_ok());
    for bad in [
        "http://login.example.com",
        "login.example.com",
        "https://a:b@login.example.com",
        "https://login.example.com?x",
        "https://login.example.com#x",
        "http://127.0.0.1:8080",
    ] {
        assert!(with(bad, resource, "").is_err(), "{bad}");
        assert!(with(issuer, bad, "").is_err(), "{bad}");
    }
    let error = with(issuer, "https://MCP.example.com:443/mcp", "").expect_err("not canonical");
    assert!(error.contains("write https://mcp.example.com/mcp"), "{error}");
    assert!(with("http://127.0.0.1:8080", resource, "allowLoopbackHttp: true").is_ok());
    assert!(with("http://login.example.com", resource, "allowLoopbackHttp: true").is_err());
}
