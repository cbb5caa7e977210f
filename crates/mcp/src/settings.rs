//! What whoever runs the server decides for all its users.

use mk8s_model::{GroupResource, InvalidGroupResource};
use serde::Deserialize;

/// What whoever runs the server decides for all its users. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Settings {
    /// Resources that no tool touches, as rules name them: `secrets`, `certificates.cert-manager.io`. Subresources go with
    /// them.
    pub denied_resources: Vec<DeniedResource>,
    /// The longest answer, in tokens.
    pub answer_tokens: usize,
    /// How long a call may take, in seconds.
    pub call_seconds: u64,
    /// What is read of one answer of a cluster at most, in bytes.
    pub read_bytes: usize,
    /// How many calls one user may make in a minute.
    pub calls_per_minute: u32,
    /// How many subscriptions one user may have at a time.
    pub subscriptions: usize,
    /// What agents may change.
    pub mode: Mode,
    /// Plans are made and shown, and nothing is ever done.
    pub dry_run: bool,
    /// How long a plan may be applied after it was made, in seconds.
    pub plan_seconds: u64,
    /// How long somebody is waited for who is asked whether something may be done, in seconds.
    pub approval_seconds: u64,
}

/// What agents may change, after somebody approved of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing: the tools that change aren't there.
    #[default]
    ReadOnly,
    /// What adds, replaces or restarts. Nothing is deleted, scaled to fewer, taken over from others or entered.
    NonDestructive,
    /// Whatever the user may do.
    Full,
}

/// A resource that no tool touches.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DeniedResource(pub GroupResource);

impl TryFrom<String> for DeniedResource {
    type Error = InvalidGroupResource;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

/// Settings that can't be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}: {remedy}")]
pub struct InvalidSettings {
    setting: &'static str,
    value: u64,
    remedy: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            denied_resources: Vec::new(),
            answer_tokens: 6_000,
            call_seconds: 30,
            read_bytes: 32 << 20,
            calls_per_minute: 240,
            subscriptions: 20,
            mode: Mode::ReadOnly,
            dry_run: false,
            plan_seconds: 300,
            approval_seconds: 300,
        }
    }
}

impl Settings {
    /// Whether they can be meant.
    ///
    /// # Errors
    /// The first that can't, with what to write instead.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let at_least = |setting, value: u64, least: u64, remedy| {
            if value < least {
                Err(InvalidSettings {
                    setting,
                    value,
                    remedy,
                })
            } else {
                Ok(())
            }
        };
        at_least(
            "answerTokens",
            self.answer_tokens as u64,
            500,
            "give 500 or more, or nothing can be said",
        )?;
        at_least("callSeconds", self.call_seconds, 1, "give 1 or more")?;
        at_least(
            "readBytes",
            self.read_bytes as u64,
            1 << 20,
            "give 1048576 (1 MiB) or more",
        )?;
        at_least(
            "callsPerMinute",
            self.calls_per_minute.into(),
            1,
            "give 1 or more",
        )?;
        at_least("planSeconds", self.plan_seconds, 1, "give 1 or more")?;
        at_least("approvalSeconds", self.approval_seconds, 1, "give 1 or more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cant_be_meant_is_refused() {
        assert_eq!(Settings::default().check(), Ok(()));
        let short = Settings {
            answer_tokens: 10,
            ..Settings::default()
        };
        assert_eq!(
            short.check().expect_err("too short").to_string(),
            "answerTokens is 10: give 500 or more, or nothing can be said"
        );
        let mode: Settings =
            serde_json::from_str(r#"{"mode": "non-destructive", "dryRun": true}"#).expect("a mode");
        assert_eq!((mode.mode, mode.dry_run), (Mode::NonDestructive, true));
        assert_eq!(Settings::default().mode, Mode::ReadOnly);
        assert!(serde_json::from_str::<Settings>(r#"{"mode": "destructive"}"#).is_err());
        let typo: Result<Settings, _> = serde_json::from_str(r#"{"answerToken": 1}"#);
        assert!(
            typo.expect_err("a typo")
                .to_string()
                .contains("unknown field `answerToken`")
        );
        let path: Result<Settings, _> = serde_json::from_str(r#"{"deniedResources": ["apps/deployments"]}"#);
        assert!(
            path.expect_err("no resource")
                .to_string()
                .contains("write its plural")
        );
    }
}
