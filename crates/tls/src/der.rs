//! X.509 certificates in DER (RFC 5280, section 4.1).
//!
//! Written out here because rcgen's distinguished names hold an attribute type only once, and a person in several
//! groups has several organizations. It also lets the issuer's name and the request's public key be copied byte for
//! byte instead of being read and written again.

pub(crate) mod revocation;

use std::net::IpAddr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use yasna::{DERWriter, DERWriterSeq, Tag, models::ObjectIdentifier};

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
const ECDSA_WITH_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const CRL_DISTRIBUTION_POINTS: &[u64] = &[2, 5, 29, 31];
const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];
const AUTHORITY_INFO_ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
const OCSP: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1];
const SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
const CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate says; names and keys as DER.
pub(crate) struct Certificate<'a> {
    pub(crate) serial: [u8; 16],
    pub(crate) issuer: &'a [u8],
    pub(crate) authority_key_identifier: &'a [u8],
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) subject: &'a [u8],
    /// A whole SubjectPublicKeyInfo.
    pub(crate) public_key: &'a [u8],
    pub(crate) subject_key_identifier: &'a [u8],
    pub(crate) purpose: Purpose,
    pub(crate) alternative_names: &'a [AlternativeName],
    pub(crate) status: Status<'a>,
}

/// The URLs at which to learn whether a certificate still holds.
#[derive(Clone, Copy, Default)]
pub(crate) struct Status<'a> {
    pub(crate) ocsp: Option<&'a str>,
    pub(crate) crl: Option<&'a str>,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Authority,
    Server,
    Client,
}

/// A subject alternative name.
pub(crate) enum AlternativeName {
    Dns(String),
    Ip(IpAddr),
    Uri(String),
}

impl Certificate<'_> {
    /// The part that is signed, always with ECDSA and SHA-256.
    pub(crate) fn to_be_signed(&self) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|fields| {
                // Version 3.
                fields
                    .next()
                    .write_tagged(Tag::context(0), |writer| writer.write_u8(2));
                fields.next().write_bigint_bytes(&self.serial, true);
                signature_algorithm(fields.next());
                fields.next().write_der(self.issuer);
                fields.next().write_sequence(|validity| {
                    validity.next().write_der(&time(self.not_before));
                    validity.next().write_der(&time(self.not_after));
                });
                fields.next().write_der(self.subject);
                fields.next().write_der(self.public_key);
                fields
                    .next()
                    .write_tagged(Tag::context(3), |writer| self.extensions(writer));
            });
        })
    }

    fn extensions(&self, writer: DERWriter<'_>) {
        writer.write_sequence(|extensions| {
            let authority = self.purpose == Purpose::Authority;
            extension(extensions.next(), BASIC_CONSTRAINTS, true, |writer| {
                writer.write_sequence(|fields| {
                    if authority {
                        fields.next().write_bool(true);
                        // It signs leaves only.
                        fields.next().write_u8(0);
                    }
                });
            });
            extension(extensions.next(), KEY_USAGE, true, |writer| {
                if authority {
                    // keyCertSign (5) and cRLSign (6), of seven bits.
                    writer.write_bitvec_bytes(&[0b0000_0110], 7);
                } else {
                    // digitalSignature (0).
                    writer.write_bitvec_bytes(&[0b1000_0000], 1);
                }
            });
            let usage = match self.purpose {
                Purpose::Authority => None,
                Purpose::Server => Some(SERVER_AUTH),
                Purpose::Client => Some(CLIENT_AUTH),
            };
            if let Some(usage) = usage {
                extension(extensions.next(), EXTENDED_KEY_USAGE, false, |writer| {
                    writer.write_sequence(|usages| usages.next().write_oid(&oid(usage)));
                });
            }
            extension(extensions.next(), SUBJECT_KEY_IDENTIFIER, false, |writer| {
                writer.write_bytes(self.subject_key_identifier);
            });
            extension(extensions.next(), AUTHORITY_KEY_IDENTIFIER, false, |writer| {
                key_identifier_field(writer, self.authority_key_identifier);
            });
            if !self.alternative_names.is_empty() {
                extension(extensions.next(), SUBJECT_ALT_NAME, false, |writer| {
                    writer.write_sequence(|names| {
                        self.alternative_names
                            .iter()
                            .for_each(|name| alternative_name(names.next(), name));
                    });
                });
            }
            self.status.extensions(extensions);
        });
    }
}

