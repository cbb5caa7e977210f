//! Says in the status of every Cluster and Route (`mca.k8s.io`) whether sidecars take it.
//!
//! Sidecars take all objects of their namespace over, or none, and so it is judged here: with one that is wrong, none of
//! that namespace is accepted, and the message says which to mend. What is written follows from what is there alone, so
//! it does no harm if two replicas write at once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams},
    core::{GroupVersionKind, PartialObjectMeta},
    runtime::{WatchStreamExt as _, watcher},
};
use mk8s_inject::contract::LISTEN_PORT;
use mk8s_model::ClusterName;
use mk8s_routing::{API_VERSION, HOME, RoutingError, Source, Table};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::config::NAME;

/// The kinds, and what stands for each in a path, in the order in which sidecars read them.
const KINDS: [(&str, &str); 2] = [("Cluster", "clusters"), ("Route", "routes")];
/// How often everything is looked at though nothing seems to have changed; the kinds may have been defined meanwhile.
const LOOK: Duration = Duration::from_secs(60);
/// Changes that come together are judged together.
const TOGETHER: Duration = Duration::from_millis(200);
/// How many objects are read in one call.
const PAGE: u32 = 500;
/// One round of work at most.
const ROUND_LIMIT: Duration = Duration::from_secs(60);
/// Longer messages are cut: the first fault is what is mended first.
const MAX_MESSAGE: usize = 1024;

/// Keeps the statuses of both kinds, in all namespaces.
pub(crate) struct Statuses {
    client: Client,
}

/// What is said of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    accepted: bool,
    reason: &'static str,
    message: String,
}

/// An object of either kind.
struct Found {
    kind: usize,
    object: DynamicObject,
}

