//! Nothing secret is ever printed.

use std::{fmt::Debug, time::Duration};

use http::StatusCode;
use mk8s_keeper::{Client, Config, FetchError};
use mk8s_testkit::ksm::{Behaviour, Damage, Endpoint, Fault, NewRecord};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{Canned, hasty_client, options, server, transport};

const PASSWORD: &str = "hunter2-4711";
const CONTENT: &str = "content-of-the-file-4711";

/// Whether any of the secrets stands in a text.
fn assert_without(secrets: &[String], text: &str) {
    for secret in secrets {
        assert!(!text.contains(secret.as_str()), "{secret} in {text}");
        let bytes = format!("{:?}", secret.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        assert!(!text.contains(bytes), "the bytes of {secret} in {text}");
    }
}

fn printed(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

#[tokio::test]
async fn nothing_that_is_read_prints_a_secret() {
    let server = server().await;
    let vault = server.vault();
    let folder = vault.add_folder("f");
    let new = NewRecord::login("title-4711", "app", PASSWORD).file("name-4711", CONTENT.as_bytes());
    vault.add_to(&folder, new.clone());
    let damaged = vault.add(new);
    vault.damage(&damaged, Damage::NotJson);

    let app = server.app_config();
    let document: Value = serde_json::from_str(&app.json()).unwrap();
    let mut secrets: Vec<String> = ["clientId", "privateKey", "appKey"]
        .map(|name| document[name].as_str().unwrap().to_owned())
        .into();
    secrets.extend([PASSWORD, CONTENT, "title-4711", "name-4711", "/files/"].map(str::to_owned));

    let client = Client::new(Config::parse(&app.json()).unwrap(), transport(&server));
    let read = client.fetch(true).await.unwrap();
    assert_eq!((read.records.len(), read.damaged.len()), (1, 1));
    let all = [
        printed(&client),
        printed(client.config()),
        printed(&transport(&server)),
        printed(&options(&server)),
        printed(&read),
        printed(&read.records[0]),
        printed(&read.records[0].files[0]),
        read.damaged[0].to_string(),
    ];
    for text in all {
        assert_without(&secrets, &text);
    }
}

#[tokio::test]
async fn no_error_prints_a_secret() {
    let server = server().await;
    let new = NewRecord::login("a", "b", PASSWORD).file("name", CONTENT.as_bytes());
    server.vault().add(new);
    let client = hasty_client(&server, Duration::from_millis(500));
    let file = client.fetch(false).await.unwrap().records[0].files[0].clone();
    let secrets = [PASSWORD, CONTENT, "/files/"].map(str::to_owned);
    for fault in [
        Fault::Throttled(Some(1)),
        Fault::AccessDenied,
        Fault::OtherKey(99),
        Fault::Status(StatusCode::BAD_GATEWAY),
        Fault::Hang,
        Fault::Truncated,
        Fault::Huge {
            bytes: 70 << 20,
            declared: true,
        },
        Fault::Empty,
        Fault::Garbled,
        Fault::NotJson,
        Fault::WithoutRecords,
    ] {
        server.behave_well();
        server.behave(Behaviour::always(fault));
        let error: FetchError = client.fetch(false).await.unwrap_err();
        assert_without(&secrets, &format!("{error} {}", printed(&error)));
        if let Err(error) = client.download(&file).await {
            assert_without(&secrets, &format!("{error} {}", printed(&error)));
        }
    }
    assert!(server.requests(Endpoint::Download) >= 11);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_damaged_configuration_is_quoted(at in 0usize..600, with in "[ -~]{0,3}", is_cut: bool) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let text = runtime.block_on(async { server().await.app_config_json() });
        let document: Value = serde_json::from_str(&text).unwrap();
        let at = at.min(text.len());
        let rest = if is_cut { "" } else { &text[at..] };
        let damaged = format!("{}{with}{rest}", &text[..at]);
        let said = match Config::parse(&damaged) {
            Ok(config) => printed(&Client::new(config, Canned::default())),
            Err(error) => format!("{error} {}", printed(&error)),
        };
        for name in ["clientId", "privateKey", "appKey"] {
            let secret = document[name].as_str().unwrap();
            // Not even the half of one.
            prop_assert!(!said.contains(&secret[..secret.len() / 2]));
            prop_assert!(!said.contains(&secret[secret.len() / 2..]));
        }
    }
}
