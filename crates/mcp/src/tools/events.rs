//! `events`: what happened lately, the same thing told once.

use std::collections::HashMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Context, Tool, count, each, read, schema, seconds, text};
use crate::{
    answer::{Answer, Content, Rank, Section, Table, name},
    cluster::{Cluster, check_namespace, query},
    error::ToolError,
};

/// Events that are read at most, newest or not: the API server has no order for them.
const READ: u32 = 2_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Namespace; without it, all.
    namespace: Option<String>,
    /// Cluster name; "*" asks all.
    cluster: Option<String>,
    /// Only about this object, by its name.
    object: Option<String>,
    /// Only about this kind, as the object writes it: Pod
    kind: Option<String>,
    /// Warnings only.
    #[serde(default)]
    warnings: bool,
    /// Only of the last 15m, 2h, ...
    since: Option<String>,
}

pub(super) fn tool() -> Tool {
    Tool {
        name: "events",
        title: "Events",
        description: "What happened lately: warnings and newest first, repeated events folded.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

/// Which events.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) namespace: Option<String>,
    pub(super) object: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) warnings: bool,
    pub(super) after: Option<Timestamp>,
}

/// The same thing that happened several times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) last: Option<Timestamp>,
    pub(super) times: u64,
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) object: String,
    pub(super) message: String,
}

async fn call(context: Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let after = match &arguments.since {
        Some(since) => {
            let ago = i64::try_from(seconds(since, "since")?).unwrap_or(i64::MAX);
            Timestamp::from_second(Timestamp::now().as_second().saturating_sub(ago)).ok()
        }
        None => None,
    };
    let place = match &arguments.namespace {
        Some(namespace) => format!(" in namespace {}", name(namespace)),
        None => String::new(),
    };
    let filter = Filter {
        namespace: arguments.namespace,
        object: arguments.object,
        kind: arguments.kind,
        warnings: arguments.warnings,
        after,
    };
    let clusters = context.several(arguments.cluster.as_deref()).await?;
    let sections = context.ask_each(clusters, |cluster| {
        let filter = &filter;
        async move {
            let (happenings, is_whole) = find(&cluster, filter).await?;
            let mut heading = count(happenings.len(), "event").into_owned();
            if !is_whole {
                heading =
                    format!("{heading} of the first {READ} (there are more: give a namespace or an object)");
            }
            Ok(vec![
                Section::new(Rank::Essential, table(&happenings)).under(heading),
            ])
        }
    });
    Ok(Answer {
        sections: sections.await?,
        ..Answer::new(format!("events{place}"))
    })
}

/// Those that pass, folded, what matters first. Says whether all were read.
pub(super) async fn find(cluster: &Cluster, filter: &Filter) -> Result<(Vec<Happening>, bool), ToolError> {
    let path = match &filter.namespace {
        Some(namespace) => format!("/api/v1/namespaces/{}/events", check_namespace(namespace)?),
        None => "/api/v1/events".to_owned(),
    };
    let mut selector = Vec::new();
    for (field, value) in [
        ("involvedObject.name", &filter.object),
        ("involvedObject.kind", &filter.kind),
    ] {
        if let Some(value) = value {
            if value.contains([',', '=', '\\', '!']) {
                return Err(ToolError::arguments(format!(
                    "{field} can't have ',', '=', '!' or '\\' in it"
                )));
            }
            selector.push(format!("{field}={value}"));
        }
    }
    if filter.warnings {
        selector.push("type=Warning".to_owned());
    }
    let selector = (!selector.is_empty()).then(|| selector.join(","));
    let query = query([("limit", Some(READ.to_string())), ("fieldSelector", selector)]);
    let list = cluster.get(&format!("{path}{query}")).await?;
    let happenings = fold(
        each(&list, "/items").filter(|event| filter.after.is_none_or(|after| when(event) >= Some(after))),
    );
    Ok((happenings, text(&list, "/metadata/continue").is_empty()))
}

/// As a table: kubectl's columns, without repeats.
pub(super) fn table(happenings: &[Happening]) -> Content {
    let now = Timestamp::now();
    let row = |happening: &Happening| {
        vec![
            happening.last.map(|last| age(now, last)).unwrap_or_default(),
            happening.times.to_string(),
            happening.kind.clone(),
            happening.reason.clone(),
            happening.object.clone(),
            happening.message.clone(),
        ]
    };
    Content::Table(Table {
        columns: ["AGE", "TIMES", "TYPE", "REASON", "OBJECT", "MESSAGE"]
            .map(str::to_owned)
            .into(),
        rows: happenings.iter().map(row).collect(),
    })
}

