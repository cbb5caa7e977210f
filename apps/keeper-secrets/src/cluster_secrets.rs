//! Kubernetes Secrets in the pod's own namespace, written in the name of its service account.
//!
//! Only what we made is ever changed: a Secret has our label, or it isn't ours. Each pod that has one owns it beside the others,
//! so that it goes with the last of them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use mk8s_connect::in_cluster;
use mk8s_net::{Body, link::StreamCounters};
use mk8s_proxy::{Direct, upstream::Naming};
use mk8s_secrets::{contract::Mode, outputs::KubernetesSecret};
use serde_json::{Map, Value, json};

use crate::cli::Settings;

/// What tells a Secret of ours (<https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/>).
const LABEL: &str = "app.kubernetes.io/managed-by";
const OURS: &str = "keeper-secrets";
/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long an answer may be: a Secret has 1 MiB at most, a third more in base64, and its metadata.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
/// How often a Secret that others change at the same moment is read anew.
const TIMES: usize = 5;

/// When a Secret is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the pod's containers start.
    Start,
    /// Beside them.
    Later,
}

/// The way to the API server.
#[derive(Debug)]
pub(crate) struct ClusterSecrets {
    api_server: Arc<Direct>,
    namespace: String,
    pod: Pod,
}

#[derive(Debug)]
struct Pod {
    name: String,
    uid: String,
}

impl ClusterSecrets {
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        Self::connect(settings, &settings.service_account_dir).context("Kubernetes Secrets")
    }

    fn connect(settings: &Settings, account: &Path) -> anyhow::Result<Self> {
        let target = in_cluster::target(account, |name| std::env::var(name).ok())?;
        let namespace = match settings.pod_namespace.as_str() {
            "" => target.namespace.clone().context("POD_NAMESPACE is missing")?,
            namespace => namespace.to_owned(),
        };
        let direct = target.direct(Naming::AsSelf, Arc::new(StreamCounters::default()))?;
        Ok(Self {
            api_server: Arc::new(direct),
            namespace,
            pod: Pod {
                name: settings.pod_name.clone(),
                uid: settings.pod_uid.clone(),
            },
        })
    }

    /// Makes or changes a Secret, if there is anything to do. Whether there was.
    pub(crate) async fn write(&self, secret: &KubernetesSecret, when: When) -> anyhow::Result<bool> {
        for _ in 0..TIMES {
            let there = self.read(&secret.name).await?;
            let Some(wanted) = decide(secret, there.as_ref(), &self.pod, when)? else {
                return Ok(false);
            };
            let (method, path) = match there {
                None => (Method::POST, self.path("")),
                Some(_) => (Method::PUT, self.path(&secret.name)),
            };
            let (status, answer) = self.call(method, &path, Some(&wanted)).await?;
            match status {
                StatusCode::OK | StatusCode::CREATED => return Ok(true),
                // Somebody was faster: another pod of the same Deployment, say.
                StatusCode::CONFLICT => {}
                _ => bail!("{}", refused(status, &answer)),
            }
        }
        bail!("others change it all the time; write to a Secret of this pod's own")
    }

    async fn read(&self, name: &str) -> anyhow::Result<Option<Value>> {
        let (status, answer) = self.call(Method::GET, &self.path(name), None).await?;
        match status {
            StatusCode::OK => Ok(Some(answer)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => bail!("{}", refused(status, &answer)),
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::full(body.to_string())))?;
        let exchange = async {
            let response = self
                .api_server
                .ask_as_self(request)
                .await
                .map_err(anyhow::Error::from_boxed)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST_ANSWER)
                .collect()
                .await
                .map_err(anyhow::Error::from_boxed)?;
            Ok((
                status,
                serde_json::from_slice(&body.to_bytes()).unwrap_or_default(),
            ))
        };
        match tokio::time::timeout(CALL_LIMIT, exchange).await {
            Ok(answered) => answered,
            Err(_) => bail!("the API server doesn't answer within {} s", CALL_LIMIT.as_secs()),
        }
    }

    fn path(&self, name: &str) -> String {
        let base = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        match name {
            "" => base,
            name => format!("{base}/{name}"),
        }
    }
}

