//! Certificate requests (PKCS #10, RFC 2986): made by the agent, checked by the authority.

use mk8s_model::{AuthMethod, Identity};
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey,
};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{
    certification_request::X509CertificationRequest,
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
        OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA, OID_SIG_ED25519,
    },
    prelude::FromDer,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};
use zeroize::Zeroizing;

use crate::{AuthorityError, PrivateKey, der, material};

/// No request of a key we take is larger: RSA with 8192 bits and a few names fill 4 KiB.
const MAX_REQUEST_BYTES: usize = 16 * 1024;
const MIN_RSA_BITS: usize = 2048;

/// A certificate request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRequest(Vec<u8>);

/// Why no certificate is issued for a request.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Larger than any honest request.
    #[error("the certificate request has {0} bytes; the limit is {MAX_REQUEST_BYTES}")]
    TooLarge(usize),
    /// Neither PEM nor DER of a PKCS #10 request.
    #[error("the certificate request can't be read: {0}")]
    Damaged(String),
    /// Whoever sent it doesn't hold the private key.
    #[error("the certificate request isn't signed with the key it asks a certificate for")]
    BadSignature,
    /// A kind of key that isn't taken.
    #[error(
        "the certificate request has a {0}; use P-256, P-384, Ed25519 or RSA of at least {MIN_RSA_BITS} bits"
    )]
    UnsupportedKey(String),
    /// The key pair could not be made.
    #[error("no key pair could be made: {0}")]
    Generate(String),
}

/// A new P-256 key and a request for a certificate of it. The request names nobody: the authority decides on the
/// name.
///
/// # Errors
/// [`CsrError::Generate`] if the system has no random numbers.
pub fn generate_csr() -> Result<(PrivateKey, CertificateRequest), CsrError> {
    let failed = |e: rcgen::Error| CsrError::Generate(e.to_string());
    let pair = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(&*pair).map_err(failed)?;
    Ok((
        PrivateKey::from_pkcs8(pair.serialize_der()),
        CertificateRequest(request.der().to_vec()),
    ))
}

/// A new P-256 key and a request for a certificate of it that names a person, for an authority that takes the names from
/// the request, as Kubernetes does: the user as common name, each group as an organization.
///
/// # Errors
/// [`AuthorityError`] for a name that no client may have, or if the system has no random numbers.
pub fn generate_user_csr(
    user: &str,
    groups: &[String],
) -> Result<(PrivateKey, CertificateRequest), AuthorityError> {
    let failed = |e: rcgen::Error| CsrError::Generate(e.to_string());
    let identity = Identity::new(user, groups, AuthMethod::Certificate)?;
    let groups: Vec<String> = identity.groups().map(str::to_owned).collect();
    let pair = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?);
    let subject = der::name(identity.user(), &groups);
    let to_be_signed = der::request(&subject, &pair.subject_public_key_info());
    let signature = pair.sign(&to_be_signed).map_err(failed)?;
    Ok((
        PrivateKey::from_pkcs8(pair.serialize_der()),
        CertificateRequest(der::signed(&to_be_signed, &signature)),
    ))
}

impl CertificateRequest {
    /// The PEM text.
    pub fn pem(&self) -> String {
        material::block("CERTIFICATE REQUEST", &self.0)
    }

    /// The DER bytes.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

/// A public key whose private half the requester has shown to hold.
pub(crate) struct ProvenKey {
    /// A whole SubjectPublicKeyInfo.
    pub(crate) info: Vec<u8>,
    /// Its bits alone.
    pub(crate) bits: Vec<u8>,
}

/// Takes the public key of a request in PEM or DER, and nothing else of it.
pub(crate) fn proven_key(request: &[u8]) -> Result<ProvenKey, CsrError> {
    if request.len() > MAX_REQUEST_BYTES {
        return Err(CsrError::TooLarge(request.len()));
    }
    let from_pem;
    let der = if request.trim_ascii_start().starts_with(b"-----BEGIN ") {
        from_pem = CertificateSigningRequestDer::from_pem_slice(request)
            .map_err(|e| CsrError::Damaged(material::damage(&e)))?;
        from_pem.as_ref()
    } else {
        request
    };
    let (rest, parsed) =
        X509CertificationRequest::from_der(der).map_err(|e| CsrError::Damaged(e.to_string()))?;
    if !rest.is_empty() {
        return Err(CsrError::Damaged("there are bytes behind its end".to_owned()));
    }
    let key = &parsed.certification_request_info.subject_pki;
    check_key(key)?;
    // The parser would take RSA with SHA-1.
    let algorithm = &parsed.signature_algorithm.algorithm;
    if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
        return Err(CsrError::BadSignature);
    }
    parsed.verify_signature().map_err(|_| CsrError::BadSignature)?;
    Ok(ProvenKey {
        info: key.raw.to_vec(),
        bits: key.subject_public_key.data.to_vec(),
    })
}

fn check_key(key: &SubjectPublicKeyInfo<'_>) -> Result<(), CsrError> {
    let kind = &key.algorithm.algorithm;
    if *kind == OID_SIG_ED25519 {
        return Ok(());
    }
    if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
        return match curve {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => Ok(()),
            _ => Err(CsrError::UnsupportedKey(
                "key on another elliptic curve".to_owned(),
            )),
        };
    }
    if *kind == OID_PKCS1_RSAENCRYPTION
        && let Ok(PublicKey::RSA(rsa)) = key.parsed()
    {
        return match rsa.key_size() {
            bits if bits >= MIN_RSA_BITS => Ok(()),
            bits => Err(CsrError::UnsupportedKey(format!("RSA key of {bits} bits"))),
        };
    }
    Err(CsrError::UnsupportedKey("key of another kind".to_owned()))
}
