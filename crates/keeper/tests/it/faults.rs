//! Each way in which the server goes wrong is told for what it is, and passes.

use std::time::{Duration, Instant};

use http::StatusCode;
use mk8s_keeper::{Client, FILE_LIMIT, FetchError, Malformed, REPLY_LIMIT, TransportError};
use mk8s_testkit::ksm::{Behaviour, Endpoint, Fault, KsmServer, NewRecord};

use crate::support::{client, config, hasty_client, server, transport};

/// What a fetch comes to while the server does this at one endpoint; afterwards, all is well again.
async fn fetched(fault: Fault, endpoint: Endpoint) -> (FetchError, u64) {
    let server = with_record().await;
    let client = hasty_client(&server, Duration::from_secs(5));
    server.behave(Behaviour::once(fault).at(endpoint));
    let error = client.fetch(true).await.expect_err("the fault");
    let asked = server.requests(endpoint);
    assert_eq!(client.fetch(true).await.expect("a vault").records.len(), 1);
    let text = error.to_string();
    assert!(text.contains("; ") && !text.contains('\n'), "{text}");
    (error, asked)
}

async fn with_record() -> KsmServer {
    let server = server().await;
    let new = NewRecord::login("a", "b", "c").file("name", b"content");
    server.vault().add(new);
    server
}

const BOTH: [Endpoint; 2] = [Endpoint::GetSecret, Endpoint::GetFolders];

#[tokio::test]
async fn throttling_is_told_with_its_wait() {
    for endpoint in BOTH {
        for seconds in [Some(7), None] {
            let (error, asked) = fetched(Fault::Throttled(seconds), endpoint).await;
            let retry_after = seconds.map(Duration::from_secs);
            assert_eq!(error, FetchError::Throttled { retry_after });
            assert!(error.is_worth_retrying());
            assert_eq!(asked, 1);
        }
    }
}

#[tokio::test]
async fn denied_access_is_told_with_the_services_words() {
    for endpoint in BOTH {
        let (error, asked) = fetched(Fault::AccessDenied, endpoint).await;
        assert!(matches!(error, FetchError::AccessDenied { .. }), "{error}");
        assert!(error.to_string().contains("access_denied, as the test wants it"));
        assert!(!error.is_worth_retrying());
        assert_eq!(asked, 1);
    }
}

#[tokio::test]
async fn a_revoked_client_is_denied_access() {
    let server = with_record().await;
    let app = server.app_config();
    let config = mk8s_keeper::Config::parse(&app.json()).unwrap();
    let client = Client::new(config, transport(&server));
    client.fetch(false).await.unwrap();
    assert!(server.revoke(app.client_id()));
    let error = client.fetch(false).await.unwrap_err();
    assert!(matches!(error, FetchError::AccessDenied { .. }), "{error}");
    assert!(!error.is_worth_retrying());
}

