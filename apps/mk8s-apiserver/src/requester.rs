//! Who asks, as Kubernetes' own authenticators describe people (`k8s.io/apiserver/pkg/authentication/user`).

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// Who asks. What the API server says of them is believed to the letter, names in `system:` included: it has authenticated
/// them, and they are asked about, never acted for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
}

/// What tells two requesters apart for whom different things may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key([u8; 32]);

impl Requester {
    /// The whole identity goes into it, because all of it goes into reviews.
    pub(crate) fn key(&self) -> Key {
        let mut hash = Sha256::new();
        let mut take = |text: &str| {
            hash.update(text.len().to_le_bytes());
            hash.update(text);
        };
        take(&self.name);
        take(&self.uid);
        take(&self.groups.len().to_string());
        self.groups.iter().for_each(|group| take(group));
        for (key, values) in &self.extra {
            take(key);
            take(&values.len().to_string());
            values.iter().for_each(|value| take(value));
        }
        Key(hash.finalize().into())
    }
}

impl Key {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(name: &str, groups: &[&str], extra: &[(&str, &[&str])]) -> Requester {
        Requester {
            name: name.to_owned(),
            uid: String::new(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            extra: extra
                .iter()
                .map(|(key, values)| {
                    (
                        (*key).to_owned(),
                        values.iter().map(|value| (*value).to_owned()).collect(),
                    )
                })
                .collect(),
        }
    }

    #[test]
    fn no_two_identities_share_a_key() {
        let all = [
            somebody("a", &[], &[]),
            somebody("b", &[], &[]),
            somebody("a", &["b"], &[]),
            somebody("a", &["b", "c"], &[]),
            somebody("a", &["bc"], &[]),
            somebody("ab", &["c"], &[]),
            somebody("a", &[], &[("b", &["c"])]),
            somebody("a", &[], &[("b", &[]), ("c", &[])]),
            somebody("a", &["b"], &[("c", &[])]),
        ];
        for (at, one) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(one.key() == other.key(), at == other_at, "{one:?} {other:?}");
            }
        }
    }
}
