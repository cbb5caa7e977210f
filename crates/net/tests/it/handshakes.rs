//! Who isn't let in by TLS.

use std::time::Duration;

use mk8s_net::serve;
use mk8s_testkit::Pki;
use mk8s_tls::{ServerName, TlsConnector};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::support::HTTP1;

#[tokio::test]
async fn a_client_that_is_refused_reads_why_though_it_asked_already() {
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = pki.server_for_known_clients(serve::ALPN);
    let refused = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        serve::handshake(config, stream).await.map(|_| ())
    });
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    // In TLS 1.3 a client is through before the server has seen its certificate, or that there is none.
    let mut stream = TlsConnector::from(pki.client(&[HTTP1]))
        .connect(name, stream)
        .await
        .expect("its half of the handshake");
    stream.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    refused.await.expect("no panic").expect_err("refused");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream
            .write_all(b"Host: localhost\r\n\r\n")
            .await
            .expect("still listened to");
    }
    let why = stream.read_u8().await.expect_err("refused");
    assert!(why.to_string().contains("CertificateRequired"), "{why}");
}
