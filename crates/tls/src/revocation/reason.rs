//! Why a certificate was taken back.

use std::{fmt, str::FromStr};

/// Why a certificate was taken back (RFC 5280, section 5.3.1), shown and read by the names of the standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// Nobody said.
    #[default]
    Unspecified,
    /// Somebody else may have the private key.
    KeyCompromise,
    /// Somebody else may have the authority's private key.
    CaCompromise,
    /// The holder's name or groups changed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It isn't needed any more.
    CessationOfOperation,
    /// For now only.
    CertificateHold,
    /// The hold is over; only in lists of changes.
    RemoveFromCrl,
    /// The holder may no longer do what the certificate says.
    PrivilegeWithdrawn,
    /// Somebody else may have the private key of an attribute authority.
    AaCompromise,
}

/// The text is no reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no reason for a revocation; use unspecified, keyCompromise, affiliationChanged, superseded, \
     cessationOfOperation or privilegeWithdrawn"
)]
pub struct UnknownReason(String);

const NAMES: [(u8, RevocationReason, &str); 10] = [
    (0, RevocationReason::Unspecified, "unspecified"),
    (1, RevocationReason::KeyCompromise, "keyCompromise"),
    (2, RevocationReason::CaCompromise, "cACompromise"),
    (3, RevocationReason::AffiliationChanged, "affiliationChanged"),
    (4, RevocationReason::Superseded, "superseded"),
    (5, RevocationReason::CessationOfOperation, "cessationOfOperation"),
    (6, RevocationReason::CertificateHold, "certificateHold"),
    (8, RevocationReason::RemoveFromCrl, "removeFromCRL"),
    (9, RevocationReason::PrivilegeWithdrawn, "privilegeWithdrawn"),
    (10, RevocationReason::AaCompromise, "aACompromise"),
];

impl RevocationReason {
    /// The reason that a list or answer gives; a code that the standard doesn't know says nothing.
    pub(crate) fn from_code(code: u8) -> Self {
        NAMES
            .iter()
            .find(|(known, ..)| *known == code)
            .map_or(Self::Unspecified, |(_, reason, _)| *reason)
    }

    pub(crate) fn code(self) -> u8 {
        NAMES
            .iter()
            .find(|(_, reason, _)| *reason == self)
            .map_or(0, |(code, ..)| *code)
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, reason, _)| reason == self);
        f.write_str(name.map_or("unspecified", |(.., name)| name))
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    /// In any letter case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        NAMES
            .iter()
            .find(|(.., name)| name.eq_ignore_ascii_case(text))
            .map(|(_, reason, _)| *reason)
            .ok_or_else(|| UnknownReason(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_read_back_by_name_and_by_code() {
        for (code, reason, name) in NAMES {
            assert_eq!(name.to_uppercase().parse(), Ok(reason));
            assert_eq!(reason.to_string(), name);
            assert_eq!(reason.code(), code);
            assert_eq!(RevocationReason::from_code(code), reason);
        }
        assert_eq!(RevocationReason::from_code(7), RevocationReason::Unspecified);
        let error = "lost".parse::<RevocationReason>().expect_err("no reason");
        assert!(error.to_string().contains("keyCompromise"), "{error}");
    }
}
