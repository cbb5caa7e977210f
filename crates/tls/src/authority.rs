//! The certificate authority that central makes for itself at its first start, and what it issues.
//!
//! The authority's certificate is valid for ten years and is never renewed by itself: whoever trusts the installation
//! trusts exactly this certificate. Certificates issued end with it at the latest. To replace it, move `ca.crt` and
//! `ca.key` away, start again, and give people and agents the new fingerprint.

mod directory;
mod error;
mod revocation;
mod terms;

use std::{net::IpAddr, path::Path, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey};
use rustls_pki_types::{CertificateDer, DnsName};
use x509_parser::certificate::X509Certificate;
use zeroize::Zeroizing;

pub use error::AuthorityError;
pub use revocation::SignedList;
pub use terms::Terms;

use crate::{
    CertificateChain, Fingerprint, Issued, MaterialError, PrivateKey,
    csr::{ProvenKey, proven_key},
    der::{self, AlternativeName, Purpose, Status},
    files, material, provider,
};

/// How long the authority's own certificate is valid.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How far validity begins before now, so that a machine whose clock is behind takes a fresh certificate.
pub const BACKDATED: Duration = Duration::from_secs(60 * 60);

const CERTIFICATE_FILE: &str = "ca.crt";
const KEY_FILE: &str = "ca.key";
const LOCK_FILE: &str = "ca.lock";
/// The longest name or URI put into a certificate, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// An authority: a self-signed certificate and its P-256 key. It signs leaves only (path length 0).
#[derive(Debug)]
pub struct CertificateAuthority {
    certificate: CertificateDer<'static>,
    key: Zeroizing<KeyPair>,
    key_identifier: Vec<u8>,
    /// The subject, byte for byte as in the certificate.
    name: Vec<u8>,
    not_after: Timestamp,
}

/// Whom a client certificate names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSubject {
    /// The common name, which Kubernetes takes for the user.
    pub common_name: String,
    /// The organizations, which Kubernetes takes for the groups.
    pub organizations: Vec<String>,
    /// URIs as subject alternative names, such as a SPIFFE ID.
    pub uri_sans: Vec<String>,
}

impl CertificateAuthority {
    /// Reads the authority from `ca.crt` and `ca.key` in the directory; makes both, and the directory, if neither is
    /// there. Several processes that do so at once end up with the same authority.
    ///
    /// # Errors
    /// [`AuthorityError`] if one of the files is missing or can't be used, the key can be read by others, the
    /// authority has expired, or nothing can be written.
    pub fn load_or_create(
        directory: &Path,
        common_name: &str,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let certificate = directory.join(CERTIFICATE_FILE);
        let key = directory.join(KEY_FILE);
        // Without the lock first: a directory that is mounted read-only serves just as well.
        if let Some(there) = Self::load(&certificate, &key, now)? {
            return Ok(there);
        }
        files::ensure_directory(directory).map_err(AuthorityError::at(directory))?;
        let lock = directory.join(LOCK_FILE);
        let _held = files::lock(&lock).map_err(AuthorityError::at(&lock))?;
        // Another process may have been faster.
        if let Some(there) = Self::open(directory, now)? {
            return Ok(there);
        }
        let made = Self::generate(common_name, now)?;
        made.write(&certificate, &key)?;
        Ok(made)
    }

    /// An authority in memory alone.
    ///
    /// # Errors
    /// [`AuthorityError`] if the name can't stand in a certificate, or the system has no random numbers.
    pub fn generate(common_name: &str, now: Timestamp) -> Result<Self, AuthorityError> {
        Self::generate_for(common_name, AUTHORITY_VALIDITY, now)
    }