/// The API server's own words, and a remedy. Its answer to a refused write doesn't quote what was written.
fn refused(status: StatusCode, answer: &Value) -> String {
    let message: String = answer["message"]
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect();
    match status {
        StatusCode::FORBIDDEN => format!(
            "{message}; let the pod's service account get, create and update this Secret (docs/secrets.md has the Role)"
        ),
        _ => format!("the API server answers {status}: {message}"),
    }
}

/// The object to write; nothing, if all is as it should be.
fn decide(
    secret: &KubernetesSecret,
    there: Option<&Value>,
    pod: &Pod,
    when: When,
) -> anyhow::Result<Option<Value>> {
    let Some(there) = there else {
        let mut made = json!({
            "apiVersion": "v1", "kind": "Secret", "type": secret.kind.name(),
            "metadata": {"name": secret.name, "labels": {LABEL: OURS}},
            "data": data(secret),
        });
        if secret.owner_reference {
            made["metadata"]["ownerReferences"] = json!([owner(pod)]);
        }
        return Ok(Some(made));
    };
    let is_ours = there["metadata"]["labels"][LABEL] == OURS;
    // Beside the containers, what is there is what we made when they started.
    let mode = match (secret.mode, when) {
        (Mode::Fail | Mode::SkipIfExists, When::Later) if is_ours => Mode::Overwrite,
        // This very pod made it, and its init container was started once more.
        (Mode::Fail, When::Start) if is_ours && is_owner(there, pod) => Mode::Overwrite,
        (mode, _) => mode,
    };
    match mode {
        Mode::Fail => {
            bail!("it is there already, and keeper.security/k8s-secret-mode is fail; choose another name")
        }
        Mode::SkipIfExists => return Ok(None),
        Mode::Overwrite | Mode::Merge => {}
    }
    if !is_ours {
        bail!(
            "it isn't ours (it lacks the label {LABEL}: {OURS}), and nothing else is changed; choose another name, or give it the label"
        );
    }
    if there["immutable"] == true {
        bail!("it is immutable; delete it, or choose another name");
    }
    if there["type"] != secret.kind.name() {
        bail!(
            "it is of type {}, and a type can't be changed; delete it, or choose another name",
            there["type"]
        );
    }
    let mut wanted = there.clone();
    let mut values = match mode {
        Mode::Merge => there["data"].as_object().cloned().unwrap_or_default(),
        _ => Map::new(),
    };
    values.extend(data(secret));
    wanted["data"] = values.into();
    if secret.owner_reference {
        own(&mut wanted, pod);
    }
    Ok((wanted != *there).then_some(wanted))
}

/// Adds the pod to the owners of a Secret that pods own.
fn own(secret: &mut Value, pod: &Pod) {
    let owners = &mut secret["metadata"]["ownerReferences"];
    if !owners.is_array() {
        *owners = json!([]);
    }
    let has_it = is_owner(secret, pod);
    if let Some(owners) = secret["metadata"]["ownerReferences"].as_array_mut()
        && !has_it
    {
        owners.push(owner(pod));
    }
}

fn is_owner(secret: &Value, pod: &Pod) -> bool {
    let owners = secret["metadata"]["ownerReferences"].as_array();
    owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == pod.uid.as_str()))
}

fn owner(pod: &Pod) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid})
}

