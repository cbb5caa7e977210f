//! What is in the vault comes as it is, in as few requests as can be.

use std::time::Duration;

use mk8s_keeper::{Client, Config};
use mk8s_testkit::ksm::{Endpoint, Field, NewRecord, RateLimit};
use serde_json::json;

use crate::support::{asked, client, document, record, server, transport};

#[tokio::test]
async fn an_empty_vault_is_empty() {
    let server = server().await;
    let vault = client(&server).fetch(true).await.unwrap();
    assert!(vault.records.is_empty() && vault.folders.is_empty() && vault.damaged.is_empty());
    assert!(vault.warnings.is_empty());
}

#[tokio::test]
async fn a_record_comes_as_its_author_wrote_it() {
    let server = server().await;
    let record_of_all = NewRecord::login("Datenbank „Ä\"", "app", "pass\nword")
        .field(Field::new("host", json!({"hostName": "db", "port": "5432"})).labelled("where"))
        .custom(Field::new("text", "free").labelled("extra"));
    let uid = server.vault().add(record_of_all);
    let vault = client(&server).fetch(false).await.unwrap();
    let record = record(&vault, &uid);
    assert_eq!(document(record), server.vault().record(&uid).unwrap());
    assert_eq!(record.revision, 1);
    assert!(record.places.is_empty() && record.files.is_empty());
}

#[tokio::test]
async fn changes_come_with_the_next_fetch() {
    let server = server().await;
    let uid = server.vault().add(NewRecord::login("a", "b", "old"));
    let client = client(&server);
    client.fetch(false).await.unwrap();
    server.vault().set_field(&uid, "password", "new");
    let vault = client.fetch(false).await.unwrap();
    assert_eq!(record(&vault, &uid).revision, 2);
    assert_eq!(document(record(&vault, &uid))["fields"][1]["value"][0], "new");
    server.vault().remove(&uid);
    assert!(client.fetch(false).await.unwrap().records.is_empty());
}

#[tokio::test]
async fn a_hundred_records_are_one_request() {
    let server = server().await;
    let folder = server.vault().add_folder("f");
    for number in 0..100 {
        let new = NewRecord::login(&format!("r{number}"), "a", "b");
        match number % 2 {
            0 => server.vault().add(new),
            _ => server.vault().add_to(&folder, new),
        };
    }
    let vault = client(&server).fetch(false).await.unwrap();
    assert_eq!((vault.records.len(), vault.damaged.len()), (100, 0));
    assert!(vault.folders.is_empty(), "they weren't asked for");
    let all: Vec<_> = server.all_requests().into_iter().collect();
    assert_eq!(all, [(Endpoint::GetSecret, 1)]);
}

#[tokio::test]
async fn folders_are_one_request_more_and_tell_where_records_are() {
    let server = server().await;
    let vault = server.vault();
    let top = vault.add_folder("Top / Ä");
    let empty = vault.add_folder("empty");
    let inner = vault.add_subfolder(&top, "inner");
    let innermost = vault.add_subfolder(&inner, "innermost");
    let at_top = vault.add_to(&top, NewRecord::login("a", "b", "c"));
    let deep = vault.add_to(&innermost, NewRecord::login("d", "e", "f"));
    let direct = vault.add(NewRecord::login("g", "h", "i"));

    let read = client(&server).fetch(true).await.unwrap();
    let all: Vec<_> = server.all_requests().into_iter().collect();
    assert_eq!(all, [(Endpoint::GetSecret, 1), (Endpoint::GetFolders, 1)]);
    assert!(read.damaged.is_empty(), "{:?}", read.damaged);

    let mut found: Vec<_> = read
        .folders
        .iter()
        .map(|folder| (folder.uid.clone(), folder.name.clone(), folder.parent.clone()))
        .collect();
    let mut expected = vault.folders();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    assert!(record(&read, &at_top).is_in(&top));
    assert!(record(&read, &deep).is_in(&innermost) && !record(&read, &deep).is_in(&top));
    assert_eq!(record(&read, &deep).places[0].shared_folder, top);
    assert!(record(&read, &direct).places.is_empty());
    assert_eq!(document(record(&read, &deep)), vault.record(&deep).unwrap());
    assert!(!read.records.iter().any(|record| record.is_in(&empty)));
}

