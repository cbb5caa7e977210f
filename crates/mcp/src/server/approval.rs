//! Whether somebody approves of what an agent wants to do. Asked by elicitation, and never taken for granted: who can't be asked has
//! not approved.
//!
//! From revision 2026-07-28 on, the call ends with the question, and is made again with the answer: what was asked is sealed into
//! `requestState`, so that an answer to one question is none to another, nor somebody else's. Before that, the client is asked while
//! the call waits.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mk8s_model::Identity;
use rmcp::{
    Peer, RoleServer,
    model::{
        CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationSchema, InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
    },
    service::RequestContext,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use crate::{
    error::ToolError,
    plan::{Plans, Purpose},
    record::{Approval, Change},
};

/// Under which the question stands among those that a client is to answer.
const QUESTION: &str = "approve";

/// Somebody approved of what has this digest. Made here alone.
#[derive(Debug)]
pub(crate) struct Consent([u8; 32]);

impl Consent {
    /// Of what it is.
    pub(crate) fn digest(&self) -> [u8; 32] {
        self.0
    }

    /// For tests of who takes it.
    #[cfg(test)]
    pub(crate) fn given(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

/// What somebody is asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// Of the plan; a question that is none's gets one of its own.
    pub(crate) nonce: Option<Uuid>,
    /// Of the request that would be sent.
    pub(crate) digest: [u8; 32],
}

/// A question, as its client keeps it for us.
#[derive(Serialize, Deserialize)]
struct Asked {
    nonce: Uuid,
    digest: [u8; 32],
    /// Seconds since 1970.
    expires: i64,
}

/// The way to the one who is asked.
enum Way {
    /// By ending the call; with what came back, if it was asked before.
    Rounds(Option<Answered>),
    /// While the call waits.
    Peer(Peer<RoleServer>),
    /// The client can't ask.
    None,
}

struct Answered {
    state: String,
    result: Option<ElicitResult>,
}

/// Asks whether something may be done.
pub(crate) struct Approver {
    way: Way,
    who: Identity,
    plans: Arc<Plans>,
    /// How long somebody is waited for.
    seconds: u64,
    /// How long what was used up is remembered.
    remembered: u64,
    patience: Patience,
    /// What is written down of it.
    change: Arc<Mutex<Option<Change>>>,
}

impl Approver {
    /// `kept`: for how long plans hold, in seconds.
    pub(super) fn new(
        request: &mut CallToolRequestParams,
        context: &RequestContext<RoleServer>,
        who: Identity,
        plans: Arc<Plans>,
        (seconds, kept): (u64, u64),
    ) -> Self {
        let can_ask = context
            .client_capabilities()
            .and_then(|client| client.elicitation)
            // A client that says nothing more means forms.
            .is_some_and(|elicitation| elicitation.form.is_some() || elicitation.url.is_none());
        let in_rounds = context
            .protocol_version()
            .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let way = match (can_ask, in_rounds) {
            (false, _) => Way::None,
            (true, false) => Way::Peer(context.peer.clone()),
            (true, true) => Way::Rounds(request.request_state.take().map(|state| {
                Answered {
                    state,
                    result: request
                        .input_responses
                        .take()
                        .and_then(|mut all| all.remove(QUESTION))
                        .and_then(|answer| serde_json::from_value(answer).ok()),
                }
            })),
        };
        Self {
            way,
            who,
            plans,
            seconds,
            remembered: seconds.saturating_add(kept),
            patience: Patience::default(),
            change: Arc::default(),
        }
    }

    /// Of a call that has nothing to ask.
    pub(super) fn nobody(who: Identity, plans: Arc<Plans>) -> Self {
        Self {
            way: Way::None,
            who,
            plans,
            seconds: 0,
            remembered: 0,
            patience: Patience::default(),
            change: Arc::default(),
        }
    }

    /// Writes down what is about to be asked.
    pub(crate) fn note(&self, operation: &'static str, nonce: Option<Uuid>) {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        *change = Some(Change {
            operation: operation.to_owned(),
            plan: nonce.map(|nonce| nonce.to_string()),
            approval: None,
        });
    }

    /// What was written down.
    pub(super) fn change(&self) -> Option<Change> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Whether the client asked already: then nothing need be found out for the question.
    pub(crate) fn was_asked(&self) -> bool {
        matches!(self.way, Way::Rounds(Some(_)))
    }

    /// Whether anybody can be asked at all.
    ///
    /// # Errors
    /// If not, with what helps.
    pub(crate) fn can_ask(&self) -> Result<(), ToolError> {
        if matches!(self.way, Way::None) {
            self.outcome(Approval::Unasked);
            return Err(ToolError::Denied(
                "your user must approve, and this client can't ask them (it has no elicitation): use one that can, or let \
                 them do it with kubectl"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Asks, and uses the plan up: whatever the answer is, there is no second.
    ///
    /// # Errors
    /// [`ToolError::Ask`], if the call must be made again with an answer; or if the answer is no.
    pub(crate) async fn ask(
        &self,
        subject: Subject,
        message: impl AsyncFnOnce() -> Result<String, ToolError>,
    ) -> Result<Consent, ToolError> {
        self.can_ask()?;
        match &self.way {
            Way::None => Err(ToolError::Denied("nobody can be asked".to_owned())),
            Way::Rounds(Some(answered)) => self.answer(subject, answered),
            Way::Rounds(None) => Err(ToolError::Ask(Box::new(
                self.question(subject, message().await?)?,
            ))),
            Way::Peer(peer) => {
                let params = form(message().await?)?;
                let nonce = subject.nonce.unwrap_or_else(Uuid::new_v4);
                let time = Duration::from_secs(self.seconds);
                let asked = peer.create_elicitation_with_timeout(params, Some(time));
                let said = self.patience.without(asked).await;
                self.plans.spend(nonce, self.remembered)?;
                self.judge(subject, said.ok().map(|said| said.action))
            }
        }
    }

    fn question(&self, subject: Subject, message: String) -> Result<InputRequiredResult, ToolError> {
        let asked = Asked {
            nonce: subject.nonce.unwrap_or_else(Uuid::new_v4),
            digest: subject.digest,
            expires: self.plans.now().saturating_add_unsigned(self.seconds),
        };
        let state = self.plans.seals.seal(Purpose::Question, &self.who, &asked)?;
        let request = ElicitRequest::new(form(message)?);
        let requests = InputRequests::from([(QUESTION.to_owned(), InputRequest::Elicitation(request))]);
        self.outcome(Approval::Asked);
        Ok(InputRequiredResult::new(Some(requests), Some(state)))
    }

    fn answer(&self, subject: Subject, answered: &Answered) -> Result<Consent, ToolError> {
        let asked: Option<Asked> = self
            .plans
            .seals
            .open(Purpose::Question, &self.who, &answered.state);
        let asked = asked.filter(|asked| subject.nonce.is_none_or(|nonce| nonce == asked.nonce));
        let Some(asked) = asked else {
            return Err(ToolError::Denied(
                "this answer isn't to a question about this: call the tool again without it".to_owned(),
            ));
        };
        self.plans.spend(asked.nonce, self.remembered)?;
        if asked.digest != subject.digest {
            return Err(ToolError::Denied(
                "what was asked about has changed since: begin again".to_owned(),
            ));
        }
        if self.plans.now() >= asked.expires {
            self.outcome(Approval::Late);
            return Err(ToolError::Denied(
                "the answer came too late: begin again".to_owned(),
            ));
        }
        self.judge(
            subject,
            answered.result.as_ref().map(|result| result.action.clone()),
        )
    }

    fn judge(&self, subject: Subject, said: Option<ElicitationAction>) -> Result<Consent, ToolError> {
        let (outcome, why) = match said {
            Some(ElicitationAction::Accept) => {
                self.outcome(Approval::Approved);
                return Ok(Consent(subject.digest));
            }
            Some(ElicitationAction::Decline) => (
                Approval::Declined,
                "your user declined: don't try it again unless they ask for it",
            ),
            Some(_) => (
                Approval::Cancelled,
                "your user didn't answer the question: ask them before you plan it again",
            ),
            None => (
                Approval::Late,
                "your user gave no answer in time: ask them before you plan it again",
            ),
        };
        self.outcome(outcome);
        Err(ToolError::Denied(why.to_owned()))
    }

    fn outcome(&self, approval: Approval) {
        let mut change = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(change) = &mut *change {
            change.approval = Some(approval);
        }
    }
}

/// A form without fields: accepting it is the approval.
fn form(message: String) -> Result<ElicitRequestParams, ToolError> {
    let requested_schema = ElicitationSchema::builder()
        .build()
        .map_err(|why| ToolError::Denied(format!("nobody can be asked: {why}")))?;
    Ok(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema,
    })
}

/// How long a call may still take. It doesn't run while somebody is asked, or while what has a bound of its own runs.
pub(crate) struct Patience(watch::Sender<Option<Instant>>);

impl Default for Patience {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Patience {
    /// Waits, and the call's time stands still.
    pub(crate) async fn without<F: Future>(&self, waiting: F) -> F::Output {
        let left = self
            .0
            .send_replace(None)
            .map(|until| until.saturating_duration_since(Instant::now()));
        let output = waiting.await;
        self.0.send_replace(left.map(|left| Instant::now() + left));
        output
    }

    /// What the work comes to; None if the time is over before.
    pub(super) async fn within<F: Future>(&self, time: Duration, work: F) -> Option<F::Output> {
        self.0.send_replace(Some(Instant::now() + time));
        let mut until = self.0.subscribe();
        let over = async {
            loop {
                let now = *until.borrow_and_update();
                let ends = async {
                    match now {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = ends => return,
                    changed = until.changed() => if changed.is_err() { return },
                }
            }
        };
        tokio::select! {
            biased;
            output = work => Some(output),
            () = over => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_has_time_of_their_own() {
        let patience = Patience::default();
        let second = Duration::from_secs(1);
        let work = async {
            tokio::time::sleep(second).await;
            patience.without(tokio::time::sleep(second * 300)).await;
            tokio::time::sleep(second).await;
        };
        assert!(patience.within(second * 3, work).await.is_some());
        let work = async {
            patience.without(tokio::time::sleep(second * 300)).await;
            tokio::time::sleep(second * 4).await;
        };
        assert!(patience.within(second * 3, work).await.is_none());
    }
}
