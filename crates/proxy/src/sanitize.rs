//! What of a client's request head may pass.
//!
//! Outbound headers come from an allow-list, so that a header nobody thought of (a new way to name a user, a proxy's own
//! convention) is dropped by default. Headers that name an identity are never on it; [`crate::rewrite`] sets those last.
//! (capsule-proxy#188, GHSA-pvxj-25m6-7vqr, cluster-proxy#335)

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// A client tried to choose its own identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the header {0} chooses an identity, which this gateway does itself: ask without it (kubectl: without --as, --as-group and --as-uid)"
)]
pub struct ImpersonationAttempt(HeaderName);

/// Which headers a request may carry on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The API server: only what it has a use for.
    ApiServer,
    /// A workload behind the API server's `proxy` subresource: whatever is not hop-by-hop and names no identity.
    Workload,
}

/// What becomes of a client's wish to act as somebody else (`Impersonate-*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Impersonation {
    /// It is refused: we say ourselves who the client is, in those very headers.
    #[default]
    Refused,
    /// It is passed on: the client is whoever our credentials say, and the API server's own RBAC says whom they may act as.
    Relayed,
}

/// Reduces a request's headers to those that may pass.
///
/// # Errors
/// [`ImpersonationAttempt`] if the client sent any `Impersonate-*` that isn't to be relayed: dropping it silently would run
/// the request as somebody else than the client believes.
pub fn request(
    headers: &mut HeaderMap,
    audience: Audience,
    impersonation: Impersonation,
) -> Result<(), ImpersonationAttempt> {
    let relays = impersonation == Impersonation::Relayed;
    if let Some(name) = headers.keys().find(|name| is_impersonation(name))
        && (!relays || names_impersonation(headers))
    {
        return Err(ImpersonationAttempt(name.clone()));
    }
    remove_connection_named(headers);
    let unwanted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| !(may_pass(name, audience) || relays && is_impersonation(name)))
        .cloned()
        .collect();
    for name in unwanted {
        headers.remove(name);
    }
    remove_token_protocols(headers);
    Ok(())
}