#[tokio::test]
async fn files_come_byte_for_byte() {
    let server = server().await;
    let big: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let contents: [(&str, &[u8]); 4] = [
        ("empty", b""),
        ("text.txt", b"a\r\n\0\xff"),
        ("../../etc/passwd", b"a name is a name"),
        ("big", &big),
    ];
    let mut new = NewRecord::new("files", "file");
    for (name, content) in contents {
        new = new.file(name, content);
    }
    let folder = server.vault().add_folder("f");
    let uid = server.vault().add_to(&folder, new);
    let client = client(&server);
    let vault = client.fetch(false).await.unwrap();
    let files = &record(&vault, &uid).files;
    assert_eq!(files.len(), 4);
    for (file, (name, content)) in files.iter().zip(contents) {
        assert_eq!((file.name.as_str(), file.title.as_str()), (name, name));
        assert_eq!(file.size, content.len() as u64);
        assert_eq!(file.media_type, "application/octet-stream");
        assert_eq!(file.host(), "127.0.0.1");
        assert_eq!(client.download(file).await.unwrap().as_slice(), content);
    }
    assert_eq!(server.requests(Endpoint::Download), 4);
    assert_eq!(asked(&server), 1);
}

#[tokio::test]
async fn clients_of_one_application_see_the_same() {
    let server = server().await;
    let uid = server.vault().add(NewRecord::login("a", "b", "c"));
    for _ in 0..2 {
        let vault = client(&server).fetch(false).await.unwrap();
        assert_eq!(record(&vault, &uid).uid, uid);
    }
}

#[tokio::test]
async fn fetches_may_go_on_at_the_same_time() {
    let server = server().await;
    server.vault().add(NewRecord::login("a", "b", "c"));
    let client = client(&server);
    let (a, b, c) = tokio::join!(client.fetch(true), client.fetch(false), client.fetch(true));
    for vault in [a, b, c] {
        assert_eq!(vault.unwrap().records.len(), 1);
    }
}

#[tokio::test]
async fn warnings_are_passed_on() {
    let server = server().await;
    server.vault().set_warnings(&["your plan\nends"]);
    let vault = client(&server).fetch(false).await.unwrap();
    assert_eq!(vault.warnings, ["your plan ends"]);
}

#[tokio::test]
async fn what_is_asked_for_says_who_asks_and_nothing_else() {
    let server = server().await;
    client(&server).fetch(false).await.unwrap();
    let log = server.log();
    let header = |name: &str| {
        let found = log[0].headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(log[0].path, "/api/rest/sm/v1/get_secret");
    assert_eq!(header("content-type"), Some("application/octet-stream"));
    assert_eq!(header("publickeyid"), Some("10"));
    assert!(header("user-agent").unwrap().starts_with("mk8s/"));
    assert!(header("cookie").is_none() && header("referer").is_none());
}

#[tokio::test]
async fn the_real_limit_lets_a_fetch_a_cycle_pass() {
    let server = server().await;
    server.limit_rate(Some(RateLimit {
        requests: 2,
        window: Duration::from_millis(500),
    }));
    let client = client(&server);
    for _ in 0..2 {
        client.fetch(false).await.unwrap();
    }
    let error = client.fetch(false).await.unwrap_err();
    assert!(
        matches!(error, mk8s_keeper::FetchError::Throttled { retry_after: None }),
        "{error}"
    );
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.fetch(false).await.unwrap();
}

#[tokio::test]
async fn a_configuration_in_base64_reads_the_same() {
    let server = server().await;
    server.vault().add(NewRecord::login("a", "b", "c"));
    let config = Config::parse(&server.app_config().base64()).unwrap();
    let client = Client::new(config, transport(&server));
    assert_eq!(client.fetch(false).await.unwrap().records.len(), 1);
}
