//! A rule, prepared for being asked.

use std::sync::Arc;

use mk8s_model::{Interactive, KubeRequest, ResourceRequest, Verb};

use crate::{ClusterRule, PolicyError, Problem, pattern::Pattern, verbs::Verbs};

/// A rule of a role.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `developer/clusters[0]`
    pub(crate) name: Arc<str>,
    pub(crate) cluster: Pattern,
    namespaces: Vec<Pattern>,
    verbs: Verbs,
    resources: Vec<ResourcePattern>,
    /// All if there are none.
    groups: Vec<Pattern>,
    urls: Vec<Pattern>,
    /// As it was written, for people.
    pub(crate) written: ClusterRule,
}

/// `deployments.apps/scale`: resource, group, subresource.
#[derive(Debug)]
struct ResourcePattern {
    resource: Pattern,
    group: Option<Pattern>,
    subresource: Subresource,
}

#[derive(Debug)]
enum Subresource {
    /// The resource itself.
    None,
    /// The resource itself and all its subresources: a bare `*`.
    All,
    /// These subresources.
    Matching(Pattern),
}

impl Rule {
    /// `key` is where the rule stands: `roles[0].clusters[0]`.
    pub(crate) fn new(written: &ClusterRule, name: String, key: &str) -> Result<Self, PolicyError> {
        let fail = |part: &str, problem| PolicyError::at(format!("{key}.{part}"), problem);
        if written.name.is_empty() {
            return Err(fail("name", Problem::EmptyName));
        }
        check(&written.name, "cluster", |c| is_dns(c) || c == '.').map_err(|p| fail("name", p))?;
        if written.verbs.is_empty() {
            return Err(fail("verbs", Problem::EmptyList("name a verb, such as \"get\"")));
        }
        if written.resources.is_empty() && written.non_resource_urls.is_empty() {
            return Err(fail(
                "resources",
                Problem::EmptyList("name a resource, such as \"pods\""),
            ));
        }
        if written.namespaces.is_empty() && !written.resources.is_empty() {
            return Err(fail(
                "namespaces",
                Problem::EmptyList("name a namespace, or \"*\" for all"),
            ));
        }
        let mut verbs = Verbs::NONE;
        for (at, verb) in written.verbs.iter().enumerate() {
            verbs = verbs.and(Verbs::parse(verb).map_err(|p| fail(&format!("verbs[{at}]"), p))?);
        }
        let list = |part: &'static str, entries: &[String], parse: fn(&str) -> Result<Pattern, Problem>| {
            entries
                .iter()
                .enumerate()
                .map(|(at, entry)| parse(entry).map_err(|p| fail(&format!("{part}[{at}]"), p)))
                .collect::<Result<Vec<_>, _>>()
        };
        let resources = written
            .resources
            .iter()
            .enumerate()
            .map(|(at, entry)| ResourcePattern::new(entry).map_err(|p| fail(&format!("resources[{at}]"), p)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            name: name.into(),
            cluster: Pattern::new(&written.name),
            namespaces: list("namespaces", &written.namespaces, namespace)?,
            verbs,
            resources,
            groups: list("apiGroups", &written.api_groups, group)?,
            urls: list("nonResourceURLs", &written.non_resource_urls, url)?,
            written: written.clone(),
        })
    }

    /// Whether it allows the request, on a cluster that matches.
    pub(crate) fn allows(&self, request: &KubeRequest<'_>) -> bool {
        match request {
            KubeRequest::Resource(r) => {
                self.covers_namespace(r.namespace.as_deref()) && self.allows_somewhere(r)
            }
            KubeRequest::NonResource { verb, path } => {
                self.is_everything()
                    || (self.verbs.has(Verbs::of_method(verb)) && self.urls.iter().any(|u| u.matches(path)))
            }
        }
    }

    /// Whether it would allow the request if it were in the right namespace.
    pub(crate) fn allows_somewhere(&self, r: &ResourceRequest<'_>) -> bool {
        if !self.groups.is_empty() && !self.groups.iter().any(|g| g.matches(&r.group)) {
            return false;
        }
        let ordinary = Verbs::of(r.verb);
        let covered = || self.resources.iter().any(|p| p.covers(r));
        let written_out = || self.resources.iter().any(|p| p.writes_out(r));
        let parent_covered = || self.resources.iter().any(|p| p.covers_parent(r));
        match (r.interactive(), r.subresource.as_deref()) {
            (Some(Interactive::Exec), Some("ephemeralcontainers")) => {
                self.verbs.has(ordinary.and(Verbs::EXEC)) && covered()
            }
            (Some(way), _) => {
                // The upgrade to WebSocket is a GET, whatever it opens; `create` is what RBAC's rules say for it.
                let upgrade = r.verb == Verb::Get && way != Interactive::Proxy;
                let by_verb = self.verbs.has(Verbs::of_interactive(way)) && (parent_covered() || covered());
                let by_name = self.verbs.has(ordinary) || (upgrade && self.verbs.has(Verbs::CREATE));
                by_verb || (by_name && written_out())
            }
            (None, Some("token")) if r.resource == "serviceaccounts" && r.verb == Verb::Create => {
                (self.verbs == Verbs::ALL && covered()) || (self.verbs.has(Verbs::CREATE) && written_out())
            }
            (None, Some("log")) if r.verb == Verb::Get => {
                (self.verbs.has(Verbs::LOGS) && (parent_covered() || covered()))
                    || (self.verbs.has(ordinary) && covered())
            }
            (None, _) => self.verbs.has(ordinary) && covered(),
        }
    }

    fn covers_namespace(&self, namespace: Option<&str>) -> bool {
        match namespace {
            Some(name) => self.namespaces.iter().any(|p| p.matches(name)),
            None => self.namespaces.contains(&Pattern::Any),
        }
    }

    /// All verbs on all resources in all namespaces: then paths that are no resources are meant, too.
    fn is_everything(&self) -> bool {
        self.verbs == Verbs::ALL
            && self.covers_namespace(None)
            && (self.groups.is_empty() || self.groups.contains(&Pattern::Any))
            && self.resources.iter().any(ResourcePattern::is_everything)
    }
}

