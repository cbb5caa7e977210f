//! Configurations in all their forms, and what isn't one.

use mk8s_keeper::{Config, ConfigError};
use serde_json::{Value, json};

use crate::support::server;

/// A configuration with one member changed, or taken away.
async fn changed(name: &str, value: Option<Value>) -> Result<Config, ConfigError> {
    let mut document: Value =
        serde_json::from_str(&server().await.app_config_json()).expect("a JSON document");
    let members = document.as_object_mut().expect("an object");
    match value {
        Some(value) => members.insert(name.to_owned(), value),
        None => members.remove(name),
    };
    Config::parse(&document.to_string())
}

async fn refused(name: &str, value: Option<Value>) -> ConfigError {
    let error = changed(name, value).await.expect_err("refused");
    let text = error.to_string();
    assert!(text.contains("; ") && !text.contains('\n'), "{text}");
    error
}

#[tokio::test]
async fn json_and_base64_are_read_with_whatever_space_around() {
    let app = server().await.app_config();
    let wrapped: Vec<String> = app
        .base64()
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    for text in [
        app.json(),
        format!("\u{feff}\n {}\n", app.json()),
        app.base64(),
        format!("{}\n", wrapped.join("\r\n")),
        app.base64().trim_end_matches('=').to_owned(),
    ] {
        assert_eq!(Config::parse(&text).unwrap().host(), "127.0.0.1");
    }
}

#[tokio::test]
async fn the_host_is_told_without_its_port() {
    let config = changed("hostname", Some(json!("KeeperSecurity.EU:8443")))
        .await
        .unwrap();
    assert_eq!(config.host(), "keepersecurity.eu");
    assert_eq!(config.authority(), "KeeperSecurity.EU:8443");
    for hostname in ["a@b", "a/b", "http://a", "", "a:b"] {
        refused("hostname", Some(json!(hostname))).await;
    }
}

#[tokio::test]
async fn what_isnt_needed_may_be_missing() {
    for name in ["appOwnerPublicKey", "serverPublicKeyId", "serverPublicKey"] {
        assert!(changed(name, None).await.is_ok(), "{name}");
        assert!(changed(name, Some(Value::Null)).await.is_ok(), "{name}");
        assert!(changed(name, Some(json!(""))).await.is_ok(), "{name}");
    }
    assert!(changed("serverPublicKeyId", Some(json!(10))).await.is_ok());
    assert!(changed("more", Some(json!({"a": 1}))).await.is_ok());
}

#[tokio::test]
async fn what_is_needed_is_asked_for_by_name() {
    for name in ["hostname", "clientId", "privateKey"] {
        assert_eq!(refused(name, None).await, ConfigError::Missing(name));
        assert_eq!(refused(name, Some(json!(""))).await, ConfigError::Missing(name));
    }
}

#[tokio::test]
async fn a_client_that_isnt_bound_is_told_how_to_bind() {
    assert_eq!(refused("appKey", None).await, ConfigError::Unbound);
    let token = server().await.one_time_token();
    let text = json!({"hostname": "keepersecurity.eu", "clientKey": token}).to_string();
    assert_eq!(Config::parse(&text).unwrap_err(), ConfigError::Unbound);
    for text in [
        token.clone(),
        format!("EU:{token}"),
        format!("ksm.example:{token}\n"),
    ] {
        let error = Config::parse(&text).unwrap_err();
        assert_eq!(error, ConfigError::OneTimeToken);
        assert!(!error.to_string().contains(&token));
    }
}

#[tokio::test]
async fn keys_that_are_none_are_refused_by_name_and_not_quoted() {
    let short = "c2hvcnQ=";
    let off_the_curve = "BP__".repeat(21) + "BP8";
    for (name, value) in [
        ("appKey", short),
        ("appKey", "%%%"),
        ("privateKey", short),
        ("privateKey", "%%%"),
        ("serverPublicKey", short),
        ("serverPublicKey", &off_the_curve),
        ("serverPublicKeyId", "1\n0"),
    ] {
        let error = refused(name, Some(json!(value))).await;
        assert!(
            matches!(error, ConfigError::Invalid { name: told, .. } if told == name),
            "{error}"
        );
        assert!(!error.to_string().contains(value), "{error}");
    }
}

#[tokio::test]
async fn a_member_of_another_kind_is_told_by_its_place_alone() {
    let error = refused("appKey", Some(json!(["secret", 4711]))).await;
    assert!(matches!(error, ConfigError::Shape { line: 1, .. }), "{error}");
    let error = refused("serverPublicKeyId", Some(json!("secret-4711\u{7}"))).await;
    assert!(!error.to_string().contains('\u{7}'), "{error}");
}

#[tokio::test]
async fn a_server_key_that_nobody_knows_is_refused() {
    let mut document: Value = serde_json::from_str(&server().await.app_config_json()).unwrap();
    document.as_object_mut().unwrap().remove("serverPublicKey");
    document["serverPublicKeyId"] = json!("99");
    let error = Config::parse(&document.to_string()).unwrap_err();
    assert_eq!(error, ConfigError::UnknownServerKey("99".to_owned()));
}

#[test]
fn other_texts_are_no_configuration() {
    assert_eq!(Config::parse(" \n").unwrap_err(), ConfigError::Empty);
    for text in [
        "hello",
        "[]",
        "\"a\"",
        "bm8gSlNPTg==",
        "hostname: a",
        "a:b",
        "\0",
        "{",
    ] {
        let error = Config::parse(text).unwrap_err();
        assert!(
            matches!(error, ConfigError::NotJson | ConfigError::Shape { .. }),
            "{text}: {error}"
        );
    }
    let deep = "{\"a\":".repeat(100_000);
    assert!(matches!(Config::parse(&deep), Err(ConfigError::Shape { .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", json in "[{][ -~]{0,60}", base64 in "[A-Za-z0-9+/=]{0,80}") {
        for text in [text, json, base64] {
            let _ = Config::parse(&text);
        }
    }
}
