//! How often a login may be tried, per account and per source address.
//!
//! A token bucket each (GCRA, ITU-T I.371), in a table of fixed size: names and addresses are hashed onto its slots by a
//! random key, so that memory is bounded whatever is thrown at it, and two names share a slot by accident only, once in
//! 16,384. An attempt pays before its password is looked at, so that a hundred guesses at once are counted as a hundred,
//! and one that succeeds is paid back.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

use crate::{Clock, Email};

/// Slots of a table: 128 KiB.
const SLOTS: usize = 16_384;

/// How many failures in a row, and how many over time.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// So many at once.
    pub burst: u32,
    /// One more each.
    pub every: Duration,
}

/// The limits on logins. Shared by all doors.
pub struct LoginLimits {
    accounts: Buckets,
    sources: Buckets,
    clock: Arc<dyn Clock>,
}

/// An attempt that was let through. It counts as a failure unless it is told otherwise.
#[must_use = "an attempt counts as a failure until it has succeeded"]
pub(crate) struct Attempt<'a> {
    limits: &'a LoginLimits,
    account: usize,
    source: usize,
}

impl Quota {
    /// For an account: 10 failures, then one each 6 s.
    pub const ACCOUNT: Self = Self {
        burst: 10,
        every: Duration::from_secs(6),
    };
    /// For a source address: 30 failures, then one each 2 s. Offices share one.
    pub const SOURCE: Self = Self {
        burst: 30,
        every: Duration::from_secs(2),
    };
}

impl LoginLimits {
    /// Limits that begin now.
    pub fn new(account: Quota, source: Quota, clock: Arc<dyn Clock>) -> Self {
        Self {
            accounts: Buckets::new(account),
            sources: Buckets::new(source),
            clock,
        }
    }

    /// Lets an attempt through, or says when to come back. The source is the connection's own address: what a client
    /// writes into `X-Forwarded-For` would let it be anybody.
    pub(crate) fn attempt(&self, account: &Email, source: IpAddr) -> Result<Attempt<'_>, Duration> {
        let now = nanoseconds(self.clock.now());
        let source = self.sources.slot(network(source));
        self.sources.take(source, now)?;
        let account = self.accounts.slot(account.as_str());
        if let Err(wait) = self.accounts.take(account, now) {
            // Refused for the account's sake; it was no guess, so it costs the source nothing.
            self.sources.give_back(source);
            return Err(wait);
        }
        Ok(Attempt {
            limits: self,
            account,
            source,
        })
    }
}

impl Attempt<'_> {
    /// The password was right.
    pub(crate) fn succeeded(self) {
        self.limits.accounts.give_back(self.account);
        self.limits.sources.give_back(self.source);
    }
}

/// What one customer has: an IPv4 address, or the /64 that an IPv6 host picks its addresses from (RFC 4291, section
/// 2.5.4). An IPv4 address in IPv6 clothes is the IPv4 address.
fn network(source: IpAddr) -> [u8; 9] {
    let mut key = [0; 9];
    match source.to_canonical() {
        IpAddr::V4(v4) => {
            key[0] = 4;
            key[1..5].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            key[0] = 6;
            key[1..].copy_from_slice(&v6.octets()[..8]);
        }
    }
    key
}

/// For each slot the time, in nanoseconds since 1970, at which its bucket will be full again.
struct Buckets {
    full_at: Box<[AtomicU64]>,
    hasher: RandomState,
    every: u64,
    capacity: u64,
}

impl Buckets {
    fn new(quota: Quota) -> Self {
        let every = u64::try_from(quota.every.as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            full_at: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            every,
            capacity: every.saturating_mul(u64::from(quota.burst.max(1))),
        }
    }

    fn slot(&self, key: impl std::hash::Hash) -> usize {
        // Truncation is what is wanted.
        self.hasher.hash_one(key) as usize % SLOTS
    }

    fn take(&self, slot: usize, now: u64) -> Result<(), Duration> {
        let mut full_at = self.full_at[slot].load(Ordering::Relaxed);
        loop {
            let empty = now.saturating_add(self.capacity);
            // More than a whole bucket is missing: the clock was set back. Go on from an empty one.
            let set_back = full_at > empty;
            let next = if set_back {
                empty
            } else {
                full_at.max(now).saturating_add(self.every)
            };
            if next > empty {
                return Err(Duration::from_nanos(next - empty));
            }
            let relaxed = Ordering::Relaxed;
            match self.full_at[slot].compare_exchange_weak(full_at, next, relaxed, relaxed) {
                Ok(_) if set_back => full_at = next,
                Ok(_) => return Ok(()),
                Err(changed) => full_at = changed,
            }
        }
    }

