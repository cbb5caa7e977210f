//! A call: bounded in number and time, ended when its client goes, written down, and its answer made text.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use jiff::Timestamp;
use mk8s_model::Identity;
use rmcp::model::InputRequiredResult;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Inner, approval::Approver};
use crate::{
    answer::Answer,
    error::ToolError,
    principal::{Call, Principal},
    record::{CallOutcome, Recording},
    render::{self, EnvPolicy, Nonce, Rendered, render},
    settings::Settings,
    tools::{Context, Tool},
};

/// What a call comes to.
pub(super) enum Taken {
    /// Text.
    Told(Rendered),
    /// A question to the user, after which it is made again.
    Asks(Box<InputRequiredResult>),
}

/// How many calls each user may make.
pub(super) struct Limits {
    limiter: DefaultKeyedRateLimiter<Identity>,
}

/// Users that are remembered before those who were quiet are forgotten.
const REMEMBERED: usize = 10_000;

impl Limits {
    pub(super) fn new(per_minute: u32) -> Self {
        let per_minute = NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::keyed(Quota::per_minute(per_minute)),
        }
    }

    fn take(&self, who: &Identity) -> Result<(), ToolError> {
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(who).map_err(|wait| ToolError::TooMany {
            seconds: wait
                .wait_time_from(governor::clock::DefaultClock::default().now())
                .as_secs()
                + 1,
        })
    }
}

/// What came of a call, and what to tell of it.
pub(super) struct Made {
    pub(super) rendered: Rendered,
    /// Why there is no answer, if there is none.
    pub(super) error: Option<ToolError>,
}

impl Inner {
    /// Calls a tool, and makes text of what came of it, or of what the user is asked.
    pub(super) async fn take(
        &self,
        tool: &Tool,
        principal: Principal,
        client: Option<String>,
        arguments: Value,
        approver: Approver,
        cancelled: &CancellationToken,
    ) -> Taken {
        let call = begin(principal, tool.name, client);
        let mut recording = Recording::begin(self.log.clone(), &call, &arguments);
        let approver = Arc::new(approver);
        let made = self.bounded_by(call, approver.clone(), cancelled, |context| {
            tool.call(context, arguments)
        });
        let made = made.await;
        recording.changes(approver.change());
        if let Some(Err(ToolError::Ask(question))) = made {
            recording.end(CallOutcome::Asked, 0, 0);
            return Taken::Asks(question);
        }
        Taken::Told(self.told(made, recording).await.rendered)
    }

    /// Makes a call that asks nobody, and text of what came of it.
    pub(super) async fn make<R>(
        &self,
        call: Arc<Call>,
        recording: Recording,
        cancelled: &CancellationToken,
        work: impl FnOnce(Context) -> R,
    ) -> Made
    where
        R: Future<Output = Result<Answer, ToolError>>,
    {
        let made = self.bounded(call, cancelled, work).await;
        self.told(made, recording).await
    }

    /// Does it, if its user may make a call, and until it takes too long. Nothing if it was cancelled.
    pub(super) async fn bounded<T, R>(
        &self,
        call: Arc<Call>,
        cancelled: &CancellationToken,
        work: impl FnOnce(Context) -> R,
    ) -> Option<Result<T, ToolError>>
    where
        R: Future<Output = Result<T, ToolError>>,
    {
        let nobody = Approver::nobody(call.principal.identity.clone(), self.plans.clone());
        self.bounded_by(call, Arc::new(nobody), cancelled, work).await
    }

    async fn bounded_by<T, R>(
        &self,
        call: Arc<Call>,
        approver: Arc<Approver>,
        cancelled: &CancellationToken,
        work: impl FnOnce(Context) -> R,
    ) -> Option<Result<T, ToolError>>
    where
        R: Future<Output = Result<T, ToolError>>,
    {
        let made = async {
            self.limits.take(&call.principal.identity)?;
            let context = Context {
                call: call.clone(),
                clusters: self.clusters.clone(),
                discoveries: self.discoveries.clone(),
                guard: self.guard.clone(),
                settings: self.settings.clone(),
                plans: self.plans.clone(),
                approver: approver.clone(),
                forwards: self.forwards.clone(),
            };
            let seconds = self.settings.call_seconds;
            // What a call waits for ends with it: dropped, its requests are cancelled.
            approver
                .patience()
                .within(Duration::from_secs(seconds), work(context))
                .await
                .unwrap_or(Err(ToolError::TimedOut { seconds }))
        };
        tokio::select! {
            biased;
            () = cancelled.cancelled() => None,
            made = made => Some(made),
        }
    }

    /// Text of what came of a call, which ends with it.
    async fn told(&self, made: Option<Result<Answer, ToolError>>, recording: Recording) -> Made {
        let (answer, outcome, error) = match made {
            Some(Ok(answer)) => (answer, CallOutcome::Answered, None),
            Some(Err(error)) => (error.clone().into_answer(), error.outcome(), Some(error)),
            // Nobody reads what is said now.
            None => {
                recording.end(CallOutcome::Cancelled, 0, 0);
                let rendered = self.text(Answer::error("error: the call was cancelled", None));
                return Made {
                    rendered,
                    error: None,
                };
            }
        };
        let rendered = self.text(answer);
        recording.end(outcome, rendered.redactions, rendered.tokens);
        Made { rendered, error }
    }

    pub(super) fn text(&self, answer: Answer) -> Rendered {
        text(answer, &self.settings)
    }
}

/// An answer as text, by the settings of whoever runs the server.
pub(crate) fn text(answer: Answer, settings: &Settings) -> Rendered {
    let settings = render::Settings {
        tokens: settings.answer_tokens,
        now: Timestamp::now(),
        env: EnvPolicy::default(),
    };
    render(answer, &settings, Nonce(rand::random()))
}

/// A call of somebody's, with an id of its own.
pub(super) fn begin(principal: Principal, tool: &'static str, client: Option<String>) -> Arc<Call> {
    Arc::new(Call {
        principal,
        id: Uuid::now_v7(),
        tool,
        client,
    })
}