fn data(secret: &KubernetesSecret) -> Map<String, Value> {
    let all: BTreeMap<_, _> = secret.data.iter().collect();
    all.into_iter()
        .map(|(key, value)| (key.clone(), BASE64_STANDARD.encode(value.expose()).into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use mk8s_secrets::{Hidden, render::SecretKind};

    use super::*;

    fn pod() -> Pod {
        Pod {
            name: "app-1".to_owned(),
            uid: "u1".to_owned(),
        }
    }

    fn secret(mode: Mode) -> KubernetesSecret {
        KubernetesSecret {
            name: "made".to_owned(),
            kind: SecretKind::Opaque,
            data: BTreeMap::from([("password".to_owned(), Hidden::from("new"))]),
            mode,
            owner_reference: true,
        }
    }

    fn there(label: Option<&str>) -> Value {
        let mut there = json!({
            "metadata": {"name": "made", "resourceVersion": "7", "uid": "s"}, "type": "Opaque",
            "data": {"password": "b2xk", "other": "eA=="},
        });
        if let Some(label) = label {
            there["metadata"]["labels"] = json!({LABEL: label, "team": "a"});
        }
        there
    }

    #[test]
    fn one_that_isnt_there_is_made_with_our_label_and_its_owner() {
        let made = decide(&secret(Mode::Fail), None, &pod(), When::Start);
        let made = made.expect("decided").expect("made");
        assert_eq!(made["metadata"]["labels"][LABEL], OURS);
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "u1");
        assert_eq!(made["data"], json!({"password": "bmV3"}));
    }

    #[test]
    fn one_of_somebody_else_is_never_changed_nor_owned() {
        for mode in [Mode::Overwrite, Mode::Merge] {
            for label in [None, Some("helm")] {
                let error = decide(&secret(mode), Some(&there(label)), &pod(), When::Start);
                assert!(error.expect_err("refused").to_string().contains("isn't ours"));
            }
        }
    }

    #[test]
    fn modes_do_what_they_say() {
        let ours = there(Some(OURS));
        let decide = |mode| decide(&secret(mode), Some(&ours), &pod(), When::Start);
        let overwritten = decide(Mode::Overwrite).expect("decided").expect("changed");
        assert_eq!(overwritten["data"], json!({"password": "bmV3"}));
        assert_eq!(overwritten["metadata"]["resourceVersion"], "7");
        assert_eq!(overwritten["metadata"]["labels"]["team"], "a");
        let merged = decide(Mode::Merge).expect("decided").expect("changed");
        assert_eq!(merged["data"], json!({"password": "bmV3", "other": "eA=="}));
        assert_eq!(decide(Mode::SkipIfExists).expect("decided"), None);
        assert!(decide(Mode::Fail).is_err());
    }

    #[test]
    fn what_is_as_it_should_be_isnt_written_and_each_pod_owns_it() {
        let ours = there(Some(OURS));
        let first = decide(&secret(Mode::Overwrite), Some(&ours), &pod(), When::Start);
        let first = first.expect("decided").expect("changed");
        let again = decide(&secret(Mode::Overwrite), Some(&first), &pod(), When::Later);
        assert_eq!(again.expect("decided"), None);
        let other = Pod {
            name: "app-2".to_owned(),
            uid: "u2".to_owned(),
        };
        let owned = decide(&secret(Mode::Overwrite), Some(&first), &other, When::Start);
        let owners = owned.expect("decided").expect("changed")["metadata"]["ownerReferences"].clone();
        assert_eq!(owners.as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn a_pod_that_starts_again_finds_its_own() {
        let mut own = there(Some(OURS));
        own["metadata"]["ownerReferences"] = json!([owner(&pod())]);
        let again = decide(&secret(Mode::Fail), Some(&own), &pod(), When::Start);
        let again = again.expect("decided").expect("changed");
        assert_eq!(again["data"], json!({"password": "bmV3"}));
        own["metadata"]["labels"][LABEL] = "helm".into();
        assert!(decide(&secret(Mode::Fail), Some(&own), &pod(), When::Start).is_err());
    }

    #[test]
    fn a_type_or_an_immutable_one_is_said() {
        let mut other = there(Some(OURS));
        other["type"] = "kubernetes.io/tls".into();
        let error = decide(&secret(Mode::Overwrite), Some(&other), &pod(), When::Start);
        assert!(error.expect_err("refused").to_string().contains("type"));
        let mut fixed = there(Some(OURS));
        fixed["immutable"] = true.into();
        let error = decide(&secret(Mode::Overwrite), Some(&fixed), &pod(), When::Start);
        assert!(error.expect_err("refused").to_string().contains("immutable"));
    }
}
