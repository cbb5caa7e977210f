//! What a client's certificate says of its holder.

use jiff::Timestamp;
use rustls::ServerConnection;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, x509::AttributeTypeAndValue};

use crate::{Fingerprint, MaterialError, material};

/// A client's certificate, read. Whether it is to be believed was decided by the handshake; what its names may
/// become (nothing in `system:`) is for `Identity::new` to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The common name, which Kubernetes takes for the user. Never empty.
    pub common_name: String,
    /// The organizations, which Kubernetes takes for the groups.
    pub organizations: Vec<String>,
    /// URIs among the subject alternative names.
    pub uri_sans: Vec<String>,
    /// The serial number: lower-case hexadecimal digits in pairs, without separators.
    pub serial: String,
    /// The certificate's fingerprint.
    pub fingerprint: Fingerprint,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// Why a certificate names nobody we can speak of.
#[derive(Debug, thiserror::Error)]
pub enum PeerCertificateError {
    /// Not X.509.
    #[error(transparent)]
    Damaged(#[from] MaterialError),
    /// No common name.
    #[error("the client certificate has no common name; make one whose subject has CN=<user>")]
    NoCommonName,
    /// Several common names: one reader would take the first, another the last.
    #[error("the client certificate has {0} common names; make one with a single CN=<user>")]
    SeveralCommonNames(usize),
    /// A name in an encoding that nobody should use any more, or that isn't valid in it.
    #[error("the client certificate's {0} isn't text in UTF-8")]
    NotText(&'static str),
    /// The alternative names can't be read.
    #[error("the client certificate's alternative names can't be read: {0}")]
    AlternativeNames(String),
}

/// The certificate the client showed; none if it showed none.
///
/// # Errors
/// [`PeerCertificateError`] if it names nobody we can speak of.
pub fn peer_certificate(
    connection: &ServerConnection,
) -> Result<Option<PeerCertificate>, PeerCertificateError> {
    connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|leaf| PeerCertificate::from_der(leaf))
        .transpose()
}

impl PeerCertificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// [`PeerCertificateError`] if it names nobody we can speak of.
    pub fn from_der(der: &[u8]) -> Result<Self, PeerCertificateError> {
        let certificate = material::parse(der)?;
        let subject = certificate.subject();
        let mut common_names = texts(subject.iter_common_name(), "common name")?;
        let common_name = match common_names.len() {
            1 => common_names.remove(0),
            0 => return Err(PeerCertificateError::NoCommonName),
            several => return Err(PeerCertificateError::SeveralCommonNames(several)),
        };
        if common_name.is_empty() {
            return Err(PeerCertificateError::NoCommonName);
        }
        Ok(Self {
            common_name,
            organizations: texts(subject.iter_organization(), "organization")?,
            uri_sans: uri_sans(&certificate)?,
            serial: certificate
                .raw_serial()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            fingerprint: Fingerprint::of(der),
            not_after: material::timestamp(certificate.validity().not_after),
        })
    }
}

fn texts<'a, 'b: 'a>(
    attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'b>>,
    what: &'static str,
) -> Result<Vec<String>, PeerCertificateError> {
    attributes
        .map(|attribute| {
            attribute
                .as_str()
                .map(str::to_owned)
                .map_err(|_| PeerCertificateError::NotText(what))
        })
        .collect()
}

fn uri_sans(certificate: &X509Certificate<'_>) -> Result<Vec<String>, PeerCertificateError> {
    let extension = certificate
        .subject_alternative_name()
        .map_err(|e| PeerCertificateError::AlternativeNames(e.to_string()))?;
    let names = extension
        .iter()
        .flat_map(|extension| &extension.value.general_names);
    Ok(names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect())
}
