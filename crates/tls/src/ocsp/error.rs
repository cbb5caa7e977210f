//! Why an answer says nothing.

use jiff::Timestamp;

use crate::MaterialError;

/// Why there is no request, or nothing to be had from an answer.
#[derive(Debug, thiserror::Error)]
pub enum OcspError {
    /// A certificate can't be read.
    #[error(transparent)]
    Certificate(#[from] MaterialError),
    /// The two certificates don't belong together.
    #[error(
        "the certificate isn't one of the authority {0}; pass the certificate that stands behind it in its chain"
    )]
    NotTheIssuer(String),
    /// The request can't be made.
    #[error("the OCSP request couldn't be made: {0}")]
    Request(String),
    /// Larger than any answer.
    #[error("the OCSP answer has {0} bytes; the limit is {limit}", limit = super::MAX_RESPONSE_BYTES)]
    TooLarge(usize),
    /// Not an answer at all.
    #[error("the OCSP answer can't be read: {0}")]
    Damaged(String),
    /// The responder doesn't want to say.
    #[error("the OCSP responder gives no answer: {0}")]
    Refused(&'static str),
    /// Signed by nobody whom the authority lets speak for it.
    #[error(
        "the OCSP answer isn't signed by the certificate's authority, nor by a responder that it appointed (extended \
         key usage OCSPSigning)"
    )]
    NotAuthorized,
    /// About other certificates.
    #[error("the OCSP answer isn't about this certificate")]
    AnotherCertificate,
    /// To another request.
    #[error("the OCSP answer isn't to this request: its nonce is another's")]
    AnotherRequest,
    /// Without the nonce that was insisted on.
    #[error("the OCSP answer has no nonce, so it may be an old one; don't require a nonce of this responder")]
    NoNonce,
    /// From the future.
    #[error("the OCSP answer holds from {0} on; look at this machine's clock")]
    NotYet(Timestamp),
    /// Out of date.
    #[error("the OCSP answer held until {0}; ask again")]
    Overdue(Timestamp),
    /// With a condition that isn't known here.
    #[error("the OCSP answer has a critical extension that isn't known here: {0}")]
    Critical(String),
}
