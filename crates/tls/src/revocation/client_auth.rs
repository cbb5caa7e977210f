//! The verifier of clients' certificates, over authorities and lists that can change.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{verify_tls12_signature, verify_tls13_signature},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;

use super::{RevocationError, RevocationLists, lists::ListFiles};
use crate::{ConfigError, Fingerprint, Refresh, Roots, provider};

/// Whom a door lets in.
#[derive(Clone, Debug)]
pub struct ClientTrust {
    /// The authorities that clients' certificates come from.
    pub authorities: Roots,
    /// Files of revocation lists, or directories of them (`*.crl`, `*.pem`, `*.der`, `*.r0`). A certificate whose
    /// authority has no list is taken.
    pub lists: Vec<PathBuf>,
    /// What becomes of a list that should have been replaced.
    pub expired: ExpiredLists,
    /// Whether a client may come without a certificate.
    pub optional: bool,
}

/// What a revocation list counts once its next update is overdue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpiredLists {
    /// It counts as before, and a warning is logged: whoever makes the lists must not lock everybody out by being late.
    #[default]
    Use,
    /// All certificates of its authority are refused.
    Refuse,
}

/// Verifies clients' certificates against authorities and revocation lists, both from files that are read again. Each
/// new handshake uses the newest that were good.
///
/// It names no authorities in the handshake: they may be others by the next, and clients choose by themselves.
#[derive(Debug)]
pub struct ReloadingClientAuth {
    trust: ClientTrust,
    current: ArcSwap<Current>,
    /// What the files said when they were last good.
    known: Mutex<Fingerprint>,
    lists: watch::Sender<Arc<RevocationLists>>,
    /// Of which overdue lists was told already.
    told: Mutex<HashSet<(PathBuf, Timestamp)>>,
}

#[derive(Debug)]
struct Current {
    /// One for each layer of authorities.
    verifiers: Vec<Arc<dyn ClientCertVerifier>>,
}

impl ReloadingClientAuth {
    /// Reads everything for the first time.
    ///
    /// # Errors
    /// [`RevocationError`] naming the file that can't be read or used.
    pub fn new(trust: ClientTrust, now: Timestamp) -> Result<Arc<Self>, RevocationError> {
        let (authorities, files, known) = read(&trust)?;
        let lists = Arc::new(RevocationLists::parse(&files, &authorities)?);
        let made = Self {
            current: ArcSwap::from_pointee(Current::new(&trust, &authorities, &lists)?),
            trust,
            known: Mutex::new(known),
            lists: watch::Sender::new(lists),
            told: Mutex::default(),
        };
        made.warn(now);
        Ok(Arc::new(made))
    }

    /// Reads the files again, and uses them from the next handshake on if they changed and all are good. Call it every
    /// minute or so. Lists that became overdue are logged, once each.
    ///
    /// # Errors
    /// [`RevocationError`] if a file can't be read or used. What was good last stays in use, authorities and lists
    /// alike.
    pub fn refresh(&self, now: Timestamp) -> Result<Refresh, RevocationError> {
        // Held to the end, so that two refreshes can't cross.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.take(&mut known);
        self.warn(now);
        outcome
    }

    /// The lists in use.
    pub fn lists(&self) -> Arc<RevocationLists> {
        self.lists.borrow().clone()
    }

    /// Tells of each change of the lists, and of the authorities: whoever keeps connections asks
    /// [`RevocationLists::revoked`] for each of them then, and ends those that are.
    pub fn subscribe(&self) -> watch::Receiver<Arc<RevocationLists>> {
        self.lists.subscribe()
    }

    fn take(&self, known: &mut Fingerprint) -> Result<Refresh, RevocationError> {
        let (authorities, files, content) = read(&self.trust)?;
        if *known == content {
            return Ok(Refresh::Unchanged);
        }
        let lists = Arc::new(RevocationLists::parse(&files, &authorities)?);
        self.current
            .store(Arc::new(Current::new(&self.trust, &authorities, &lists)?));
        *known = content;
        // After the verifier: who hears of it finds no handshake by the old lists any more.
        self.lists.send_replace(lists);
        Ok(Refresh::Changed)
    }

    fn warn(&self, now: Timestamp) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = self.lists();
        let overdue: HashSet<_> = lists
            .expired(now)
            .map(|info| (info.path.clone(), info.next_update))
            .collect();
        for (path, next_update) in overdue.difference(&told) {
            tracing::warn!(
                file = %path.display(),
                %next_update,
                refused = self.trust.expired == ExpiredLists::Refuse,
                "a revocation list is overdue; have its authority make the next one"
            );
        }
        *told = overdue;
    }
}

impl ClientCertVerifier for ReloadingClientAuth {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        !self.trust.optional
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let current = self.current.load();
        let mut telling = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        for verifier in &current.verifiers {
            match verifier.verify_client_cert(leaf, intermediates, now) {
                Ok(verified) => return Ok(verified),
                // Of several reasons, the one of the authority that the certificate is from.
                Err(Error::InvalidCertificate(
                    CertificateError::BadSignature | CertificateError::UnknownIssuer,
                )) if current.verifiers.len() > 1 => {}
                Err(error) => telling = error,
            }
        }
        Err(telling)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl Current {
    fn new(
        trust: &ClientTrust,
        authorities: &RootCertStore,
        lists: &RevocationLists,
    ) -> Result<Self, RevocationError> {
        let verifiers = layers(authorities).into_iter().map(|layer| {
            let crls = lists.among(&layer);
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(layer), provider())
                .with_crls(crls)
                .allow_unknown_revocation_status();
            let builder = match trust.expired {
                ExpiredLists::Use => builder,
                ExpiredLists::Refuse => builder.enforce_revocation_expiration(),
            };
            let built = builder.build().map_err(|e| ConfigError::Tls(e.to_string()));
            Ok(built? as Arc<dyn ClientCertVerifier>)
        });
        Ok(Self {
            verifiers: verifiers.collect::<Result<_, RevocationError>>()?,
        })
    }
}

/// The authorities, so that no two of a layer have the same name: rustls looks for a list by its authority's name alone,
/// and an authority that began anew with another key would have all its certificates held against the old one's list.
fn layers(authorities: &RootCertStore) -> Vec<RootCertStore> {
    let mut layers: Vec<RootCertStore> = Vec::new();
    for anchor in &authorities.roots {
        if layers.iter().any(|layer| layer.roots.contains(anchor)) {
            continue;
        }
        let free = layers
            .iter()
            .position(|layer| layer.roots.iter().all(|there| there.subject != anchor.subject));
        let at = free.unwrap_or_else(|| {
            layers.push(RootCertStore::empty());
            layers.len() - 1
        });
        layers[at].roots.push(anchor.clone());
    }
    layers
}

fn read(trust: &ClientTrust) -> Result<(Arc<RootCertStore>, ListFiles, Fingerprint), RevocationError> {
    let authorities = trust.authorities.load()?;
    let files = ListFiles::read(&trust.lists)?;
    let anchors = authorities
        .roots
        .iter()
        .flat_map(|anchor| [anchor.subject.as_ref(), anchor.subject_public_key_info.as_ref()]);
    let content = Fingerprint::of_all(anchors.chain(files.bytes()));
    Ok((authorities, files, content))
}
