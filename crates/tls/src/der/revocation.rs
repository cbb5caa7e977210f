//! Certificate revocation lists (RFC 5280, section 5.1).

use jiff::Timestamp;
use yasna::{DERWriter, Tag};

use super::{AUTHORITY_KEY_IDENTIFIER, extension, key_identifier_field, oid, signature_algorithm, time};
use crate::{RevocationReason, Revoked};

const CRL_NUMBER: &[u64] = &[2, 5, 29, 20];
const REASON_CODE: &[u64] = &[2, 5, 29, 21];

/// What a list says; the issuer's name as DER.
pub(crate) struct List<'a> {
    pub(crate) issuer: &'a [u8],
    pub(crate) authority_key_identifier: &'a [u8],
    pub(crate) this_update: Timestamp,
    pub(crate) next_update: Timestamp,
    pub(crate) number: u64,
    pub(crate) revoked: &'a [Revoked],
}

impl List<'_> {
    /// The part that is signed, always with ECDSA and SHA-256.
    pub(crate) fn to_be_signed(&self) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|fields| {
                // Version 2.
                fields.next().write_u8(1);
                signature_algorithm(fields.next());
                fields.next().write_der(self.issuer);
                fields.next().write_der(&time(self.this_update));
                fields.next().write_der(&time(self.next_update));
                // Without entries the field isn't there at all.
                if !self.revoked.is_empty() {
                    fields.next().write_sequence(|entries| {
                        self.revoked
                            .iter()
                            .for_each(|revoked| entry(entries.next(), revoked));
                    });
                }
                fields.next().write_tagged(Tag::context(0), |writer| {
                    writer.write_sequence(|extensions| {
                        extension(extensions.next(), AUTHORITY_KEY_IDENTIFIER, false, |writer| {
                            key_identifier_field(writer, self.authority_key_identifier);
                        });
                        extension(extensions.next(), CRL_NUMBER, false, |writer| {
                            writer.write_u64(self.number);
                        });
                    });
                });
            });
        })
    }
}

fn entry(writer: DERWriter<'_>, revoked: &Revoked) {
    writer.write_sequence(|fields| {
        fields.next().write_bigint_bytes(revoked.serial.as_bytes(), true);
        fields.next().write_der(&time(revoked.at));
        // "Unspecified" is said by silence (RFC 5280, section 5.3.1).
        if revoked.reason != RevocationReason::Unspecified {
            fields.next().write_sequence(|extensions| {
                extensions.next().write_sequence(|fields| {
                    fields.next().write_oid(&oid(REASON_CODE));
                    let code = yasna::construct_der(|writer| writer.write_enum(revoked.reason.code().into()));
                    fields.next().write_bytes(&code);
                });
            });
        }
    });
}
