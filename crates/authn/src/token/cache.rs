//! What was verified before, by the SHA-256 of the token.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

/// Enough that a handful of threads seldom meet.
const SHARDS: usize = 16;

/// A bounded map in shards. A hit takes one read lock and clones the value; nothing is written, so that threads that ask
/// for different tokens share no cache line.
pub(super) struct Cache<V> {
    shards: [Shard<V>; SHARDS],
    shard_capacity: usize,
}

/// On a cache line of its own (two, as processors fetch them in pairs).
#[repr(align(128))]
struct Shard<V>(RwLock<HashMap<Digest, V>>);

type Digest = [u8; 32];

impl<V: Clone> Cache<V> {
    /// For about `capacity` entries.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard(RwLock::default())),
            shard_capacity: capacity.div_ceil(SHARDS).max(1),
        }
    }

    pub(super) fn find(&self, digest: &Digest) -> Option<V> {
        self.shard(digest)
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)
            .cloned()
    }

    /// Puts an entry in; in a full shard the dead ones go first, and then any.
    pub(super) fn insert(&self, digest: Digest, value: V, is_alive: impl Fn(&V) -> bool) {
        let mut shard = self
            .shard(&digest)
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.shard_capacity {
            shard.retain(|_, entry| is_alive(entry));
        }
        if shard.len() >= self.shard_capacity
            && let Some(any) = shard.keys().next().copied()
        {
            shard.remove(&any);
        }
        shard.insert(digest, value);
    }

    fn shard(&self, digest: &Digest) -> &RwLock<HashMap<Digest, V>> {
        &self.shards[usize::from(digest[0]) % SHARDS].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u32) -> Digest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&n.to_le_bytes());
        digest
    }

    #[test]
    fn it_never_grows_past_its_bound() {
        let cache = Cache::new(64);
        for n in 0..10_000 {
            cache.insert(digest(n), n, |_| true);
            assert_eq!(cache.find(&digest(n)), Some(n));
        }
        let kept: usize = cache.shards.iter().map(|s| s.0.read().expect("lock").len()).sum();
        assert_eq!(kept, 64);
    }

    #[test]
    fn the_dead_go_first() {
        let cache = Cache::new(SHARDS * 2);
        // 0, 16 and 32 share a shard.
        for n in [0, 16, 32] {
            cache.insert(digest(n), n, |n| *n != 0);
        }
        assert_eq!(
            [0, 16, 32].map(|n| cache.find(&digest(n))),
            [None, Some(16), Some(32)]
        );
    }
}
