//! Fields as the data of a Kubernetes Secret.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{hidden::Hidden, record::Fields};

/// The most bytes that Kubernetes keeps in one Secret.
pub(crate) const LARGEST: usize = 1024 * 1024;
const LONGEST_KEY: usize = 253;

/// A Secret's type. Those that make credentials for the cluster itself can't be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SecretKind {
    /// Anything.
    #[default]
    Opaque,
    /// A certificate and its key.
    #[serde(rename = "kubernetes.io/tls")]
    Tls,
    /// Registries' credentials.
    #[serde(rename = "kubernetes.io/dockerconfigjson")]
    DockerConfigJson,
    /// A user and a password.
    #[serde(rename = "kubernetes.io/basic-auth")]
    BasicAuth,
    /// A private key for SSH.
    #[serde(rename = "kubernetes.io/ssh-auth")]
    SshAuth,
}

impl SecretKind {
    /// All types that may be asked for.
    pub const ALL: [Self; 5] = [
        Self::Opaque,
        Self::Tls,
        Self::DockerConfigJson,
        Self::BasicAuth,
        Self::SshAuth,
    ];

    /// As Kubernetes writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opaque => "Opaque",
            Self::Tls => "kubernetes.io/tls",
            Self::DockerConfigJson => "kubernetes.io/dockerconfigjson",
            Self::BasicAuth => "kubernetes.io/basic-auth",
            Self::SshAuth => "kubernetes.io/ssh-auth",
        }
    }

    /// Keys that Kubernetes wants to be there; of the second list one is enough.
    const fn wanted(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Opaque => (&[], &[]),
            Self::Tls => (&["tls.crt", "tls.key"], &[]),
            Self::DockerConfigJson => (&[".dockerconfigjson"], &[]),
            Self::BasicAuth => (&[], &["username", "password"]),
            Self::SshAuth => (&["ssh-privatekey"], &[]),
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Data that Kubernetes would refuse. Values aren't quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    /// A key is missing that the type needs.
    #[error("a Secret of type {kind} needs the key {key}; map a field to it in k8sSecretKeys")]
    MissingKey {
        /// The type.
        kind: SecretKind,
        /// The key, or keys.
        key: String,
    },
    /// Two fields have one key.
    #[error("fields {first:?} and {second:?} would both be the key {key:?}; map them in k8sSecretKeys")]
    Twice {
        /// The one.
        first: String,
        /// The other.
        second: String,
        /// The key.
        key: String,
    },
    /// No key can be made of a name.
    #[error(
        "{name:?} makes no key of a Secret; map it in k8sSecretKeys to letters, digits, '-', '_' and '.'"
    )]
    Key {
        /// The name.
        name: String,
    },
    /// Kubernetes reads this value.
    #[error("the key .dockerconfigjson must be a JSON object; correct the field it is made of")]
    DockerConfigJson,
    /// Too much.
    #[error(
        "the Secret would have {bytes} bytes, and Kubernetes keeps {LARGEST}; ask for fewer fields, or use files"
    )]
    TooLarge {
        /// How many.
        bytes: usize,
    },
}

/// Fields under keys that Kubernetes takes: a character that it doesn't becomes `_`.
///
/// # Errors
/// If a name makes no key, or two make the same.
pub fn kubernetes_data(fields: &Fields) -> Result<BTreeMap<String, Hidden>, KubernetesError> {
    let mut from: BTreeMap<String, &str> = BTreeMap::new();
    let mut data = BTreeMap::new();
    for (name, value) in &fields.0 {
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let key: String = name
            .trim()
            .chars()
            .map(|c| if valid(c) { c } else { '_' })
            .collect();
        if !is_key(&key) || !key.contains(|c: char| c.is_ascii_alphanumeric()) {
            return Err(KubernetesError::Key { name: name.clone() });
        }
        if let Some(first) = from.get(&key) {
            return Err(KubernetesError::Twice {
                first: (*first).to_owned(),
                second: name.clone(),
                key,
            });
        }
        data.insert(key.clone(), Hidden::from(value.text().as_str()));
        from.insert(key, name);
    }
    Ok(data)
}