#[tokio::test]
async fn a_broken_server_is_told_by_its_status_and_not_quoted() {
    for (status, is_worth_retrying) in [(500, true), (502, true), (503, true), (404, false), (302, false)] {
        let fault = Fault::Status(StatusCode::from_u16(status).unwrap());
        let (error, _) = fetched(fault, Endpoint::GetSecret).await;
        assert!(
            matches!(error, FetchError::Server { status: told, .. } if told == status),
            "{error}"
        );
        assert_eq!(error.is_worth_retrying(), is_worth_retrying);
        assert!(!error.to_string().contains("html"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_no_longer_than_the_limit() {
    let server = with_record().await;
    let client = hasty_client(&server, Duration::from_millis(300));
    server.behave(Behaviour::once(Fault::Hang));
    let began = Instant::now();
    let error = client.fetch(false).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(3));
    let host = "127.0.0.1".to_owned();
    let seconds = 0.3;
    assert_eq!(error, TransportError::TimedOut { host, seconds }.into());
    assert!(error.is_worth_retrying());
    assert_eq!(client.fetch(false).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let server = with_record().await;
    server.behave(Behaviour::once(Fault::Delay(Duration::from_millis(300))));
    assert_eq!(client(&server).fetch(false).await.unwrap().records.len(), 1);
}

#[tokio::test]
async fn a_truncated_answer_is_a_broken_connection() {
    for endpoint in BOTH {
        let (error, _) = fetched(Fault::Truncated, endpoint).await;
        assert!(
            matches!(error, FetchError::Transport(TransportError::Unreachable { .. })),
            "{error}"
        );
        assert!(error.is_worth_retrying());
    }
}

#[tokio::test]
async fn a_huge_answer_isnt_taken() {
    for declared in [true, false] {
        let bytes = REPLY_LIMIT as u64 + 1;
        let (error, _) = fetched(Fault::Huge { bytes, declared }, Endpoint::GetSecret).await;
        assert!(error.is_too_large(), "{error}");
        assert!(!error.is_worth_retrying());
    }
}

#[tokio::test]
async fn an_answer_that_cant_be_read_is_told_by_what_is_wrong() {
    for (fault, wrong) in [
        (Fault::Empty, Malformed::Empty),
        (Fault::Garbled, Malformed::Undecryptable),
        (Fault::NotJson, Malformed::NotJson),
    ] {
        for endpoint in BOTH {
            let (error, asked) = fetched(fault, endpoint).await;
            assert_eq!((error, asked), (wrong.into(), 1));
        }
    }
}

#[tokio::test]
async fn an_answer_without_its_lists_is_no_empty_vault() {
    for (fault, endpoint, wrong) in [
        (
            Fault::WithoutRecords,
            Endpoint::GetSecret,
            Malformed::WithoutRecords,
        ),
        (
            Fault::WithoutFolders,
            Endpoint::GetSecret,
            Malformed::WithoutFolders,
        ),
        (
            Fault::WithoutFolders,
            Endpoint::GetFolders,
            Malformed::WithoutFolders,
        ),
    ] {
        let (error, _) = fetched(fault, endpoint).await;
        assert_eq!(error, wrong.into());
        assert!(!error.is_worth_retrying());
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_told() {
    let server = with_record().await;
    let client = client(&server);
    server.stop().await;
    let error = client.fetch(false).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Transport(TransportError::Unreachable { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("can't reach 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn each_fault_of_a_download_is_told() {
    let server = with_record().await;
    let client = hasty_client(&server, Duration::from_secs(2));
    let vault = client.fetch(false).await.unwrap();
    let file = &vault.records[0].files[0];
    let huge = Fault::Huge {
        bytes: FILE_LIMIT as u64 + 1,
        declared: true,
    };
    for (fault, is_expected) in [
        (
            Fault::Status(StatusCode::FORBIDDEN),
            (|e| matches!(e, FetchError::File { status: 403 })) as fn(&FetchError) -> bool,
        ),
        (Fault::Status(StatusCode::FOUND), |e| {
            matches!(e, FetchError::File { status: 302 })
        }),
        (Fault::Empty, |e| *e == Malformed::File.into()),
        (Fault::Garbled, |e| *e == Malformed::File.into()),
        (Fault::Truncated, |e| e.is_worth_retrying()),
        (huge, FetchError::is_too_large),
        (Fault::Hang, |e| {
            matches!(e, FetchError::Transport(TransportError::TimedOut { .. }))
        }),
    ] {
        server.behave(Behaviour::once(fault).at(Endpoint::Download));
        let error = client.download(file).await.unwrap_err();
        assert!(is_expected(&error), "{fault:?}: {error}");
        assert!(!error.to_string().contains("/files/"), "{error}");
    }
    assert_eq!(client.download(file).await.unwrap().as_slice(), b"content");
}

#[tokio::test]
async fn a_file_that_is_gone_is_told() {
    let server = with_record().await;
    let client = Client::new(config(&server), transport(&server));
    let vault = client.fetch(false).await.unwrap();
    server.vault().remove(&vault.records[0].uid);
    let error = client.download(&vault.records[0].files[0]).await.unwrap_err();
    assert_eq!(error, FetchError::File { status: 404 });
}
