//! Roles with wildcards: who may do what, on which cluster. Pure: no I/O, no clock, no async runtime.
//!
//! A [`Policy`] is made once from YAML or from [`PolicySpec`] and then asked on every request: roles of the caller ×
//! cluster × [`KubeRequest`](mk8s_model::KubeRequest) → [`Decision`](mk8s_model::Decision). It only ever adds: there
//! are no deny rules, so another role never takes something away. What the cluster's own RBAC says about the person
//! comes on top, because the API server is told who asks.
//!
//! # When a rule matches
//!
//! All five must match: cluster, namespace, verb, resource and API group. `*` stands for any run of characters, the
//! empty one included; nothing else is special.
//!
//! * **Namespaces.** A request about something that is in no namespace, or about all namespaces at once, needs a
//!   pattern that is exactly `*`. A request about a Namespace object itself is in that namespace.
//! * **Resources.** `pods` is pods and no subresource; `pods/status` is that subresource; `pods/*` all its
//!   subresources; `deployments.apps` a resource of that group (`pods.` of the core group); `*` everything,
//!   subresources included.
//! * **Verbs.** Kubernetes' own (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`),
//!   and these, which stand for a subresource of what `resources` names: `logs` (get on `log`), `exec`, `attach`,
//!   `portforward` (also written `port-forward`) and `proxy`. `*` is all of them.
//!
//! # What `*` in `resources` doesn't give
//!
//! * `exec`, `attach`, `portforward` and `proxy` open a way into a workload. Over WebSocket they are GETs, so that
//!   `get` on `*` would open it. They need their own verb (or `*`), or their subresource written out together with
//!   the ordinary verb: `resources: ["pods/exec"], verbs: ["create"]`. `create` there also allows the GET by which
//!   today's kubectl does it.
//! * Writing `pods/ephemeralcontainers` starts a program of the caller's choice in a running pod: it needs `exec`
//!   *and* the ordinary verb on `pods/ephemeralcontainers`, in one rule, however it is written.
//! * Creating `serviceaccounts/token` hands out a credential that works past the gateway: it needs the verb `*`, or
//!   the subresource written out.
//! * `escalate`, `bind`, `impersonate` and the like are verbs that no request has; the API server asks its own RBAC
//!   about them. A role can't name them, and `*` doesn't mean them. Impersonation through the gateway isn't a matter
//!   of roles at all.
//!
//! # What every role gives
//!
//! Whoever has any role on a cluster may read its discovery documents, version and health, and ask what they
//! themselves may do: `kubectl` needs that before it can do anything. The rule is called `discovery`.

mod denial;
mod describe;
mod discovery;
mod error;
mod pattern;
mod policy;
mod rule;
mod spec;
mod verbs;
mod yaml;

pub use describe::Permission;
pub use error::{PolicyError, Problem};
pub use pattern::Pattern;
pub use policy::Policy;
pub use spec::{ClusterRule, PolicySpec, RoleSpec, UserSpec};

/// The roles of an installation that hasn't written its own: `admin`, `developer` and `viewer`, as YAML.
pub const DEFAULT_ROLES: &str = include_str!("default-roles.yaml");
