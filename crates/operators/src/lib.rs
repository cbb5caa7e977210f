//! Who comes in by client certificate, and for how long it counts.
//!
//! A door asks for certificates by [`Operators::client_auth`], and has [`Operators::admit`] say who came. What follows takes the
//! one path, whose authorizer is [`Operators::holders`], or one that asks it first: a certificate that is revoked, by a list
//! (CRL) or by the word of a responder (OCSP), or whose authority is no longer trusted, ends its holder's requests, running
//! ones included.

mod holders;
mod responders;
mod settings;

use std::{
    any::Any,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use mk8s_model::{AuthMethod, Identity, InvalidIdentity};
use mk8s_tls::{
    ClientTrust, PeerCertificate, PeerCertificateError, ReloadingClientAuth, RevocationError, Roots,
    ServerConnection, peer_certificate, server::ClientAuth,
};
use tokio::sync::OnceCell;
use tracing::warn;
use uuid::Uuid;

use self::{holders::Held, responders::Responders};
pub use self::{
    holders::Holders,
    responders::Questions,
    settings::{ExpiredCrls, Ocsp, Settings},
};

/// How often authorities and revocation lists are read again.
const REFRESH: Duration = Duration::from_secs(5);

/// Everybody who is here by certificate.
pub struct Operators {
    trust: Arc<ReloadingClientAuth>,
    holders: Arc<Holders>,
    responders: Arc<Responders>,
}

/// Why a genuine certificate lets nobody in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// It names nobody.
    #[error("{0}")]
    Certificate(#[from] PeerCertificateError),
    /// It names somebody who must not come from outside.
    #[error("the client certificate names nobody who may come in: {0}")]
    Identity(#[from] InvalidIdentity),
}

/// One connection of somebody who came in.
pub struct Admitted {
    /// What the certificate says.
    pub certificate: PeerCertificate,
    held: Arc<Held>,
    responders: Arc<Responders>,
    /// Whether the certificate's responder was heard.
    asked: OnceCell<()>,
}

impl Operators {
    /// Reads the authorities and lists for the first time.
    ///
    /// # Errors
    /// [`RevocationError`], naming the file that can't be used.
    pub fn new(settings: &Settings, questions: Questions) -> Result<Arc<Self>, RevocationError> {
        let trust = ReloadingClientAuth::new(
            ClientTrust {
                authorities: Roots::Files(settings.ca_files.clone()),
                lists: settings.crl_files.clone(),
                expired: settings.expired_crls.into(),
                optional: false,
            },
            Timestamp::now(),
        )?;
        let holders = Holders::new(trust.clone());
        Ok(Arc::new(Self {
            responders: Responders::new(
                settings.ocsp,
                settings.ca_files.clone(),
                holders.clone(),
                questions,
            ),
            trust,
            holders,
        }))
    }

    /// What a door asks of its clients.
    pub fn client_auth(&self) -> ClientAuth {
        ClientAuth::Reloading(self.trust.clone())
    }

    /// Says no to everybody whose certificate counts no longer, and yes to the others.
    pub fn holders(&self) -> Arc<Holders> {
        self.holders.clone()
    }

    /// Who is at the other end of a connection, whose handshake verified their certificate.
    ///
    /// # Errors
    /// [`Refused`], if it names nobody.
    pub fn admit(&self, connection: &ServerConnection) -> Result<Admitted, Refused> {
        let certificate = peer_certificate(connection)?.ok_or(Refused::NoCertificate)?;
        let chain = connection.peer_certificates().unwrap_or_default();
        Ok(Admitted {
            held: Arc::new(self.holders.enter(chain)),
            certificate,
            responders: self.responders.clone(),
            asked: OnceCell::new(),
        })
    }

    /// Keeps everything up to date until it is dropped: reads files again, verifies those who are here, asks responders.
    pub async fn keep(self: Arc<Self>) {
        let refresh = async {
            loop {
                tokio::time::sleep(REFRESH).await;
                if let Err(error) = self.trust.refresh(Timestamp::now()) {
                    warn!(%error, "authorities and revocation lists can't be read again; the last good ones stay");
                }
            }
        };
        tokio::join!(
            refresh,
            self.holders.clone().follow(),
            self.responders.clone().follow()
        );
    }
}

impl Admitted {
    /// Waits until the responder that the certificate names was heard, if one is to be. For the first request and not the
    /// handshake, which others' responders would hold up.
    pub async fn settled(&self) {
        self.asked
            .get_or_init(|| self.responders.settle_first(self.held.id))
            .await;
    }

    /// As Kubernetes itself reads client certificates
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates>), but for names
    /// that are its own components'.
    ///
    /// # Errors
    /// [`InvalidIdentity`] if that is nobody who may come from outside.
    pub fn identity(&self) -> Result<Identity, InvalidIdentity> {
        identity(&self.certificate)
    }

    /// What the certificate is known by to [`Holders`].
    pub fn session(&self) -> Uuid {
        self.held.id
    }

    /// What keeps it known; it belongs into [`mk8s_proxy::Caller::held`].
    pub fn held(&self) -> Arc<dyn Any + Send + Sync> {
        self.held.clone()
    }

    /// When the certificate ends.
    pub fn until(&self) -> Option<Instant> {
        Instant::now().checked_add(left(&self.certificate, Timestamp::now()))
    }
}

fn identity(certificate: &PeerCertificate) -> Result<Identity, InvalidIdentity> {
    Identity::new(
        &certificate.common_name,
        &certificate.organizations,
        AuthMethod::Certificate,
    )
}

/// How long the certificate is still good for.
fn left(certificate: &PeerCertificate, now: Timestamp) -> Duration {
    let left = certificate.not_after.as_millisecond() - now.as_millisecond();
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use mk8s_tls::{CertificateAuthority, authority::Terms};

    use super::*;

    /// A certificate as it would be read, whatever it says.
    fn certificate(common_name: &str, organizations: &[&str]) -> PeerCertificate {
        let authority = CertificateAuthority::generate("test", Timestamp::now()).expect("an authority");
        let issued = authority
            .issue_user(
                "anna",
                &[],
                &Terms::of(Duration::from_secs(3600)),
                Timestamp::now(),
            )
            .expect("a certificate");
        let mut read = PeerCertificate::from_der(issued.chain.leaf()).expect("a certificate");
        read.common_name = common_name.to_owned();
        read.organizations = organizations.iter().map(|name| (*name).to_owned()).collect();
        read
    }

    #[test]
    fn a_comma_is_part_of_a_name() {
        let identity = identity(&certificate("Doe, Jane", &["a, b"])).expect("somebody");
        assert_eq!(identity.user(), "Doe, Jane");
        assert_eq!(identity.groups().collect::<Vec<_>>(), ["a, b"]);
    }

    #[test]
    fn names_that_are_empty_long_or_would_end_a_header_let_nobody_in() {
        let long = "x".repeat(10 * 1024);
        for (name, groups) in [
            ("", &[][..]),
            (long.as_str(), &[]),
            ("anna\r\nImpersonate-Group: system:masters", &[]),
            ("anna\n", &[]),
            ("anna", &[""]),
            ("anna", &[long.as_str()]),
            ("anna", &["a\r\nb"]),
            ("system:admin", &[]),
            ("anna", &["team-a", "system:masters"]),
            ("anna", &["SYSTEM:masters"]),
        ] {
            let refused = identity(&certificate(name, groups));
            assert!(refused.is_err(), "{name:?} {groups:?}: {refused:?}");
        }
    }

    #[test]
    fn what_has_ended_is_good_for_no_time_at_all() {
        let certificate = certificate("anna", &[]);
        let soon = certificate.not_after - jiff::SignedDuration::from_secs(5);
        assert_eq!(left(&certificate, soon), Duration::from_secs(5));
        let later = certificate.not_after + jiff::SignedDuration::from_secs(5);
        assert_eq!(left(&certificate, later), Duration::ZERO);
    }
}