    /// An authority in memory alone that is valid for so long: one that is replaced by its owner in time.
    ///
    /// # Errors
    /// As [`CertificateAuthority::generate`]; or if the validity is none.
    pub fn generate_for(
        common_name: &str,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        check_text(common_name)?;
        let key = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(signing)?);
        let name = der::name(common_name, &[]);
        let key_identifier = der::key_identifier(key.der_bytes()).to_vec();
        let not_after = later(now, validity)?;
        let certificate = sign(
            &key,
            &der::Certificate {
                serial: serial()?,
                issuer: &name,
                authority_key_identifier: &key_identifier,
                not_before: backdated(now)?,
                not_after,
                subject: &name,
                public_key: &key.subject_public_key_info(),
                subject_key_identifier: &key_identifier,
                purpose: Purpose::Authority,
                alternative_names: &[],
                status: Status::default(),
            },
        )?;
        Ok(Self {
            certificate,
            key,
            key_identifier,
            name,
            not_after,
        })
    }

    /// The authority that was kept as two PEM texts, such as in a Secret. Whether it has expired is the caller's to look at.
    ///
    /// # Errors
    /// [`MaterialError`] if one can't be read, the key isn't the certificate's or isn't P-256, or the certificate is no
    /// authority's.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, MaterialError> {
        let chain = CertificateChain::from_pem(certificate)?;
        let private = PrivateKey::from_pem(key)?;
        material::certified(&chain, &private)?;
        let pair = p256(&private)?;
        let parsed = material::parse(chain.leaf())?;
        if !parsed.is_ca() {
            return Err(MaterialError::NoAuthority);
        }
        Ok(Self::of(&chain, &parsed, pair))
    }

    /// A server's certificate with a new P-256 key. Each name is a DNS name (`*.` in front stands for one label) or
    /// an IP address. The chain ends with the authority's own certificate.
    ///
    /// # Errors
    /// [`AuthorityError`] if there is no name or a bad one, the validity is none, or signing fails.
    pub fn issue_server(
        &self,
        names: &[String],
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        self.issue_server_on(names, &Terms::of(validity), now)
    }

    /// A client's certificate with a new P-256 key.
    ///
    /// # Errors
    /// [`AuthorityError`] if a name can't stand in a certificate, the validity is none, or signing fails.
    pub fn issue_client(
        &self,
        subject: &ClientSubject,
        validity: Duration,
        now: Timestamp,
    ) -> Result<Issued, AuthorityError> {
        let (key, proven) = new_key()?;
        Ok(Issued {
            chain: self.client_chain(&proven, subject, validity, now)?,
            key,
        })
    }

    /// A client's certificate for the key of a request, in PEM or DER. Of the request nothing but the public key is
    /// used, once its signature has shown that the requester holds the private key: the subject is the caller's to
    /// give.
    ///
    /// # Errors
    /// [`AuthorityError`] if the request is damaged, isn't signed with its own key, or has a weak key; else as
    /// [`CertificateAuthority::issue_client`].
    pub fn sign_csr(
        &self,
        request: &[u8],
        subject: &ClientSubject,
        validity: Duration,
        now: Timestamp,
    ) -> Result<CertificateChain, AuthorityError> {
        self.client_chain(&proven_key(request)?, subject, validity, now)
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        material::block("CERTIFICATE", &self.certificate)
    }

    /// The authority's key as PEM.
    pub fn key_pem(&self) -> Zeroizing<String> {
        PrivateKey::from_pkcs8(self.key.serialize_der()).pem()
    }

    /// What people compare before they trust the authority.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// When the authority expires.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The authority as it stands in the two files; none unless both are there.
    fn load(certificate: &Path, key: &Path, now: Timestamp) -> Result<Option<Self>, AuthorityError> {
        if !certificate.exists() || !key.exists() {
            return Ok(None);
        }
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| AuthorityError::Unusable { path, source }
        };
        if let Some(mode) = files::readable_by_others(key).map_err(AuthorityError::at(key))? {
            return Err(AuthorityError::ReadableByOthers {
                path: key.to_owned(),
                mode,
            });
        }
        let chain = std::fs::read(certificate).map_err(AuthorityError::at(certificate))?;
        let chain = CertificateChain::from_pem(&chain).map_err(unusable(certificate))?;
        let pem = Zeroizing::new(std::fs::read(key).map_err(AuthorityError::at(key))?);
        let private = PrivateKey::from_pem(&pem).map_err(unusable(key))?;
        material::certified(&chain, &private).map_err(unusable(key))?;
        let pair = p256(&private).map_err(unusable(key))?;

        let parsed = material::parse(chain.leaf()).map_err(unusable(certificate))?;
        if !parsed.is_ca() {
            return Err(AuthorityError::NoAuthority {
                path: certificate.to_owned(),
            });
        }
        let not_after = material::timestamp(parsed.validity().not_after);
        if not_after <= now {
            return Err(AuthorityError::Expired { not_after });
        }
        Ok(Some(Self::of(&chain, &parsed, pair)))
    }

    fn of(chain: &CertificateChain, parsed: &X509Certificate<'_>, pair: KeyPair) -> Self {
        let key_identifier =
            subject_key_identifier(parsed).unwrap_or_else(|| der::key_identifier(pair.der_bytes()).to_vec());
        Self {
            certificate: chain.leaf().clone(),
            key: Zeroizing::new(pair),
            key_identifier,
            name: parsed.subject().as_raw().to_vec(),
            not_after: material::timestamp(parsed.validity().not_after),
        }
    }

    fn client_chain(
        &self,
        key: &ProvenKey,
        subject: &ClientSubject,
        validity: Duration,
        now: Timestamp,
    ) -> Result<CertificateChain, AuthorityError> {
        check_text(&subject.common_name)?;
        subject
            .organizations
            .iter()
            .try_for_each(|organization| check_text(organization))?;
        let uris = subject.uri_sans.iter().map(|uri| {
            check_text(uri)?;
            match uri.is_ascii() {
                true => Ok(AlternativeName::Uri(uri.clone())),
                false => Err(AuthorityError::BadName(uri.clone(), "a URI is ASCII")),
            }
        });
        let uris = uris.collect::<Result<Vec<_>, _>>()?;
        let name = der::name(&subject.common_name, &subject.organizations);
        let leaf = Leaf {
            subject: &name,
            purpose: Purpose::Client,
            alternative_names: &uris,
            status: Status::default(),
        };
        chain(vec![self.issue(key, &leaf, validity, now)?])
    }

    fn issue(
        &self,
        key: &ProvenKey,
        leaf: &Leaf<'_>,
        validity: Duration,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        if self.not_after <= now {
            return Err(AuthorityError::Expired {
                not_after: self.not_after,
            });
        }
        sign(
            &self.key,
            &der::Certificate {
                serial: serial()?,
                issuer: &self.name,
                authority_key_identifier: &self.key_identifier,
                not_before: backdated(now)?,
                not_after: later(now, validity)?.min(self.not_after),
                subject: leaf.subject,
                public_key: &key.info,
                subject_key_identifier: &der::key_identifier(&key.bits),
                purpose: leaf.purpose,
                alternative_names: leaf.alternative_names,
                status: leaf.status,
            },
        )
    }
}

