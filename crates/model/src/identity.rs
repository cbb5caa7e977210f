//! Who asks.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest user or group name taken, in bytes. A certificate or claim may say more; headers of that size would be
/// refused by the API server with an error that helps nobody.
pub const MAX_NAME_BYTES: usize = 1024;

/// Who asks, as Kubernetes will be told: a user and groups. Cheap to clone.
///
/// Made only through [`Identity::new`], which refuses what must never come from a client, a claim or a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Identity {
    user: Arc<str>,
    groups: Arc<[Arc<str>]>,
    method: AuthMethod,
}

/// How we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// A token that central signed after a password login, or an OAuth issuer that is trusted.
    Token,
    /// A client certificate.
    Certificate,
    /// The placeholder token of a pod.
    Pod,
    /// Headers of a peer that proved itself by certificate (front proxy, central towards an agent).
    Peer,
    /// Nobody vouches for them: whoever reaches a port that asks for nothing.
    Anybody,
    /// They started this program themselves, and speak with it alone.
    Starter,
}

/// Why a name can't be an identity. The offending text is shown shortened and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentity {
    /// The user's name is empty.
    #[error("the user name is empty")]
    Empty,
    /// A group's name is empty.
    #[error("a group name is empty")]
    EmptyGroup,
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("the name {0} is longer than {MAX_NAME_BYTES} bytes")]
    TooLong(String),
    /// Control characters: CR and LF would smuggle headers.
    #[error("the name {0} has a control character in it")]
    ControlCharacter(String),
    /// White space at an end, which HTTP/1.1 takes off a header's value and HTTP/2 doesn't: two names for one person, or one
    /// for two.
    #[error("the name {0} begins or ends with white space")]
    Untrimmed(String),
    /// Reserved for Kubernetes' own components.
    #[error("the name {0} is reserved: names beginning with \"system:\" belong to Kubernetes")]
    Reserved(String),
}

impl Identity {
    /// An identity from names that came from outside.
    ///
    /// # Errors
    /// [`InvalidIdentity`] if the user or any group is empty, too long, has control characters, begins or ends with white
    /// space, or begins with `system:` in any letter case.
    pub fn new<G: AsRef<str>>(
        user: &str,
        groups: impl IntoIterator<Item = G>,
        method: AuthMethod,
    ) -> Result<Self, InvalidIdentity> {
        if user.is_empty() {
            return Err(InvalidIdentity::Empty);
        }
        check(user)?;
        let mut kept: Vec<Arc<str>> = Vec::new();
        for group in groups {
            let group = group.as_ref();
            if group.is_empty() {
                return Err(InvalidIdentity::EmptyGroup);
            }
            check(group)?;
            if !kept.iter().any(|k| **k == *group) {
                kept.push(group.into());
            }
        }
        Ok(Self {
            user: user.into(),
            groups: kept.into(),
            method,
        })
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's groups, without repeats, in the order given.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.groups.iter().map(|g| &**g)
    }

    /// The same, proven in another way.
    #[must_use]
    pub fn proven_by(self, method: AuthMethod) -> Self {
        Self { method, ..self }
    }

    /// How the identity was proven.
    pub fn method(&self) -> AuthMethod {
        self.method
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)
    }
}

fn check(name: &str) -> Result<(), InvalidIdentity> {
    if name.len() > MAX_NAME_BYTES {
        return Err(InvalidIdentity::TooLong(shown(name)));
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidIdentity::ControlCharacter(shown(name)));
    }
    // The API server compares bytes, but an authorizer or a person behind it may fold case or trim.
    let head = name.trim_start().as_bytes();
    if head.len() >= 7 && head[..7].eq_ignore_ascii_case(b"system:") {
        return Err(InvalidIdentity::Reserved(shown(name)));
    }
    if name.trim().len() < name.len() {
        return Err(InvalidIdentity::Untrimmed(shown(name)));
    }
    Ok(())
}

fn shown(name: &str) -> String {
    let short: String = name.chars().take(64).collect();
    format!("{short:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_user(user: &str) -> Result<Identity, InvalidIdentity> {
        Identity::new(user, ["dev"], AuthMethod::Token)
    }

    #[test]
    fn a_system_name_never_becomes_an_identity() {
        for bad in [
            "system:admin",
            "system:masters",
            "SYSTEM:masters",
            " system:kube-scheduler",
            "System:x",
        ] {
            assert!(
                matches!(with_user(bad), Err(InvalidIdentity::Reserved(_))),
                "{bad}"
            );
            let as_group = Identity::new("jane", [bad], AuthMethod::Certificate);
            assert!(matches!(as_group, Err(InvalidIdentity::Reserved(_))), "{bad}");
        }
        assert!(with_user("systematic").is_ok());
    }

    #[test]
    fn a_name_that_could_end_a_header_is_refused() {
        for bad in [
            "a\r\nImpersonate-Group: system:masters",
            "a\nb",
            "a\0b",
            "a\u{7f}",
        ] {
            assert!(
                matches!(with_user(bad), Err(InvalidIdentity::ControlCharacter(_))),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_name_that_not_every_http_keeps_as_it_is_is_refused() {
        for bad in [" jane", "jane ", "\u{a0}jane", "jane\u{2003}", " "] {
            assert!(
                matches!(with_user(bad), Err(InvalidIdentity::Untrimmed(_))),
                "{bad:?}"
            );
        }
        assert!(with_user("Jane Doe").is_ok());
    }

    #[test]
    fn empty_and_huge_names_are_refused() {
        assert_eq!(with_user(""), Err(InvalidIdentity::Empty));
        assert_eq!(
            Identity::new("a", [""], AuthMethod::Token),
            Err(InvalidIdentity::EmptyGroup)
        );
        assert!(matches!(
            with_user(&"x".repeat(10 * 1024)),
            Err(InvalidIdentity::TooLong(_))
        ));
    }

    #[test]
    fn repeated_groups_are_kept_once_in_order() {
        let id = Identity::new("a", ["x", "y", "x"], AuthMethod::Token).expect("valid");
        assert_eq!(id.groups().collect::<Vec<_>>(), ["x", "y"]);
    }
}
