//! Who may do what, as of now: a snapshot of users, roles and ended sessions in memory, replaced whenever the database
//! says that it changed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mk8s_authn::Verified;
use mk8s_model::{AuthMethod, ClusterName, Decision, Denial, Identity, KubeRequest};
use mk8s_policy::{ClusterRule, Permission, Policy, PolicySpec, RoleSpec};
use mk8s_proxy::{Authorizer, Caller};
use mk8s_store::{Snapshot, Store, StoreError};
use tokio::sync::watch;
use tracing::error;
use uuid::Uuid;

/// What a role's name becomes as a group in the clusters: `mk8s:developer`.
pub(crate) const GROUP_PREFIX: &str = "mk8s:";
/// Who has this role administers the gateway itself.
pub(crate) const ADMIN_ROLE: &str = "admin";

/// The current snapshot. Shared by all doors.
pub(crate) struct Access {
    store: Store,
    view: ArcSwap<View>,
    changes: watch::Sender<u64>,
}

struct View {
    version: i64,
    policy: Policy,
    roles: Vec<RoleSpec>,
    users: HashMap<Uuid, Member>,
    ended_sessions: HashSet<Uuid>,
}

struct Member {
    /// As the clusters will know them; none if the name can't be one.
    identity: Option<Identity>,
    disabled: bool,
    roles: Vec<Arc<str>>,
}

/// Why a token that is genuine still doesn't let anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Barred {
    #[error("this login was ended: run `mk8s login`")]
    SessionEnded,
    #[error("this account is disabled: ask an administrator")]
    Disabled,
    #[error("this account no longer exists")]
    Gone,
}

impl Access {
    /// Reads the first snapshot.
    pub(crate) async fn load(store: Store) -> Result<Arc<Self>, StoreError> {
        let view = View::from(store.snapshot(Timestamp::now()).await?);
        let (changes, _) = watch::channel(view.policy.version());
        Ok(Arc::new(Self {
            store,
            view: ArcSwap::from_pointee(view),
            changes,
        }))
    }

    /// Reads a new snapshot if the database moved. Returns whether it had.
    pub(crate) async fn refresh(&self) -> Result<bool, StoreError> {
        if self.store.version().await? == self.view.load().version {
            return Ok(false);
        }
        let view = View::from(self.store.snapshot(Timestamp::now()).await?);
        let version = view.policy.version();
        self.view.store(Arc::new(view));
        self.changes.send_replace(version);
        Ok(true)
    }

    /// Who a verified token speaks for, as they stand now.
    pub(crate) fn admit(&self, token: &Verified) -> Result<Identity, Barred> {
        let view = self.view.load();
        if view.ended_sessions.contains(&token.session_id) {
            return Err(Barred::SessionEnded);
        }
        let member = view.users.get(&token.user_id).ok_or(Barred::Gone)?;
        if member.disabled {
            return Err(Barred::Disabled);
        }
        member.identity.clone().ok_or(Barred::Gone)
    }

    /// The account of this name.
    pub(crate) fn account(&self, name: &str) -> Option<Uuid> {
        let view = self.view.load();
        view.users
            .iter()
            .find(|(_, member)| {
                member
                    .identity
                    .as_ref()
                    .is_some_and(|identity| identity.user() == name)
            })
            .map(|(id, _)| *id)
    }

    /// The names of a user's roles.
    pub(crate) fn roles(&self, user: Uuid) -> Vec<Arc<str>> {
        self.view
            .load()
            .users
            .get(&user)
            .map(|member| member.roles.clone())
            .unwrap_or_default()
    }

    /// Whether they administer the gateway.
    pub(crate) fn is_admin(&self, user: Uuid) -> bool {
        self.roles(user).iter().any(|role| **role == *ADMIN_ROLE)
    }

    /// Whether any of their roles is for that cluster.
    pub(crate) fn may_see(&self, user: Uuid, cluster: &ClusterName) -> bool {
        let view = self.view.load();
        view.users
            .get(&user)
            .is_some_and(|member| view.policy.may_see(&member.roles, cluster))
    }

    /// What they may do there, in words.
    pub(crate) fn describe(&self, user: Uuid, cluster: &ClusterName) -> Vec<Permission> {
        let view = self.view.load();
        view.users
            .get(&user)
            .map(|member| view.policy.describe(&member.roles, cluster))
            .unwrap_or_default()
    }

