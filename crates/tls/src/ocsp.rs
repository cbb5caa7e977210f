//! Asking an authority's responder whether a certificate still holds (OCSP, RFC 6960).
//!
//! Bytes in, bytes out: [`responder`] says whom to ask, [`issuer`] finds the authority, [`Request::der`] is the body of an HTTP POST of the type
//! `application/ocsp-request`, and [`Request::check`] reads what came back. The asking itself is the program's.
//!
//! Ask only about certificates that a handshake has verified: the responder's address is the certificate's own word.

mod answer;
mod error;
mod id;
mod request;

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::{GeneralName, ParsedExtension};

pub use answer::{Answer, Status};
pub use error::OcspError;
pub use request::{Nonce, Request};

pub use self::id::IdHash;
use crate::{MaterialError, material, signature::Signed};

/// The largest answer taken, in bytes. One with the certificates of its signer has about 2 KiB.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The address of the responder that a certificate names (authority information access), if it names one that can be
/// asked by HTTP.
///
/// # Errors
/// [`MaterialError`] if the certificate can't be read.
pub fn responder(certificate: &CertificateDer<'_>) -> Result<Option<String>, MaterialError> {
    const OCSP: &str = "1.3.6.1.5.5.7.48.1";
    let certificate = material::parse(certificate)?;
    let extensions = certificate.extensions().iter();
    let mut places = extensions.filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(&access.accessdescs),
        _ => None,
    });
    Ok(places.next().and_then(|places| {
        places
            .iter()
            .filter(|place| place.access_method.to_id_string() == OCSP)
            .find_map(|place| match &place.access_location {
                GeneralName::URI(uri) if is_http(uri) => Some((*uri).to_owned()),
                _ => None,
            })
    }))
}

/// Of these certificates, the one of the authority that signed this one. A name alone proves nothing here: whoever comes
/// in chooses what else stands in the chain they show, so the key must fit the signature. Those that can't be read are
/// passed over.
pub fn issuer<'a>(
    certificate: &CertificateDer<'_>,
    among: impl IntoIterator<Item = &'a CertificateDer<'static>>,
) -> Option<&'a CertificateDer<'static>> {
    let signed = Signed::from_der(certificate).ok()?;
    let below = material::parse(certificate).ok()?;
    among.into_iter().find(|candidate| {
        material::parse(candidate).is_ok_and(|above| {
            above.subject().as_raw() == below.issuer().as_raw() && signed.is_by(above.public_key().raw)
        })
    })
}

fn is_http(uri: &str) -> bool {
    let scheme = uri.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"))
}
