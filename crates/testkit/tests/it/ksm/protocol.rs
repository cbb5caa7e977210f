//! What the server refuses, and what it shows and counts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mk8s_testkit::ksm::{Endpoint, KsmServer, NewRecord, RateLimit, Settings, StartError};
use serde_json::{Value, json};

use super::{
    client::{Client, endpoint, said, seal},
    served, served_with,
};

#[test]
fn a_reply_has_records_folders_and_the_application() {
    let server = served();
    let vault = server.vault();
    let folder = vault.add_folder("empty");
    let uid = vault.add(NewRecord::login("a", "b", "c"));
    let client = Client::bound(&server);
    let reply = client.ask("get_secret", json!({})).unwrap();
    assert_eq!(reply["records"][0]["recordUid"], uid.as_str());
    assert_eq!(
        reply["folders"][0]["folderUid"],
        folder.as_str(),
        "empty ones too"
    );
    assert!(reply["appData"].is_string() && reply["encryptedAppKey"].is_null());
    let filtered = client
        .ask("get_secret", json!({"requestedRecords": [uid]}))
        .unwrap();
    assert_eq!(
        filtered["folders"],
        json!([]),
        "a filter leaves out what has nothing"
    );
    assert_eq!(server.requests(Endpoint::GetSecret), 2);
    assert_eq!(server.requests(Endpoint::GetFolders), 0);
}

#[test]
fn a_change_of_the_vault_is_seen_by_the_next_request() {
    let server = served();
    let vault = server.vault();
    let uid = vault.add(NewRecord::login("a", "b", "c"));
    let client = Client::bound(&server);
    let record = |client: &Client| client.ask("get_secret", json!({})).unwrap()["records"][0].clone();
    assert_eq!(record(&client)["revision"], 1);
    vault.set_field(&uid, "password", "d");
    assert_eq!(record(&client)["revision"], 2);
    assert_eq!(vault.record(&uid).unwrap()["fields"][1]["value"], json!(["d"]));
    vault.replace(&uid, NewRecord::login("x", "y", "z").file("f", b"g"));
    assert_eq!(vault.record(&uid).unwrap()["title"], "x");
    assert_eq!(vault.file(&uid, "f").unwrap(), b"g");
    assert_eq!(record(&client)["files"].as_array().unwrap().len(), 1);
    vault.remove(&uid);
    assert_eq!(record(&client), Value::Null);
}

#[test]
fn a_token_is_used_up_by_the_first_who_brings_it() {
    let server = served();
    let token = server.one_time_token();
    let first = Client::with_token(&server, &token);
    let reply = first
        .ask("get_secret", json!({"publicKey": first.public_key()}))
        .unwrap();
    assert!(reply["encryptedAppKey"].is_string() && reply["appOwnerPublicKey"].is_string());
    let again = first.ask("get_secret", json!({})).unwrap();
    assert!(again["encryptedAppKey"].is_null());
    let second = Client::with_token(&server, &token);
    let denied = "403 access_denied: Unable to validate application access";
    assert_eq!(
        second.refusal("get_secret", json!({"publicKey": second.public_key()})),
        denied
    );
    assert_eq!(
        first.refusal("get_secret", json!({"publicKey": first.public_key()})),
        denied
    );
    assert_eq!(
        second.refusal("get_secret", json!({})),
        "403 access_denied: Signature is invalid"
    );
}

#[test]
fn a_token_that_is_brought_wrongly_stays_good() {
    let server = served();
    let client = Client::with_token(&server, &server.one_time_token());
    let denied = "403 access_denied: Unable to validate application access";
    assert_eq!(client.refusal("get_secret", json!({})), denied);
    let public = client.public_key();
    assert_eq!(
        client.refusal("delete_secret", json!({"publicKey": public})),
        denied
    );
    for bad in ["", "AAAA", "%%"] {
        let refusal = client.refusal("get_secret", json!({"publicKey": bad}));
        assert_eq!(refusal, "400 bad_request: publicKey isn't a point of P-256");
    }
    let other = Client::bound(&server).public_key();
    assert_eq!(
        client.refusal("get_secret", json!({"publicKey": other})),
        "403 access_denied: Signature is invalid"
    );
    assert!(client.ask("get_secret", json!({"publicKey": public})).is_ok());
}