/// Events of both APIs' fields: `events.k8s.io` writes `series` and `eventTime`, the old one `count` and `lastTimestamp`.
fn fold<'a>(events: impl Iterator<Item = &'a Value>) -> Vec<Happening> {
    let mut found: HashMap<[&str; 4], Happening> = HashMap::new();
    let mut objects: HashMap<&'a str, String> = HashMap::new();
    for event in events {
        let uid = text(event, "/involvedObject/uid");
        let object = objects.entry(uid).or_insert_with(|| object(event)).clone();
        let key = [
            text(event, "/type"),
            text(event, "/reason"),
            uid,
            text(event, "/message"),
        ];
        let times = event
            .pointer("/series/count")
            .or_else(|| event.get("count"))
            .and_then(Value::as_u64);
        let last = when(event);
        let happening = found.entry(key).or_insert_with(|| Happening {
            last: None,
            times: 0,
            kind: key[0].to_owned(),
            reason: key[1].to_owned(),
            object,
            message: key[3].to_owned(),
        });
        happening.times = happening.times.saturating_add(times.unwrap_or(1).max(1));
        happening.last = happening.last.max(last);
    }
    let mut found: Vec<Happening> = found.into_values().collect();
    found.sort_by(|a, b| {
        let is_normal = |happening: &Happening| happening.kind == "Normal";
        (is_normal(a), b.last, &a.object, &a.reason, &a.message).cmp(&(
            is_normal(b),
            a.last,
            &b.object,
            &b.reason,
            &b.message,
        ))
    });
    found
}

fn object(event: &Value) -> String {
    let object = &event["involvedObject"];
    let (kind, name) = (text(object, "/kind"), text(object, "/name"));
    match text(object, "/namespace") {
        "" => format!("{kind}/{name}"),
        namespace => format!("{kind}/{namespace}/{name}"),
    }
}

fn when(event: &Value) -> Option<Timestamp> {
    [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/firstTimestamp",
        "/metadata/creationTimestamp",
    ]
    .into_iter()
    .find_map(|field| text(event, field).parse().ok())
}

/// `45s`, `12m`, `3h`, `5d`.
pub(super) fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(reason: &str, kind: &str, uid: &str, count: u64, last: &str) -> Value {
        json!({"type": kind, "reason": reason, "message": "m", "count": count, "lastTimestamp": last,
            "involvedObject": {"kind": "Pod", "namespace": "a", "name": uid, "uid": uid}})
    }

    #[test]
    fn the_same_thing_is_told_once_and_warnings_first() {
        let events = [
            event("Started", "Normal", "p", 1, "2026-01-01T00:09:00Z"),
            event("BackOff", "Warning", "p", 3, "2026-01-01T00:01:00Z"),
            event("BackOff", "Warning", "p", 4, "2026-01-01T00:05:00Z"),
            event("BackOff", "Warning", "q", 1, "2026-01-01T00:06:00Z"),
        ];
        let found = fold(events.iter());
        let told: Vec<_> = found.iter().map(|h| (&*h.reason, &*h.object, h.times)).collect();
        assert_eq!(
            told,
            [
                ("BackOff", "Pod/a/q", 1),
                ("BackOff", "Pod/a/p", 7),
                ("Started", "Pod/a/p", 1)
            ]
        );
        assert_eq!(
            found[1].last,
            Some("2026-01-01T00:05:00Z".parse().expect("a time"))
        );
    }

    #[test]
    fn both_forms_of_events_are_read() {
        let new = json!({"type": "Warning", "reason": "X", "eventTime": "2026-01-01T00:00:00.5Z", "lastTimestamp": null,
            "series": {"count": 9, "lastObservedTime": "2026-01-01T01:00:00Z"}});
        let found = fold([&new, &json!({})].into_iter());
        assert_eq!((found[0].times, found[1].times), (9, 1));
        assert_eq!(
            found[0].last,
            Some("2026-01-01T01:00:00Z".parse().expect("a time"))
        );
    }

    #[test]
    fn ages_are_short() {
        let now: Timestamp = "2026-01-03T00:00:00Z".parse().expect("a time");
        for (then, told) in [
            ("2026-01-02T23:59:15Z", "45s"),
            ("2026-01-02T23:00:00Z", "60m"),
            ("2026-01-02T00:00:00Z", "24h"),
            ("2025-12-31T00:00:00Z", "3d"),
            ("2027-01-01T00:00:00Z", "0s"),
        ] {
            assert_eq!(age(now, then.parse().expect("a time")), told);
        }
    }
}
