//! The server's keys change; clients follow, but not for ever.

use mk8s_keeper::{Client, Config, FetchError, KeyProblem};
use mk8s_testkit::ksm::{Behaviour, Endpoint, Fault, NewRecord};
use serde_json::{Value, json};

use crate::support::{Canned, asked, client, server, transport};

#[tokio::test]
async fn a_key_that_is_asked_for_once_is_used() {
    let server = server().await;
    server.vault().add(NewRecord::login("a", "b", "c"));
    let client = client(&server);
    // The test's fault names another key, with which the server asks for its own again.
    server.behave(Behaviour::once(Fault::OtherKey(12)));
    assert_eq!(client.fetch(false).await.unwrap().records.len(), 1);
    assert_eq!(asked(&server), 3);
    let keys: Vec<String> = server
        .log()
        .into_iter()
        .filter_map(|request| {
            request
                .headers
                .into_iter()
                .find(|(name, _)| name == "publickeyid")
        })
        .map(|(_, id)| id)
        .collect();
    assert_eq!(keys, ["10", "12", "10"]);
}

#[tokio::test]
async fn what_the_server_calls_its_key_is_remembered() {
    let server = server().await;
    let key = server.server_keys()["10"].clone();
    let app = server.app_config().with_server_key("9", &key);
    let client = Client::new(Config::parse(&app.json()).unwrap(), transport(&server));
    client.fetch(false).await.unwrap();
    assert_eq!(asked(&server), 2);
    client.fetch(true).await.unwrap();
    assert_eq!((asked(&server), server.requests(Endpoint::GetFolders)), (3, 1));
}

#[tokio::test]
async fn a_server_that_always_wants_another_key_is_left() {
    let server = server().await;
    let client = client(&server);
    for endpoint in [Endpoint::GetSecret, Endpoint::GetFolders] {
        server.behave(Behaviour::always(Fault::OtherKey(12)).at(endpoint));
        let before = server.requests(endpoint);
        let error = client.fetch(true).await.unwrap_err();
        let id = "12".to_owned();
        let problem = KeyProblem::TooManySwitches;
        assert_eq!(error, FetchError::ServerKey { id, problem });
        assert!(!error.is_worth_retrying());
        assert_eq!(server.requests(endpoint) - before, 3);
        server.behave_well();
    }
}

#[tokio::test]
async fn a_configuration_with_a_key_of_its_own_cant_follow_a_rotation() {
    let server = server().await;
    let client = client(&server);
    server.rotate_server_key();
    let error = client.fetch(false).await.unwrap_err();
    assert!(matches!(error, FetchError::Server { status: 400, .. }), "{error}");
    assert_eq!(asked(&server), 2);
}

#[tokio::test]
async fn one_of_keepers_own_keys_is_followed_to_another() {
    let server = server().await;
    let mut document: Value = serde_json::from_str(&server.app_config_json()).unwrap();
    document.as_object_mut().unwrap().remove("serverPublicKey");
    document["serverPublicKeyId"] = json!("7");
    let key = |id: Value| (401, json!({"error": "key", "key_id": id}));
    let denied = (403, json!({"error": "access_denied"}));
    for (answers, ids, is_expected) in [
        (
            vec![key(json!(18)), denied.clone()],
            vec!["7", "18"],
            (|e| matches!(e, FetchError::AccessDenied { .. })) as fn(&FetchError) -> bool,
        ),
        (
            vec![key(json!(19))],
            vec!["7"],
            |e| matches!(e, FetchError::ServerKey { id, problem: KeyProblem::Unknown } if id == "19"),
        ),
        (vec![key(Value::Null)], vec!["7"], |e| {
            matches!(
                e,
                FetchError::ServerKey {
                    problem: KeyProblem::Unknown,
                    ..
                }
            )
        }),
        (vec![key(json!("8"))], vec!["7", "8", "8"], |e| {
            matches!(
                e,
                FetchError::ServerKey {
                    problem: KeyProblem::TooManySwitches,
                    ..
                }
            )
        }),
    ] {
        let config = Config::parse(&document.to_string()).unwrap();
        let transport = Canned::new(&answers);
        let asked = transport.asked.clone();
        let error = Client::new(config, transport).fetch(false).await.unwrap_err();
        assert!(is_expected(&error), "{error}");
        let asked = asked.lock().unwrap();
        let sent: Vec<&str> = asked.iter().map(|headers| headers[1].1.as_str()).collect();
        assert_eq!(sent, ids);
    }
}

#[tokio::test]
async fn each_request_is_sealed_with_a_key_of_its_own() {
    let server = server().await;
    let config = Config::parse(&server.app_config_json()).unwrap();
    let transport = Canned::new(&[(403, json!({"error": "access_denied"}))]);
    let asked = transport.asked.clone();
    let client = Client::new(config, transport);
    for _ in 0..2 {
        client.fetch(false).await.unwrap_err();
    }
    let asked = asked.lock().unwrap();
    for at in [2, 3] {
        assert_ne!(asked[0][at], asked[1][at]);
    }
}