#[test]
fn an_unknown_or_revoked_client_is_refused() {
    let server = served();
    let denied = "403 access_denied: Unable to validate application access";
    let stranger = Client {
        client_id: "nobody".to_owned(),
        ..Client::bound(&server)
    };
    assert_eq!(stranger.refusal("get_secret", json!({})), denied);
    let client = Client::bound(&server);
    assert!(client.ask("get_secret", json!({})).is_ok());
    assert!(server.revoke(&client.client_id));
    assert!(!server.revoke(&client.client_id));
    assert_eq!(client.refusal("get_secret", json!({})), denied);
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let server = served();
    let client = Client::bound(&server);
    let good = || client.prepare(client.payload().to_string().as_bytes());
    let mut body = good();
    body.body[20] ^= 1;
    let mut key = good();
    key.headers[1].1 = good().headers[1].1.clone();
    let mut signature = good();
    signature.headers[2].1 = good().headers[2].1.clone();
    let mut short = good();
    short.headers[1].1 = STANDARD.encode([4; 64]);
    let mut empty = good();
    empty.body.clear();
    for (what, prepared, refusal) in [
        (
            "body",
            body,
            "400 bad_request: the body isn't sealed with the transmission key",
        ),
        (
            "key",
            key,
            "400 bad_request: the body isn't sealed with the transmission key",
        ),
        ("signature", signature, "403 access_denied: Signature is invalid"),
        (
            "short",
            short,
            "400 bad_request: the transmission key isn't sealed for this server key",
        ),
        (
            "empty",
            empty,
            "400 bad_request: the body isn't sealed with the transmission key",
        ),
    ] {
        let response = client.send("get_secret", &prepared).unwrap();
        assert_eq!(said(response.status, &response.json()), refusal, "{what}");
    }
}

#[test]
fn a_payload_that_makes_no_sense_is_refused() {
    let server = served();
    let client = Client::bound(&server);
    let refused = |plain: &[u8]| {
        let (status, document) = client.ask_raw("get_secret", plain).unwrap_err();
        said(status, &document)
    };
    assert_eq!(refused(b"{"), "400 bad_request: the body isn't JSON");
    assert!(refused(b"[]").starts_with("400 bad_request: the payload is wrong"));
    assert!(refused(b"{}").contains("missing field"));
    for (path, more) in [
        ("get_secret", json!({"requestedRecords": "x"})),
        ("update_secret", json!({})),
        ("create_secret", json!({"recordUid": 1})),
        ("add_file", json!({"fileSize": -1})),
        ("delete_folder", json!({"folderUids": {}})),
    ] {
        assert!(
            client
                .refusal(path, more)
                .starts_with("400 bad_request: the payload is wrong")
        );
    }
    assert_eq!(
        client.refusal("nonsense", json!({})),
        "404 not_found: no such endpoint"
    );
    let get = endpoint(&server).request("GET", "/api/rest/sm/v1/get_secret", &[], b"");
    assert_eq!(get.unwrap().status, 404);
}

#[test]
fn a_write_that_is_not_encrypted_for_its_place_is_refused() {
    let server = served();
    let vault = server.vault();
    let folder = vault.add_folder("shared");
    let inner = vault.add_subfolder(&folder, "inner");
    let uid = vault.add(NewRecord::login("a", "b", "c"));
    let client = Client::bound(&server);
    let noise = STANDARD.encode(seal(&[7; 32], b"{}"));
    let refusal = client.refusal("update_secret", json!({"recordUid": uid, "data": noise}));
    assert_eq!(refusal, "400 bad_request: data isn't encrypted with its key");
    let update = json!({"recordUid": uid, "revision": 9, "data": noise});
    assert!(
        client
            .refusal("update_secret", update)
            .starts_with("409 out_of_sync")
    );
    let update = json!({"recordUid": "none", "data": noise});
    assert!(
        client
            .refusal("update_secret", update)
            .starts_with("403 access_denied: there is no record")
    );
    let create = |folder: &str, record: &str| {
        client.refusal(
            "create_secret",
            json!({
                "recordUid": record, "recordKey": noise, "folderUid": folder, "folderKey": noise, "data": noise,
            }),
        )
    };
    let new = "AAAAAAAAAAAAAAAAAAAAAA";
    assert!(create(&folder, new).contains("folderKey isn't a key wrapped by the right one"));
    assert!(create(&inner, new).contains("isn't a shared folder"));
    assert!(create("none", new).contains("there is no folder none"));
    assert!(create(&folder, &uid).contains("exists already"));
    assert!(create(&folder, "short").contains("isn't a UID"));
    assert_eq!(vault.records(), [uid]);
}

