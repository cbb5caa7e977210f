//! A short way to a handshake.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_tls::{
    CertificateAuthority, ClientConfig, ClientSubject, Issued, PeerCertificate, ReloadingCertificate, Roots,
    ServerConfig, ServerName, TlsAcceptor, TlsConnector, peer_certificate,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

pub(crate) fn ago(time: Duration) -> Timestamp {
    now() - time
}

pub(crate) fn authority() -> CertificateAuthority {
    CertificateAuthority::generate("test authority", now()).expect("authority")
}

pub(crate) fn trust(authority: &CertificateAuthority) -> Roots {
    Roots::Certificates(vec![authority.certificate().clone()])
}

pub(crate) fn server(authority: &CertificateAuthority) -> Issued {
    authority
        .issue_server(&["localhost".to_owned()], DAY, now())
        .expect("server certificate")
}

pub(crate) fn jane() -> ClientSubject {
    ClientSubject {
        common_name: "jane".to_owned(),
        organizations: vec!["dev".to_owned(), "ops".to_owned()],
        uri_sans: vec!["spiffe://example.com/jane".to_owned()],
    }
}

pub(crate) fn client(authority: &CertificateAuthority) -> Issued {
    authority
        .issue_client(&jane(), DAY, now())
        .expect("client certificate")
}

pub(crate) fn reloading(issued: &Issued) -> Arc<ReloadingCertificate> {
    ReloadingCertificate::from_issued(issued).expect("a pair")
}

/// What a handshake came to.
#[derive(Debug)]
pub(crate) struct Met {
    /// What the server saw of the client.
    pub(crate) peer: Option<PeerCertificate>,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) version: mk8s_tls::rustls::ProtocolVersion,
    pub(crate) resumed: bool,
    /// The certificate the client saw.
    pub(crate) presented: Vec<u8>,
}

/// Shakes hands and exchanges a byte each way, so that both sides have accepted each other (in TLS 1.3 a client hears
/// of its refused certificate only then). The error is the server's if it has one.
pub(crate) async fn shake_hands(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Result<Met, String> {
    shake_hands_as("localhost", server, client).await
}

pub(crate) async fn shake_hands_as(
    name: &str,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<Met, String> {
    let (near, far) = duplex(64 * 1024);
    let accepting = async {
        let mut stream = TlsAcceptor::from(server)
            .accept(far)
            .await
            .map_err(|e| format!("server: {e}"))?;
        let peer = peer_certificate(stream.get_ref().1).map_err(|e| e.to_string())?;
        let byte = stream.read_u8().await.map_err(|e| e.to_string())?;
        stream.write_u8(byte).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        let connection = stream.get_ref().1;
        let alpn = connection.alpn_protocol().map(<[u8]>::to_vec);
        let version = connection.protocol_version().ok_or("no version")?;
        let resumed = connection.handshake_kind() == Some(mk8s_tls::rustls::HandshakeKind::Resumed);
        Ok::<_, String>((peer, alpn, version, resumed))
    };
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let dialling = async {
        let mut stream = TlsConnector::from(client)
            .connect(name, near)
            .await
            .map_err(|e| format!("client: {e}"))?;
        stream.write_u8(7).await.map_err(|e| e.to_string())?;
        stream.flush().await.map_err(|e| e.to_string())?;
        stream.read_u8().await.map_err(|e| format!("client: {e}"))?;
        let chain = stream.get_ref().1.peer_certificates().ok_or("no certificate")?;
        Ok::<_, String>(chain[0].to_vec())
    };
    match tokio::join!(accepting, dialling) {
        (Ok((peer, alpn, version, resumed)), Ok(presented)) => Ok(Met {
            peer,
            alpn,
            version,
            resumed,
            presented,
        }),
        (Err(server), Err(client)) => Err(format!("{server}; {client}")),
        (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
    }
}
