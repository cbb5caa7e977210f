//! In which namespaces RBAC lets somebody list a resource: the cluster's roles and bindings, kept up to date by watches, and
//! read as the API server's own authorizer reads them (`k8s.io/kubernetes/pkg/registry/rbac/validation/rule.go`).
//!
//! One question to the API server for each namespace would be thousands of calls; this is none.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt as _, watcher},
};
use mk8s_model::GroupResource;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::requester::Requester;

/// Changes that come close together are taken together.
const SETTLE: Duration = Duration::from_millis(100);
const SERVICE_ACCOUNT: &str = "ServiceAccount";

/// Where somebody may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Granted {
    /// In all namespaces, those to come included.
    Everywhere,
    /// In these.
    In(BTreeSet<Box<str>>),
}

/// What is granted to whom, as of now.
pub(crate) struct Grants {
    raw: Mutex<Raw>,
    current: ArcSwap<Snapshot>,
    moved: Notify,
    version: watch::Sender<u64>,
}

/// The objects as they came, by their keys.
#[derive(Default)]
struct Raw {
    roles: HashMap<(String, String), Arc<[PolicyRule]>>,
    cluster_roles: HashMap<String, Arc<[PolicyRule]>>,
    bindings: HashMap<(String, String), Bound>,
    cluster_bindings: HashMap<String, Bound>,
    /// Which of the four have been read.
    complete: [bool; 4],
}

#[derive(Clone)]
struct Bound {
    role: RoleRef,
    subjects: Arc<[Subject]>,
}

/// The rules that each user and group has, and where.
#[derive(Default)]
struct Snapshot {
    of_user: HashMap<Box<str>, Vec<Given>>,
    of_group: HashMap<Box<str>, Vec<Given>>,
}

#[derive(Clone)]
struct Given {
    /// None: everywhere.
    namespace: Option<Box<str>>,
    rules: Arc<[PolicyRule]>,
}

/// One of the four kinds, as it is kept.
trait Kept:
    kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static
{
    const AT: usize;
    fn clear(raw: &mut Raw);
    fn put(self, raw: &mut Raw);
    fn take(&self, raw: &mut Raw);
}

macro_rules! kept {
    ($kind:ty, $at:literal, $map:ident, $key:expr, $value:expr) => {
        impl Kept for $kind {
            const AT: usize = $at;
            fn clear(raw: &mut Raw) {
                raw.$map.clear();
            }
            fn put(self, raw: &mut Raw) {
                let key = $key(&self);
                let value = $value(self);
                raw.$map.insert(key, value);
            }
            fn take(&self, raw: &mut Raw) {
                raw.$map.remove(&$key(self));
            }
        }
    };
}

kept!(Role, 0, roles, namespaced, |role: Role| role
    .rules
    .unwrap_or_default()
    .into());
kept!(ClusterRole, 1, cluster_roles, named, |role: ClusterRole| role
    .rules
    .unwrap_or_default()
    .into());
kept!(RoleBinding, 2, bindings, namespaced, |binding: RoleBinding| {
    Bound {
        role: binding.role_ref,
        subjects: binding.subjects.unwrap_or_default().into(),
    }
});
kept!(
    ClusterRoleBinding,
    3,
    cluster_bindings,
    named,
    |binding: ClusterRoleBinding| Bound {
        role: binding.role_ref,
        subjects: binding.subjects.unwrap_or_default().into(),
    }
);

