//! Answers become text here, and nowhere else.
//!
//! One way, in this order: text is made `clean`, so that everything after sees what its reader will see; secrets go out of it
//! ([`redact`]); only then are fields selected and objects written (`format`), since a filter over hidden values would tell them;
//! what is too much is left out and counted (`budget`); and what isn't ours is fenced (`fence`).

use jiff::Timestamp;

use self::block::Blocks;
use self::budget::Frame;
use self::fence::Fence;
use crate::answer::Answer;

pub mod redact;

mod block;
mod budget;
mod clean;
mod diff;
mod fence;
mod fold;
mod format;
mod objects;
mod prefix;
mod tokens;

pub use tokens::estimate;

/// Tokens of an answer if nobody says otherwise.
pub const TOKENS: usize = 6000;

/// The smallest budget there is: less is taken for this.
pub const LEAST_TOKENS: usize = 300;

/// How answers are rendered.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The budget of an answer; [`LEAST_TOKENS`] at least.
    pub tokens: usize,
    /// The time, from which ages are counted.
    pub now: Timestamp,
    /// What is told of literal environment variables.
    pub env: EnvPolicy,
}

impl Settings {
    /// The usual budget and policy at this time.
    pub fn new(now: Timestamp) -> Self {
        Self {
            tokens: TOKENS,
            now,
            env: EnvPolicy::default(),
        }
    }
}

/// What is told of the literal values of containers' environment variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EnvPolicy {
    /// None.
    Hidden,
    /// What plainly can't be a secret: `true`, small numbers, log levels.
    #[default]
    Harmless,
    /// All but what is found to be a secret by its name or its form.
    Shown,
}

/// What makes an answer's fence unguessable: random, new for each answer.
#[derive(Debug, Clone, Copy)]
pub struct Nonce(pub u64);

/// Text that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The whole answer.
    pub text: String,
    /// In how many places something was hidden.
    pub redactions: u32,
    /// Whether something was left out for want of tokens.
    pub truncated: bool,
    /// How many tokens it has, estimated upwards.
    pub tokens: usize,
    /// As the answer had it.
    pub is_error: bool,
}

/// Makes text of an answer: hides secrets, takes out what can't be seen, fences what isn't ours, keeps to the budget.
///
/// It takes the answer, because what it reads once nobody may read again.
pub fn render(answer: Answer, settings: &Settings, nonce: Nonce) -> Rendered {
    let fence = Fence::new(nonce);
    let mut blocks = Blocks::new(settings);
    let title = blocks.own(&answer.title);
    let more = answer.more.map(|more| blocks.own(&more));
    let mut found = Vec::new();
    for section in answer.sections {
        blocks.section(section, &mut found);
    }
    let frame = Frame {
        title: fence.defuse(&title).into_owned(),
        more: more.map(|more| fence.defuse(&more).into_owned()),
    };
    let fitted = budget::fit(frame, &found, settings.tokens.max(LEAST_TOKENS), &fence);
    Rendered {
        redactions: blocks.hits(),
        truncated: fitted.truncated,
        tokens: tokens::estimate(&fitted.text),
        is_error: answer.is_error,
        text: fitted.text,
    }
}
