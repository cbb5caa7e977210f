//! What an authority has issued.

use std::{collections::HashSet, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use mk8s_tls::{RevocationReason, Revoked, SerialNumber};
use serde::{Deserialize, Serialize};

/// The form of the file that we read and write.
const VERSION: u32 = 1;
/// How long after its end a certificate stays on the list: somebody's clock may be behind.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Everything that was issued, and the state of the revocation list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    version: u32,
    /// The number of the newest revocation list.
    pub(crate) list_number: u64,
    /// When the next list is due.
    pub(crate) next_update: Timestamp,
    /// Oldest first.
    pub(crate) certificates: Vec<Entry>,
}

/// A certificate that was issued.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) serial: String,
    pub(crate) kind: Kind,
    /// The user, or what a server's certificate is called here.
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
    /// A server's DNS names and addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<String>,
    pub(crate) issued: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Where the certificate was written.
    pub(crate) certificate: PathBuf,
    /// Where the key was written, unless its holder made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<Revocation>,
}

/// For whom a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    User,
    Server,
}

/// That a certificate was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Revocation {
    pub(crate) at: Timestamp,
    /// By the standard's name.
    pub(crate) reason: String,
}

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Valid,
    Expired,
    Revoked,
}

impl Index {
    /// One without certificates.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            version: VERSION,
            list_number: 0,
            next_update: now,
            certificates: Vec::new(),
        }
    }

    /// Reads the file's content; what is wrong with it in words.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, String> {
        let index: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if index.version != VERSION {
            return Err(format!(
                "it has version {}, and this mk8s reads {VERSION}",
                index.version
            ));
        }
        let mut seen = HashSet::new();
        for entry in &index.certificates {
            let serial: SerialNumber = entry
                .serial
                .parse()
                .map_err(|e| format!("{:?}: {e}", entry.serial))?;
            if !seen.insert(serial) {
                return Err(format!("the serial number {} is in it twice", entry.serial));
            }
            if let Some(revocation) = &entry.revoked {
                let reason: Result<RevocationReason, _> = revocation.reason.parse();
                reason.map_err(|e| format!("{}: {e}", entry.serial))?;
            }
        }
        Ok(index)
    }

    /// The entries of a revocation list made now.
    pub(crate) fn revoked(&self, now: Timestamp) -> Vec<Revoked> {
        let horizon = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        self.certificates
            .iter()
            .filter(|entry| entry.not_after > horizon)
            .filter_map(|entry| {
                let revocation = entry.revoked.as_ref()?;
                Some(Revoked {
                    serial: entry.serial.parse().ok()?,
                    at: revocation.at,
                    reason: revocation.reason.parse().unwrap_or_default(),
                })
            })
            .collect()
    }
}

impl Entry {
    /// How it stands at this time.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        if self.revoked.is_some() {
            State::Revoked
        } else if self.not_after <= now {
            State::Expired
        } else {
            State::Valid
        }
    }
}

impl State {
    /// The word for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl Kind {
    /// The word for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Server => "server",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(serial: &str, not_after: Timestamp) -> Entry {
        Entry {
            serial: serial.to_owned(),
            kind: Kind::User,
            name: "jane".to_owned(),
            groups: Vec::new(),
            hosts: Vec::new(),
            issued: Timestamp::UNIX_EPOCH,
            not_after,
            certificate: PathBuf::new(),
            key: None,
            revoked: Some(Revocation {
                at: Timestamp::UNIX_EPOCH,
                reason: "superseded".to_owned(),
            }),
        }
    }

    #[test]
    fn a_revoked_certificate_leaves_the_list_a_while_after_its_end() {
        let now: Timestamp = "2026-06-30T00:00:00Z".parse().expect("time");
        let mut index = Index::new(now);
        index.certificates = vec![
            entry("01", "2026-06-01T00:00:00Z".parse().expect("time")),
            entry("02", "2026-06-25T00:00:00Z".parse().expect("time")),
            entry("03", "2026-07-25T00:00:00Z".parse().expect("time")),
        ];
        let serials: Vec<String> = index.revoked(now).iter().map(|r| r.serial.to_string()).collect();
        assert_eq!(serials, ["02", "03"]);
        assert_eq!(index.revoked(now)[0].reason, RevocationReason::Superseded);
    }

    #[test]
    fn a_damaged_index_is_told_by_what_is_wrong() {
        let now = Timestamp::UNIX_EPOCH;
        let mut index = Index::new(now);
        index.certificates = vec![entry("0a", now), entry("0A", now)];
        let twice = serde_json::to_string(&index).expect("JSON");
        index.certificates.truncate(1);
        let good = serde_json::to_string(&index).expect("JSON");
        assert!(Index::from_json(good.as_bytes()).is_ok());
        for (bad, word) in [
            (String::new(), "EOF"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            (twice, "twice"),
            (good.replace("\"version\":1", "\"version\":2"), "version 2"),
            (good.replace("\"0a\"", "\"xyz\""), "hexadecimal"),
            (good.replace("superseded", "lost"), "no reason"),
            (good.replace("\"name\"", "\"nickname\""), "nickname"),
        ] {
            let error = Index::from_json(bad.as_bytes()).expect_err("damaged");
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
