//! Plans that were used up. Each process remembers its own: what holds between replicas is that an object changes once per state.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use uuid::Uuid;

use crate::error::ToolError;

/// More than these aren't remembered, and what can't be remembered isn't done.
const MOST: usize = 100_000;

/// Plans that were used up, until they would have expired.
#[derive(Debug, Default)]
pub(crate) struct Spent(Mutex<HashMap<Uuid, i64>>);

impl Spent {
    /// Uses one up. Times are seconds since 1970.
    ///
    /// # Errors
    /// If it was used up before, or can't be remembered.
    pub(crate) fn spend(&self, nonce: Uuid, now: i64, until: i64) -> Result<(), ToolError> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= MOST {
            spent.retain(|_, until| *until > now);
        }
        if spent.len() >= MOST {
            return Err(ToolError::Denied(
                "too many plans at once: try again later".to_owned(),
            ));
        }
        match spent.insert(nonce, until) {
            None => Ok(()),
            Some(_) => Err(reused()),
        }
    }

    /// Whether it was used up.
    pub(crate) fn check(&self, nonce: Uuid) -> Result<(), ToolError> {
        let spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.contains_key(&nonce) {
            return Err(reused());
        }
        Ok(())
    }
}

fn reused() -> ToolError {
    ToolError::Denied("the plan was used or refused already: plan it again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_used_up_once_and_what_cant_be_remembered_isnt_done() {
        let spent = Spent::default();
        let first = Uuid::new_v4();
        assert!(spent.check(first).is_ok());
        assert!(spent.spend(first, 0, 10).is_ok());
        assert!(spent.check(first).is_err() && spent.spend(first, 5, 10).is_err());
        for _ in 1..MOST {
            spent.spend(Uuid::new_v4(), 0, 10).expect("room");
        }
        assert!(spent.spend(Uuid::new_v4(), 9, 20).is_err(), "none has expired");
        assert!(spent.spend(Uuid::new_v4(), 10, 20).is_ok(), "all have");
    }
}
