//! From texts to a [`Table`]: everything that is wrong is found, each with its place.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_model::{ClusterName, Verb};
use serde_saphyr::{Spanned, UserMessageFormatter};

use crate::{
    Cluster, Credentials, Fault, Place, RoutingError, Source, Table,
    choose::{Criteria, Route},
    object::{API_VERSION, Object, Spec},
};

/// A name, and where it stands.
struct Written<T> {
    source: String,
    line: u64,
    value: T,
}

struct WrittenRoute {
    priority: i32,
    source: String,
    criteria: Vec<Criteria>,
    clusters: Vec<Spanned<String>>,
}

/// What was read so far.
#[derive(Default)]
pub(crate) struct Reading {
    clusters: BTreeMap<ClusterName, Written<Cluster>>,
    groups: BTreeMap<ClusterName, Written<Vec<Spanned<String>>>>,
    routes: Vec<WrittenRoute>,
    route_names: BTreeMap<String, (String, u64)>,
    faults: Vec<Fault>,
}

impl Reading {
    /// Takes a source's objects in.
    pub(crate) fn documents(&mut self, source: &Source) {
        let read: Result<Vec<Object>, _> = serde_saphyr::from_multiple(&source.text);
        match read {
            Ok(objects) => {
                for object in objects {
                    self.object(&source.name, object);
                }
            }
            Err(error) => {
                let location = error.location();
                let mut problem = error
                    .without_snippet()
                    .render_with_formatter(&UserMessageFormatter);
                // It is said once, by Fault.
                if let Some(l) = location {
                    problem = problem.replace(&format!(" at line {}, column {}", l.line(), l.column()), "");
                }
                self.fault(&source.name, location.map(|l| l.line()), problem);
            }
        }
    }

    fn object(&mut self, source: &str, object: Object) {
        let kind = object.kind.value.as_str();
        if object.api_version.value != API_VERSION {
            let problem = format!(
                "apiVersion {:?} is not known; write {API_VERSION}",
                object.api_version.value
            );
            return self.fault(source, line(&object.api_version), problem);
        }
        if !matches!(kind, "Cluster" | "Route") {
            let problem = format!("kind {kind:?} is not known; write Cluster or Route");
            return self.fault(source, line(&object.kind), problem);
        }
        let foreign = object.spec.value.foreign(kind);
        if let Some(field) = foreign.first() {
            let problem = format!("spec.{field} is no field of a {kind}");
            return self.fault(source, line(&object.spec), problem);
        }
        if kind == "Cluster" {
            self.cluster(source, &object.metadata.name, &object.spec);
        } else {
            self.route(source, &object.metadata.name, object.spec);
        }
    }

    fn cluster(&mut self, source: &str, name: &Spanned<String>, spec: &Spanned<Spec>) {
        let Some(parsed) = self.cluster_name(source, name) else {
            return;
        };
        let first = self
            .clusters
            .get(&parsed)
            .map(|there| (there.source.clone(), there.line))
            .or_else(|| {
                self.groups
                    .get(&parsed)
                    .map(|there| (there.source.clone(), there.line))
            });
        if let Some((first, at)) = first {
            let problem = format!("there is a cluster {parsed} already, at {first}:{at}");
            return self.fault(source, line(name), problem);
        }
        let here = name.referenced.line();
        match &spec.value.members {
            Some(members) => {
                if spec.value.server.is_some()
                    || spec.value.central.is_some()
                    || spec.value.credentials.is_some()
                {
                    let problem =
                        "a cluster has either members or a place of its own (server, credentials)".to_owned();
                    return self.fault(source, line(members), problem);
                }
                if members.value.is_empty() {
                    return self.fault(
                        source,
                        line(members),
                        "spec.members is empty; name a cluster".to_owned(),
                    );
                }
                let written = Written {
                    source: source.to_owned(),
                    line: here,
                    value: members.value.clone(),
                };
                self.groups.insert(parsed, written);
            }
            None => match cluster(&spec.value) {
                Ok(value) => {
                    let written = Written {
                        source: source.to_owned(),
                        line: here,
                        value,
                    };
                    self.clusters.insert(parsed, written);
                }
                Err((at, problem)) => self.fault(source, at.or_else(|| line(spec)), problem),
            },
        }
    }