fn namespaced<K: kube::Resource>(object: &K) -> (String, String) {
    let meta = object.meta();
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

fn named<K: kube::Resource>(object: &K) -> String {
    object.meta().name.clone().unwrap_or_default()
}

impl Grants {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            raw: Mutex::default(),
            current: ArcSwap::default(),
            moved: Notify::new(),
            version: watch::Sender::new(0),
        })
    }

    /// Keeps everything up to date, until it is dropped.
    pub(crate) async fn follow(self: Arc<Self>, client: Client) {
        tokio::join!(
            self.watch::<Role>(&client),
            self.watch::<ClusterRole>(&client),
            self.watch::<RoleBinding>(&client),
            self.watch::<ClusterRoleBinding>(&client),
            self.settle(),
        );
    }

    /// Moves whenever something is granted or taken away; 0 until all has been read once.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Whether all has been read once.
    pub(crate) fn is_complete(&self) -> bool {
        *self.version.borrow() > 0
    }

    /// Where they may do this.
    pub(crate) fn granted(&self, requester: &Requester, verb: &str, resource: &GroupResource) -> Granted {
        self.current.load().granted(requester, verb, resource)
    }

    async fn watch<K: Kept>(&self, client: &Client) {
        let api: Api<K> = Api::all(client.clone());
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
        loop {
            match events.try_next().await {
                Ok(Some(event)) => self.apply(event),
                Ok(None) => return,
                Err(error) => {
                    warn!(kind = %K::kind(&()), %error, "can't read what is granted; what was known stays");
                }
            }
        }
    }

    fn apply<K: Kept>(&self, event: watcher::Event<K>) {
        let mut raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => {
                // Until all is there again, the snapshot stays what it was.
                raw.complete[K::AT] = false;
                K::clear(&mut raw);
            }
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => object.put(&mut raw),
            watcher::Event::Delete(object) => object.take(&mut raw),
            watcher::Event::InitDone => raw.complete[K::AT] = true,
        }
        let is_complete = raw.complete == [true; 4];
        drop(raw);
        if is_complete {
            self.moved.notify_one();
        }
    }

    async fn settle(&self) {
        loop {
            self.moved.notified().await;
            tokio::time::sleep(SETTLE).await;
            let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
            if raw.complete != [true; 4] {
                continue;
            }
            let snapshot = Snapshot::of(&raw);
            drop(raw);
            self.current.store(Arc::new(snapshot));
            self.version.send_modify(|version| *version += 1);
        }
    }
}

impl Snapshot {
    fn of(raw: &Raw) -> Self {
        let mut snapshot = Self::default();
        for bound in raw.cluster_bindings.values() {
            if let Some(rules) = raw.cluster_roles.get(&bound.role.name) {
                snapshot.give(bound, None, rules);
            }
        }
        for ((namespace, _), bound) in &raw.bindings {
            let rules = match bound.role.kind.as_str() {
                "ClusterRole" => raw.cluster_roles.get(&bound.role.name),
                "Role" => raw.roles.get(&(namespace.clone(), bound.role.name.clone())),
                _ => None,
            };
            if let Some(rules) = rules {
                snapshot.give(bound, Some(namespace), rules);
            }
        }
        snapshot
    }

    fn give(&mut self, bound: &Bound, namespace: Option<&str>, rules: &Arc<[PolicyRule]>) {
        let given = Given {
            namespace: namespace.map(Into::into),
            rules: rules.clone(),
        };
        for subject in &*bound.subjects {
            let (map, name) = match subject.kind.as_str() {
                "User" => (&mut self.of_user, subject.name.clone()),
                "Group" => (&mut self.of_group, subject.name.clone()),
                SERVICE_ACCOUNT => {
                    let home = subject.namespace.as_deref().or(namespace).unwrap_or_default();
                    let name = format!("system:serviceaccount:{home}:{}", subject.name);
                    (&mut self.of_user, name)
                }
                _ => continue,
            };
            map.entry(name.into()).or_default().push(given.clone());
        }
    }

    fn granted(&self, requester: &Requester, verb: &str, resource: &GroupResource) -> Granted {
        let of_user = self.of_user.get(requester.name.as_str());
        let of_groups = requester
            .groups
            .iter()
            .filter_map(|group| self.of_group.get(group.as_str()));
        let mut namespaces = BTreeSet::new();
        for given in of_user.into_iter().chain(of_groups).flatten() {
            let is_new = given
                .namespace
                .as_ref()
                .is_none_or(|namespace| !namespaces.contains(namespace));
            if !is_new || !given.rules.iter().any(|rule| allows(rule, verb, resource)) {
                continue;
            }
            match &given.namespace {
                None => return Granted::Everywhere,
                Some(namespace) => {
                    namespaces.insert(namespace.clone());
                }
            }
        }
        Granted::In(namespaces)
    }
}

