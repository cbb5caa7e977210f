//! One revocation list.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rustls::{RootCertStore, server::WebPkiClientVerifier};
use rustls_pki_types::CertificateRevocationListDer;
use x509_parser::{
    extensions::ParsedExtension,
    prelude::{FromDer, X509Extension},
    revocation_list::{CertificateRevocationList, RevokedCertificate},
};

use super::{RevocationError, RevocationReason, Revoked};
use crate::{
    SerialNumber, material, provider,
    signature::{Signed, sequence},
};

/// What people want to know of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListInfo {
    /// The file it was in.
    pub path: PathBuf,
    /// The authority's name, as text.
    pub issuer: String,
    /// Its number, in decimal digits.
    pub number: Option<String>,
    /// When it was made.
    pub this_update: Timestamp,
    /// When there should be another.
    pub next_update: Timestamp,
    /// How many certificates it takes back.
    pub entries: usize,
    /// Whether one of the trusted authorities signed it. If not, it is in the name of an authority that isn't among
    /// them, and counts for those whose chain has that authority's certificate.
    pub verified: bool,
}

/// A list, read.
#[derive(Debug)]
pub(super) struct List {
    pub(super) der: CertificateRevocationListDer<'static>,
    /// The issuer's name in DER.
    pub(super) issuer: Vec<u8>,
    /// The keys of trusted authorities that signed it, each a whole SubjectPublicKeyInfo.
    pub(super) signers: Vec<Vec<u8>>,
    pub(super) info: ListInfo,
    /// What tells apart lists that stand beside each other: extensions that say whose key and which certificates.
    lineage: Vec<Vec<u8>>,
    /// Highest byte first.
    number: Vec<u8>,
    entries: HashMap<SerialNumber, (Timestamp, RevocationReason)>,
}

impl List {
    /// Reads a list and looks for who signed it among the authorities.
    pub(super) fn new(
        der: CertificateRevocationListDer<'static>,
        path: &Path,
        authorities: &Arc<RootCertStore>,
    ) -> Result<Self, RevocationError> {
        let damaged = |reason: String| RevocationError::Damaged {
            path: path.to_owned(),
            reason,
        };
        // What the handshake wouldn't understand is refused here, where a file can be named.
        WebPkiClientVerifier::builder_with_provider(authorities.clone(), provider())
            .with_crls([der.clone()])
            .build()
            .map_err(|e| damaged(unusable(&e)))?;
        let signed = Signed::from_der(&der).map_err(|e| damaged(e.to_string()))?;
        let parsed = match CertificateRevocationList::from_der(&der) {
            Ok(([], parsed)) => parsed,
            Ok(_) => return Err(damaged("there are bytes behind its end".to_owned())),
            Err(e) => return Err(damaged(e.to_string())),
        };
        let issuer = parsed.issuer().as_raw().to_vec();
        let shown = parsed.issuer().to_string();
        let named: Vec<Vec<u8>> = authorities
            .roots
            .iter()
            .filter(|anchor| sequence(&anchor.subject) == issuer)
            .map(|anchor| sequence(&anchor.subject_public_key_info))
            .collect();
        let mut signers: Vec<_> = named.iter().filter(|key| signed.is_by(key)).cloned().collect();
        signers.dedup();
        if signers.is_empty() && !named.is_empty() {
            return Err(RevocationError::BadSignature {
                path: path.to_owned(),
                issuer: shown,
            });
        }
        let entries: HashMap<_, _> = parsed.iter_revoked_certificates().map(entry).collect();
        let number = parsed.crl_number();
        let info = ListInfo {
            path: path.to_owned(),
            issuer: shown,
            number: number.map(ToString::to_string),
            this_update: material::timestamp(parsed.last_update()),
            // The handshake's reader insists on it.
            next_update: parsed.next_update().map_or(Timestamp::MAX, material::timestamp),
            entries: entries.len(),
            verified: !signers.is_empty(),
        };
        Ok(Self {
            lineage: lineage(parsed.extensions()),
            number: number.map(|number| number.to_bytes_be()).unwrap_or_default(),
            der,
            issuer,
            signers,
            info,
            entries,
        })
    }

    /// The entry of a certificate of this issuer.
    pub(super) fn entry(&self, serial: &SerialNumber) -> Option<Revoked> {
        self.entries.get(serial).map(|&(at, reason)| Revoked {
            serial: serial.clone(),
            at,
            reason,
        })
    }

    /// Whether this list takes the other's place: about the same certificates, and made later.
    pub(super) fn replaces(&self, other: &Self) -> bool {
        let age = |list: &Self| (list.info.this_update, list.number.len(), list.number.clone());
        self.issuer == other.issuer
            && self.signers == other.signers
            && self.lineage == other.lineage
            && age(self) > age(other)
    }

    /// Whether both say the same.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

fn entry(revoked: &RevokedCertificate<'_>) -> (SerialNumber, (Timestamp, RevocationReason)) {
    let reason = revoked
        .reason_code()
        .map_or(RevocationReason::Unspecified, |(_, code)| {
            RevocationReason::from_code(code.0)
        });
    (
        SerialNumber::from_bytes(revoked.raw_serial()),
        (material::timestamp(revoked.revocation_date), reason),
    )
}

/// The extensions that don't change from a list to the next.
fn lineage(extensions: &[X509Extension<'_>]) -> Vec<Vec<u8>> {
    extensions
        .iter()
        .filter(|extension| !matches!(extension.parsed_extension(), ParsedExtension::CRLNumber(_)))
        .map(|extension| extension.value.to_vec())
        .collect()
}

/// Why rustls doesn't take a list, in words.
fn unusable(error: &rustls::server::VerifierBuilderError) -> String {
    use rustls::{CertRevocationListError as Crl, server::VerifierBuilderError as Error};
    let Error::InvalidCrl(error) = error else {
        return error.to_string();
    };
    match error {
        Crl::ParseError | Crl::Other(_) => "it is damaged, or has no next update or no extensions".to_owned(),
        Crl::UnsupportedCrlVersion => "it is of version 1; have one of version 2 made".to_owned(),
        Crl::UnsupportedDeltaCrl => "it lists changes only; use a complete list".to_owned(),
        Crl::UnsupportedIndirectCrl => {
            "it speaks of other authorities' certificates; use each authority's own list".to_owned()
        }
        Crl::UnsupportedCriticalExtension => "it has a critical extension that isn't known here".to_owned(),
        other => format!("{other:?}"),
    }
}
