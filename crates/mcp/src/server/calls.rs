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

impl Inner {
    /// Makes a call, and text of what came of it, or of what the user is asked.
    pub(super) async fn take(
        &self,
        tool: &Tool,
        principal: Principal,
        client: Option<String>,
        arguments: Value,
        approver: Approver,
        cancelled: &CancellationToken,
    ) -> Taken {
        let call = Arc::new(Call {
            principal,
            id: Uuid::now_v7(),
            tool: tool.name,
            client,
        });
        let mut recording = Recording::begin(self.log.clone(), &call, &arguments);
        let approver = Arc::new(approver);
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
                .within(Duration::from_secs(seconds), tool.call(context, arguments))
                .await
                .unwrap_or(Err(ToolError::TimedOut { seconds }))
        };
        let answer = tokio::select! {
            biased;
            // Nobody reads what is said now.
            () = cancelled.cancelled() => {
                recording.changes(approver.change());
                recording.end(CallOutcome::Cancelled, 0, 0);
                return Taken::Told(self.text(Answer::error("error: the call was cancelled", None)));
            }
            answer = made => answer,
        };
        recording.changes(approver.change());
        let (answer, outcome) = match answer {
            Ok(answer) => (answer, CallOutcome::Answered),
            Err(ToolError::Ask(question)) => {
                recording.end(CallOutcome::Asked, 0, 0);
                return Taken::Asks(question);
            }
            Err(error) => {
                let outcome = error.outcome();
                (error.into_answer(), outcome)
            }
        };
        let rendered = self.text(answer);
        recording.end(outcome, rendered.redactions, rendered.tokens);
        Taken::Told(rendered)
    }

    fn text(&self, answer: Answer) -> Rendered {
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
