//! Ways to workload clusters that were found, each for one identity and one proof of it. Whoever brings another proof, or has other
//! groups, finds their way anew, with the rights that they have then.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mk8s_mcp_core::principal::Principal;
use mk8s_model::{ClusterName, Identity};
use mk8s_proxy::Proxy;
use moka::{Expiry, future::Cache};

use crate::{names::Place, secret::Version, settings::CacheSettings};

/// Ways that were found.
pub(crate) struct Ways {
    kept: Cache<Key, Arc<Kept>>,
    ttl: Duration,
}

/// Whose way, and where to: the namespace is in the cluster's name.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    identity: Identity,
    proof: Option<[u8; 32]>,
    cluster: ClusterName,
}

/// A way, or why there is none, until it is over.
struct Kept {
    outcome: Result<Arc<Way>, NoWay>,
    ends: Instant,
    lifetime: Duration,
}

/// A way to a cluster by one state of its Secret.
pub(crate) struct Way {
    /// The path, with the cluster's API server at its end.
    pub(crate) proxy: Proxy,
    /// Which state.
    pub(crate) version: Version,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoWay {
    /// The cluster isn't there, or not for this user, or its Secret isn't, or can't be used.
    Hidden,
    /// The management cluster couldn't be asked.
    Failed { code: Option<u16>, message: String },
}

struct ByLifetime;

impl Ways {
    pub(crate) fn new(settings: &CacheSettings) -> Self {
        Self {
            kept: Cache::builder()
                .max_capacity(settings.entries)
                .expire_after(ByLifetime)
                .build(),
            ttl: settings.ttl,
        }
    }

    /// The way that is kept, or the one that `find` finds. Those who ask for the same at once wait for one of them to find it.
    pub(crate) async fn to(
        &self,
        principal: &Principal,
        place: &Place,
        find: impl Future<Output = Result<Way, NoWay>>,
    ) -> Result<Arc<Way>, NoWay> {
        self.other_than(None, principal, place, find).await
    }

    /// The same where `failed` didn't lead there: another that somebody found meanwhile, or the one that `find` finds.
    pub(crate) async fn beside(
        &self,
        failed: &Arc<Way>,
        principal: &Principal,
        place: &Place,
        find: impl Future<Output = Result<Way, NoWay>>,
    ) -> Result<Arc<Way>, NoWay> {
        self.other_than(Some(failed), principal, place, find).await
    }

    async fn other_than(
        &self,
        failed: Option<&Arc<Way>>,
        principal: &Principal,
        place: &Place,
        find: impl Future<Output = Result<Way, NoWay>>,
    ) -> Result<Arc<Way>, NoWay> {
        let key = Key {
            identity: principal.identity.clone(),
            proof: principal.proof,
            cluster: place.called().clone(),
        };
        let now = Instant::now();
        let is_over = |kept: &Arc<Kept>| match &kept.outcome {
            // Told to those who waited, and never kept.
            Err(_) => true,
            Ok(way) => kept.ends <= now || failed.is_some_and(|failed| Arc::ptr_eq(way, failed)),
        };
        let find = Box::pin(async {
            let outcome = find.await.map(Arc::new);
            let now = Instant::now();
            let lifetime = match outcome {
                Ok(_) => lifetime(self.ttl, principal.until, now),
                Err(_) => Duration::ZERO,
            };
            Arc::new(Kept {
                outcome,
                ends: now.checked_add(lifetime).unwrap_or(now),
                lifetime,
            })
        });
        let entry = self.kept.entry(key).or_insert_with_if(find, is_over).await;
        entry.into_value().outcome.clone()
    }
}

/// How long what is found now is good: no longer than the proof that it was found with.
fn lifetime(ttl: Duration, until: Option<Instant>, now: Instant) -> Duration {
    until.map_or(ttl, |until| ttl.min(until.saturating_duration_since(now)))
}

impl Expiry<Key, Arc<Kept>> for ByLifetime {
    fn expire_after_create(&self, _: &Key, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.lifetime)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        kept: &Arc<Kept>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(kept.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_ends_with_the_proof_it_was_found_with() {
        let now = Instant::now();
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3_600));
        assert_eq!(lifetime(hour, None, now), hour);
        assert_eq!(lifetime(hour, Some(now + minute), now), minute);
        assert_eq!(lifetime(minute, Some(now + hour), now), minute);
        assert_eq!(lifetime(hour, Some(now), now), Duration::ZERO);
        assert_eq!(lifetime(hour, Some(now), now + minute), Duration::ZERO);
    }
}
