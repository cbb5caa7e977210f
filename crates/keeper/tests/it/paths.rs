//! Whom requests go to: never to whom isn't trusted, never elsewhere, and over the proxy that the environment names.

use std::{
    process::{Command, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use jiff::Timestamp;
use mk8s_keeper::{Client, Config, FetchError, HttpOptions, HttpTransport, Transport as _, TransportError};
use mk8s_testkit::ksm::{KsmServer, NewRecord};
use mk8s_tls::{
    CertificateAuthority, ReloadingCertificate, TlsAcceptor,
    server::{ClientAuth, config as tls_config},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::support::{asked, config, server, transport};

const CONFIG: &str = "TEST_KEEPER_CONFIG";
const ROOTS: &str = "TEST_KEEPER_ROOTS";
const WORD: &str = "proxy-word-4711";

#[tokio::test]
async fn a_server_of_another_authority_isnt_believed() {
    let (ours, others) = (server().await, server().await);
    for options in [
        HttpOptions::default(),
        HttpOptions {
            extra_roots: Some(others.ca_pem().as_bytes().to_vec()),
            ..HttpOptions::default()
        },
    ] {
        // Without authorities of the system there is nobody to trust to begin with.
        let Ok(transport) = HttpTransport::new(options) else {
            continue;
        };
        let error = Client::new(config(&ours), transport)
            .fetch(false)
            .await
            .unwrap_err();
        assert!(
            matches!(error, FetchError::Transport(TransportError::Untrusted { .. })),
            "{error}"
        );
        assert!(!error.is_worth_retrying());
    }
    assert_eq!(asked(&ours), 0);
}

#[tokio::test]
async fn a_server_of_another_name_isnt_believed() {
    let everywhere = KsmServer::start("0.0.0.0:0".parse().unwrap()).await.unwrap();
    // This address is this machine too, and stands in no certificate.
    let other_name = format!("127.0.0.2:{}", everywhere.address().port());
    let app = everywhere.app_config().with_hostname(&other_name);
    let client = Client::new(Config::parse(&app.json()).unwrap(), transport(&everywhere));
    let error = client.fetch(false).await.unwrap_err();
    assert!(
        matches!(error, FetchError::Transport(TransportError::Untrusted { .. })),
        "{error}"
    );
    assert_eq!(asked(&everywhere), 0);
}

#[tokio::test]
async fn authorities_that_are_none_are_refused() {
    let options = HttpOptions {
        extra_roots: Some(b"nothing".to_vec()),
        ..HttpOptions::default()
    };
    let error = HttpTransport::new(options).unwrap_err().to_string();
    assert!(error.contains("no certificate"), "{error}");
}

#[tokio::test]
async fn redirects_arent_followed() {
    let (server, requests) = redirecting().await;
    let url = format!("https://{}/a", server.host);
    let transport = HttpTransport::new(HttpOptions {
        extra_roots: Some(server.ca_pem.into_bytes()),
        ..HttpOptions::default()
    })
    .unwrap();
    let body = Bytes::from_static(b"body");
    assert_eq!(transport.post(&url, &[], body, 100).await.unwrap().status, 302);
    assert_eq!(transport.get(&url, 100).await.unwrap().status, 302);
    assert_eq!(requests.load(Ordering::SeqCst), 2);
    // And the whole client says so.
    let app = self::server().await.app_config();
    let config = Config::parse(&app.with_hostname(&server.host).json()).unwrap();
    let error = Client::new(config, transport).fetch(false).await.unwrap_err();
    assert!(error.to_string().contains("redirects aren't followed"), "{error}");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server().await;
    let transport = transport(&server);
    for url in [
        format!("http://{address}/"),
        format!("https://user:word@{address}/"),
        format!("ftp://{address}/"),
        "file:///etc/passwd".to_owned(),
        "data:,x".to_owned(),
        "/".to_owned(),
        String::new(),
    ] {
        assert_eq!(
            transport.get(&url, 1).await.unwrap_err(),
            TransportError::BadUrl,
            "{url}"
        );
        let sent = transport.post(&url, &[], Bytes::new(), 1).await;
        assert_eq!(sent.unwrap_err(), TransportError::BadUrl, "{url}");
    }
    let came = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(came.is_err(), "nobody came");
}

#[tokio::test]
async fn a_connection_that_doesnt_come_about_is_waited_for_no_longer_than_the_limit() {
    // Takes connections, and never says a word of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server().await;
    let options = HttpOptions {
        connect_timeout: Duration::from_millis(300),
        ..crate::support::options(&server)
    };
    let transport = HttpTransport::new(options).unwrap();
    let error = transport
        .get(&format!("https://{address}/"), 1)
        .await
        .unwrap_err();
    let host = "127.0.0.1".to_owned();
    let seconds = 0.3;
    assert_eq!(error, TransportError::TimedOut { host, seconds });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_of_the_environment_is_used() {
    let server = with_record().await;
    let (proxy, heads) = proxy("HTTP/1.1 200 OK\r\n\r\n", true).await;
    let url = format!("http://user:{WORD}@{proxy}");
    let said = fetch_in_child(&server, &[("HTTPS_PROXY", &url)]).await;
    assert!(said.contains("RECORDS 1"), "{said}");
    let heads = heads.lock().unwrap().clone();
    let [head] = &heads[..] else {
        panic!("one connection: {heads:?}");
    };
    assert!(
        head.starts_with(&format!("CONNECT {} HTTP/1.1\r\n", server.host_port())),
        "{head}"
    );
    let credentials = STANDARD.encode(format!("user:{WORD}"));
    assert!(
        head.to_lowercase().contains("proxy-authorization: basic"),
        "{head}"
    );
    assert!(head.contains(&credentials), "{head}");
    assert_eq!(asked(&server), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_proxy_names_is_called_directly() {
    let server = with_record().await;
    let (proxy, heads) = proxy("HTTP/1.1 200 OK\r\n\r\n", true).await;
    let url = format!("http://{proxy}");
    let said = fetch_in_child(&server, &[("HTTPS_PROXY", &url), ("NO_PROXY", "127.0.0.1")]).await;
    assert!(said.contains("RECORDS 1"), "{said}");
    assert!(heads.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_refuses_is_told_without_its_password() {
    let server = with_record().await;
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let (proxy, _) = proxy(refusal, false).await;
    let url = format!("http://user:{WORD}@{proxy}");
    let said = fetch_in_child(&server, &[("HTTPS_PROXY", &url)]).await;
    assert!(said.contains("FAILED can't reach 127.0.0.1: "), "{said}");
    assert!(said.contains("check the network, HTTPS_PROXY"), "{said}");
    assert!(!said.contains(WORD), "{said}");
    assert_eq!(asked(&server), 0);
}

/// Also what [`fetch_in_child`] runs: proxies are read from the environment, which a test can't change for itself.
#[tokio::test]
async fn without_a_proxy_the_server_is_asked_itself() {
    let Ok(config) = std::env::var(CONFIG) else {
        let server = with_record().await;
        let said = fetch_in_child(&server, &[]).await;
        assert!(said.contains("RECORDS 1"), "{said}");
        return assert_eq!(asked(&server), 1);
    };
    let transport = HttpTransport::new(HttpOptions {
        extra_roots: std::env::var(ROOTS).ok().map(String::into_bytes),
        ..HttpOptions::default()
    });
    let client = Client::new(Config::parse(&config).unwrap(), transport.unwrap());
    match client.fetch(false).await {
        Ok(vault) => println!("RECORDS {}", vault.records.len()),
        Err(error) => println!("FAILED {error} {error:?}"),
    }
}

async fn with_record() -> KsmServer {
    let server = server().await;
    server.vault().add(NewRecord::login("a", "b", "c"));
    server
}

async fn fetch_in_child(server: &KsmServer, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([
        "--exact",
        "paths::without_a_proxy_the_server_is_asked_itself",
        "--nocapture",
    ]);
    for name in ["HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "HTTP_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        .env(CONFIG, server.app_config_json())
        .env(ROOTS, server.ca_pem())
        .envs(environment.iter().copied());
    let ran = tokio::task::spawn_blocking(move || command.output());
    let Output { stdout, stderr, .. } = ran.await.expect("a thread").expect("a child");
    String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned()
}

/// A proxy that gives this answer to each request, and then, if it `connects`, does what it was asked for.
async fn proxy(answer: &'static str, connects: bool) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = head(&mut stream).await;
            seen.lock().expect("nobody panicked").push(head.clone());
            stream.write_all(answer.as_bytes()).await.expect("answered");
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            if connects {
                let mut target = TcpStream::connect(target).await.expect("the target");
                // It ends as its sides like.
                let _ = copy_bidirectional(&mut stream, &mut target).await;
            }
        }
    });
    (address, heads)
}

struct Redirecting {
    host: String,
    ca_pem: String,
}

/// Sends everybody to another address of its own.
async fn redirecting() -> (Redirecting, Arc<AtomicUsize>) {
    let now = Timestamp::now();
    let authority = CertificateAuthority::generate("test", now).expect("an authority");
    let names = ["127.0.0.1".to_owned()];
    let issued = authority
        .issue_server(&names, Duration::from_secs(3600), now)
        .expect("a certificate");
    let certificate = ReloadingCertificate::from_issued(&issued).expect("a pair");
    let tls = tls_config(certificate, &ClientAuth::None, &[b"http/1.1"]).expect("TLS");
    let acceptor = TlsAcceptor::from(tls);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let answer = format!(
        "HTTP/1.1 302 Found\r\nLocation: https://{host}/b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = acceptor.accept(stream).await.expect("a handshake");
            head(&mut stream).await;
            counted.fetch_add(1, Ordering::SeqCst);
            stream.write_all(answer.as_bytes()).await.expect("answered");
            // Whoever has the answer may be gone.
            let _ = stream.shutdown().await;
        }
    });
    let ca_pem = authority.certificate_pem();
    (Redirecting { host, ca_pem }, requests)
}

/// A request's head.
async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    String::from_utf8(head).expect("text")
}
