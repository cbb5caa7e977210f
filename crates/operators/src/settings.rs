//! What a program's configuration file says of those who come in by certificate.

use std::path::PathBuf;

use serde::Deserialize;

/// Whose certificates let somebody in, and how long they count.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The authorities whose certificates let somebody in.
    pub ca_files: Vec<PathBuf>,
    /// Revocation lists: files, or directories of them. Read again when they change, as the authorities are.
    #[serde(default)]
    pub crl_files: Vec<PathBuf>,
    /// What a revocation list counts that should have been replaced.
    #[serde(default)]
    pub expired_crls: ExpiredCrls,
    /// Whether the responders that certificates name are asked about them.
    #[serde(default)]
    pub ocsp: Ocsp,
}

/// Whether responders (OCSP) are asked about the certificates that name one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ocsp {
    /// Nobody is asked.
    Off,
    /// What is revoked is refused; a responder that is away, or doesn't know, keeps nobody out.
    #[default]
    Soft,
    /// Only what a responder calls good is let in.
    Hard,
}

/// What a revocation list counts that should have been replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpiredCrls {
    /// What it counted before, with a warning.
    #[default]
    Use,
    /// Nobody with a certificate of its authority is let in.
    Refuse,
}

impl From<ExpiredCrls> for mk8s_tls::ExpiredLists {
    fn from(said: ExpiredCrls) -> Self {
        match said {
            ExpiredCrls::Use => Self::Use,
            ExpiredCrls::Refuse => Self::Refuse,
        }
    }
}
