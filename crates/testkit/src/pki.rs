//! A certificate authority of a test's own, and TLS configurations on both sides that believe in it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use mk8s_tls::{
    CertificateAuthority, ClientConfig, ClientSubject, Issued, ReloadingCertificate, Roots, ServerConfig,
    client,
    server::{self, ClientAuth},
};

const VALIDITY: Duration = Duration::from_secs(24 * 3600);

/// The authority. Its servers are called `localhost`, `127.0.0.1` and `::1`.
#[derive(Debug)]
pub struct Pki {
    authority: CertificateAuthority,
}

impl Pki {
    /// A new authority, in memory alone.
    ///
    /// # Panics
    /// If the system has no random numbers.
    pub fn new() -> Self {
        Self {
            authority: CertificateAuthority::generate("test authority", Timestamp::now())
                .expect("an authority"),
        }
    }

    /// What those trust who trust it.
    pub fn roots(&self) -> Roots {
        Roots::Certificates(vec![self.authority.certificate().clone()])
    }

    /// The same, for who reads PEM: a kubeconfig, say.
    pub fn roots_pem(&self) -> String {
        self.authority.certificate_pem()
    }

    /// A server that offers these protocols and asks for no certificate.
    ///
    /// # Panics
    /// If TLS can't be configured.
    pub fn server(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        server::config(self.server_certificate(), &ClientAuth::None, alpn).expect("a configuration")
    }

    /// A server that speaks TLS 1.3 alone and wants a certificate of this authority.
    ///
    /// # Panics
    /// If TLS can't be configured.
    pub fn server_for_known_clients(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        server::config_tls13(
            self.server_certificate(),
            &ClientAuth::Required(self.roots()),
            alpn,
        )
        .expect("a configuration")
    }

    /// A client that offers these protocols and shows no certificate.
    ///
    /// # Panics
    /// If TLS can't be configured.
    pub fn client(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        client::config(&self.roots(), None, alpn).expect("a configuration")
    }

    /// A client that speaks TLS 1.3 alone and shows a certificate with this common name.
    ///
    /// # Panics
    /// If TLS can't be configured.
    pub fn client_named(&self, name: &str, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let subject = ClientSubject {
            common_name: name.to_owned(),
            ..ClientSubject::default()
        };
        let issued = self
            .authority
            .issue_client(&subject, VALIDITY, Timestamp::now())
            .expect("a certificate");
        let certificate = ReloadingCertificate::from_issued(&issued).expect("a pair");
        client::config_tls13(&self.roots(), Some(certificate), alpn).expect("a configuration")
    }

    /// A server's certificate and key, for programs that are given files.
    ///
    /// # Panics
    /// If the system has no random numbers.
    pub fn server_pair(&self) -> Issued {
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let issued = self.authority.issue_server(&names, VALIDITY, Timestamp::now());
        issued.expect("a certificate")
    }

    fn server_certificate(&self) -> Arc<ReloadingCertificate> {
        ReloadingCertificate::from_issued(&self.server_pair()).expect("a pair")
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}