impl Status<'_> {
    fn extensions(&self, extensions: &mut DERWriterSeq<'_>) {
        if let Some(url) = self.ocsp {
            extension(extensions.next(), AUTHORITY_INFO_ACCESS, false, |writer| {
                writer.write_sequence(|places| {
                    places.next().write_sequence(|place| {
                        place.next().write_oid(&oid(OCSP));
                        uri(place.next(), url);
                    });
                });
            });
        }
        if let Some(url) = self.crl {
            extension(extensions.next(), CRL_DISTRIBUTION_POINTS, false, |writer| {
                writer.write_sequence(|points| {
                    points.next().write_sequence(|point| {
                        // distributionPoint, of it fullName, of it one URI.
                        point.next().write_tagged(Tag::context(0), |writer| {
                            writer.write_tagged_implicit(Tag::context(0), |writer| {
                                writer.write_sequence(|names| uri(names.next(), url));
                            });
                        });
                    });
                });
            });
        }
    }
}

/// The part of a certificate request that is signed (RFC 2986, section 4.1), without attributes.
pub(crate) fn request(subject: &[u8], public_key: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|fields| {
            // Version 1.
            fields.next().write_u8(0);
            fields.next().write_der(subject);
            fields.next().write_der(public_key);
            fields.next().write_tagged_implicit(Tag::context(0), |writer| {
                writer.write_set_of(|_| ());
            });
        });
    })
}

/// The certificate, list or request: what was signed, and the signature (an ECDSA-Sig-Value).
pub(crate) fn signed(to_be_signed: &[u8], signature: &[u8]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|fields| {
            fields.next().write_der(to_be_signed);
            signature_algorithm(fields.next());
            fields.next().write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}

/// A distinguished name: an attribute for each organization, then the common name.
pub(crate) fn name(common_name: &str, organizations: &[String]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|parts| {
            let attributes = organizations.iter().map(|o| (ORGANIZATION, o.as_str()));
            for (kind, value) in attributes.chain([(COMMON_NAME, common_name)]) {
                parts.next().write_set(|part| {
                    part.next().write_sequence(|fields| {
                        fields.next().write_oid(&oid(kind));
                        fields.next().write_utf8_string(value);
                    });
                });
            }
        });
    })
}

/// The leftmost 160 bits of the SHA-256 of the public key's bits (RFC 7093, section 2, method 1).
pub(crate) fn key_identifier(public_key_bits: &[u8]) -> [u8; 20] {
    let digest: [u8; 32] = Sha256::digest(public_key_bits).into();
    let mut identifier = [0; 20];
    identifier.copy_from_slice(&digest[..20]);
    identifier
}

fn signature_algorithm(writer: DERWriter<'_>) {
    writer.write_sequence(|fields| fields.next().write_oid(&oid(ECDSA_WITH_SHA256)));
}

/// The value of an authority key identifier: the identifier of the issuer's key alone.
fn key_identifier_field(writer: DERWriter<'_>, identifier: &[u8]) {
    writer.write_sequence(|fields| {
        fields
            .next()
            .write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(identifier));
    });
}

fn extension(writer: DERWriter<'_>, id: &[u64], critical: bool, value: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|fields| {
        fields.next().write_oid(&oid(id));
        if critical {
            fields.next().write_bool(true);
        }
        fields.next().write_bytes(&yasna::construct_der(value));
    });
}

fn alternative_name(writer: DERWriter<'_>, name: &AlternativeName) {
    match name {
        AlternativeName::Dns(name) => {
            writer.write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(name));
        }
        AlternativeName::Uri(name) => uri(writer, name),
        AlternativeName::Ip(address) => {
            let octets = match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            };
            writer.write_tagged_implicit(Tag::context(7), |writer| writer.write_bytes(&octets));
        }
    }
}

fn uri(writer: DERWriter<'_>, uri: &str) {
    writer.write_tagged_implicit(Tag::context(6), |writer| writer.write_ia5_string(uri));
}

/// UTCTime until 2049, GeneralizedTime from then on (RFC 5280, section 4.1.2.5).
fn time(at: Timestamp) -> Vec<u8> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let full = at.strftime("%Y%m%d%H%M%SZ").to_string();
    let short = full.as_str() < "20500101" && full.as_str() >= "19500101";
    let (tag, digits) = if short {
        (UTC_TIME, &full[2..])
    } else {
        (GENERALIZED_TIME, full.as_str())
    };
    // 13 or 15 bytes: the length fits in one.
    let mut der = vec![tag, u8::try_from(digits.len()).unwrap_or_default()];
    der.extend_from_slice(digits.as_bytes());
    der
}

fn oid(components: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(components)
}
