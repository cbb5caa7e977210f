//! What each requester may see of each resource, and since when: asked once and then kept as long as somebody lists or watches
//! it, and asked again whenever a role or binding changes, or now and then for what no watch tells.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mk8s_filter::{LabelSelector, Scope, Scoped};
use mk8s_model::{GroupResource, Teams};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    grants::{Granted, Grants},
    requester::{Key, Requester},
    reviews::{NoAnswer, Reviews},
};

/// A scope that nobody used for so long is forgotten; who comes back lists anew.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// How often scopes are asked for again though nothing is known to have changed: another authorizer than RBAC may decide.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// The same after something changed: the API server's authorizer may hear of it later than we do.
const AGAIN_AFTER_CHANGE: Duration = Duration::from_secs(1);

/// All scopes in use.
pub(crate) struct Scopes {
    reviews: Reviews,
    grants: Arc<Grants>,
    teams: Teams,
    now: Arc<dyn Revision>,
    kept: Mutex<HashMap<(Key, GroupResource), Arc<Kept>>>,
}

/// The resource version that the cluster is at.
pub(crate) trait Revision: Send + Sync + 'static {
    /// Asks for it; 0 if it can't be told.
    fn now(&self) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send + '_>>;
}

/// One requester's scope of one resource.
struct Kept {
    requester: Requester,
    resource: GroupResource,
    scoped: watch::Sender<Scoped>,
    /// When it was last found out, and last asked for.
    times: Mutex<Times>,
    /// What RBAC said when it was last found out.
    granted: Mutex<Option<Granted>>,
    /// Held by whoever finds it out.
    finding: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy)]
struct Times {
    found: Option<Instant>,
    used: Instant,
}

/// Why there is no scope.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NoScope {
    #[error(transparent)]
    Review(#[from] NoAnswer),
    #[error("what is granted in the cluster isn't known yet; try again in a moment")]
    Starting,
}

impl Scopes {
    pub(crate) fn new(
        reviews: Reviews,
        grants: Arc<Grants>,
        teams: Teams,
        now: Arc<dyn Revision>,
    ) -> Arc<Self> {
        Arc::new(Self {
            reviews,
            grants,
            teams,
            now,
            kept: Mutex::default(),
        })
    }

    /// What they may see of a resource, and when that changes.
    pub(crate) async fn of(
        &self,
        requester: &Requester,
        resource: &GroupResource,
        fresh_for: Duration,
    ) -> Result<watch::Receiver<Scoped>, NoScope> {
        let kept = self.kept(requester, resource);
        let is_fresh = {
            let mut times = kept.times();
            times.used = Instant::now();
            times.found.is_some_and(|at| at.elapsed() < fresh_for)
        };
        if !is_fresh {
            self.find(&kept, fresh_for).await?;
        }
        Ok(kept.scoped.subscribe())
    }

    /// Keeps what is in use up to date, until it is dropped.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut changes = self.grants.changes();
        let mut again_after = AGAIN_AFTER;
        loop {
            let has_changed = match tokio::time::timeout(again_after, changes.changed()).await {
                Ok(Ok(())) => true,
                Ok(Err(_)) => return,
                Err(_) => false,
            };
            if has_changed || again_after == AGAIN_AFTER_CHANGE {
                // Whatever a review said before is about other rights.
                self.reviews.forget_access();
            }
            self.find_all(has_changed).await;
            again_after = if has_changed {
                AGAIN_AFTER_CHANGE
            } else {
                AGAIN_AFTER
            };
        }
    }

    /// Finds out again what is in use; if RBAC is known to have changed, only where that makes a difference.
    async fn find_all(&self, has_changed: bool) {
        self.forget_unused();
        let all: Vec<Arc<Kept>> = self.all().values().cloned().collect();
        for kept in all {
            if has_changed && *kept.granted() == self.granted(&kept) {
                continue;
            }
            if kept.scoped.receiver_count() == 0 {
                // Found out when somebody asks.
                kept.times().found = None;
                continue;
            }
            if let Err(error) = self.find(&kept, Duration::ZERO).await {
                warn!(%error, "what somebody may see can't be found out; what was known stays");
            }
        }
    }

    fn granted(&self, kept: &Kept) -> Option<Granted> {
        self.grants
            .is_complete()
            .then(|| self.grants.granted(&kept.requester, "list", &kept.resource))
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    async fn find(&self, kept: &Kept, fresh_for: Duration) -> Result<(), NoScope> {
        let asked = Instant::now();
        let _finding = kept.finding.lock().await;
        // What somebody found out while this was waited for is fresh enough.
        if kept
            .times()
            .found
            .is_some_and(|at| at >= asked || at.elapsed() < fresh_for)
        {
            return Ok(());
        }
        let granted = self.granted(kept);
        let scope = self.scope(kept, granted.clone()).await?;
        *kept.granted() = granted;
        let is_new = kept.times().found.is_none() && kept.scoped.borrow().since == 0;
        let has_changed = kept.scoped.borrow().scope != scope;
        if is_new || has_changed {
            // After it was found out: whatever is listed from here on is of this scope.
            let since = self.now.now().await;
            debug!(user = %kept.requester.name, resource = %kept.resource, ?scope, since, "scope");
            kept.scoped.send_replace(Scoped { scope, since });
        }
        kept.times().found = Some(Instant::now());
        Ok(())
    }

    async fn scope(&self, kept: &Kept, granted: Option<Granted>) -> Result<Scope, NoScope> {
        let Kept {
            requester, resource, ..
        } = kept;
        // Whoever may list everything sees everything; the API server says so itself, whichever authorizer it has.
        if self.reviews.may(requester, "list", resource).await? {
            return Ok(Scope::All);
        }
        if is_namespaces(resource) {
            let groups = requester.groups.iter().map(String::as_str);
            let teams = self.teams.of(groups);
            // The key was checked when it was read.
            let selector = LabelSelector::in_values(&self.teams.team_label, teams).unwrap_or_default();
            return Ok(selector.map_or(Scope::Nothing, Scope::Selector));
        }
        Ok(match granted.ok_or(NoScope::Starting)? {
            // The API server has just said no to that: another authorizer denies it, or it was granted this moment.
            Granted::Everywhere => Scope::Nothing,
            Granted::In(namespaces) if namespaces.is_empty() => Scope::Nothing,
            Granted::In(namespaces) => Scope::Namespaces(Arc::new(namespaces)),
        })
    }

    fn kept(&self, requester: &Requester, resource: &GroupResource) -> Arc<Kept> {
        self.all()
            .entry((requester.key(), resource.clone()))
            .or_insert_with(|| {
                let nothing = Scoped {
                    scope: Scope::Nothing,
                    since: 0,
                };
                Arc::new(Kept {
                    requester: requester.clone(),
                    resource: resource.clone(),
                    scoped: watch::Sender::new(nothing),
                    times: Mutex::new(Times {
                        found: None,
                        used: Instant::now(),
                    }),
                    granted: Mutex::new(None),
                    finding: tokio::sync::Mutex::new(()),
                })
            })
            .clone()
    }

    fn forget_unused(&self) {
        self.all()
            .retain(|_, kept| kept.scoped.receiver_count() > 0 || kept.times().used.elapsed() < FORGET_AFTER);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<(Key, GroupResource), Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn granted(&self) -> std::sync::MutexGuard<'_, Option<Granted>> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_namespaces(resource: &GroupResource) -> bool {
    resource.group.is_empty() && resource.resource == "namespaces"
}