impl Statuses {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Works for as long as it is run, and while this replica leads if there is a leader.
    pub(crate) async fn run(self, leading: Option<watch::Receiver<bool>>) {
        let Some(mut leading) = leading else {
            return self.work().await;
        };
        loop {
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.work() => {}
                _ = leading.wait_for(|leads| !*leads) => {}
            }
        }
    }

    async fn work(&self) {
        let (tell, mut heard) = mpsc::channel(1);
        let watching = KINDS.map(|kind| self.follow(kind, tell.clone()));
        let judging = async {
            let mut said = String::new();
            loop {
                let round = tokio::time::timeout(ROUND_LIMIT, self.round()).await;
                let text = match round {
                    Ok(Ok(())) => String::new(),
                    Ok(Err(error)) => format!("{error:#}"),
                    Err(_) => "the API server doesn't answer in time".to_owned(),
                };
                if !text.is_empty() && text != said {
                    warn!(error = %text, "can't keep the statuses of clusters and routes; trying again");
                }
                said = text;
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    Some(()) = heard.recv() => tokio::time::sleep(TOGETHER).await,
                }
            }
        };
        tokio::join!(judging, futures_util::future::join_all(watching));
    }

    /// Says whenever an object of a kind changed.
    async fn follow(&self, (kind, _): (&str, &str), tell: mpsc::Sender<()>) {
        let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(self.client.clone(), &resource(kind));
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        let mut complained: Option<Instant> = None;
        while let Some(event) = events.next().await {
            match event {
                // A full channel says it already.
                Ok(_) => drop(tell.try_send(())),
                // Nobody defined the kind: that is no trouble. Once an hour is enough for the rest.
                Err(error) if is_absent(&error) => {}
                Err(error) => {
                    if complained.is_none_or(|at| at.elapsed() > LOOK * 60) {
                        warn!(kind, %error, "can't watch");
                        complained = Some(Instant::now());
                    }
                }
            }
        }
    }

    async fn round(&self) -> anyhow::Result<()> {
        let mut namespaces: BTreeMap<String, Vec<Found>> = BTreeMap::new();
        for (kind, (name, _)) in KINDS.iter().enumerate() {
            for object in self.list(name).await? {
                let namespace = object.namespace().unwrap_or_default();
                namespaces
                    .entry(namespace)
                    .or_default()
                    .push(Found { kind, object });
            }
        }
        for (namespace, found) in namespaces {
            for (found, verdict) in found.iter().zip(judge(&found)?) {
                self.write(&namespace, found, &verdict).await?;
            }
        }
        Ok(())
    }

    /// All objects of a kind; none if nobody defined it.
    async fn list(&self, kind: &str) -> anyhow::Result<Vec<DynamicObject>> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(kind));
        let mut all = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = match api.list(&page).await {
                Ok(list) => list,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(all),
                Err(error) => return Err(error.into()),
            };
            all.extend(list.items);
            match list.metadata.continue_ {
                Some(more) if !more.is_empty() => page = page.continue_token(&more),
                _ => return Ok(all),
            }
        }
    }

    /// Writes a status, unless it says so already or the object changed meanwhile, in which case there is another round.
    async fn write(&self, namespace: &str, found: &Found, verdict: &Verdict) -> anyhow::Result<()> {
        let Some(status) = status(&found.object, verdict, Timestamp::now()) else {
            return Ok(());
        };
        let (kind, _) = KINDS[found.kind];
        let name = found.object.name_any();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource(kind));
        let patch =
            json!({"metadata": {"resourceVersion": found.object.resource_version()}, "status": status});
        let parameters = PatchParams {
            field_manager: Some(NAME.to_owned()),
            ..PatchParams::default()
        };
        match api.patch_status(&name, &parameters, &Patch::Merge(patch)).await {
            Ok(_) => {
                info!(kind, namespace, name, accepted = verdict.accepted, message = %verdict.message, "status");
                Ok(())
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A namespace's objects as a sidecar would read them.
fn judge(found: &[Found]) -> anyhow::Result<Vec<Verdict>> {
    let sources: Vec<Source> = found.iter().map(Found::source).collect();
    let home: ClusterName = HOME.parse()?;
    let own = ["127.0.0.1", "[::1]"].map(|host| format!("{host}:{LISTEN_PORT}"));
    let faults = match Table::read(&sources, &home, &own) {
        Ok(_) => Vec::new(),
        Err(RoutingError(faults)) => faults,
    };
    let verdicts = sources.iter().map(|source| {
        let own: Vec<&str> = faults
            .iter()
            .filter(|fault| fault.source == source.name)
            .map(|fault| fault.problem.as_str())
            .collect();
        if !own.is_empty() {
            return Verdict::refused("Invalid", &own.join("; "));
        }
        match faults.first() {
            None => Verdict {
                accepted: true,
                reason: "Accepted",
                message: String::new(),
            },
            Some(fault) => Verdict::refused(
                "OtherInvalid",
                &format!(
                    "sidecars go on with what they had, because {}: {}",
                    fault.source, fault.problem
                ),
            ),
        }
    });
    Ok(verdicts.collect())
}

impl Found {
    fn source(&self) -> Source {
        let (kind, plural) = KINDS[self.kind];
        Source::custom_resource(kind, plural, &self.object.name_any(), &self.object.data["spec"])
    }
}

impl Verdict {
    fn refused(reason: &'static str, message: &str) -> Self {
        Self {
            accepted: false,
            reason,
            message: message.chars().take(MAX_MESSAGE).collect(),
        }
    }
}

/// The status to be written, if it isn't there already. A condition's time is when its status last changed
/// (`k8s.io/apimachinery`, `metav1.Condition`).
fn status(object: &DynamicObject, verdict: &Verdict, now: Timestamp) -> Option<Value> {
    let generation = object.metadata.generation;
    let before = &object.data["status"];
    let conditions = before["conditions"].as_array();
    let condition = conditions.and_then(|all| all.iter().find(|condition| condition["type"] == "Accepted"));
    let accepted = if verdict.accepted { "True" } else { "False" };
    let since = condition
        .filter(|condition| condition["status"] == accepted)
        .map(|condition| condition["lastTransitionTime"].clone())
        .filter(Value::is_string);
    let is_new = since.is_none();
    let wanted = json!({
        "type": "Accepted",
        "status": accepted,
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": generation,
        "lastTransitionTime": since.unwrap_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()),
    });
    if !is_new && condition == Some(&wanted) && before["observedGeneration"] == json!(generation) {
        return None;
    }
    Some(json!({"observedGeneration": generation, "conditions": [wanted]}))
}

fn resource(kind: &str) -> ApiResource {
    let (group, version) = API_VERSION.split_once('/').unwrap_or(("", API_VERSION));
    let (_, plural) = KINDS.iter().find(|(name, _)| *name == kind).unwrap_or(&KINDS[0]);
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

fn is_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: usize, name: &str, spec: &Value) -> Found {
        let (kind_name, _) = KINDS[kind];
        let object = json!({
            "apiVersion": API_VERSION, "kind": kind_name,
            "metadata": {"name": name, "namespace": "n", "generation": 3}, "spec": spec,
        });
        Found {
            kind,
            object: serde_json::from_value(object).expect("an object"),
        }
    }

    #[test]
    fn one_that_is_wrong_keeps_all_of_its_namespace_back_and_is_named() {
        let objects = [
            found(0, "west", &json!({"server": "https://west.example"})),
            found(1, "good", &json!({"clusters": ["west"]})),
            found(1, "wrong", &json!({"clusters": ["nowhere"]})),
        ];
        let verdicts = judge(&objects).expect("judged");
        assert_eq!(verdicts[2].reason, "Invalid");
        assert!(verdicts[2].message.contains("nowhere"), "{:?}", verdicts[2]);
        for verdict in &verdicts[..2] {
            assert_eq!((verdict.accepted, verdict.reason), (false, "OtherInvalid"));
            assert!(verdict.message.contains("routes.mca.k8s.io/wrong"), "{verdict:?}");
        }
        let verdicts = judge(&objects[..2]).expect("judged");
        assert!(verdicts.iter().all(|verdict| verdict.accepted), "{verdicts:?}");
    }

    #[test]
    fn a_cluster_that_leads_back_to_the_sidecar_is_not_accepted() {
        let verdicts = judge(&[found(0, "loop", &json!({"server": "https://127.0.0.1:6443"}))]);
        let verdicts = verdicts.expect("judged");
        assert!(verdicts[0].message.contains("circle"), "{verdicts:?}");
    }

    #[test]
    fn a_status_is_written_once_and_keeps_the_time_of_its_last_change() {
        let mut object = found(0, "west", &json!({"server": "https://west.example"})).object;
        let refused = Verdict::refused("Invalid", "no");
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::now());
        let first = status(&object, &refused, then).expect("nothing was said yet");
        assert_eq!(
            first["conditions"][0]["lastTransitionTime"],
            "1970-01-01T00:00:00Z"
        );
        object.data["status"] = first;
        assert_eq!(status(&object, &refused, now), None, "it says so already");
        let other = status(&object, &Verdict::refused("Invalid", "still no"), now).expect("another message");
        assert_eq!(
            other["conditions"][0]["lastTransitionTime"],
            "1970-01-01T00:00:00Z"
        );
        object.metadata.generation = Some(4);
        let newer = status(&object, &refused, now).expect("a new generation was looked at");
        assert_eq!(newer["observedGeneration"], 4);
        let verdict = Verdict {
            accepted: true,
            reason: "Accepted",
            message: String::new(),
        };
        let accepted = status(&object, &verdict, now).expect("it changed");
        assert_ne!(
            accepted["conditions"][0]["lastTransitionTime"],
            "1970-01-01T00:00:00Z"
        );
    }
}
