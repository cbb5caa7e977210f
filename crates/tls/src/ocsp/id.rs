//! Which certificate is spoken of.

use aws_lc_rs::digest;
use sha2::{Digest, Sha256};
use x509_cert::{
    der::{
        Decode, Encode,
        asn1::{Any, Null, ObjectIdentifier, OctetString},
    },
    spki::AlgorithmIdentifierOwned,
};
use x509_ocsp::CertId;
use x509_parser::certificate::X509Certificate;

use super::OcspError;
use crate::SerialNumber;

const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// How an authority is named in a request. Nothing is protected by this hash: it only finds the authority's record, and
/// what counts is the answer's signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdHash {
    /// What every responder understands (RFC 5019, section 2.1.1).
    #[default]
    Sha1,
    /// What newer ones understand, too.
    Sha256,
}

/// An authority as responders know it, and a certificate of it.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) serial: SerialNumber,
    /// The authority's name in DER.
    pub(super) issuer_name: Vec<u8>,
    /// The bits of the authority's public key.
    issuer_key: Vec<u8>,
    /// Its whole SubjectPublicKeyInfo.
    pub(super) issuer_key_info: Vec<u8>,
}

impl Subject {
    pub(super) fn new(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> Self {
        let key = issuer.public_key();
        Self {
            serial: SerialNumber::from_bytes(certificate.raw_serial()),
            issuer_name: issuer.subject().as_raw().to_vec(),
            issuer_key: key.subject_public_key.data.to_vec(),
            issuer_key_info: key.raw.to_vec(),
        }
    }

    /// As it stands in a request.
    pub(super) fn id(&self, hash: IdHash) -> Result<CertId, OcspError> {
        let oid = match hash {
            IdHash::Sha1 => SHA1,
            IdHash::Sha256 => SHA256,
        };
        self.id_by(oid, hash)
            .map_err(|e| OcspError::Request(e.to_string()))
    }

    /// Whether an answer is about it, in either hash: some responders have only one.
    pub(super) fn is_meant_by(&self, id: &CertId) -> bool {
        let hash = match id.hash_algorithm.oid {
            SHA1 => IdHash::Sha1,
            SHA256 => IdHash::Sha256,
            _ => return false,
        };
        id.issuer_name_hash.as_bytes() == digest_of(hash, &self.issuer_name)
            && id.issuer_key_hash.as_bytes() == digest_of(hash, &self.issuer_key)
            && SerialNumber::from_bytes(id.serial_number.as_bytes()) == self.serial
    }

    fn id_by(&self, oid: ObjectIdentifier, hash: IdHash) -> Result<CertId, x509_cert::der::Error> {
        // Read from DER, because made from bytes it would refuse numbers longer than the standard allows.
        let serial = yasna::construct_der(|w| w.write_bigint_bytes(self.serial.as_bytes(), true));
        Ok(CertId {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid,
                parameters: Some(Any::from_der(&Null.to_der()?)?),
            },
            issuer_name_hash: OctetString::new(digest_of(hash, &self.issuer_name))?,
            issuer_key_hash: OctetString::new(digest_of(hash, &self.issuer_key))?,
            serial_number: Decode::from_der(&serial)?,
        })
    }
}

/// The SHA-1 of a public key's bits, by which a responder names its own key.
pub(super) fn key_hash(bits: &[u8]) -> Vec<u8> {
    digest_of(IdHash::Sha1, bits)
}

fn digest_of(hash: IdHash, bytes: &[u8]) -> Vec<u8> {
    match hash {
        IdHash::Sha1 => digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
            .as_ref()
            .to_vec(),
        IdHash::Sha256 => Sha256::digest(bytes).to_vec(),
    }
}