/// A browser, which can't set `Authorization` on a WebSocket, puts its token among the protocols it offers
/// (`k8s.io/apiserver/pkg/authentication/request/websocket`). It is as much a credential as the header, and goes no
/// further than to us.
fn remove_token_protocols(headers: &mut HeaderMap) {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let has_token = |value: &HeaderValue| {
        value
            .as_bytes()
            .windows(TOKEN_PROTOCOL.len())
            .any(|w| w.eq_ignore_ascii_case(TOKEN_PROTOCOL))
    };
    if !offered.iter().any(has_token) {
        return;
    }
    let kept: Vec<HeaderValue> = offered
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|protocol| {
            !protocol
                .get(..TOKEN_PROTOCOL.len())
                .is_some_and(|p| p.eq_ignore_ascii_case(TOKEN_PROTOCOL))
        })
        .filter_map(|protocol| HeaderValue::from_bytes(protocol).ok())
        .collect();
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    for protocol in kept {
        headers.append(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
}

/// What a WebSocket protocol that carries a bearer token begins with.
const TOKEN_PROTOCOL: &[u8] = b"base64url.bearer.authorization.k8s.io.";

/// Removes from an answer what concerns only the hop it came over (RFC 9110, 7.6.1).
pub fn response(headers: &mut HeaderMap) {
    remove_connection_named(headers);
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    // Another one each time: marked so, HPACK sends it as it is and keeps its table for what comes again.
    if let Some(id) = headers.get_mut("audit-id") {
        id.set_sensitive(true);
    }
}

static HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn remove_connection_named(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = connection_named(headers).collect();
    for name in named {
        headers.remove(name);
    }
}

fn connection_named(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
}

/// Whether the hop would lose a name that the client asked to act in.
fn names_impersonation(headers: &HeaderMap) -> bool {
    connection_named(headers).any(|name| is_impersonation(&name))
}

fn may_pass(name: &HeaderName, audience: Audience) -> bool {
    let name = name.as_str();
    match audience {
        Audience::ApiServer => {
            matches!(
                name,
                "accept"
                    | "accept-encoding"
                    | "accept-language"
                    | "baggage"
                    | "cache-control"
                    | "content-encoding"
                    | "content-length"
                    | "content-type"
                    | "if-match"
                    | "if-modified-since"
                    | "if-none-match"
                    | "if-unmodified-since"
                    | "kubectl-command"
                    | "kubectl-session"
                    | "origin"
                    | "pragma"
                    | "range"
                    | "traceparent"
                    | "tracestate"
                    | "user-agent"
                    | "x-stream-protocol-version"
            ) || name.starts_with("sec-websocket-")
        }
        Audience::Workload => !names_identity(name) && !is_hop_by_hop(name),
    }
}

pub(crate) fn is_impersonation(name: &HeaderName) -> bool {
    name.as_str().starts_with("impersonate-")
}

fn names_identity(name: &str) -> bool {
    matches!(
        name,
        "authorization" | "audit-id" | "x-forwarded-user" | "x-forwarded-email" | "x-forwarded-groups"
    ) || name.starts_with("impersonate-")
        || name.starts_with("x-remote-")
        || name.starts_with("x-mk8s-")
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "expect"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), v.parse().expect("value")))
            .collect()
    }

    fn left(pairs: &[(&'static str, &'static str)], audience: Audience) -> Vec<String> {
        let mut headers = headers(pairs);
        request(&mut headers, audience, Impersonation::Refused).expect("no impersonation");
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn any_impersonation_header_of_a_client_is_refused() {
        for name in [
            "impersonate-user",
            "impersonate-group",
            "impersonate-uid",
            "impersonate-extra-scopes",
        ] {
            let mut headers = headers(&[(name, "x")]);
            for audience in [Audience::ApiServer, Audience::Workload] {
                assert!(
                    request(&mut headers, audience, Impersonation::Refused).is_err(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_wish_to_act_as_somebody_passes_only_where_the_api_server_decides_on_it() {
        let sent = [
            ("impersonate-user", "jane"),
            ("impersonate-group", "dev"),
            ("impersonate-uid", "7"),
            ("impersonate-extra-scopes", "view"),
            ("x-remote-user", "admin"),
        ];
        for audience in [Audience::ApiServer, Audience::Workload] {
            let mut relayed = headers(&sent);
            request(&mut relayed, audience, Impersonation::Relayed).expect("relayed");
            assert_eq!(relayed, headers(&sent[..4]));
            // Dropped by the hop, the request would run as somebody else than the client believes.
            relayed.insert(
                header::CONNECTION,
                HeaderValue::from_static("close, Impersonate-User"),
            );
            assert!(request(&mut relayed, audience, Impersonation::Relayed).is_err());
        }
    }

    #[test]
    fn identity_and_hop_by_hop_headers_never_pass() {
        let sent = [
            ("authorization", "Bearer x"),
            ("x-remote-user", "admin"),
            ("x-remote-group", "system:masters"),
            ("x-remote-extra-a", "b"),
            ("x-mk8s-method", "GET"),
            ("audit-id", "1"),
            ("proxy-authorization", "x"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("keep-alive", "x"),
            ("accept", "application/json"),
            ("x-unknown", "1"),
        ];
        assert_eq!(left(&sent, Audience::ApiServer), ["accept"]);
        assert_eq!(left(&sent, Audience::Workload), ["accept", "x-unknown"]);
    }

    #[test]
    fn what_connection_names_is_dropped_too() {
        let sent = [
            ("connection", "close, Accept, Impersonate-User"),
            ("accept", "a"),
            ("user-agent", "b"),
        ];
        assert_eq!(left(&sent, Audience::ApiServer), ["user-agent"]);
    }

    #[test]
    fn a_token_among_websocket_protocols_never_passes() {
        let token = "base64url.bearer.authorization.k8s.io.c2VjcmV0";
        let rows = [
            (
                format!("{token}, v5.channel.k8s.io, v4.channel.k8s.io"),
                vec!["v5.channel.k8s.io", "v4.channel.k8s.io"],
            ),
            (
                format!("v4.channel.k8s.io,{}", token.to_ascii_uppercase()),
                vec!["v4.channel.k8s.io"],
            ),
            (token.to_owned(), vec![]),
            (
                "v5.channel.k8s.io, v4.channel.k8s.io".to_owned(),
                vec!["v5.channel.k8s.io, v4.channel.k8s.io"],
            ),
        ];
        for (offered, kept) in rows {
            for audience in [Audience::ApiServer, Audience::Workload] {
                let mut headers = headers(&[]);
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered.parse().expect("value"));
                request(&mut headers, audience, Impersonation::Refused).expect("no impersonation");
                let left: Vec<_> = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().collect();
                assert_eq!(left, kept, "{offered}");
            }
        }
    }

    #[test]
    fn an_answer_keeps_all_but_the_hop() {
        let mut answer = headers(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("audit-id", "1"),
            ("warning", "299 - x"),
        ]);
        response(&mut answer);
        assert_eq!(answer, headers(&[("audit-id", "1"), ("warning", "299 - x")]));
    }
}
