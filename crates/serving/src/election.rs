//! One replica leads: a Lease says which (coordination.k8s.io/v1), as client-go's leader election has it.
//!
//! Clocks are never compared. A candidate takes over once it has itself seen the Lease unchanged for as long as it is good
//! for, and every write names the version that was read, so that of two candidates one loses.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use mk8s_net::drain::Watch;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{CALL_LIMIT, settings::Place};

/// A replica that wants to lead, or does.
pub(crate) struct Candidate {
    api: Api<Lease>,
    name: String,
    program: &'static str,
    namespace: String,
    identity: String,
    duration: Duration,
    leading: watch::Sender<bool>,
    gauge: Gauge,
}

/// The Lease as last read, and since when it has been as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Empty if it was released.
    holder: String,
    transitions: i32,
    acquired: Option<MicroTime>,
    resource_version: String,
    since: Instant,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// It is free, or its holder has gone.
    Take,
    /// It is ours.
    Renew,
    /// Somebody else leads.
    Wait,
}

impl Candidate {
    /// A candidate with a name of its own among the replicas. What it sends says from then on whether it leads.
    pub(crate) fn new(client: Client, place: &Place, gauge: Gauge) -> (Self, watch::Receiver<bool>) {
        let (leading, is_leading) = watch::channel(false);
        let host = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME"));
        let candidate = Self {
            api: Api::namespaced(client, &place.namespace),
            name: place.lease.name.clone(),
            program: place.program,
            namespace: place.namespace.clone(),
            // A container that was started again is another process, and must not take itself for its predecessor.
            identity: format!(
                "{}_{}",
                host.as_deref().unwrap_or(place.program),
                uuid::Uuid::new_v4()
            ),
            duration: place.lease.duration,
            leading,
            gauge,
        };
        (candidate, is_leading)
    }

