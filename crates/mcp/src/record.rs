//! One line a call: who called which tool with what, and what came of it. The requests that it made are events of
//! their own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::principal::Call;

/// A call, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRecord {
    /// The call's id.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// Who called.
    pub user: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// From which address.
    pub source: String,
    /// What their program calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The tool.
    pub tool: String,
    /// The clusters that were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// SHA-256 of the arguments as JSON with sorted keys, in hexadecimal: what was asked can be proven by who knows it, and
    /// isn't told to others.
    pub arguments_digest: String,
    /// What it was to change, if it was to change something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// What came of it.
    pub outcome: CallOutcome,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
    /// How many values were taken out of the answer.
    pub redactions: u32,
    /// The answer's tokens, by our estimate.
    pub tokens: usize,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallOutcome {
    /// An answer.
    Answered,
    /// An answer that says what went wrong.
    Failed,
    /// A question to the user; the client calls again with their answer.
    Asked,
    /// We refused.
    Denied,
    /// The client went, or took it back.
    Cancelled,
    /// A subscription began. Another line with its id says how it ended.
    Subscribed,
    /// A subscription ended with its user's proof of identity, or with this server.
    Ended,
}

/// What a call was to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// `apply`, `delete`, `exec`, …
    pub operation: String,
    /// The plan's id, the same where it was made and where it was applied. The plan itself isn't told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What the user said, where they had to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// What a user said who had to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Nothing yet: they are being asked, and the client calls again with the answer.
    Asked,
    /// Yes.
    Approved,
    /// No.
    Declined,
    /// They put the question away.
    Cancelled,
    /// Nothing in time.
    Late,
    /// Their client can't ask.
    Unasked,
}

/// Where calls are written down.
pub trait CallLog: Send + Sync + 'static {
    /// Writes one down. Failing to is the log's own affair: the call has happened.
    fn record(&self, call: &CallRecord);
}

/// Sees to it that a call is written down however it ends: dropped before [`Recording::end`], it was cancelled.
pub(crate) struct Recording {
    log: Arc<dyn CallLog>,
    record: CallRecord,
    started: Instant,
}

impl Recording {
    pub(crate) fn begin(log: Arc<dyn CallLog>, call: &Call, arguments: &Value) -> Self {
        let identity = &call.principal.identity;
        let cut = |text: &str| {
            text.chars()
                .filter(|c| !c.is_control())
                .take(128)
                .collect::<String>()
        };
        Self {
            log,
            started: Instant::now(),
            record: CallRecord {
                id: call.id.to_string(),
                at: Timestamp::now(),
                user: identity.user().to_owned(),
                groups: identity.groups().map(str::to_owned).collect(),
                source: call.principal.source.to_string(),
                client: call.client.as_deref().map(cut),
                tool: call.tool.to_owned(),
                cluster: arguments["cluster"].as_str().map(cut),
                arguments_digest: digest(arguments),
                change: None,
                outcome: CallOutcome::Cancelled,
                milliseconds: 0,
                redactions: 0,
                tokens: 0,
            },
        }
    }

    /// Writes down that it has begun, of what goes on for long.
    pub(crate) fn begun(&self) {
        let record = CallRecord {
            outcome: CallOutcome::Subscribed,
            milliseconds: self.milliseconds(),
            ..self.record.clone()
        };
        self.log.record(&record);
    }

    /// Writes down what it is to change.
    pub(crate) fn changes(&mut self, change: Option<Change>) {
        self.record.change = change;
    }

    pub(crate) fn end(mut self, outcome: CallOutcome, redactions: u32, tokens: usize) {
        self.record.outcome = outcome;
        self.record.redactions = redactions;
        self.record.tokens = tokens;
    }

    fn milliseconds(&self) -> u64 {
        let elapsed: Duration = self.started.elapsed();
        elapsed.as_millis().try_into().unwrap_or(u64::MAX)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.record.milliseconds = self.milliseconds();
        self.log.record(&self.record);
    }
}

/// Maps of `serde_json` are sorted, so equal arguments have equal digests.
fn digest(arguments: &Value) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(arguments.to_string()) {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
