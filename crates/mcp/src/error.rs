//! Why a tool has no answer. What is said is read by an agent: what was wrong, and what to do instead, in one line.

use rmcp::model::InputRequiredResult;

use crate::{
    answer::{Answer, Content, Keep, Lines, Rank, Section},
    cluster::ApiError,
    record::CallOutcome,
    resources::InvalidUri,
};

/// What is said where there is no cluster, be it that there is none, or none for this user, or no way to it for them.
pub(crate) const NO_CLUSTER: &str =
    "there is no such cluster for you, or no way to it: the tool \"clusters\" lists those that there are";

/// Why a tool has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments can't be meant; what to write instead is said.
    #[error("{0}")]
    Arguments(String),
    /// The URI is none of ours.
    #[error(transparent)]
    Uri(#[from] InvalidUri),
    /// This server doesn't let it happen, whoever asks.
    #[error("{0}")]
    Denied(String),
    /// There is no such cluster, or it isn't for this user: nobody is told which.
    #[error("there is no cluster {0:?} for you")]
    NoCluster(String),
    /// The cluster refused, and there is something to say about that. The second is its own words.
    #[error("{0}")]
    Rejected(String, String),
    /// It isn't an answer, nor an error: the user is to be asked, and the call to be made again.
    #[error("the user is to be asked")]
    Ask(Box<InputRequiredResult>),
    /// The cluster refused, failed or was not reached.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It took too long.
    #[error("no answer within {seconds} s")]
    TimedOut {
        /// The time there was.
        seconds: u64,
    },
    /// More calls than this user may make.
    #[error("too many calls")]
    TooMany {
        /// Until there may be another, in seconds.
        seconds: u64,
    },
}

impl ToolError {
    /// Arguments that can't be meant.
    pub(crate) fn arguments(what: impl Into<String>) -> Self {
        Self::Arguments(what.into())
    }

    /// What we say of it, and what was said to us: the caller's own arguments are quoted in errors, and a cluster's messages have
    /// in them what anybody wrote into an object.
    pub(crate) fn said(&self) -> (String, Option<String>) {
        match self {
            Self::Arguments(what) => ("the arguments can't be used".to_owned(), Some(what.clone())),
            Self::NoCluster(_) => (NO_CLUSTER.to_owned(), None),
            Self::Denied(why) => (why.clone(), None),
            Self::Uri(why) => (why.to_string(), None),
            Self::Rejected(ours, said) => (ours.clone(), Some(said.clone())),
            Self::Ask(_) => ("your user is to be asked".to_owned(), None),
            Self::TimedOut { seconds } => (
                format!(
                    "no answer within {seconds} s: ask for less (a namespace, a selector, a smaller limit), or again later"
                ),
                None,
            ),
            Self::TooMany { seconds } => (format!("too many calls: wait {seconds} s"), None),
            Self::Api(error) => match error {
                ApiError::NoCluster => (NO_CLUSTER.to_owned(), None),
                ApiError::NotAsked(refusal) => (refusal.to_string(), None),
                ApiError::Refused {
                    code,
                    reason,
                    message,
                } => {
                    let reason = crate::answer::name(reason);
                    (
                        format!("the cluster refused: {reason} ({code}){}", remedy(*code)),
                        Some(message.clone()),
                    )
                }
                ApiError::TooLarge(_) => (error.to_string(), None),
                ApiError::Broken(why) => ("the cluster's answer broke off".to_owned(), Some(why.clone())),
                ApiError::Unreadable(why) => {
                    ("the cluster's answer can't be read".to_owned(), Some(why.clone()))
                }
            },
        }
    }

    /// The same as an answer.
    pub(crate) fn into_answer(self) -> Answer {
        let (ours, said) = self.said();
        let mut answer = Answer::error(format!("error: {ours}"), None);
        if let Some(said) = said {
            let from = if matches!(self, Self::Arguments(_)) {
                "why"
            } else {
                "what the cluster said"
            };
            let lines = Lines {
                from: from.to_owned(),
                text: vec![said],
                keep: Keep::Head,
            };
            answer = answer.with(Section::new(Rank::Essential, Content::Lines(lines)));
        }
        answer
    }

    /// As what it is written down.
    pub(crate) fn outcome(&self) -> CallOutcome {
        match self {
            Self::Ask(_) => CallOutcome::Asked,
            Self::Denied(_)
            | Self::NoCluster(_)
            | Self::TooMany { .. }
            | Self::Api(ApiError::NotAsked(_) | ApiError::NoCluster) => CallOutcome::Denied,
            _ => CallOutcome::Failed,
        }
    }
}

/// What helps against a refusal.
fn remedy(code: u16) -> &'static str {
    match code {
        403 => "; the tool \"can_i\" shows what is allowed",
        410 => "; the list changed too much meanwhile: begin it again, without \"continue\"",
        429 | 503 | 504 => "; try again later",
        _ => "",
    }
}
