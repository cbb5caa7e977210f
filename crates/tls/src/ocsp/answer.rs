//! The answer, and whether to believe it.

use jiff::{SignedDuration, Timestamp};
use x509_cert::{
    der::{Decode, Encode, asn1::ObjectIdentifier},
    ext::Extensions,
};
use x509_ocsp::{
    CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus, ResponderId, ResponseData,
    SingleResponse, Version,
};
use x509_parser::certificate::X509Certificate;
use yasna::Tag;

use super::{MAX_RESPONSE_BYTES, OcspError, Request, id};
use crate::{RevocationReason, material, signature::Signed};

const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// How far the responder's clock may be from ours.
const CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_mins(5);
/// How long an answer holds that doesn't say: its responder always has a newer one.
const UNSAID: SignedDuration = SignedDuration::from_hours(1);

/// What a responder says of a certificate, believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it stands.
    pub status: Status,
    /// When it was known to stand so.
    pub this_update: Timestamp,
    /// Until when this may be relied on without asking again.
    pub until: Timestamp,
}

/// How a certificate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It isn't revoked.
    Good,
    /// It is.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// The responder doesn't know of it.
    Unknown,
}

pub(super) fn check(request: &Request, response: &[u8], now: Timestamp) -> Result<Answer, OcspError> {
    if response.len() > MAX_RESPONSE_BYTES {
        return Err(OcspError::TooLarge(response.len()));
    }
    let basic = Basic::from_der(&content(response)?).map_err(|e| OcspError::Damaged(e.to_string()))?;
    let data = ResponseData::from_der(&basic.signed.content).map_err(damaged)?;
    if data.version != Version::V1 {
        return Err(OcspError::Damaged("it is of another version than 1".to_owned()));
    }
    // Everything below is said by somebody who may say it.
    let signer_until = basic.authorized_until(request, &data.responder_id, now)?;
    refuse_critical(data.response_extensions.as_ref())?;
    let nonce = data.nonce();
    request.check_nonce(nonce.as_ref().map(|nonce| nonce.0.as_bytes()))?;
    let said = data
        .responses
        .iter()
        .filter(|single| request.subject().is_meant_by(&single.cert_id))
        .max_by_key(|single| timestamp(single.this_update))
        .ok_or(OcspError::AnotherCertificate)?;
    read(said, signer_until, now)
}

/// A basic response: what is signed, and certificates that may help to find the signer, in DER.
struct Basic {
    signed: Signed,
    certificates: Vec<Vec<u8>>,
}

impl Basic {
    fn from_der(der: &[u8]) -> yasna::ASN1Result<Self> {
        yasna::parse_der(der, |reader| {
            reader.read_sequence(|fields| {
                let signed = Signed::read(fields)?;
                let certificates = fields.read_optional(|reader| {
                    reader.read_tagged(Tag::context(0), |reader| {
                        reader.collect_sequence_of(|reader| reader.read_der())
                    })
                })?;
                Ok(Self {
                    signed,
                    certificates: certificates.unwrap_or_default(),
                })
            })
        })
    }

    /// Until when the signer may speak for the authority. The authority itself may as long as it is one, which the
    /// chain says.
    fn authorized_until(
        &self,
        request: &Request,
        responder: &ResponderId,
        now: Timestamp,
    ) -> Result<Timestamp, OcspError> {
        let authority = request.subject();
        if is_named(responder, &authority.issuer_name, &authority.issuer_key_info)
            && self.signed.is_by(&authority.issuer_key_info)
        {
            return Ok(Timestamp::MAX);
        }
        self.certificates
            .iter()
            .find_map(|der| {
                let certificate = material::parse(der).ok()?;
                let key = certificate.public_key().raw;
                let appointed = is_appointed(&certificate, der, request, now)
                    && is_named(responder, certificate.subject().as_raw(), key)
                    && self.signed.is_by(key);
                appointed.then(|| material::timestamp(certificate.validity().not_after))
            })
            .ok_or(OcspError::NotAuthorized)
    }
}

