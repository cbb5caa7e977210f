//! What a pod's author asks for in labels and annotations.

use std::{
    collections::BTreeSet,
    num::{NonZeroU16, NonZeroU32},
    str::FromStr,
};

use serde_json::{Map, Value};

use crate::{
    contract::{self, *},
    quantity::Quantity,
    refused::Refused,
    settings::{GroupId, Order, Resource, Settings, UserId},
};

/// The settings of one pod: the operator's, with what its annotations change, and what only a pod can say.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) settings: Settings,
    pub(crate) excluded: BTreeSet<String>,
    pub(crate) allow_automount: bool,
    pub(crate) allow_shared_process_namespace: bool,
    pub(crate) config: Option<String>,
    pub(crate) credentials: Vec<String>,
    /// Annotations of our prefix that nobody knows.
    pub(crate) unknown: Vec<String>,
}

/// Every annotation that has a meaning.
const KNOWN: [&str; 20] = [
    ORDER_ANNOTATION,
    EXCLUDE_CONTAINERS_ANNOTATION,
    ALLOW_AUTOMOUNT_ANNOTATION,
    ALLOW_SHARED_PROCESS_NAMESPACE_ANNOTATION,
    RUN_AS_USER_ANNOTATION,
    RUN_AS_GROUP_ANNOTATION,
    CPU_REQUEST_ANNOTATION,
    CPU_LIMIT_ANNOTATION,
    MEMORY_REQUEST_ANNOTATION,
    MEMORY_LIMIT_ANNOTATION,
    CONFIG_ANNOTATION,
    CREDENTIALS_ANNOTATION,
    METRICS_PORT_ANNOTATION,
    LOG_ANNOTATION,
    QPS_ANNOTATION,
    BURST_ANNOTATION,
    CACHE_SECONDS_ANNOTATION,
    OTLP_ENDPOINT_ANNOTATION,
    CUSTOM_RESOURCES_ANNOTATION,
    INJECTED_ANNOTATION,
];
/// A pod has as many volumes as a node can bear; these are for one annotation.
const MOST_CREDENTIALS: usize = 64;
const LONGEST_LOG_FILTER: usize = 1024;

impl Wishes {
    /// Reads annotations, which override `settings`.
    pub(crate) fn read(
        annotations: Option<&Map<String, Value>>,
        settings: &Settings,
    ) -> Result<Self, Refused> {
        let read = Annotations(annotations);
        let mut settings = settings.clone();
        if let Some(order) = read.parsed(ORDER_ANNOTATION, order)? {
            settings.order = order;
        }
        if let Some(uid) = read.parsed(RUN_AS_USER_ANNOTATION, unset_or::<UserId>)? {
            settings.uid = uid;
        }
        if let Some(gid) = read.parsed(RUN_AS_GROUP_ANNOTATION, unset_or::<GroupId>)? {
            settings.gid = gid;
        }
        if let Some(port) = read.parsed(METRICS_PORT_ANNOTATION, port)? {
            settings.metrics_port = Some(port);
        }
        if let Some(log) = read.parsed(LOG_ANNOTATION, log_filter)? {
            settings.log = Some(log);
        }
        let options = &mut settings.options;
        if let Some(qps) = read.parsed(QPS_ANNOTATION, number)? {
            options.qps = Some(qps);
        }
        if let Some(burst) = read.parsed(BURST_ANNOTATION, number)? {
            options.burst = Some(burst);
        }
        if let Some(seconds) = read.parsed(CACHE_SECONDS_ANNOTATION, cache_seconds)? {
            options.cache_seconds = Some(seconds);
        }
        if let Some(endpoint) = read.parsed(OTLP_ENDPOINT_ANNOTATION, str::parse)? {
            options.otlp_endpoint = Some(endpoint);
        }
        if let Some(custom_resources) = read.parsed(CUSTOM_RESOURCES_ANNOTATION, flag)? {
            options.custom_resources = custom_resources;
        }
        let quantity = |name| {
            read.parsed(name, |text| {
                text.parse::<Quantity>().map_err(|_| QUANTITY.to_owned())
            })
        };
        for (name, resource) in [
            (CPU_REQUEST_ANNOTATION, Resource::Cpu),
            (MEMORY_REQUEST_ANNOTATION, Resource::Memory),
        ] {
            settings
                .resources
                .requests
                .extend(quantity(name)?.map(|quantity| (resource, quantity)));
        }
        for (name, resource) in [
            (CPU_LIMIT_ANNOTATION, Resource::Cpu),
            (MEMORY_LIMIT_ANNOTATION, Resource::Memory),
        ] {
            settings
                .resources
                .limits
                .extend(quantity(name)?.map(|quantity| (resource, quantity)));
        }
        Ok(Self {
            excluded: read
                .parsed(EXCLUDE_CONTAINERS_ANNOTATION, names)?
                .unwrap_or_default()
                .into_iter()
                .collect(),
            allow_automount: read.parsed(ALLOW_AUTOMOUNT_ANNOTATION, flag)?.unwrap_or(false),
            allow_shared_process_namespace: read
                .parsed(ALLOW_SHARED_PROCESS_NAMESPACE_ANNOTATION, flag)?
                .unwrap_or(false),
            config: read.parsed(CONFIG_ANNOTATION, name)?,
            credentials: read
                .parsed(CREDENTIALS_ANNOTATION, credentials)?
                .unwrap_or_default(),
            unknown: read.unknown(),
            settings,
        })
    }
}

