//! Somebody who sees too little, or too much: what the API server says of them, and what their teams' label shows.

use mk8s_model::Teams;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    apiserver::Service,
    cluster::{Cluster, text_at},
    report::Report,
};
use crate::{error::Result, home::shell_word};

/// The configuration of mk8s-apiserver, as far as it says which namespaces are whose; the defaults are its own.
#[derive(Debug, Default, Deserialize)]
struct Configuration {
    #[serde(default)]
    namespaces: Teams,
}

/// Two rows: whether they may list all namespaces, and which ones they are shown otherwise.
pub(super) fn look(
    cluster: &Cluster<'_>,
    service: &Service,
    user: &str,
    groups: &[String],
    report: &mut Report,
) -> Result<()> {
    const REVIEW: &str = "review";
    const SHOWN: &str = "namespaces shown";
    let asked = match cluster.json(&["create", "-f", "-"], Some(&review(user, groups)))? {
        Ok(answer) => answer,
        Err(why) => {
            report.warn(
                REVIEW,
                why,
                "run this as somebody who may create subjectaccessreviews",
            );
            return Ok(());
        }
    };
    let is_allowed = asked.pointer("/status/allowed").and_then(Value::as_bool) == Some(true);
    let reason = match text_at(&asked, "/status/reason") {
        "" => String::new(),
        reason => format!(": {reason}"),
    };
    if is_allowed {
        report.ok(REVIEW, format!("{user} may list namespaces{reason}"));
        report.ok(SHOWN, "all");
        return Ok(());
    }
    let in_groups: String = groups.iter().map(|group| format!(", {group}")).collect();
    report.ok(
        REVIEW,
        format!("{user} (system:authenticated{in_groups}) may not list all namespaces{reason}"),
    );
    let ours = configuration(cluster, service)?;
    let (label, teams) = (&ours.team_label, ours.of(groups.iter().map(String::as_str)));
    if teams.is_empty() {
        report.warn(
            SHOWN,
            format!("none: no group of {user} is a team"),
            format!("name all groups with --group, as they stand in the certificate; if {user} should see all: kubectl create clusterrolebinding NAME --clusterrole view --user {}", shell_word(user.as_ref())),
        );
        return Ok(());
    }
    let selector = format!("{label} in ({})", teams.join(","));
    match cluster.text(&["get", "namespaces", "-l", &selector, "-o", "name"], None)? {
        Err(why) => report.warn(SHOWN, why, "run this as somebody who may list namespaces"),
        Ok(text) => {
            let names: Vec<&str> = text
                .lines()
                .map(|line| line.strip_prefix("namespace/").unwrap_or(line))
                .collect();
            if names.is_empty() {
                report.warn(
                    SHOWN,
                    format!("none has a label {selector}"),
                    format!("kubectl label namespace NAME {label}={}", teams[0]),
                );
            } else {
                report.ok(SHOWN, format!("{} ({selector})", names.join(", ")));
            }
        }
    }
    Ok(())
}

/// As mk8s-apiserver asks: whoever comes through the API server has the group system:authenticated, too.
fn review(user: &str, groups: &[String]) -> String {
    let all: Vec<&str> = groups
        .iter()
        .map(String::as_str)
        .chain(["system:authenticated"])
        .collect();
    json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": all, "resourceAttributes": {"verb": "list", "resource": "namespaces"}},
    })
    .to_string()
}

/// What the ConfigMap beside the Service says; the defaults if it can't be read.
fn configuration(cluster: &Cluster<'_>, service: &Service) -> Result<Teams> {
    let arguments = ["get", "configmap", &service.name, "-n", &service.namespace];
    let map = cluster.json(&arguments, None)?.unwrap_or(Value::Null);
    let text = text_at(&map, "/data/apiserver.yaml");
    let read = serde_saphyr::from_str::<Configuration>(text);
    Ok(read.unwrap_or_default().namespaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn teams_are_told_from_groups_as_the_server_does() {
        let groups = ["dev", "oidc:ops", "system:masters", "a b", "admins"];
        let read: Configuration = serde_saphyr::from_str(
            "server: {port: 1}\nnamespaces: {team_label: owner, group_prefix: 'oidc:', teams: [{group: admins, teams: [x, y]}]}",
        )
        .expect("YAML");
        assert_eq!(read.namespaces.team_label, "owner");
        assert_eq!(read.namespaces.of(groups), ["ops", "x", "y"]);
    }
}
