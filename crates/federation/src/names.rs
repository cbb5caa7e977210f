//! What a workload cluster is called: `namespace.name`.
//!
//! Namespaces have no dots, so the first dot ends the namespace, and no two clusters are called alike. The name alone would do where
//! only one namespace has it; but which one that is changes when somebody makes or deletes a Cluster elsewhere, and depends on who
//! looks, and then an agent that was told `prod` would go on with another `prod`.

use mk8s_model::ClusterName;

use crate::settings::Namespace;

/// Where a Cluster object is: its namespace, its name, and what agents call it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    namespace: Namespace,
    called: ClusterName,
}

impl Place {
    /// A Cluster object's. None if it can't be called anything: an API server lets none be called so.
    pub(crate) fn of(namespace: &str, name: &str) -> Option<Self> {
        let namespace: Namespace = namespace.parse().ok()?;
        is_name(name).then_some(())?;
        let called = format!("{namespace}.{name}").parse().ok()?;
        Some(Self { namespace, called })
    }

    /// What an agent means. None if no workload cluster is called so.
    pub(crate) fn meant(called: &ClusterName) -> Option<Self> {
        let (namespace, name) = called.as_str().split_once('.')?;
        Self::of(namespace, name)
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    pub(crate) fn name(&self) -> &str {
        &self.called.as_str()[self.namespace.as_str().len() + 1..]
    }

    pub(crate) fn called(&self) -> &ClusterName {
        &self.called
    }
}

/// An object's name as Kubernetes has it (RFC 1123 subdomain), which stands in a path as it is.
fn is_name(name: &str) -> bool {
    name.parse::<ClusterName>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_back_to_where_it_is_from() {
        for (namespace, name) in [("team-a", "prod"), ("a", "b.c"), ("0", "0")] {
            let place = Place::of(namespace, name).expect("a place");
            let meant = Place::meant(place.called()).expect("a place");
            assert_eq!((meant.namespace().as_str(), meant.name()), (namespace, name));
            assert_eq!(meant, place);
        }
    }

    #[test]
    fn clusters_of_one_name_are_called_differently() {
        let called = |namespace, name| Place::of(namespace, name).expect("a place").called().clone();
        assert_ne!(called("team-a", "prod"), called("team-b", "prod"));
        // Were namespaces to have dots, these would be one.
        assert_eq!(Place::of("a.b", "c"), None);
        assert_eq!(called("a", "b.c").as_str(), "a.b.c");
    }

    #[test]
    fn what_kubernetes_lets_nobody_be_called_is_nobody() {
        for (namespace, name) in [
            ("", "a"),
            ("a", ""),
            ("a", "."),
            ("a", ".."),
            ("a", "../secrets/x"),
            ("..", "a"),
            ("a/b", "c"),
            ("a", "b%2fc"),
            ("a", "b\nc"),
            ("a", "b\u{202e}c"),
            ("-a", "b"),
            ("a", "-b"),
            ("a", "B"),
            ("a", "b?x=1"),
        ] {
            assert_eq!(Place::of(namespace, name), None, "{namespace:?} {name:?}");
        }
        assert_eq!(Place::of(&"n".repeat(63), &"c".repeat(200)), None);
        for called in ["management", "a-.b", "a.-b"] {
            assert_eq!(Place::meant(&called.parse().expect("a name")), None, "{called}");
        }
    }
}
