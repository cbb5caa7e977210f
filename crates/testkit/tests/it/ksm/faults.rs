//! Each way in which the server goes wrong, seen from the wire.

use std::{
    io::ErrorKind,
    thread,
    time::{Duration, Instant},
};

use http::StatusCode;
use mk8s_testkit::{
    eventually,
    ksm::{Behaviour, Endpoint, Fault, NewRecord, Served},
};
use serde_json::json;

use super::{
    client::{Client, endpoint, open},
    served,
};

const PATH: &str = "get_secret";

/// A server with a record, a client of it, and this fault once.
fn with(fault: Fault) -> (Served, Client) {
    let server = served();
    server.vault().add(NewRecord::login("a", "b", "c"));
    server.behave(Behaviour::once(fault).at(Endpoint::GetSecret));
    let client = Client::bound(&server);
    (server, client)
}

/// After the fault all is well again.
fn is_well(client: &Client) {
    let reply = client.ask(PATH, json!({})).expect("a reply");
    assert_eq!(reply["records"].as_array().map(Vec::len), Some(1));
}

#[test]
fn throttled_says_how_long_to_wait() {
    let (_server, client) = with(Fault::Throttled(Some(7)));
    assert!(client.ask("get_folders", json!({})).is_ok(), "another endpoint");
    let (status, document) = client.ask(PATH, json!({})).unwrap_err();
    assert_eq!(status, 403);
    assert_eq!(document["error"], "throttled");
    assert_eq!(document["retry_after"], 7);
    assert_eq!(document["path"], "/api/rest/sm/v1/get_secret");
    is_well(&client);
}

#[test]
fn throttled_may_leave_open_how_long_to_wait() {
    let (_server, client) = with(Fault::Throttled(None));
    let (_, document) = client.ask(PATH, json!({})).unwrap_err();
    assert!(document["retry_after"].is_null());
}

#[test]
fn access_is_denied() {
    let (_server, client) = with(Fault::AccessDenied);
    let refusal = client.refusal(PATH, json!({}));
    assert!(refusal.starts_with("403 access_denied"), "{refusal}");
    is_well(&client);
}

#[test]
fn another_key_is_asked_for_as_a_number() {
    let (_server, client) = with(Fault::OtherKey(12));
    let (_, document) = client.ask(PATH, json!({})).unwrap_err();
    assert_eq!(
        (&document["error"], &document["key_id"]),
        (&json!("key"), &json!(12))
    );
    is_well(&client);
}

#[test]
fn after_a_rotation_the_old_key_is_refused_until_the_client_has_the_new_one() {
    let server = served();
    let mut client = Client::bound(&server);
    let id = server.rotate_server_key();
    for _ in 0..2 {
        let (_, document) = client.ask(PATH, json!({})).unwrap_err();
        assert_eq!(document["key_id"].to_string(), id);
    }
    let new = Client::bound(&server);
    client.key_id = id;
    let refusal = client.refusal(PATH, json!({}));
    assert!(refusal.contains("isn't sealed for this server key"), "{refusal}");
    client.server_key = new.server_key;
    assert!(client.ask(PATH, json!({})).is_ok());
}

#[test]
fn a_status_comes_with_a_page_that_is_no_json() {
    let (_server, client) = with(Fault::Status(StatusCode::SERVICE_UNAVAILABLE));
    let response = client.send(PATH, &client.prepare(b"{}")).unwrap();
    assert_eq!(response.status, 503);
    assert!(response.text().contains("<html>"));
    is_well(&client);
}

#[test]
fn a_delay_is_one() {
    let (_server, client) = with(Fault::Delay(Duration::from_millis(300)));
    let began = Instant::now();
    is_well(&client);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_truncated_answer_ends_before_its_declared_length() {
    let (_server, client) = with(Fault::Truncated);
    let prepared = client.prepare(client.payload().to_string().as_bytes());
    let mut connection = client.endpoint.connect().unwrap();
    connection.send(&prepared.bytes(PATH)).unwrap();
    let head = connection.head().unwrap();
    assert_eq!(head.status, 200);
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(connection.take(length / 2).is_ok());
    let error = connection.take(length - length / 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    is_well(&client);
}

#[test]
fn a_huge_answer_has_as_many_bytes_as_were_asked_for() {
    for declared in [true, false] {
        let bytes = 1_000_001;
        let (_server, client) = with(Fault::Huge { bytes, declared });
        let response = client.send(PATH, &client.prepare(b"{}")).unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.body.len(), 1_000_001);
        assert_eq!(response.header("content-length").is_some(), declared);
        is_well(&client);
    }
}

#[test]
fn an_empty_and_a_garbled_answer_open_to_nothing() {
    for (fault, is_empty) in [(Fault::Empty, true), (Fault::Garbled, false)] {
        let (_server, client) = with(fault);
        let prepared = client.prepare(client.payload().to_string().as_bytes());
        let response = client.send(PATH, &prepared).unwrap();
        assert_eq!((response.status, response.body.is_empty()), (200, is_empty));
        assert_eq!(open(&prepared.transmission_key, &response.body), None);
        is_well(&client);
    }
}

#[test]
fn an_answer_that_is_no_json_is_sealed_properly() {
    let (_server, client) = with(Fault::NotJson);
    let prepared = client.prepare(client.payload().to_string().as_bytes());
    let response = client.send(PATH, &prepared).unwrap();
    let plain = open(&prepared.transmission_key, &response.body).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&plain).is_err());
    is_well(&client);
}

#[test]
fn a_reply_may_lack_records_or_folders() {
    for (fault, gone, there) in [
        (Fault::WithoutRecords, "records", "folders"),
        (Fault::WithoutFolders, "folders", "records"),
    ] {
        let (_server, client) = with(fault);
        let reply = client.ask(PATH, json!({})).unwrap();
        assert!(
            reply.get(gone).is_none() && reply.get(there).is_some(),
            "{fault:?}"
        );
        is_well(&client);
    }
}

#[test]
fn what_hangs_is_cut_off_when_the_server_stops() {
    let (server, client) = with(Fault::Hang);
    let waiting = thread::spawn(move || client.send(PATH, &client.prepare(b"{}")));
    let raw = endpoint(&server);
    eventually("the request has come", || {
        (server.requests(Endpoint::GetSecret) == 1).then_some(())
    });
    assert_eq!(server.log()[0].status, None);
    assert!(!waiting.is_finished());
    server.stop();
    assert!(waiting.join().unwrap().is_err());
    assert!(raw.connect().is_err(), "nobody listens any more");
}

#[test]
fn a_fault_lasts_until_the_server_is_told_to_behave_well() {
    let server = served();
    server.vault().add(NewRecord::login("a", "b", "c"));
    let client = Client::bound(&server);
    server.behave(Behaviour::always(Fault::AccessDenied));
    for _ in 0..3 {
        client.refusal(PATH, json!({}));
    }
    server.behave_well();
    is_well(&client);
    assert_eq!(server.requests(Endpoint::GetSecret), 4);
}