/// Whether a Secret may have such a key.
pub(crate) fn is_key(key: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    !key.is_empty()
        && key.len() <= LONGEST_KEY
        && key.bytes().all(valid)
        && key != "."
        && !key.starts_with("..")
}

/// Looks at a whole Secret before anybody writes it.
pub(crate) fn check(kind: SecretKind, data: &BTreeMap<String, Hidden>) -> Result<(), KubernetesError> {
    let (all, any) = kind.wanted();
    let missing = |key: String| Err(KubernetesError::MissingKey { kind, key });
    if let Some(key) = all.iter().find(|key| !data.contains_key(**key)) {
        return missing((*key).to_owned());
    }
    if !any.is_empty() && !any.iter().any(|key| data.contains_key(*key)) {
        return missing(any.join(" or "));
    }
    if kind == SecretKind::DockerConfigJson {
        let config = data
            .get(".dockerconfigjson")
            .map(Hidden::expose)
            .unwrap_or_default();
        let is_object = config.trim_ascii_start().starts_with(b"{");
        if !is_object || serde_json::from_slice::<serde::de::IgnoredAny>(config).is_err() {
            return Err(KubernetesError::DockerConfigJson);
        }
    }
    let bytes = data.values().map(Hidden::len).sum();
    if bytes > LARGEST {
        return Err(KubernetesError::TooLarge { bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Value;

    fn fields(names: &[&str]) -> Fields {
        Fields(
            names
                .iter()
                .map(|name| ((*name).to_owned(), Value::from("v")))
                .collect(),
        )
    }

    fn data(entries: &[(&str, &str)]) -> BTreeMap<String, Hidden> {
        let entries = entries.iter();
        entries
            .map(|(key, value)| ((*key).to_owned(), Hidden::from(*value)))
            .collect()
    }

    #[test]
    fn names_become_keys() {
        let keys: Vec<String> = kubernetes_data(&fields(&["API key", "tls.crt"]))
            .unwrap()
            .into_keys()
            .collect();
        assert_eq!(keys, ["API_key", "tls.crt"]);
    }

    #[test]
    fn names_that_make_no_key_or_one_key_twice_are_refused() {
        for name in ["", "..", "../x", "ключ", "."] {
            assert!(
                matches!(
                    kubernetes_data(&fields(&[name])),
                    Err(KubernetesError::Key { .. })
                ),
                "{name}"
            );
        }
        let error = kubernetes_data(&fields(&["a b", "a/b"])).unwrap_err();
        assert!(matches!(error, KubernetesError::Twice { .. }), "{error}");
    }

    #[test]
    fn types_need_their_keys() {
        for (kind, entries, is_right) in [
            (SecretKind::Tls, data(&[("tls.crt", ""), ("tls.key", "")]), true),
            (SecretKind::Tls, data(&[("tls.crt", "")]), false),
            (SecretKind::BasicAuth, data(&[("password", "")]), true),
            (SecretKind::BasicAuth, data(&[("login", "")]), false),
            (SecretKind::SshAuth, data(&[("ssh-privatekey", "")]), true),
            (SecretKind::SshAuth, data(&[]), false),
            (
                SecretKind::DockerConfigJson,
                data(&[(".dockerconfigjson", "{}")]),
                true,
            ),
            (
                SecretKind::DockerConfigJson,
                data(&[(".dockerconfigjson", "[]")]),
                false,
            ),
            (
                SecretKind::DockerConfigJson,
                data(&[(".dockerconfigjson", "{")]),
                false,
            ),
            (SecretKind::Opaque, data(&[]), true),
        ] {
            assert_eq!(check(kind, &entries).is_ok(), is_right, "{kind} {entries:?}");
        }
    }

    #[test]
    fn more_than_kubernetes_keeps_is_refused_before_writing() {
        let full = "x".repeat(LARGEST);
        assert_eq!(check(SecretKind::Opaque, &data(&[("a", &full)])), Ok(()));
        let error = check(SecretKind::Opaque, &data(&[("a", &full), ("b", "x")])).unwrap_err();
        assert_eq!(error, KubernetesError::TooLarge { bytes: LARGEST + 1 });
    }
}