/// Whether the authority made the certificate's holder its responder (RFC 6960, section 4.2.2.2). Whether it took that
/// back isn't asked, as section 4.2.2.2.1 allows.
fn is_appointed(certificate: &X509Certificate<'_>, der: &[u8], request: &Request, now: Timestamp) -> bool {
    let authority = request.subject();
    let validity = certificate.validity();
    let usage = certificate.extended_key_usage().ok().flatten();
    certificate.issuer().as_raw() == authority.issuer_name
        && usage.is_some_and(|usage| usage.value.ocsp_signing)
        && material::timestamp(validity.not_before) <= saturating_add(now, CLOCK_DIFFERENCE)
        && now < material::timestamp(validity.not_after)
        && Signed::from_der(der).is_ok_and(|signed| signed.is_by(&authority.issuer_key_info))
}

fn is_named(responder: &ResponderId, name: &[u8], key_info: &[u8]) -> bool {
    match responder {
        ResponderId::ByName(named) => named.to_der().is_ok_and(|named| named == name),
        ResponderId::ByKey(hash) => {
            let bits = yasna::parse_der(key_info, |reader| {
                reader.read_sequence(|fields| {
                    fields.next().read_der()?;
                    Ok(fields.next().read_bitvec_bytes()?.0)
                })
            });
            bits.is_ok_and(|bits| id::key_hash(&bits) == hash.as_bytes())
        }
    }
}

/// The basic response within a reply.
fn content(reply: &[u8]) -> Result<Vec<u8>, OcspError> {
    let reply = OcspResponse::from_der(reply).map_err(damaged)?;
    let refused = match reply.response_status {
        OcspResponseStatus::Successful => None,
        OcspResponseStatus::MalformedRequest => Some("it couldn't read the request"),
        OcspResponseStatus::InternalError => Some("it failed"),
        OcspResponseStatus::TryLater => Some("it is busy; ask again later"),
        OcspResponseStatus::SigRequired => Some("it wants signed requests"),
        OcspResponseStatus::Unauthorized => Some("it has no record of this authority, or won't tell us"),
    };
    if let Some(why) = refused {
        return Err(OcspError::Refused(why));
    }
    let bytes = reply
        .response_bytes
        .ok_or_else(|| OcspError::Damaged("it is empty".to_owned()))?;
    if bytes.response_type != BASIC {
        return Err(OcspError::Damaged(format!(
            "it is of the kind {}",
            bytes.response_type
        )));
    }
    Ok(bytes.response.into_bytes())
}

fn read(single: &SingleResponse, signer_until: Timestamp, now: Timestamp) -> Result<Answer, OcspError> {
    refuse_critical(single.single_extensions.as_ref())?;
    let this_update = timestamp(single.this_update);
    if this_update > saturating_add(now, CLOCK_DIFFERENCE) {
        return Err(OcspError::NotYet(this_update));
    }
    let until = single
        .next_update
        .map_or_else(|| saturating_add(this_update, UNSAID), timestamp)
        .min(signer_until);
    if saturating_add(until, CLOCK_DIFFERENCE) <= now {
        return Err(OcspError::Overdue(until));
    }
    let status = match single.cert_status {
        CertStatus::Good(_) => Status::Good,
        CertStatus::Unknown(_) => Status::Unknown,
        CertStatus::Revoked(info) => Status::Revoked {
            at: timestamp(info.revocation_time),
            reason: info
                .revocation_reason
                .map_or(RevocationReason::Unspecified, |reason| {
                    RevocationReason::from_code(reason as u8)
                }),
        },
    };
    Ok(Answer {
        status,
        this_update,
        until,
    })
}

fn refuse_critical(extensions: Option<&Extensions>) -> Result<(), OcspError> {
    let unknown = extensions
        .into_iter()
        .flatten()
        .find(|extension| extension.critical);
    unknown.map_or(Ok(()), |extension| {
        Err(OcspError::Critical(extension.extn_id.to_string()))
    })
}

fn timestamp(time: OcspGeneralizedTime) -> Timestamp {
    let seconds = i64::try_from(time.0.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

fn saturating_add(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

fn damaged(error: x509_cert::der::Error) -> OcspError {
    OcspError::Damaged(error.to_string())
}
