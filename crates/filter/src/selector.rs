//! Label selectors that mean what they should, whatever they are made of.
//!
//! Source: `k8s.io/apimachinery/pkg/labels/selector.go`.

use std::{collections::BTreeSet, fmt};

use mk8s_model::label;

/// A key that no object needs to have; asked for both with and without it, the API server finds nothing.
const NO_KEY: &str = "mk8s.io/nothing";
/// A label selector. It can be made of checked keys and values alone, so that its text means what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelSelector(Box<str>);

/// The key is none that a label can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no label's key; give one such as \"example.com/team\"")]
pub struct InvalidKey(String);

impl LabelSelector {
    /// The objects whose label `key` has one of `values`. Values that no label can have, and the empty one, are left out;
    /// `None` if no value is left, so that nothing can match.
    ///
    /// # Errors
    /// [`InvalidKey`] if no label has such a key.
    pub fn in_values<V: AsRef<str>>(
        key: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Option<Self>, InvalidKey> {
        if !label::is_key(key) {
            return Err(InvalidKey(key.to_owned()));
        }
        let values: BTreeSet<String> = values
            .into_iter()
            .filter(|value| label::is_value(value.as_ref()))
            .map(|value| value.as_ref().to_owned())
            .collect();
        if values.is_empty() {
            return Ok(None);
        }
        let values: Vec<String> = values.into_iter().collect();
        Ok(Some(Self(format!("{key} in ({})", values.join(",")).into())))
    }

    /// No object at all.
    pub(crate) fn nothing() -> Self {
        Self(format!("{NO_KEY},!{NO_KEY}").into())
    }

    /// Its text, as in `labelSelector`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What has these labels and those that a client asks for. The client's text comes last: API servers read from left to
    /// right, and this one's text ends where its meaning does, so whatever follows the comma can only be another
    /// requirement or make the whole unreadable.
    pub(crate) fn and(&self, client: Option<&str>) -> String {
        match client.filter(|client| !client.trim().is_empty()) {
            Some(client) => format!("{},{client}", self.0),
            None => self.0.to_string(),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(key: &str, values: &[&str]) -> Option<String> {
        let selector = LabelSelector::in_values(key, values).expect("a key");
        selector.map(|selector| selector.to_string())
    }

    #[test]
    fn values_are_listed_once_and_in_order() {
        assert_eq!(
            text("example.com/team", &["b", "a", "b", "in", "notin"]).as_deref(),
            Some("example.com/team in (a,b,in,notin)")
        );
    }

    #[test]
    fn values_that_no_label_has_are_left_out() {
        let long = "x".repeat(64);
        for value in [
            "",
            "a,b",
            "x) , other",
            "a=b",
            "a b",
            "a)",
            "(a",
            "!a",
            "-a",
            "a-",
            "é",
            "a\n",
            "a/b",
            "a%2Cb",
            &long,
        ] {
            assert_eq!(text("team", &[value]), None, "{value:?}");
            assert_eq!(
                text("team", &[value, "a"]).as_deref(),
                Some("team in (a)"),
                "{value:?}"
            );
        }
        let longest = "x".repeat(63);
        assert!(text("team", &[&longest]).is_some());
    }

    #[test]
    fn keys_that_no_label_has_are_refused() {
        let long = format!("{}/a", "x".repeat(254));
        for key in [
            "",
            "a b",
            "a,b",
            "!a",
            "a in (b),c",
            "/a",
            "a/",
            "a/b/c",
            "A.com/b",
            "a..b/c",
            "-a.b/c",
            "a=b",
            &long,
        ] {
            let made = LabelSelector::in_values(key, ["x"]);
            assert_eq!(made, Err(InvalidKey(key.to_owned())), "{key:?}");
        }
        assert!(LabelSelector::in_values("kubernetes.io/metadata.name", ["x"]).is_ok());
        assert!(LabelSelector::in_values("Team_1", ["x"]).is_ok());
    }

    #[test]
    fn a_client_s_selector_comes_behind_ours() {
        let ours = LabelSelector::in_values("team", ["a"])
            .expect("key")
            .expect("values");
        assert_eq!(ours.and(None), "team in (a)");
        assert_eq!(ours.and(Some(" ")), "team in (a)");
        assert_eq!(ours.and(Some("x notin (y)")), "team in (a),x notin (y)");
        assert_eq!(
            LabelSelector::nothing().and(Some("x")),
            "mk8s.io/nothing,!mk8s.io/nothing,x"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_given_only_whole_values_get_in(values in prop::collection::vec("[a-z,()=! .-]{0,6}", 0..6)) {
            let selector = LabelSelector::in_values("team", &values).expect("key");
            let inside = selector.as_ref().map_or("", |selector| {
                selector.as_str().strip_prefix("team in (").and_then(|rest| rest.strip_suffix(')')).expect("form")
            });
            for value in inside.split(',').filter(|value| !value.is_empty()) {
                prop_assert!(values.iter().any(|given| given == value));
                prop_assert!(!value.contains(|c: char| "()=! ".contains(c)));
            }
        }
    }
}