    /// Stands for election until the program stops, and lets go of the Lease then.
    pub(crate) async fn run(self, mut stop: Watch) {
        let pause = self.duration * 2 / 15;
        let mut seen: Option<Seen> = None;
        let mut renewed = Instant::now();
        loop {
            let asked = Instant::now();
            // A leader that can't renew steps down before anybody else may take over.
            let limit = if *self.leading.borrow() {
                (self.duration * 2 / 3).saturating_sub(renewed.elapsed())
            } else {
                CALL_LIMIT
            };
            match tokio::time::timeout(limit, self.step(&mut seen)).await {
                Ok(Ok(true)) => {
                    renewed = asked;
                    self.lead(true);
                }
                Ok(Ok(false)) => self.lead(false),
                Ok(Err(error)) => warn!(error = format!("{error:#}"), lease = %self.name, "election"),
                Err(_) => {
                    warn!(lease = %self.name, "election: the API server doesn't answer in time");
                    self.lead(false);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.draining() => break,
            }
        }
        if self.leading.send_replace(false) {
            self.gauge.set(0);
            if let Err(error) = self.release(seen.as_ref()).await {
                warn!(
                    error = format!("{error:#}"),
                    "can't release the Lease; another replica waits until it runs out"
                );
            }
        }
    }

    /// Looks at the Lease, and takes or renews it if that is due. Whether we lead now.
    async fn step(&self, seen: &mut Option<Seen>) -> anyhow::Result<bool> {
        let lease = self.api.get_opt(&self.name).await?;
        *seen = Seen::of(lease.as_ref(), seen.take(), Instant::now());
        let next = decide(seen.as_ref(), &self.identity, self.duration, Instant::now());
        if next == Move::Wait {
            return Ok(false);
        }
        // None: somebody was faster.
        let written = self.write(next, seen.as_ref(), &self.identity).await?;
        let leads = written.is_some();
        *seen = written;
        Ok(leads)
    }

    /// Writes the Lease, unless it changed since it was read.
    async fn write(&self, next: Move, seen: Option<&Seen>, holder: &str) -> anyhow::Result<Option<Seen>> {
        let now = MicroTime(Timestamp::now());
        let transitions = seen.map_or(0, |seen| seen.transitions);
        let (transitions, acquired) = match next {
            Move::Take => (
                seen.map_or(0, |_| transitions.saturating_add(1)),
                Some(now.clone()),
            ),
            _ => (transitions, seen.and_then(|seen| seen.acquired.clone())),
        };
        let released = holder.is_empty();
        let seconds = i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX).max(1);
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                resource_version: seen.map(|seen| seen.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(if released { 1 } else { seconds }),
                acquire_time: acquired,
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        };
        let apply = PatchParams::apply(self.program).force();
        match self.api.patch(&self.name, &apply, &Patch::Apply(&lease)).await {
            Ok(written) => Ok(Seen::of(Some(&written), None, Instant::now())),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn release(&self, seen: Option<&Seen>) -> anyhow::Result<()> {
        tokio::time::timeout(CALL_LIMIT.min(self.duration), self.write(Move::Renew, seen, "")).await??;
        info!(lease = %self.name, "released the Lease");
        Ok(())
    }

    fn lead(&self, leads: bool) {
        if self.leading.send_replace(leads) != leads {
            self.gauge.set(i64::from(leads));
            if leads {
                info!(lease = %self.name, identity = %self.identity, "leading: this replica keeps the certificate and the caBundle");
            } else {
                warn!(lease = %self.name, "leads no longer");
            }
        }
    }
}

impl Seen {
    /// What is there now. As long as it is the same, it counts from when it was first seen.
    fn of(lease: Option<&Lease>, before: Option<Self>, now: Instant) -> Option<Self> {
        let lease = lease?;
        let spec = lease.spec.clone().unwrap_or_default();
        let resource_version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = before
            .filter(|before| before.resource_version == resource_version)
            .map_or(now, |before| before.since);
        Some(Self {
            holder: spec.holder_identity.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: spec.acquire_time,
            resource_version,
            since,
        })
    }
}

fn decide(seen: Option<&Seen>, identity: &str, duration: Duration, now: Instant) -> Move {
    match seen {
        None => Move::Take,
        Some(seen) if seen.holder == identity => Move::Renew,
        Some(seen) if seen.holder.is_empty() => Move::Take,
        Some(seen) if now.duration_since(seen.since) >= duration => Move::Take,
        Some(_) => Move::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn lease(holder: &str, version: &str) -> Lease {
        let holder = (!holder.is_empty()).then(|| holder.to_owned());
        Lease {
            metadata: ObjectMeta {
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: holder,
                ..LeaseSpec::default()
            }),
        }
    }

    #[test]
    fn a_lease_that_is_nobodys_is_taken() {
        let now = Instant::now();
        assert_eq!(decide(None, "me", TEN, now), Move::Take);
        let free = Seen::of(Some(&lease("", "1")), None, now);
        assert_eq!(decide(free.as_ref(), "me", TEN, now), Move::Take);
        let ours = Seen::of(Some(&lease("me", "1")), None, now);
        assert_eq!(decide(ours.as_ref(), "me", TEN, now), Move::Renew);
    }

    #[test]
    fn a_leader_is_gone_once_we_have_seen_nothing_of_it_for_the_whole_time() {
        let start = Instant::now();
        let first = Seen::of(Some(&lease("other", "1")), None, start);
        assert_eq!(decide(first.as_ref(), "me", TEN, start), Move::Wait);
        let same = Seen::of(Some(&lease("other", "1")), first.clone(), start + TEN);
        assert_eq!(decide(same.as_ref(), "me", TEN, start + TEN), Move::Take);
        let renewed = Seen::of(Some(&lease("other", "2")), first, start + TEN);
        assert_eq!(decide(renewed.as_ref(), "me", TEN, start + TEN), Move::Wait);
    }
}