#[test]
fn a_file_goes_nowhere_without_its_ticket() {
    let server = served();
    let raw = endpoint(&server);
    assert_eq!(
        raw.request("GET", "/files/nothing", &[], b"").unwrap().status,
        404
    );
    assert_eq!(
        raw.request("POST", "/files", &[], b"nothing").unwrap().status,
        400
    );
    let form = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nno\r\n--x\r\n\
        Content-Disposition: form-data; name=\"file\"\r\n\r\nbytes\r\n--x--\r\n";
    let headers = [("Content-Type", "multipart/form-data; boundary=x")];
    let response = raw.request("POST", "/files", &headers, form.as_bytes()).unwrap();
    assert_eq!(response.status, 403);
}

#[test]
fn the_real_limit_is_100_requests_for_each_client_and_endpoint() {
    let server = served();
    server.limit_rate(Some(RateLimit::REAL));
    let (busy, other) = (Client::bound(&server), Client::bound(&server));
    for _ in 0..100 {
        busy.ask("get_secret", json!({})).unwrap();
    }
    assert_eq!(
        busy.refusal("get_secret", json!({})),
        "403 throttled: too many requests"
    );
    assert!(busy.ask("get_folders", json!({})).is_ok());
    assert!(other.ask("get_secret", json!({})).is_ok());
    server.limit_rate(None);
    assert!(busy.ask("get_secret", json!({})).is_ok());
}

#[test]
fn the_log_names_clients_and_keeps_no_secrets() {
    let server = served();
    let client = Client::bound(&server);
    client.ask("get_secret", json!({})).unwrap();
    let log = server.log();
    assert_eq!(log[0].client_id.as_deref(), Some(client.client_id.as_str()));
    assert_eq!(log[0].status, Some(200));
    let header = |name: &str| {
        let found = log[0].headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(header("publickeyid"), Some("10"));
    assert_eq!(header("authorization"), Some("…"));
    assert_eq!(header("transmissionkey"), Some("…"));
    let config = server.app_config();
    assert!(!format!("{config:?}").contains("privateKey"));
}

#[test]
fn the_configuration_has_what_sdks_look_for_in_both_forms() {
    let server = served();
    let config = server.app_config();
    let document: Value = serde_json::from_str(&config.json()).unwrap();
    let names: Vec<&String> = document.as_object().unwrap().keys().collect();
    let expected = [
        "appKey",
        "appOwnerPublicKey",
        "clientId",
        "hostname",
        "privateKey",
        "serverPublicKey",
        "serverPublicKeyId",
    ];
    assert_eq!(names, expected);
    assert_eq!(document["hostname"], server.host_port());
    let decoded = STANDARD.decode(config.base64()).unwrap();
    assert_eq!(String::from_utf8(decoded).unwrap(), config.json());
    let moved: Value = serde_json::from_str(&config.with_hostname("keeper.example").json()).unwrap();
    assert_eq!(moved["hostname"], "keeper.example");
}

#[test]
fn the_certificate_is_for_every_name_of_the_server() {
    let server = served_with(Settings {
        names: vec!["keeper.test".to_owned(), "192.0.2.1".to_owned()],
        host: Some("keeper.example".to_owned()),
        ..Settings::new("0.0.0.0:0".parse().unwrap())
    });
    let port = server.address().port();
    assert_eq!(server.url(), format!("https://keeper.example:{port}"));
    for name in [
        "keeper.test",
        "192.0.2.1",
        "keeper.example",
        "localhost",
        "127.0.0.1",
        "::1",
    ] {
        let raw = mk8s_testkit::raw::Endpoint {
            address: ([127, 0, 0, 1], port).into(),
            name: name.to_owned(),
            ..endpoint(&server)
        };
        assert!(raw.connect().is_ok(), "{name}");
    }
    let raw = mk8s_testkit::raw::Endpoint {
        address: ([127, 0, 0, 1], port).into(),
        name: "other.test".to_owned(),
        ..endpoint(&server)
    };
    assert!(raw.connect().is_err());
}

#[test]
fn an_address_that_is_taken_or_a_bad_name_says_what_to_do() {
    let server = served();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(KsmServer::start(server.address())).unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains("choose another address"), "{error}");
    let settings = Settings {
        names: vec!["not a name".to_owned()],
        ..Settings::new("127.0.0.1:0".parse().unwrap())
    };
    let error = runtime.block_on(KsmServer::start_with(settings)).unwrap_err();
    assert!(
        error.to_string().contains("must be DNS names or IP addresses"),
        "{error}"
    );
}
