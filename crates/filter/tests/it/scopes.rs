//! Scopes in which the API server itself narrows.

use mk8s_filter::Scope;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{
    Reading, Server, TABLE, answer, bookmark, decoded, get, get_as, items, list, live, namespaces, pods,
    refused, seal, since, status, team,
};

#[tokio::test]
async fn who_may_see_all_gets_the_answer_as_it_is() {
    let whole = pods(100, &[("x", "a"), ("y", "b")]);
    let server = Server::scripted([answer(&whole)]);
    let uri = "/api/v1/pods?labelSelector=a%3Db&limit=5&continue=x%2Fy&includeObject=None&pretty=true";
    assert_eq!(list(&server, Scope::All, get_as(uri, TABLE)).await, whole);
    assert_eq!(
        server.asked(),
        ["/api/v1/pods?labelSelector=a=b&limit=5&continue=x/y&includeObject=None&pretty=true"]
    );
    assert_eq!(server.header(0, "accept").as_deref(), Some(TABLE));
}

#[tokio::test]
async fn what_is_passed_on_unread_may_be_compressed_and_what_is_read_may_not() {
    let packed = || {
        let mut response = answer(&json!("these bytes are nobody's business"));
        let gzip = http::HeaderValue::from_static("gzip");
        response
            .headers_mut()
            .insert(http::header::CONTENT_ENCODING, gzip);
        response
    };
    let asked = |encoding: &str| {
        let mut request = get("/api/v1/pods");
        let value = http::HeaderValue::from_str(encoding).expect("a value");
        request.headers_mut().insert(http::header::ACCEPT_ENCODING, value);
        request
    };
    let go = async |scope: Scope, encoding: &str| {
        let server = Server::scripted([packed()]);
        let scoped = since(0, scope);
        let response = mk8s_filter::list(server.clone(), &scoped, &seal("jane"), asked(encoding)).await;
        (server.header(0, "accept-encoding"), response)
    };
    for scope in [Scope::All, team("red")] {
        for encoding in ["gzip", "deflate, gzip"] {
            let (upward, response) = go(scope.clone(), encoding).await;
            assert_eq!(upward.as_deref(), Some("gzip"));
            assert_eq!(response.status(), 200);
            assert_eq!(response.headers()[http::header::CONTENT_ENCODING], "gzip");
            assert_eq!(response.headers()[http::header::VARY], "Accept-Encoding");
        }
        // Whoever didn't ask for it gets nothing that they can't read.
        for encoding in ["identity", "gzip;q=0", "br"] {
            let (upward, response) = go(scope.clone(), encoding).await;
            assert_eq!(upward, None, "{encoding}");
            assert_eq!(response.status(), 502, "{encoding}");
        }
    }
    let (upward, response) = go(namespaces(&["mine"]), "gzip").await;
    assert_eq!((upward, response.status().as_u16()), (None, 502));
}

#[tokio::test]
async fn labels_are_added_to_what_the_client_asks_for() {
    let whole = pods(100, &[("x", "a")]);
    for (given, asked) in [
        ("", "?labelSelector=team in (red)"),
        ("?labelSelector=", "?labelSelector=team in (red)"),
        ("?labelSelector=+", "?labelSelector=team in (red)"),
        ("?labelSelector=a%3Db%2C!c", "?labelSelector=team in (red),a=b,!c"),
        (
            "?limit=5&labelSelector=a+in+(b%2Cc)&fieldSelector=x%3Dy",
            "?limit=5&fieldSelector=x=y&labelSelector=team in (red),a in (b,c)",
        ),
        // What can't be read stays behind the comma, for the API server to refuse.
        ("?labelSelector=)%2Cb", "?labelSelector=team in (red),),b"),
        ("?labelSelector=%2C", "?labelSelector=team in (red),,"),
    ] {
        let server = Server::scripted([answer(&whole)]);
        let found = list(&server, team("red"), get(&format!("/api/v1/namespaces{given}"))).await;
        assert_eq!(found, whole);
        assert_eq!(server.asked(), [format!("/api/v1/namespaces{asked}")]);
    }
}

