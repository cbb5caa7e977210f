//! The question.

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_cert::{
    der::{
        Encode,
        asn1::{ObjectIdentifier, OctetString},
    },
    ext::Extension,
};
use x509_ocsp::{OcspRequest, Request as SingleRequest, TbsRequest, Version};

use super::{Answer, IdHash, OcspError, answer, id::Subject};
use crate::{material, provider};

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

/// Whether the answer must be a new one (RFC 9654).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nonce {
    /// One made beforehand will do, as large responders give.
    #[default]
    Without,
    /// A nonce is sent, and an answer with another is refused; one without a nonce is taken.
    Offered,
    /// A nonce is sent and must come back.
    Required,
}

/// A request about one certificate; it also knows which answer fits it.
#[derive(Clone, Debug)]
pub struct Request {
    der: Vec<u8>,
    subject: Subject,
    nonce: Option<[u8; 32]>,
    must_return: bool,
}

impl Request {
    /// A request about a certificate of this authority. The authority must be the one of a chain that was verified:
    /// whatever key stands in it is believed.
    ///
    /// # Errors
    /// [`OcspError`] if a certificate can't be read, the authority's name isn't the one in the certificate, or the
    /// system has no random numbers.
    pub fn new(
        certificate: &CertificateDer<'_>,
        issuer: &CertificateDer<'_>,
        hash: IdHash,
        nonce: Nonce,
    ) -> Result<Self, OcspError> {
        let (certificate, issuer) = (material::parse(certificate)?, material::parse(issuer)?);
        if certificate.issuer().as_raw() != issuer.subject().as_raw() {
            return Err(OcspError::NotTheIssuer(issuer.subject().to_string()));
        }
        let subject = Subject::new(&certificate, &issuer);
        let fresh = match nonce {
            Nonce::Without => None,
            Nonce::Offered | Nonce::Required => {
                Some(provider::random::<32>().map_err(|e| OcspError::Request(e.to_string()))?)
            }
        };
        let request = SingleRequest {
            req_cert: subject.id(hash)?,
            single_request_extensions: None,
        };
        let der = encode(request, fresh.as_ref()).map_err(|e| OcspError::Request(e.to_string()))?;
        Ok(Self {
            der,
            subject,
            nonce: fresh,
            must_return: nonce == Nonce::Required,
        })
    }

    /// The body of an HTTP POST with the type `application/ocsp-request`.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Reads the body of the reply (`application/ocsp-response`), and says what of it can be believed now.
    ///
    /// # Errors
    /// [`OcspError`] if it is no answer, isn't signed by the authority or a responder appointed by it, isn't about this
    /// certificate or to this request, or is out of date. None of these says anything about the certificate.
    pub fn check(&self, response: &[u8], now: Timestamp) -> Result<Answer, OcspError> {
        answer::check(self, response, now)
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Whether the nonce of an answer, if any, is the right one.
    pub(super) fn check_nonce(&self, returned: Option<&[u8]>) -> Result<(), OcspError> {
        match (self.nonce, returned) {
            (Some(sent), Some(returned)) if sent != returned => Err(OcspError::AnotherRequest),
            (Some(_), None) if self.must_return => Err(OcspError::NoNonce),
            _ => Ok(()),
        }
    }
}

fn encode(request: SingleRequest, nonce: Option<&[u8; 32]>) -> Result<Vec<u8>, x509_cert::der::Error> {
    let extension = |nonce: &[u8; 32]| {
        Ok::<_, x509_cert::der::Error>(Extension {
            extn_id: NONCE,
            critical: false,
            extn_value: OctetString::new(OctetString::new(*nonce)?.to_der()?)?,
        })
    };
    let tbs_request = TbsRequest {
        version: Version::V1,
        requestor_name: None,
        request_list: vec![request],
        request_extensions: nonce.map(extension).transpose()?.map(|nonce| vec![nonce]),
    };
    OcspRequest {
        tbs_request,
        optional_signature: None,
    }
    .to_der()
}
