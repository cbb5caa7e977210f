//! What a role gives, for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rule::Rule;

/// One rule that concerns a cluster, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// The rule: `developer/clusters[0]`.
    pub rule: String,
    /// In which namespaces.
    pub namespaces: Vec<String>,
    /// To do what.
    pub verbs: Vec<String>,
    /// With what.
    pub resources: Vec<String>,
    /// Of which API groups; all if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Which paths that are no resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

impl Permission {
    pub(crate) fn new(rule: &Rule) -> Self {
        let written = rule.written.clone();
        Self {
            rule: rule.name.as_ref().to_owned(),
            namespaces: written.namespaces,
            verbs: written.verbs,
            resources: written.resources,
            api_groups: written.api_groups,
            non_resource_urls: written.non_resource_urls,
        }
    }

    /// The role's name.
    pub fn role(&self) -> &str {
        self.rule
            .rsplit_once("/clusters[")
            .map_or(&self.rule, |(role, _)| role)
    }
}

impl fmt::Display for Permission {
    /// `developer: get, list on pods, services in all namespaces`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |names: &[String]| names.iter().any(|n| n == "*");
        write!(f, "{}: ", self.role())?;
        match all(&self.verbs) {
            true => f.write_str("everything")?,
            false => f.write_str(&self.verbs.join(", "))?,
        }
        if !self.resources.is_empty() {
            match all(&self.resources) {
                true => f.write_str(" on all resources")?,
                false => write!(f, " on {}", self.resources.join(", "))?,
            }
            if !self.api_groups.is_empty() && !all(&self.api_groups) {
                let groups = self
                    .api_groups
                    .iter()
                    .map(|g| if g.is_empty() { "core" } else { g });
                write!(f, " of the API groups {}", groups.collect::<Vec<_>>().join(", "))?;
            }
            match all(&self.namespaces) {
                true => f.write_str(" in all namespaces")?,
                false => write!(f, " in the namespaces {}", self.namespaces.join(", "))?,
            }
        }
        if !self.non_resource_urls.is_empty() {
            let and = if self.resources.is_empty() { "" } else { ", and" };
            write!(f, "{and} on the paths {}", self.non_resource_urls.join(", "))?;
        }
        Ok(())
    }
}