impl ResourcePattern {
    fn new(text: &str) -> Result<Self, Problem> {
        check(text, "resource", |c| is_dns(c) || matches!(c, '.' | '/'))?;
        let (main, subresource) = match text.split_once('/') {
            Some((main, subresource)) => (main, Some(subresource)),
            None => (text, None),
        };
        let (resource, group) = match main.split_once('.') {
            Some((resource, group)) => (resource, Some(group)),
            None => (main, None),
        };
        if resource.is_empty() || subresource == Some("") {
            return Err(Problem::EmptyName);
        }
        if subresource.is_some_and(|s| s.contains('/')) {
            return Err(Problem::NeverMatches {
                pattern: text.to_owned(),
                what: "subresource",
                character: '/',
            });
        }
        let resource = Pattern::new(resource);
        let subresource = match subresource {
            Some(subresource) => Subresource::Matching(Pattern::new(subresource)),
            None if resource == Pattern::Any => Subresource::All,
            None => Subresource::None,
        };
        Ok(Self {
            resource,
            group: group.map(Pattern::new),
            subresource,
        })
    }

    fn covers(&self, r: &ResourceRequest<'_>) -> bool {
        let subresource = match (&self.subresource, r.subresource.as_deref()) {
            (Subresource::All, _) | (Subresource::None, None) => true,
            (Subresource::Matching(pattern), Some(name)) => pattern.matches(name),
            _ => false,
        };
        subresource && self.covers_resource(r)
    }

    /// Whether it covers the resource that the request is for a subresource of.
    fn covers_parent(&self, r: &ResourceRequest<'_>) -> bool {
        matches!(self.subresource, Subresource::None | Subresource::All) && self.covers_resource(r)
    }

    /// Whether it covers the request by the subresource's very name.
    fn writes_out(&self, r: &ResourceRequest<'_>) -> bool {
        match (&self.subresource, r.subresource.as_deref()) {
            (Subresource::Matching(pattern), Some(name)) => {
                pattern.is_exactly(name) && self.covers_resource(r)
            }
            _ => false,
        }
    }

    fn covers_resource(&self, r: &ResourceRequest<'_>) -> bool {
        self.resource.matches(&r.resource) && self.group.as_ref().is_none_or(|g| g.matches(&r.group))
    }

    fn is_everything(&self) -> bool {
        matches!(self.subresource, Subresource::All) && matches!(self.group, None | Some(Pattern::Any))
    }
}

fn namespace(text: &str) -> Result<Pattern, Problem> {
    if text.is_empty() {
        return Err(Problem::EmptyName);
    }
    check(text, "namespace", is_dns)?;
    Ok(Pattern::new(text))
}

fn group(text: &str) -> Result<Pattern, Problem> {
    check(text, "API group", |c| is_dns(c) || c == '.')?;
    Ok(Pattern::new(text))
}

fn url(text: &str) -> Result<Pattern, Problem> {
    if text != "*" && !text.starts_with('/') {
        return Err(Problem::NoPath(text.to_owned()));
    }
    Ok(Pattern::new(text))
}

fn check(pattern: &str, what: &'static str, allowed: impl Fn(char) -> bool) -> Result<(), Problem> {
    match pattern.chars().find(|c| *c != '*' && !allowed(*c)) {
        Some(character) => Err(Problem::NeverMatches {
            pattern: pattern.to_owned(),
            what,
            character,
        }),
        None => Ok(()),
    }
}

fn is_dns(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
}