    fn route(&mut self, source: &str, name: &Spanned<String>, spec: Spanned<Spec>) {
        let here = name.referenced.line();
        if let Some((first, at)) = self.route_names.get(&name.value) {
            let problem = format!("there is a route {} already, at {first}:{at}", name.value);
            return self.fault(source, line(name), problem);
        }
        self.route_names
            .insert(name.value.clone(), (source.to_owned(), here));
        let at = line(&spec);
        let spec = spec.value;
        let Some(clusters) = spec.clusters.filter(|clusters| !clusters.value.is_empty()) else {
            return self.fault(
                source,
                at,
                "spec.clusters is missing; name the cluster to go to".to_owned(),
            );
        };
        let written = spec.matches.map(|matches| matches.value).unwrap_or_default();
        let mut criteria = Vec::new();
        for written in &written {
            let mut verbs = None;
            for verb in written.verbs.iter().flatten() {
                match parse_verb(&verb.value) {
                    Some(parsed) => verbs.get_or_insert_with(Vec::new).push(parsed),
                    None => {
                        let problem = format!(
                            "{:?} is no verb; write get, list, watch, create, update, patch, delete or deletecollection",
                            verb.value
                        );
                        self.fault(source, line(verb), problem);
                    }
                }
            }
            criteria.push(Criteria::new(written, verbs));
        }
        if criteria.is_empty() {
            // Nothing said: anything that names no cluster itself.
            criteria.push(Criteria::default());
        }
        self.routes.push(WrittenRoute {
            priority: spec.priority.unwrap_or(0),
            source: source.to_owned(),
            criteria,
            clusters: clusters.value,
        });
    }

    /// Puts the table together, if nothing is wrong.
    pub(crate) fn check(mut self, home: &ClusterName, own: &[String]) -> Result<Table, RoutingError> {
        let mut faults = std::mem::take(&mut self.faults);
        if let Some(there) = self
            .clusters
            .get(home)
            .map(|c| (&c.source, c.line))
            .or_else(|| self.groups.get(home).map(|g| (&g.source, g.line)))
        {
            let problem = format!("{home} is what the cluster we are in is called; choose another name");
            faults.push(fault(there.0, Some(there.1), problem));
        }
        for (name, written) in &self.clusters {
            if let Place::Server(server) = &written.value.place
                && let Some(address) = own.iter().find(|address| leads_to(server, address))
            {
                let problem = format!(
                    "cluster {name} leads back to this proxy, which listens on {address}: requests would go in a circle"
                );
                faults.push(fault(&written.source, Some(written.line), problem));
            }
        }
        let mut names: BTreeMap<ClusterName, Vec<ClusterName>> = self
            .clusters
            .keys()
            .chain([home])
            .map(|name| (name.clone(), vec![name.clone()]))
            .collect();
        for (name, group) in &self.groups {
            let mut flattening = Flattening {
                path: vec![name.clone()],
                ..Flattening::default()
            };
            match self.flatten(group, &mut flattening, home) {
                Ok(()) => {
                    names.insert(name.clone(), flattening.flat);
                }
                Err(fault) if !faults.contains(&fault) => faults.push(fault),
                Err(_) => {}
            }
        }
        // Stable: what was written first stays first among those of one priority.
        self.routes.sort_by_key(|route| std::cmp::Reverse(route.priority));
        let mut routes = Vec::new();
        for route in self.routes {
            let mut clusters: Vec<ClusterName> = Vec::new();
            for name in &route.clusters {
                match name
                    .value
                    .parse()
                    .ok()
                    .and_then(|parsed: ClusterName| names.get(&parsed))
                {
                    Some(flat) => {
                        for cluster in flat {
                            if !clusters.contains(cluster) {
                                clusters.push(cluster.clone());
                            }
                        }
                    }
                    // A group that is wrong itself was said.
                    None if self.groups.keys().any(|group| group.as_str() == name.value) => {}
                    None => faults.push(fault(
                        &route.source,
                        line(name),
                        unknown(&name.value, names.keys()),
                    )),
                }
            }
            routes.push(Route {
                criteria: route.criteria,
                clusters,
            });
        }
        if !faults.is_empty() {
            return Err(RoutingError(faults));
        }
        let clusters = self
            .clusters
            .into_iter()
            .map(|(name, written)| (name, written.value))
            .collect();
        Ok(Table {
            clusters,
            names,
            routes,
        })
    }

    /// A group's members, and theirs.
    fn flatten(
        &self,
        group: &Written<Vec<Spanned<String>>>,
        so_far: &mut Flattening,
        home: &ClusterName,
    ) -> Result<(), Fault> {
        for member in &group.value {
            let at = |problem| fault(&group.source, line(member), problem);
            let known = self.clusters.keys().chain(self.groups.keys()).chain([home]);
            let name: ClusterName = match member.value.parse() {
                Ok(name) => name,
                Err(_) => return Err(at(unknown(&member.value, known))),
            };
            if let Some(inner) = self.groups.get(&name) {
                if so_far.path.contains(&name) {
                    let way = so_far.path.iter().map(ClusterName::as_str).chain([name.as_str()]);
                    let way: Vec<&str> = way.collect();
                    return Err(at(format!(
                        "cluster {name} is a member of itself: {}",
                        way.join(" → ")
                    )));
                }
                // Once is enough, however many ways lead there.
                if so_far.seen.insert(name.clone()) {
                    so_far.path.push(name);
                    self.flatten(inner, so_far, home)?;
                    so_far.path.pop();
                }
            } else if self.clusters.contains_key(&name) || name == *home {
                if !so_far.flat.contains(&name) {
                    so_far.flat.push(name);
                }
            } else {
                return Err(at(unknown(&member.value, known)));
            }
        }
        Ok(())
    }

