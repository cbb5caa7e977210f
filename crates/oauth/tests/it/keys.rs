//! Keys that come, go and can't be had.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use mk8s_oauth::{FetchError, Issuer, Refused, system_clock};
use mk8s_tls::CertificateAuthority;
use serde_json::json;

use crate::support::{Answer, FakeIssuer, Server, Signer};

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn is_unavailable(outcome: &Result<mk8s_oauth::Verified, Refused>) -> bool {
    matches!(outcome, Err(Refused::KeysUnavailable(_)))
}

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_come_at_once() {
    let signer = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&signer]).await;
    let server = Server::new(&issuer.url, json!({}));
    let token = signer.token(&issuer.claims());
    let outcomes = join_all((0..50).map(|_| server.verify(&token))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(issuer.keys_asked(), 1);
    assert_eq!(issuer.state.described.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_one_that_is_withdrawn_is_forgotten() {
    let (old, new) = (Signer::elliptic("old"), Signer::rsa("new"));
    let issuer = FakeIssuer::start(&[&old]).await;
    let server = Server::new(&issuer.url, json!({"keys": {"minInterval": "10s"}}));
    let (by_old, by_new) = (old.token(&issuer.claims()), new.token(&issuer.claims()));
    assert!(server.verify(&by_old).await.is_ok());
    issuer.publish(&[&new]);
    assert_eq!(
        server.verify(&by_new).await.err(),
        Some(Refused::Untrusted),
        "too soon after the last time"
    );
    server.hands.advance(Duration::from_secs(10));
    assert!(server.verify(&by_new).await.is_ok());
    assert_eq!(server.verify(&by_old).await.err(), Some(Refused::Untrusted));
}

#[tokio::test]
async fn a_new_key_is_found_by_all_who_come_with_it_at_once() {
    let (old, new) = (Signer::elliptic("old"), Signer::elliptic("new"));
    let issuer = FakeIssuer::start(&[&old]).await;
    let server = Server::new(&issuer.url, json!({}));
    assert!(server.verify(&old.token(&issuer.claims())).await.is_ok());
    issuer.publish(&[&old, &new]);
    server.hands.advance(Duration::from_secs(10));
    let token = new.token(&issuer.claims());
    let outcomes = join_all((0..50).map(|_| server.verify(&token))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(issuer.keys_asked(), 2);
}

#[tokio::test]
async fn keys_that_are_old_are_fetched_by_one_while_the_others_go_on() {
    let (old, new) = (Signer::elliptic("old"), Signer::elliptic("new"));
    let issuer = FakeIssuer::start(&[&old]).await;
    let server = Server::new(&issuer.url, json!({"keys": {"refresh": "5m"}}));
    let token = old.token(&issuer.claims());
    assert!(server.verify(&token).await.is_ok());
    issuer.publish(&[&new]);
    server.hands.advance(minutes(5));
    let closed = issuer.state.keys_gate.write().await;
    let one = server.verify(&token);
    let others = async {
        mk8s_testkit::wait::soon("the one to ask", || (issuer.keys_asked() == 2).then_some(())).await;
        let others = join_all((0..20).map(|_| server.verify(&token))).await;
        drop(closed);
        others
    };
    let (one, others) = tokio::join!(one, others);
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(one.err(), Some(Refused::Untrusted), "the key is withdrawn");
    assert_eq!(server.verify(&token).await.err(), Some(Refused::Untrusted));
    assert_eq!(issuer.keys_asked(), 2);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_asks_the_issuer_once_an_interval() {
    let (good, strange) = (Signer::elliptic("one"), Signer::elliptic("x"));
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(&issuer.url, json!({"keys": {"minInterval": "10s"}}));
    assert!(server.verify(&good.token(&issuer.claims())).await.is_ok());
    server.hands.advance(Duration::from_secs(10));
    for round in 1..=3 {
        let tokens: Vec<String> = (0..100)
            .map(|n| {
                let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": format!("{round}-{n}")});
                strange.token_with(&header.to_string(), &issuer.claims().to_string())
            })
            .collect();
        let outcomes = join_all(tokens.iter().map(|token| server.verify(token))).await;
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Err(Refused::Untrusted)))
        );
        assert_eq!(issuer.keys_asked(), 1 + round);
        server.hands.advance(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn known_keys_go_on_while_the_issuer_is_away_but_not_for_ever() {
    let (good, new) = (Signer::elliptic("one"), Signer::elliptic("new"));
    let issuer = FakeIssuer::start(&[&good]).await;
    let lifetimes =
        json!({"keys": {"refresh": "5m", "minInterval": "10s", "keep": "1h"}, "maxLifetime": "10h"});
    let server = Server::new(&issuer.url, lifetimes);
    let mut claims = issuer.claims();
    claims["exp"] = json!(crate::support::NOW + 9 * 3600);
    let token = good.token(&claims);
    assert!(server.verify(&token).await.is_ok());
    issuer.answer_keys(Answer::Status(404));
    for _ in 0..5 {
        server.hands.advance(minutes(10));
        assert!(server.verify(&token).await.is_ok());
    }
    assert!(
        is_unavailable(&server.verify(&new.token(&claims)).await),
        "whether it is a key, nobody can say now"
    );
    server.hands.advance(minutes(10));
    assert!(is_unavailable(&server.verify(&token).await));
    issuer.publish(&[&good]);
    server.hands.advance(Duration::from_secs(1));
    assert!(server.verify(&token).await.is_ok(), "back at once");
}

#[tokio::test]
async fn while_known_keys_go_on_the_issuer_is_tried_now_and_then() {
    let good = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let server = Server::new(
        &issuer.url,
        json!({"keys": {"refresh": "5m", "minInterval": "10s"}}),
    );
    let token = good.token(&issuer.claims());
    assert!(server.verify(&token).await.is_ok());
    issuer.answer_keys(Answer::Status(404));
    // A tenth of the time after which they are to be fetched again: whoever tries waits for it.
    for (seconds, asked) in [(299, 1), (1, 2), (10, 2), (19, 2), (1, 3), (29, 3), (1, 4)] {
        server.hands.advance(Duration::from_secs(seconds));
        assert!(server.verify(&token).await.is_ok());
        assert_eq!(issuer.keys_asked(), asked, "{seconds}");
    }
}

#[tokio::test]
async fn who_waits_in_vain_is_told_without_asking_for_each_anew() {
    let good = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    issuer.answer_keys(Answer::Status(404));
    let server = Server::new(&issuer.url, json!({}));
    let token = good.token(&issuer.claims());
    let outcomes = join_all((0..50).map(|_| server.verify(&token))).await;
    assert!(outcomes.iter().all(is_unavailable));
    assert_eq!(issuer.keys_asked(), 1);
}

#[tokio::test]
async fn what_is_no_key_set_or_comes_from_elsewhere_is_not_used() {
    let good = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let elsewhere = FakeIssuer::start(&[&good]).await;
    let token = good.token(&issuer.claims());
    for answer in [
        Answer::Text("<html>".to_owned()),
        Answer::Text("[]".to_owned()),
        Answer::Text(r#"{"keys":{}}"#.to_owned()),
        Answer::Text(format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(600 * 1024))),
        Answer::Redirect(format!("{}/jwks", elsewhere.url)),
        Answer::Status(204),
        Answer::Status(500),
    ] {
        issuer.answer_keys(answer.clone());
        let server = Server::new(&issuer.url, json!({}));
        assert!(
            is_unavailable(&server.verify(&token).await),
            "{:.60}",
            format!("{answer:?}")
        );
    }
    assert_eq!(elsewhere.keys_asked(), 0);
}

#[tokio::test]
async fn an_answer_without_end_and_one_that_never_comes_are_waited_for_in_bounds() {
    let good = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let token = good.token(&issuer.claims());
    issuer.answer_keys(Answer::Endless);
    let outcome = Server::new(&issuer.url, json!({"timeout": "60s"}))
        .verify(&token)
        .await;
    assert!(
        matches!(
            outcome,
            Err(Refused::KeysUnavailable(FetchError::TooLarge { .. }))
        ),
        "{outcome:?}"
    );
    issuer.answer_keys(Answer::Silence);
    let outcome = Server::new(&issuer.url, json!({"timeout": "200ms"}))
        .verify(&token)
        .await;
    assert!(
        matches!(
            outcome,
            Err(Refused::KeysUnavailable(FetchError::TimedOut { .. }))
        ),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_description_that_is_not_the_issuers_own_is_not_used() {
    let good = Signer::elliptic("one");
    let issuer = FakeIssuer::start(&[&good]).await;
    let token = good.token(&issuer.claims());
    for other in [
        json!({"issuer": "https://other.example.com"}),
        json!({"issuer": format!("{}/", issuer.url)}),
        json!({"issuer": null}),
        json!({"jwks_uri": "http://keys.example.com/jwks"}),
        json!({"jwks_uri": "file:///etc/passwd"}),
        json!({"jwks_uri": null}),
        json!({"padding": "x".repeat(300 * 1024)}),
    ] {
        issuer.describe(other.clone());
        let server = Server::new(&issuer.url, json!({}));
        assert!(
            is_unavailable(&server.verify(&token).await),
            "{:.60}",
            other.to_string()
        );
    }
    assert_eq!(issuer.keys_asked(), 0);
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_told_of_by_its_host() {
    let good = Signer::elliptic("one");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    drop(listener);
    let server = Server::new(&url, json!({}));
    let token = good.token(&json!({"iss": url}));
    let Err(Refused::KeysUnavailable(FetchError::Unreachable { host, .. })) = server.verify(&token).await
    else {
        panic!("it isn't there");
    };
    assert_eq!(host, "127.0.0.1");
}

#[tokio::test]
async fn an_issuer_is_believed_by_the_authorities_that_are_set_for_it_alone() {
    let good = Signer::elliptic("one");
    let now = jiff::Timestamp::now();
    let authority = |name| CertificateAuthority::generate(name, now).expect("an authority");
    let (its, another) = (authority("the issuer's"), authority("another"));
    let issuer = FakeIssuer::start_tls(&[&good], &its).await;
    let token = good.token(&issuer.claims());
    let trusting = |authority: &CertificateAuthority| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, authority.certificate_pem()).expect("written");
        let server = Server::new(
            &issuer.url,
            json!({"caFile": file.path(), "allowLoopbackHttp": false}),
        );
        (server, file)
    };
    let (server, _file) = trusting(&its);
    assert!(server.verify(&token).await.is_ok());
    let (server, _file) = trusting(&another);
    let refused = server.verify(&token).await.expect_err("nobody knows who that is");
    assert!(refused.to_string().contains("certificate"), "{refused}");
}

#[test]
fn authorities_that_are_not_there_are_told_of_at_the_start() {
    let settings =
        json!({"issuer": "https://x.example", "resource": "https://y.example", "caFile": "/nowhere/ca.crt"});
    let settings = serde_json::from_value(settings).expect("settings");
    let error = Issuer::new(&settings, system_clock())
        .err()
        .expect("no file")
        .to_string();
    assert!(error.contains("/nowhere/ca.crt"), "{error}");
}
