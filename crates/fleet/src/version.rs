//! The resource version of several clusters at once.
//!
//! `mca1.` and then, for each cluster in the order of the names, its name, `~`, its own resource version, with `~`
//! between clusters: `mca1.east~4711~west~815`. In a resource version, what is neither letter, digit, `-` nor `.` is
//! written as `_` and two hexadecimal digits, so that any string stands in a URL as it is, a composite one too. An empty
//! one says that nothing of that cluster was seen yet.

use std::{collections::BTreeMap, fmt};

use mk8s_model::ClusterName;

/// What begins whatever we made up: resource versions and `continue`.
pub(crate) const PREFIX: &str = "mca1.";

/// Each cluster's resource version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Versions(BTreeMap<ClusterName, String>);

/// What a client asks to be answered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requested {
    /// The same of all clusters: nothing in particular, or `0`.
    Same(String),
    /// Of each its own.
    Each(Versions),
}

/// The resource version isn't one of these clusters'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

impl Versions {
    pub(crate) fn decode(text: &str) -> Result<Self, Foreign> {
        let mut versions = BTreeMap::new();
        let mut parts = text.strip_prefix(PREFIX).ok_or(Foreign)?.split('~');
        while let Some(name) = parts.next() {
            let name: ClusterName = name.parse().map_err(|_| Foreign)?;
            let version = unescape(parts.next().ok_or(Foreign)?)?;
            let is_in_order = versions.last_key_value().is_none_or(|(last, _)| *last < name);
            if !is_in_order {
                return Err(Foreign);
            }
            versions.insert(name, version);
        }
        Ok(Self(versions))
    }

    pub(crate) fn of(&self, cluster: &ClusterName) -> Option<&str> {
        self.0.get(cluster).map(String::as_str)
    }

    pub(crate) fn set(&mut self, cluster: &ClusterName, version: &str) {
        match self.0.get_mut(cluster) {
            Some(known) => version.clone_into(known),
            None => drop(self.0.insert(cluster.clone(), version.to_owned())),
        }
    }

    /// Whether no cluster has one: what they list has no versions at all.
    pub(crate) fn are_empty(&self) -> bool {
        self.0.values().all(String::is_empty)
    }

    fn are_of(&self, clusters: &[ClusterName]) -> bool {
        self.0.len() == clusters.len() && clusters.iter().all(|cluster| self.0.contains_key(cluster))
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        for (at, (name, version)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("~")?;
            }
            write!(f, "{name}~")?;
            if version.bytes().all(is_plain) {
                f.write_str(version)?;
                continue;
            }
            for byte in version.bytes() {
                if is_plain(byte) {
                    write!(f, "{}", char::from(byte))?;
                } else {
                    write!(f, "_{byte:02x}")?;
                }
            }
        }
        Ok(())
    }
}

impl Requested {
    /// Reads the resource version that a client sent to these clusters, each of which is in `clusters` once.
    pub(crate) fn read(text: &str, clusters: &[ClusterName]) -> Result<Self, Foreign> {
        if matches!(text, "" | "0") {
            return Ok(Self::Same(text.to_owned()));
        }
        let versions = Versions::decode(text)?;
        if versions.are_of(clusters) {
            Ok(Self::Each(versions))
        } else {
            Err(Foreign)
        }
    }

    pub(crate) fn of(&self, cluster: &ClusterName) -> &str {
        match self {
            Self::Same(version) => version,
            Self::Each(versions) => versions.of(cluster).unwrap_or_default(),
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
}

fn unescape(text: &str) -> Result<String, Foreign> {
    if text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    let mut bytes = text.bytes();
    let mut version = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        version.push(match byte {
            b'_' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit().ok_or(Foreign)?, digit().ok_or(Foreign)?);
                u8::try_from(high * 16 + low).map_err(|_| Foreign)?
            }
            plain if is_plain(plain) => plain,
            _ => return Err(Foreign),
        });
    }
    String::from_utf8(version).map_err(|_| Foreign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> ClusterName {
        text.parse().expect("name")
    }

    fn versions(parts: &[(&str, &str)]) -> Versions {
        Versions(
            parts
                .iter()
                .map(|(cluster, version)| (name(cluster), (*version).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_composite_version_is_written_in_the_order_of_names() {
        let text = versions(&[("west", "815"), ("east", "4711"), ("eu.north", "")]).to_string();
        assert_eq!(text, "mca1.east~4711~eu.north~~west~815");
        assert_eq!(
            Versions::decode(&text),
            Ok(versions(&[("east", "4711"), ("eu.north", ""), ("west", "815")]))
        );
    }

    #[test]
    fn whatever_is_not_ours_is_refused() {
        for text in [
            "4711",
            "mca1.",
            "mca1.east",
            "mca1.east~1~west",
            "mca1.west~1~east~1",
            "mca1.east~1~east~1",
            "mca1.East~1",
            "mca1.east~1~",
            "mca1.east~_zz",
            "mca1.east~_f",
            "mca1.east~_ff",
            "mca1.east~a b",
            "mca2.east~1",
            "MCA1.east~1",
        ] {
            assert_eq!(Versions::decode(text), Err(Foreign), "{text}");
        }
    }

    #[test]
    fn a_version_of_other_clusters_is_foreign() {
        let clusters = [name("west"), name("east")];
        assert!(matches!(
            Requested::read("mca1.east~1~west~2", &clusters),
            Ok(Requested::Each(_))
        ));
        assert!(matches!(Requested::read("0", &clusters), Ok(Requested::Same(_))));
        for text in [
            "mca1.east~1",
            "mca1.east~1~north~2",
            "mca1.east~1~north~1~west~2",
            "17",
        ] {
            assert_eq!(Requested::read(text, &clusters), Err(Foreign), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_version_comes_back(a in "\\PC{0,20}", b in any::<String>()) {
            let versions = versions(&[("a", &a), ("b", &b)]);
            let text = versions.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)), "{}", text);
            prop_assert_eq!(Versions::decode(&text), Ok(versions));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "mca1\\.[a-b~_0-9f.-]{0,20}") {
            if let Ok(versions) = Versions::decode(&text) {
                prop_assert_eq!(Versions::decode(&versions.to_string()), Ok(versions));
            }
        }
    }
}