    /// Their roles as a policy of its own, for somebody else to decide by.
    pub(crate) fn policy_of(&self, user: Uuid) -> PolicySpec {
        let view = self.view.load();
        let theirs = view
            .users
            .get(&user)
            .map(|member| member.roles.clone())
            .unwrap_or_default();
        let roles = view
            .roles
            .iter()
            .filter(|role| theirs.iter().any(|r| **r == *role.name))
            .cloned()
            .collect();
        PolicySpec {
            roles,
            users: Vec::new(),
        }
    }

    /// Whether there is such a role.
    pub(crate) fn has_role(&self, name: &str) -> bool {
        self.view.load().policy.has_role(name)
    }

    /// Whether somebody else than `user` administers the gateway.
    pub(crate) fn has_other_admin(&self, user: Uuid) -> bool {
        self.view.load().users.iter().any(|(id, member)| {
            *id != user && !member.disabled && member.roles.iter().any(|r| **r == *ADMIN_ROLE)
        })
    }
}

impl Authorizer for Access {
    fn decide(&self, caller: &Caller, cluster: &ClusterName, request: &KubeRequest<'_>) -> Decision {
        let view = self.view.load();
        let deny = |reason: &str| {
            Decision::Deny(Denial {
                reason: reason.to_owned(),
                policy_version: view.policy.version(),
            })
        };
        let Some(member) = caller.subject.and_then(|id| view.users.get(&id)) else {
            return deny(&Barred::Gone.to_string());
        };
        if member.disabled {
            return deny(&Barred::Disabled.to_string());
        }
        if caller
            .session
            .is_some_and(|session| view.ended_sessions.contains(&session))
        {
            return deny(&Barred::SessionEnded.to_string());
        }
        view.policy
            .decide(&member.roles, &caller.identity, cluster, request)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

impl From<Snapshot> for View {
    fn from(snapshot: Snapshot) -> Self {
        let version = u64::try_from(snapshot.version).unwrap_or_default();
        let (roles, policy) = readable_roles(&snapshot, version);
        let users = snapshot.users.into_iter().map(|(id, user)| {
            let groups = user.roles.iter().map(|role| format!("{GROUP_PREFIX}{role}"));
            let identity = Identity::new(&user.email, groups, AuthMethod::Token)
                .inspect_err(|why| error!(user = %user.email, %why, "an account can't be used"))
                .ok();
            (
                id,
                Member {
                    identity,
                    disabled: user.disabled,
                    roles: user.roles,
                },
            )
        });
        Self {
            version: snapshot.version,
            policy,
            roles,
            users: users.collect(),
            ended_sessions: snapshot.revoked_sessions,
        }
    }
}

/// The roles that can be read. One that can't (written by another version) is left out, which takes rights away and
/// never gives any, and is said.
fn readable_roles(snapshot: &Snapshot, version: u64) -> (Vec<RoleSpec>, Policy) {
    let mut roles = Vec::new();
    for role in &snapshot.roles {
        let spec = serde_json::from_value::<Vec<ClusterRule>>(role.permissions.clone())
            .map(|clusters| RoleSpec {
                name: role.name.clone(),
                clusters,
            })
            .map_err(|e| e.to_string());
        let checked = spec.and_then(|spec| {
            let alone = PolicySpec {
                roles: vec![spec.clone()],
                users: Vec::new(),
            };
            Policy::new(&alone, version)
                .map(|_| spec)
                .map_err(|e| e.to_string())
        });
        match checked {
            Ok(spec) => roles.push(spec),
            Err(why) => error!(role = role.name, why, "a role can't be read and grants nothing"),
        }
    }
    let spec = PolicySpec {
        roles,
        users: Vec::new(),
    };
    let policy = Policy::new(&spec, version).unwrap_or_else(|why| {
        error!(%why, "the roles contradict each other; nobody is granted anything");
        Policy::new(
            &PolicySpec {
                roles: Vec::new(),
                users: Vec::new(),
            },
            version,
        )
        .unwrap_or_else(|_| unreachable!("no roles are always a valid policy"))
    });
    (spec.roles, policy)
}