    fn cluster_name(&mut self, source: &str, name: &Spanned<String>) -> Option<ClusterName> {
        match name.value.parse() {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                let why: mk8s_model::InvalidClusterName = why;
                self.fault(source, line(name), why.to_string());
                None
            }
        }
    }

    fn fault(&mut self, source: &str, line: Option<u64>, problem: String) {
        self.faults.push(fault(source, line, problem));
    }
}

/// A group on the way to the clusters it stands for.
#[derive(Default)]
struct Flattening {
    /// The way from the group that was begun with.
    path: Vec<ClusterName>,
    seen: BTreeSet<ClusterName>,
    flat: Vec<ClusterName>,
}

fn cluster(spec: &Spec) -> Result<Cluster, (Option<u64>, String)> {
    let credentials = match &spec.credentials {
        Some(secret) if !is_secret_name(&secret.value) => {
            let problem = format!("spec.credentials {:?} is no name of a Secret", secret.value);
            return Err((line(secret), problem));
        }
        Some(secret) => Some(Credentials {
            secret: secret.value.clone(),
        }),
        None => None,
    };
    let place =
        match (&spec.server, &spec.central) {
            (Some(server), central) => {
                let url = server.value.trim_end_matches('/');
                let is_https = url.parse::<http::Uri>().is_ok_and(|uri| {
                    uri.scheme_str() == Some("https") && uri.host().is_some() && uri.query().is_none()
                });
                if !is_https {
                    return Err((
                        line(server),
                        format!("spec.server {:?} is no https URL", server.value),
                    ));
                }
                match central {
                    None => Place::Server(url.to_owned()),
                    Some(central) => {
                        let name: ClusterName = central.cluster.value.parse().map_err(
                            |why: mk8s_model::InvalidClusterName| (line(&central.cluster), why.to_string()),
                        )?;
                        Place::Server(format!("{url}/k8s/clusters/{name}"))
                    }
                }
            }
            (None, Some(central)) => {
                return Err((
                    line(&central.cluster),
                    "spec.central needs spec.server: the gateway's URL".to_owned(),
                ));
            }
            (None, None) if credentials.is_some() => Place::Kubeconfig,
            (None, None) => {
                return Err((
                    None,
                    "spec says no place: give server, or credentials with a kubeconfig, or members"
                        .to_owned(),
                ));
            }
        };
    let certificate_authorities = match &spec.certificate_authority_data {
        None => None,
        Some(data) => {
            let decoded = BASE64_STANDARD
                .decode(data.value.trim())
                .ok()
                .and_then(|pem| String::from_utf8(pem).ok());
            let Some(pem) = decoded.filter(|pem| pem.contains("BEGIN CERTIFICATE")) else {
                let problem = "spec.certificateAuthorityData is no PEM certificate in base64".to_owned();
                return Err((line(data), problem));
            };
            Some(pem)
        }
    };
    Ok(Cluster {
        place,
        tls_server_name: spec.tls_server_name.clone(),
        certificate_authorities,
        credentials,
    })
}

fn parse_verb(text: &str) -> Option<Verb> {
    [
        Verb::Get,
        Verb::List,
        Verb::Watch,
        Verb::Create,
        Verb::Update,
        Verb::Patch,
        Verb::Delete,
        Verb::DeleteCollection,
    ]
    .into_iter()
    .find(|verb| verb.as_str() == text)
}

/// Whether a URL's host and port are an address that we listen on ourselves.
fn leads_to(server: &str, own: &str) -> bool {
    let Ok(uri) = server.parse::<http::Uri>() else {
        return false;
    };
    let host = uri
        .host()
        .unwrap_or_default()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(443);
    let Some((own_host, own_port)) = own.rsplit_once(':') else {
        return false;
    };
    let own_host = own_host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |host: &str| {
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    own_port.parse() == Ok(port) && (host == own_host || is_loopback(host) && is_loopback(own_host))
}

/// A DNS subdomain (RFC 1123), as Secrets are named; it becomes a directory's name.
fn is_secret_name(name: &str) -> bool {
    name.parse::<ClusterName>().is_ok()
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a ClusterName>) -> String {
    let known: BTreeSet<&str> = known.map(ClusterName::as_str).collect();
    let known: Vec<&str> = known.into_iter().collect();
    format!("there is no cluster {name:?}; there are {}", known.join(", "))
}

fn line<T>(spanned: &Spanned<T>) -> Option<u64> {
    Some(spanned.referenced.line()).filter(|line| *line > 0)
}

fn fault(source: &str, line: Option<u64>, problem: String) -> Fault {
    Fault {
        source: source.to_owned(),
        line,
        problem,
    }
}
