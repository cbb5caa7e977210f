//! What is known of one certificate, and for how long.

use jiff::{SignedDuration, Timestamp};
use mk8s_tls::ocsp::{Answer, Status};

/// The longest that an answer is kept, whatever it says.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// The shortest, so that one that has ended by our clock isn't asked for at each request. It is also how soon a responder that
/// gave no answer is asked again.
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);
/// How long before its end an answer is asked for again, at most; never in the first three quarters of its time.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// A responder's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    Good,
    Revoked {
        at: Timestamp,
    },
    Unknown,
    /// There was no answer, or none that counts.
    None,
}

impl From<&Status> for Word {
    fn from(status: &Status) -> Self {
        match status {
            Status::Good => Self::Good,
            Status::Revoked { at, .. } => Self::Revoked { at: *at },
            Status::Unknown => Self::Unknown,
        }
    }
}

impl Word {
    /// The metric's label.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Revoked { .. } => "revoked",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }
}

/// A word, and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) word: Word,
    /// From when on it is asked for again, beside all else.
    pub(super) again: Timestamp,
    /// From when on nobody may rely on it.
    pub(super) until: Timestamp,
}

impl Known {
    /// What is known after a question, by the answer or without one.
    pub(super) fn after(before: Option<Self>, answer: Option<Answer>, now: Timestamp) -> Self {
        let soon = add(now, SHORTEST);
        if let Some(answer) = answer {
            let until = answer.until.min(add(now, LONGEST)).max(soon);
            let ahead = AHEAD.min(until.duration_since(now) / 4);
            return Self {
                word: Word::from(&answer.status),
                again: add(until, -ahead),
                until,
            };
        }
        match before {
            // It still holds.
            Some(known) if known.until > soon => Self { again: soon, ..known },
            // Silence takes no revocation back: else whoever can silence a responder could.
            Some(Self {
                word: word @ Word::Revoked { .. },
                ..
            }) => Self::silent(word, soon),
            _ => Self::silent(Word::None, soon),
        }
    }

    /// Whether it is worth keeping when its certificate's holder isn't here.
    pub(super) fn outlives(&self, now: Timestamp) -> bool {
        self.until > now || matches!(self.word, Word::Revoked { .. })
    }

    fn silent(word: Word, soon: Timestamp) -> Self {
        Self {
            word,
            again: soon,
            until: soon,
        }
    }
}

fn add(at: Timestamp, duration: SignedDuration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000_000 + seconds).expect("a time")
    }

    fn answered(status: Status, until: i64) -> Option<Answer> {
        Some(Answer {
            status,
            this_update: at(-10),
            until: at(until),
        })
    }

    fn revoked() -> Status {
        Status::Revoked {
            at: at(-5),
            reason: mk8s_tls::RevocationReason::Unspecified,
        }
    }

    #[test]
    fn an_answer_is_kept_until_it_says_and_at_most_a_day() {
        const DAY: i64 = 24 * 3600;
        for (says, until, again) in [
            (3600, 3600, 3540),
            (100, 100, 75),
            (7 * DAY, DAY, DAY - 60),
            // Over already, within the difference that clocks may have.
            (-60, 10, 7),
        ] {
            let known = Known::after(None, answered(Status::Good, says), at(0));
            assert_eq!(known.word, Word::Good);
            assert_eq!(known.until, at(until), "{says}");
            assert!(
                known.again >= at(again) && known.again <= at(again + 1),
                "{says}: {}",
                known.again
            );
        }
    }

    #[test]
    fn silence_ends_a_good_answer_when_it_ends_and_not_before() {
        let good = Known::after(None, answered(Status::Good, 3600), at(0));
        let later = Known::after(Some(good), None, at(3550));
        assert_eq!(
            (&later.word, later.until, later.again),
            (&Word::Good, at(3600), at(3560))
        );
        let ended = Known::after(Some(later), None, at(3600));
        assert_eq!((ended.word, ended.again), (Word::None, at(3610)));
    }

    #[test]
    fn silence_takes_no_revocation_back_and_an_answer_does() {
        let known = Known::after(None, answered(revoked(), 100), at(0));
        let silent = Known::after(Some(known), None, at(200));
        assert_eq!(silent.word, Word::Revoked { at: at(-5) });
        assert!(silent.outlives(at(10_000)));
        let again = Known::after(Some(silent), answered(Status::Good, 400), at(300));
        assert_eq!(again.word, Word::Good);
        assert!(!again.outlives(at(400)));
    }
}