    fn give_back(&self, slot: usize) {
        let earlier = |full_at: u64| Some(full_at.saturating_sub(self.every));
        // An update that always gives a value can't fail.
        let _ = self.full_at[slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;

    struct Fixture {
        clock: Arc<ManualClock>,
        limits: LoginLimits,
    }

    fn fixture() -> Fixture {
        let clock = Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().expect("a time")));
        let account = Quota {
            burst: 3,
            every: Duration::from_secs(10),
        };
        let source = Quota {
            burst: 5,
            every: Duration::from_secs(1),
        };
        let limits = LoginLimits::new(account, source, Arc::clone(&clock) as Arc<dyn Clock>);
        Fixture { clock, limits }
    }

    impl Fixture {
        fn fail(&self, account: &str, source: &str) -> Result<(), Duration> {
            let (account, source) = (account.parse().expect("mail"), source.parse().expect("address"));
            self.limits.attempt(&account, source).map(drop)
        }
    }

    #[test]
    fn an_account_is_limited_wherever_it_is_tried_from() {
        let f = fixture();
        for n in 1..=3 {
            assert_eq!(f.fail("a@x", &format!("192.0.2.{n}")), Ok(()));
        }
        assert_eq!(f.fail("A@X", "192.0.2.9"), Err(Duration::from_secs(10)));
        assert_eq!(f.fail("b@x", "192.0.2.9"), Ok(()), "others are not");
        f.clock.advance(Duration::from_secs(4));
        assert_eq!(f.fail("a@x", "192.0.2.9"), Err(Duration::from_secs(6)));
        f.clock.advance(Duration::from_secs(6));
        assert_eq!(f.fail("a@x", "192.0.2.9"), Ok(()));
        assert!(f.fail("a@x", "192.0.2.9").is_err());
    }

    #[test]
    fn a_source_is_limited_whatever_it_tries() {
        let f = fixture();
        for n in 0..5 {
            assert_eq!(f.fail(&format!("{n}@x"), &format!("2001:db8::{n}")), Ok(()));
        }
        assert_eq!(
            f.fail("9@x", "2001:db8:0:0:ffff::1"),
            Err(Duration::from_secs(1)),
            "one /64"
        );
        assert_eq!(f.fail("9@x", "2001:db8:0:1::1"), Ok(()), "another /64");
        for n in 10..15 {
            assert_eq!(f.fail(&format!("{n}@x"), "198.51.100.1"), Ok(()));
        }
        assert!(
            f.fail("20@x", "::ffff:198.51.100.1").is_err(),
            "the same address in IPv6 clothes"
        );
    }

    #[test]
    fn success_costs_nothing() {
        let f = fixture();
        for _ in 0..100 {
            let (account, source) = (
                "a@x".parse().expect("mail"),
                "192.0.2.1".parse().expect("address"),
            );
            f.limits
                .attempt(&account, source)
                .expect("let through")
                .succeeded();
        }
    }

    #[test]
    fn refused_attempts_do_not_lengthen_the_wait() {
        let f = fixture();
        for _ in 0..3 {
            assert_eq!(f.fail("a@x", "192.0.2.1"), Ok(()));
        }
        for _ in 0..100 {
            assert_eq!(f.fail("a@x", "192.0.2.1"), Err(Duration::from_secs(10)));
        }
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out_for_long() {
        let f = fixture();
        for _ in 0..3 {
            assert_eq!(f.fail("a@x", "192.0.2.1"), Ok(()));
        }
        f.clock.set("2025-12-31T00:00:00Z".parse().expect("a time"));
        assert_eq!(f.fail("a@x", "192.0.2.2"), Err(Duration::from_secs(10)));
        f.clock.advance(Duration::from_secs(10));
        assert_eq!(f.fail("a@x", "192.0.2.2"), Ok(()));
    }

    #[test]
    fn guesses_at_once_are_all_counted() {
        let f = fixture();
        let passed: usize = std::thread::scope(|scope| {
            let guess = || {
                (0..50)
                    .filter(|n| f.fail("a@x", &format!("10.0.{n}.1")).is_ok())
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(guess)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .sum()
        });
        assert_eq!(passed, 3);
    }
}
