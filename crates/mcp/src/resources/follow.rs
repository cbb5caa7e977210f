//! A watch, told of no more than once a second; and how many of them one user may have.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mk8s_model::Identity;
use tokio::sync::Notify;

use super::Watch;
use crate::error::ToolError;

/// Between two notifications about one URI.
const PAUSE: Duration = Duration::from_secs(1);

/// Why following ended.
pub(crate) enum Left {
    /// The watch can't go on.
    Watch(ToolError),
    /// Nobody can be told.
    Unheard,
}

/// Tells of each change, as soon as it is a second since it told of one before. Changes in between are one.
///
/// `at_once`: whether the first is told before anything changed, for somebody who may have read before the watch began.
/// When the watch can't go on it tells once more, so that whoever reads then learns why.
pub(crate) async fn follow<E, F>(watch: Watch, at_once: bool, tell: impl Fn() -> F) -> Left
where
    F: Future<Output = Result<(), E>>,
{
    // It keeps one permit while nobody waits for it: changes in between are one.
    let changed = Notify::new();
    if at_once {
        changed.notify_one();
    }
    let mut watching = pin!(watch.run(&changed));
    loop {
        let ended = tokio::select! {
            biased;
            error = &mut watching => Some(error),
            () = changed.notified() => None,
        };
        if tell().await.is_err() {
            return Left::Unheard;
        }
        if let Some(error) = ended {
            return Left::Watch(error);
        }
        let mut pause = pin!(tokio::time::sleep(PAUSE));
        tokio::select! {
            () = &mut pause => {}
            error = &mut watching => {
                pause.await;
                return match tell().await {
                    Ok(()) => Left::Watch(error),
                    Err(_) => Left::Unheard,
                };
            }
        }
    }
}

/// How many subscriptions each user has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(Arc<Mutex<HashMap<Identity, usize>>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    whose: Identity,
}

impl Slots {
    /// One more, unless there are `most`.
    pub(crate) fn take(&self, whose: &Identity, most: usize) -> Result<Slot, ToolError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.get(whose).copied().unwrap_or_default();
        if count >= most {
            return Err(ToolError::Denied(format!(
                "you have {count} subscriptions, and may have {most}: end one before the next"
            )));
        }
        taken.insert(whose.clone(), count + 1);
        Ok(Slot {
            slots: self.clone(),
            whose: whose.clone(),
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mk8s_model::AuthMethod;

    use super::*;

    #[test]
    fn each_user_has_slots_of_their_own_and_gets_them_back() {
        let who = |name| Identity::new(name, [""; 0], AuthMethod::Starter).expect("an identity");
        let slots = Slots::default();
        let first = slots.take(&who("anna"), 2).expect("one");
        let _second = slots.take(&who("anna"), 2).expect("two");
        let error = slots.take(&who("anna"), 2).expect_err("three").to_string();
        assert_eq!(
            error,
            "you have 2 subscriptions, and may have 2: end one before the next"
        );
        let _other = slots.take(&who("ben"), 2).expect("somebody else's");
        drop(first);
        let _third = slots.take(&who("anna"), 2).expect("the first one's");
        assert_eq!(slots.0.lock().expect("not poisoned").len(), 2);
    }
}