#[tokio::test]
async fn two_label_selectors_are_refused_and_nobody_is_asked() {
    for uri in [
        "/api/v1/pods?labelSelector=a&labelSelector=b",
        "/api/v1/pods?labelSelector=a&label%53elector=",
        "/api/v1/pods?x;labelSelector=a",
    ] {
        for scope in [Scope::All, Scope::Nothing, team("red"), namespaces(&["mine"])] {
            let server = Server::scripted([]);
            let response =
                mk8s_filter::list(server.clone(), &since(0, scope.clone()), &seal("jane"), get(uri)).await;
            assert_eq!(refused(response).await.0, 400, "{uri}");
            let (_sender, receiver) = tokio::sync::watch::channel(since(0, scope));
            let request = get(&format!("{uri}&watch=1"));
            let response = mk8s_filter::watch(server.clone(), receiver, request).await;
            assert_eq!(refused(response).await.0, 400, "{uri}");
            assert_eq!(server.asked(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn a_selector_that_can_t_be_read_is_the_api_server_s_to_refuse() {
    let server = Server::scripted([status(400, "BadRequest")]);
    let scoped = since(0, team("red"));
    let request = get("/api/v1/namespaces?labelSelector=x+in+(");
    let response = mk8s_filter::list(server, &scoped, &seal("jane"), request).await;
    assert_eq!(refused(response).await.0, 400);
}

#[tokio::test]
async fn who_may_see_nothing_is_told_so_by_the_api_server() {
    for scope in [Scope::Nothing, namespaces(&[])] {
        let server = Server::scripted([answer(&pods(100, &[])), live().1]);
        let found = list(
            &server,
            scope.clone(),
            get_as("/api/v1/pods?labelSelector=x", TABLE),
        )
        .await;
        assert_eq!(items(&found), [""; 0]);
        assert_eq!(found["metadata"]["resourceVersion"], json!("100"));
        let (source, response) = live();
        let watched = Server::scripted([response]);
        let request = get("/api/v1/pods?watch=1&allowWatchBookmarks=1");
        let mut reading = Reading::begin(&watched, since(0, scope), request).await;
        source.send(&bookmark(101));
        assert_eq!(reading.take(1).await, ["BOOKMARK 101"]);
        assert_eq!(
            server.asked(),
            ["/api/v1/pods?labelSelector=mk8s.io/nothing,!mk8s.io/nothing,x"]
        );
        assert_eq!(
            watched.asked(),
            ["/api/v1/pods?watch=1&allowWatchBookmarks=true&labelSelector=mk8s.io/nothing,!mk8s.io/nothing"]
        );
    }
}

proptest! {
    /// Whatever a client's query is made of, what goes upstream has one label selector, which begins with ours.
    #[test]
    fn no_query_widens_a_scope(
        parts in prop::collection::vec(
            "(&|;|\\?|=|,|\\(|\\)|%2[6CcDd]|%3[BbDd]|%|\\+|!|a|in|labelSelector|label%53elector|LabelSelector|limit|watch)",
            0..12,
        ),
        scope in prop_oneof![Just(team("red")), Just(Scope::Nothing), Just(namespaces(&[]))],
    ) {
        let ours = if scope == team("red") { "team in (red)" } else { "mk8s.io/nothing,!mk8s.io/nothing" };
        let uri = format!("/api/v1/pods?{}", parts.concat());
        prop_assume!(uri.parse::<http::Uri>().is_ok());
        let server = Server::new(|_| answer(&pods(100, &[])));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let response = runtime.block_on(mk8s_filter::list(server.clone(), &since(0, scope), &seal("jane"), get(&uri)));
        let targets = server.targets();
        if targets.is_empty() {
            prop_assert_eq!(response.status(), 400);
            return Ok(());
        }
        prop_assert_eq!(targets.len(), 1);
        let query = targets[0].split_once('?').expect("a query").1;
        // However a server splits it.
        let pairs = query.split(['&', ';', '?']).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let selectors: Vec<_> = pairs
            .filter(|(key, _)| decoded(key).eq_ignore_ascii_case("labelSelector"))
            .map(|(_, value)| decoded(value))
            .collect();
        prop_assert_eq!(selectors.len(), 1);
        let rest = selectors[0].strip_prefix(ours).expect("ours first");
        prop_assert!(rest.is_empty() || rest.starts_with(','), "{}", rest);
    }
}
