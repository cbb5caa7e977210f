//! What the authority takes back.

use jiff::Timestamp;

use super::{AuthorityError, CertificateAuthority, raw_signature};
use crate::{Revoked, der, material};

/// A certificate revocation list, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedList(Vec<u8>);

impl CertificateAuthority {
    /// A list of everything that is revoked. The number must grow from list to list; a list without entries says that
    /// nothing is.
    ///
    /// # Errors
    /// [`AuthorityError`] if the next update isn't later than now, or signing fails.
    pub fn sign_revocation_list(
        &self,
        revoked: &[Revoked],
        number: u64,
        now: Timestamp,
        next_update: Timestamp,
    ) -> Result<SignedList, AuthorityError> {
        if next_update <= now {
            return Err(AuthorityError::BadNextUpdate(next_update));
        }
        let list = der::revocation::List {
            issuer: &self.name,
            authority_key_identifier: &self.key_identifier,
            this_update: now,
            next_update,
            number,
            revoked,
        };
        let to_be_signed = list.to_be_signed();
        let signature = raw_signature(&self.key, &to_be_signed)?;
        Ok(SignedList(der::signed(&to_be_signed, &signature)))
    }
}

impl SignedList {
    /// The PEM text.
    pub fn pem(&self) -> String {
        material::block("X509 CRL", &self.0)
    }

    /// The DER bytes.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}
