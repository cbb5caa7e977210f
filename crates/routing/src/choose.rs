//! The routes, prepared for being asked, and the choice.

use std::collections::BTreeMap;

use mk8s_model::{ClusterName, KubeRequest, ResourceRequest, Verb};
use mk8s_policy::Pattern;

use crate::{Labelled, Table, object};

/// What is asked, as far as routes look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What for.
    pub request: &'a KubeRequest<'a>,
    /// The cluster that the client names itself, by header or path.
    pub requested: Option<&'a str>,
}

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// Nothing says anything else: the cluster we are in.
    Home,
    /// To one of these; more than one can be listed and watched together.
    Clusters(&'a [ClusterName]),
    /// It depends on labels or annotations: ask again with a [`Labelled`].
    Labels,
    /// The client names a cluster that isn't there.
    Unknown,
}

/// A cluster that the client names itself, in [`Requested::HEADER`] or before the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested;

impl Requested {
    /// Names a cluster.
    pub const HEADER: &'static str = "x-mca-cluster";
    /// Stands before a cluster's name in a path: `/clusters/{name}/api/v1/…`.
    pub const PREFIX: &'static str = "/clusters/";

    /// Takes `/clusters/{name}` off a path with its query: the name and what is left, which begins with a slash or is empty.
    pub fn in_path(path_and_query: &str) -> Option<(&str, &str)> {
        let rest = path_and_query.strip_prefix(Self::PREFIX)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        Some(rest.split_at(end))
    }
}

/// A route, prepared.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) criteria: Vec<Criteria>,
    /// Flat: a group's members stand for it.
    pub(crate) clusters: Vec<ClusterName>,
}

/// What a request must be, all of it.
#[derive(Debug, Default)]
pub(crate) struct Criteria {
    requested: Option<Vec<Pattern>>,
    namespaces: Option<Vec<Pattern>>,
    groups: Option<Vec<Pattern>>,
    resources: Option<Vec<Pattern>>,
    verbs: Option<Vec<Verb>>,
    labels: Vec<(String, Pattern)>,
    annotations: Vec<(String, Pattern)>,
}

enum Match {
    Yes,
    No,
    Labels,
}

impl Table {
    /// Asks the routes in their order. A request that names a cluster itself is for routes that say `requested`, and if
    /// none of those matches, for the cluster it names.
    pub fn choose(&self, asked: &Asked<'_>, labelled: Option<&Labelled>) -> Choice<'_> {
        for route in &self.routes {
            match route.matches(asked, labelled) {
                Match::Yes => return Choice::Clusters(&route.clusters),
                Match::Labels => return Choice::Labels,
                Match::No => {}
            }
        }
        match asked.requested {
            None => Choice::Home,
            Some(name) => self.named(name).map_or(Choice::Unknown, Choice::Clusters),
        }
    }
}

impl Route {
    fn matches(&self, asked: &Asked<'_>, labelled: Option<&Labelled>) -> Match {
        let mut on_labels = false;
        for criteria in &self.criteria {
            match criteria.match_request(asked, labelled) {
                Match::Yes => return Match::Yes,
                Match::Labels => on_labels = true,
                Match::No => {}
            }
        }
        if on_labels { Match::Labels } else { Match::No }
    }
}

impl Criteria {
    pub(crate) fn new(written: &object::Criteria, verbs: Option<Vec<Verb>>) -> Self {
        let patterns = |list: &Option<Vec<String>>| {
            list.as_ref()
                .map(|list| list.iter().map(|p| Pattern::new(p)).collect())
        };
        let pairs = |map: &Option<BTreeMap<String, String>>| {
            map.iter()
                .flatten()
                .map(|(name, value)| (name.clone(), Pattern::new(value)))
                .collect()
        };
        Self {
            requested: patterns(&written.requested),
            namespaces: patterns(&written.namespaces),
            groups: patterns(&written.api_groups),
            resources: patterns(&written.resources),
            verbs,
            labels: pairs(&written.labels),
            annotations: pairs(&written.annotations),
        }
    }

    fn match_request(&self, asked: &Asked<'_>, labelled: Option<&Labelled>) -> Match {
        let requested = match (&self.requested, asked.requested) {
            (None, None) => true,
            (Some(patterns), Some(name)) => any(patterns, name),
            // Whoever names a cluster means it, and a route for those is for nobody else.
            _ => false,
        };
        if !requested || !self.matches_kind(asked.request) {
            return Match::No;
        }
        if self.labels.is_empty() && self.annotations.is_empty() {
            return Match::Yes;
        }
        match labelled {
            None => Match::Labels,
            Some(labelled)
                if has_all(&self.labels, &labelled.labels)
                    && has_all(&self.annotations, &labelled.annotations) =>
            {
                Match::Yes
            }
            Some(_) => Match::No,
        }
    }

    fn matches_kind(&self, request: &KubeRequest<'_>) -> bool {
        match request {
            KubeRequest::Resource(resource) => self.matches_resource(resource),
            // Discovery, versions and the like belong to no namespace and no resource.
            KubeRequest::NonResource { .. } => {
                self.namespaces.is_none()
                    && self.groups.is_none()
                    && self.resources.is_none()
                    && self.verbs.is_none()
                    && self.labels.is_empty()
                    && self.annotations.is_empty()
            }
        }
    }

    fn matches_resource(&self, asked: &ResourceRequest<'_>) -> bool {
        let namespace = self.namespaces.as_ref().is_none_or(|patterns| {
            asked
                .namespace
                .as_deref()
                .is_some_and(|namespace| any(patterns, namespace))
        });
        namespace
            && self
                .groups
                .as_ref()
                .is_none_or(|patterns| any(patterns, &asked.group))
            && self
                .resources
                .as_ref()
                .is_none_or(|patterns| any(patterns, &asked.resource))
            && self
                .verbs
                .as_ref()
                .is_none_or(|verbs| verbs.contains(&asked.verb))
    }
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

fn has_all(wanted: &[(String, Pattern)], there: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(name, value)| there.get(name).is_some_and(|there| value.matches(there)))
}