/// What a leaf says of its holder.
struct Leaf<'a> {
    /// A name in DER.
    subject: &'a [u8],
    purpose: Purpose,
    alternative_names: &'a [AlternativeName],
    status: Status<'a>,
}

fn new_key() -> Result<(PrivateKey, ProvenKey), AuthorityError> {
    let pair = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(signing)?);
    let proven = ProvenKey {
        info: pair.subject_public_key_info(),
        bits: pair.der_bytes().to_vec(),
    };
    Ok((PrivateKey::from_pkcs8(pair.serialize_der()), proven))
}

fn sign(
    key: &KeyPair,
    certificate: &der::Certificate<'_>,
) -> Result<CertificateDer<'static>, AuthorityError> {
    let to_be_signed = certificate.to_be_signed();
    let signature = raw_signature(key, &to_be_signed)?;
    Ok(der::signed(&to_be_signed, &signature).into())
}

fn raw_signature(key: &KeyPair, to_be_signed: &[u8]) -> Result<Vec<u8>, AuthorityError> {
    key.sign(to_be_signed).map_err(signing)
}

fn chain(certificates: Vec<CertificateDer<'static>>) -> Result<CertificateChain, AuthorityError> {
    CertificateChain::from_der(certificates).map_err(|e| AuthorityError::Signing(e.to_string()))
}

/// 126 random bits; the first two are 01, so that the number is positive and always 16 bytes long (RFC 5280,
/// 4.1.2.2).
fn serial() -> Result<[u8; 16], AuthorityError> {
    let mut serial = provider::random::<16>().map_err(|e| AuthorityError::Signing(e.to_string()))?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

fn backdated(now: Timestamp) -> Result<Timestamp, AuthorityError> {
    now.checked_sub(BACKDATED)
        .map_err(|_| AuthorityError::BadValidity(BACKDATED))
}

fn later(now: Timestamp, validity: Duration) -> Result<Timestamp, AuthorityError> {
    SignedDuration::try_from(validity)
        .ok()
        .filter(|validity| *validity >= SignedDuration::from_secs(1))
        .and_then(|validity| now.checked_add(validity).ok())
        // Certificates know no fractions of a second.
        .and_then(|end| Timestamp::from_second(end.as_second()).ok())
        .ok_or(AuthorityError::BadValidity(validity))
}

/// A server's subject and alternative names.
fn server_subject(names: &[String]) -> Result<(Vec<u8>, Vec<AlternativeName>), AuthorityError> {
    let alternative_names = names
        .iter()
        .map(|name| server_name(name))
        .collect::<Result<Vec<_>, _>>()?;
    let first = names.first().ok_or(AuthorityError::NoNames)?;
    // 64 is what X.520 allows a common name; nothing reads it beside the alternative names.
    let common_name = if first.len() <= 64 { first } else { "mk8s" };
    Ok((der::name(common_name, &[]), alternative_names))
}

fn server_name(name: &str) -> Result<AlternativeName, AuthorityError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(AlternativeName::Ip(address));
    }
    let plain = name.strip_prefix("*.").unwrap_or(name);
    match DnsName::try_from(plain) {
        Ok(_) => Ok(AlternativeName::Dns(name.to_ascii_lowercase())),
        Err(_) => Err(AuthorityError::BadName(
            name.to_owned(),
            "it is neither a DNS name nor an IP address",
        )),
    }
}

fn check_text(text: &str) -> Result<(), AuthorityError> {
    let reason = match text {
        "" => "it is empty",
        _ if text.len() > MAX_TEXT_BYTES => "it is longer than 1024 bytes",
        _ if text.chars().any(char::is_control) => "it has a control character",
        _ => return Ok(()),
    };
    Err(AuthorityError::BadName(text.chars().take(64).collect(), reason))
}

/// The kind of key that an authority of ours has.
fn p256(private: &PrivateKey) -> Result<KeyPair, MaterialError> {
    KeyPair::from_der_and_sign_algo(private.der(), &PKCS_ECDSA_P256_SHA256)
        .map_err(|e| MaterialError::UnusableKey(format!("an authority's key must be P-256: {e}")))
}

fn subject_key_identifier(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
}

fn signing(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Signing(error.to_string())
}