/// Whether a rule allows a verb on all objects of a resource. One that names its objects doesn't allow to list them.
fn allows(rule: &PolicyRule, verb: &str, resource: &GroupResource) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
    rule.resource_names.as_ref().is_none_or(Vec::is_empty)
        && has(&rule.verbs, verb)
        && rule
            .api_groups
            .as_ref()
            .is_some_and(|groups| has(groups, &resource.group))
        && rule
            .resources
            .as_ref()
            .is_some_and(|resources| has(resources, &resource.resource))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn raw(objects: &[Value]) -> Raw {
        let mut raw = Raw::default();
        for object in objects {
            let object = object.clone();
            match object["kind"].as_str().expect("a kind") {
                "Role" => serde_json::from_value::<Role>(object)
                    .expect("a Role")
                    .put(&mut raw),
                "ClusterRole" => serde_json::from_value::<ClusterRole>(object)
                    .expect("a ClusterRole")
                    .put(&mut raw),
                "RoleBinding" => serde_json::from_value::<RoleBinding>(object)
                    .expect("a RoleBinding")
                    .put(&mut raw),
                "ClusterRoleBinding" => serde_json::from_value::<ClusterRoleBinding>(object)
                    .expect("a ClusterRoleBinding")
                    .put(&mut raw),
                other => panic!("{other}"),
            }
        }
        raw
    }

    fn role(kind: &str, namespace: &str, name: &str, rule: Value) -> Value {
        json!({"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"namespace": namespace, "name": name}, "rules": [rule]})
    }

    fn binding(kind: &str, namespace: &str, name: &str, role: (&str, &str), subjects: Value) -> Value {
        json!({"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"namespace": namespace, "name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1}, "subjects": subjects})
    }

    fn pods() -> Value {
        json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]})
    }

    fn anna() -> Requester {
        Requester {
            name: "anna".to_owned(),
            groups: vec!["team-a".to_owned(), "system:authenticated".to_owned()],
            ..Requester::default()
        }
    }

    fn user(name: &str) -> Value {
        json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}])
    }

    fn where_anna_may(objects: &[Value], verb: &str, resource: &str) -> Granted {
        Snapshot::of(&raw(objects)).granted(&anna(), verb, &resource.parse().expect("a resource"))
    }

    fn namespaces(names: &[&str]) -> Granted {
        Granted::In(names.iter().map(|name| (*name).into()).collect())
    }

    #[test]
    fn bindings_of_users_and_groups_add_up() {
        let objects = [
            role("Role", "one", "reader", pods()),
            role("ClusterRole", "", "reader", pods()),
            binding("RoleBinding", "one", "anna", ("Role", "reader"), user("anna")),
            binding(
                "RoleBinding",
                "two",
                "team",
                ("ClusterRole", "reader"),
                json!([{"kind": "Group", "name": "team-a"}]),
            ),
            binding(
                "RoleBinding",
                "three",
                "ben",
                ("ClusterRole", "reader"),
                user("ben"),
            ),
            // A Role of another namespace is none here.
            binding("RoleBinding", "four", "anna", ("Role", "reader"), user("anna")),
        ];
        assert_eq!(
            where_anna_may(&objects, "list", "pods"),
            namespaces(&["one", "two"])
        );
        assert_eq!(
            where_anna_may(&objects, "watch", "pods"),
            namespaces(&["one", "two"])
        );
        assert_eq!(where_anna_may(&objects, "delete", "pods"), namespaces(&[]));
        assert_eq!(where_anna_may(&objects, "list", "secrets"), namespaces(&[]));
        assert_eq!(
            where_anna_may(&objects, "list", "pods.metrics.k8s.io"),
            namespaces(&[])
        );
    }

    #[test]
    fn a_cluster_wide_binding_is_everywhere() {
        let everything = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
        let objects = [
            role("ClusterRole", "", "all", everything),
            binding(
                "ClusterRoleBinding",
                "",
                "all",
                ("ClusterRole", "all"),
                json!([{"kind": "Group", "name": "system:authenticated"}]),
            ),
        ];
        assert_eq!(
            where_anna_may(&objects, "list", "deployments.apps"),
            Granted::Everywhere
        );
    }

    #[test]
    fn a_rule_that_names_objects_or_subresources_lists_nothing() {
        let named =
            json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"], "resourceNames": ["x"]});
        let logs = json!({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["*"]});
        for rule in [named, logs] {
            let objects = [
                role("Role", "one", "r", rule),
                binding("RoleBinding", "one", "anna", ("Role", "r"), user("anna")),
            ];
            assert_eq!(where_anna_may(&objects, "list", "pods"), namespaces(&[]));
        }
    }

    #[test]
    fn service_accounts_are_known_by_their_users_name() {
        let objects = [
            role("ClusterRole", "", "reader", pods()),
            binding(
                "RoleBinding",
                "one",
                "x",
                ("ClusterRole", "reader"),
                json!([{"kind": "ServiceAccount", "name": "robot", "namespace": "home"}]),
            ),
        ];
        let robot = Requester {
            name: "system:serviceaccount:home:robot".to_owned(),
            ..Requester::default()
        };
        let granted = Snapshot::of(&raw(&objects)).granted(&robot, "list", &"pods".parse().expect("pods"));
        assert_eq!(granted, namespaces(&["one"]));
    }

    #[test]
    fn a_binding_to_a_role_that_is_gone_grants_nothing() {
        let objects = [binding(
            "RoleBinding",
            "one",
            "anna",
            ("Role", "gone"),
            user("anna"),
        )];
        assert_eq!(where_anna_may(&objects, "list", "pods"), namespaces(&[]));
    }
}