/// Whether the pod's label opts it out.
pub(crate) fn opted_out(labels: Option<&Map<String, Value>>) -> bool {
    let label = labels
        .and_then(|labels| labels.get(INJECT_LABEL))
        .and_then(Value::as_str);
    label.is_some_and(|value| value.eq_ignore_ascii_case("false"))
}

const QUANTITY: &str = "is no quantity; write it like 100m, 0.5 or 64Mi";

struct Annotations<'a>(Option<&'a Map<String, Value>>);

impl Annotations<'_> {
    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Refused> {
        let Some(value) = self.0.and_then(|annotations| annotations.get(name)) else {
            return Ok(None);
        };
        let Some(text) = value.as_str() else {
            let problem = "isn't text; put it into quotes";
            return Err(Refused::annotation(name, &value.to_string(), problem));
        };
        parse(text.trim())
            .map(Some)
            .map_err(|problem| Refused::annotation(name, text, problem))
    }

    fn unknown(&self) -> Vec<String> {
        let names = self.0.into_iter().flat_map(Map::keys);
        let unknown = |name: &&String| {
            name.starts_with(ANNOTATION_PREFIX)
                && !KNOWN.contains(&name.as_str())
                && *name != contract::INJECT_LABEL
        };
        names.filter(unknown).cloned().collect()
    }
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "first" => Ok(Order::First),
        "last" => Ok(Order::Last),
        _ => Err("is neither \"first\" nor \"last\"; write one of them".to_owned()),
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither \"true\" nor \"false\"; write one of them".to_owned()),
    }
}

/// A number, or `unset`.
fn unset_or<T: FromStr<Err = crate::settings::InvalidSetting>>(text: &str) -> Result<Option<T>, String> {
    if text == "unset" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        "is no ID that the sidecar can have; write a number up to 2147483647 (a UID not 0), or \"unset\""
            .to_owned()
    })
}

fn port(text: &str) -> Result<NonZeroU16, String> {
    match text.parse::<NonZeroU16>() {
        Ok(port) if port.get() == LISTEN_PORT => {
            Err("is where the sidecar serves the API; choose another".to_owned())
        }
        Ok(port) => Ok(port),
        Err(_) => Err("is no port; write a number from 1 to 65535".to_owned()),
    }
}

fn number(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| "is no number of requests; write one from 1".to_owned())
}

fn cache_seconds(text: &str) -> Result<NonZeroU16, String> {
    match text.parse::<NonZeroU16>() {
        Ok(seconds) if seconds.get() <= 3600 => Ok(seconds),
        _ => Err("is no age of a cache; write whole seconds from 1 to 3600".to_owned()),
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    if text.is_empty()
        || text.len() > LONGEST_LOG_FILTER
        || text.contains(|c: char| c.is_control() || c == '$')
    {
        return Err("is no log filter; write it like info or mk8s_proxy=debug".to_owned());
    }
    Ok(text.to_owned())
}

/// Names by comma.
fn names(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

/// The name of a ConfigMap or Secret: a DNS subdomain (RFC 1123), as Kubernetes wants it.
fn name(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        edge(label.bytes().next())
            && edge(label.bytes().last())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if text.len() > 253 || !text.split('.').all(is_label) {
        return Err("is no name; write lower-case letters, digits, '-' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

fn credentials(text: &str) -> Result<Vec<String>, String> {
    let names = names(text)?
        .iter()
        .map(|text| name(text))
        .collect::<Result<Vec<_>, _>>()?;
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() < names.len() {
        return Err("names a Secret twice; name it once".to_owned());
    }
    if names.len() > MOST_CREDENTIALS {
        return Err(format!(
            "names {} Secrets; name at most {MOST_CREDENTIALS}",
            names.len()
        ));
    }
    Ok(names)
}
