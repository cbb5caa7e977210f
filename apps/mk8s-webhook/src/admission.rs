//! What becomes of an object: a function of the question alone. Nothing is remembered, nobody is asked and nothing is
//! done, so a dry run is answered as any other question, and whoever asks learns only what they told.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
};

use json_patch::PatchOperation;
use serde_json::Value;
use tracing::error;

use crate::{
    review::{Answer, Question, Refusal},
    warnings,
};

/// Something that changes pods as they are created. Several of them work one after the other, each on the pod as the
/// one before left it.
pub(crate) trait Mutator: Send + Sync {
    /// What it is called in the log and in the API server's audit log.
    fn name(&self) -> &'static str;

    /// What is to be done with this pod, which will be in this namespace.
    ///
    /// # Errors
    /// Why the pod can't be taken as it is.
    fn mutate(&self, pod: &Value, namespace: &str) -> Result<Change, Refusal>;
}

/// What a mutator has to say of a pod.
#[derive(Debug)]
pub(crate) enum Change {
    /// The pod doesn't ask for it.
    NotAsked,
    /// It asks, and gets this; nothing, if it has it already.
    Patch {
        operations: Vec<PatchOperation>,
        warnings: Vec<String>,
    },
    /// It asks, and passes without, for this reason: a sentence for the pod's author.
    Skip { reason: String },
}

/// How it ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At least one mutator changed the pod.
    Injected,
    /// Nothing was asked for, or it was there already.
    Unchanged,
    /// It was asked for, and the pod passed without, with a warning.
    Skipped,
    /// The pod isn't taken as it is.
    Refused,
    /// The question couldn't be read, or we failed.
    Error,
}

/// The mutators in their order.
pub(crate) struct Admission {
    mutators: Vec<Box<dyn Mutator>>,
}

impl Admission {
    pub(crate) fn new(mutators: Vec<Box<dyn Mutator>>) -> Self {
        Self { mutators }
    }

    /// Answers a question. Never panics: what went wrong with us is a refusal that says so.
    pub(crate) fn answer(&self, question: &Question) -> (Answer, Outcome) {
        // Nothing outlives it that could be half changed.
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide(question)));
        let decided = decided.unwrap_or_else(|_| {
            error!(uid = %question.uid, "a mutator panicked");
            Err((
                Refusal::internal("mk8s-webhook failed on this pod; its log says more"),
                Outcome::Error,
            ))
        });
        decided.unwrap_or_else(|(refusal, outcome)| {
            let refused = Answer {
                refusal: Some(refusal),
                ..Answer::default()
            };
            (refused, outcome)
        })
    }

    fn decide(&self, question: &Question) -> Result<(Answer, Outcome), (Refusal, Outcome)> {
        let mut answer = Answer::default();
        if question.operation != "CREATE" || !question.is_about_a_pod() {
            return Ok((answer, Outcome::Unchanged));
        }
        if !question.object.is_object() {
            let why =
                "request.object is missing: the pod that is to be created must be in the AdmissionReview";
            return Err((Refusal::invalid(why), Outcome::Error));
        }
        let mut pod = Cow::Borrowed(&question.object);
        let (mut notes, mut skipped) = (Vec::new(), false);
        for mutator in &self.mutators {
            let change = mutator
                .mutate(&pod, &question.namespace)
                .map_err(|refusal| (refusal, Outcome::Refused))?;
            match change {
                Change::NotAsked => {}
                Change::Patch { operations, warnings } => {
                    notes.push(format!("{}: {} changes", mutator.name(), operations.len()));
                    apply(mutator.name(), &mut pod, &operations).map_err(|why| (why, Outcome::Error))?;
                    answer.patch.extend(operations);
                    answer.warnings.extend(warnings);
                }
                Change::Skip { reason } => {
                    notes.push(format!("{}: skipped", mutator.name()));
                    answer.warnings.push(reason);
                    skipped = true;
                }
            }
        }
        answer.warnings = warnings::fitted(&answer.warnings);
        answer.noted = notes.join(", ");
        let outcome = match (answer.patch.is_empty(), skipped) {
            (false, _) => Outcome::Injected,
            (true, true) => Outcome::Skipped,
            (true, false) => Outcome::Unchanged,
        };
        Ok((answer, outcome))
    }
}

/// Does to our copy what the API server will do to its own, so that the next mutator sees it; and shows here rather than
/// there that a patch doesn't fit.
fn apply(name: &str, pod: &mut Cow<'_, Value>, operations: &[PatchOperation]) -> Result<(), Refusal> {
    if operations.is_empty() {
        return Ok(());
    }
    json_patch::patch(pod.to_mut(), operations).map_err(|error| {
        error!(mutator = name, %error, "a patch doesn't fit its own pod");
        Refusal::internal(format!(
            "mk8s-webhook made a patch that doesn't fit the pod: {error}"
        ))
    })
}

impl Outcome {
    /// The value of the metrics' label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Counts in a label how often it has seen the pod, once more for each other's visit.
    struct Counting;

    impl Mutator for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn mutate(&self, pod: &Value, _namespace: &str) -> Result<Change, Refusal> {
            let visits = pod["visits"].as_u64().unwrap_or_default();
            let operations = json!([{"op": "add", "path": "/visits", "value": visits + 1}]);
            Ok(Change::Patch {
                operations: serde_json::from_value(operations).expect("a patch"),
                warnings: vec![format!("visit {visits}")],
            })
        }
    }

    /// Says always the same.
    struct Saying(fn() -> Result<Change, Refusal>);

    impl Mutator for Saying {
        fn name(&self) -> &'static str {
            "saying"
        }

        fn mutate(&self, _pod: &Value, _namespace: &str) -> Result<Change, Refusal> {
            (self.0)()
        }
    }

    fn question(changes: &Value) -> Question {
        let mut request = json!({
            "uid": "u", "operation": "CREATE", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "object": {"kind": "Pod"},
        });
        json_patch::merge(&mut request, changes);
        serde_json::from_value(request).expect("a question")
    }

    fn saying(what: fn() -> Result<Change, Refusal>) -> Box<dyn Mutator> {
        Box::new(Saying(what))
    }

    #[test]
    fn each_mutator_sees_what_the_one_before_left() {
        let admission = Admission::new(vec![Box::new(Counting), Box::new(Counting)]);
        let (answer, outcome) = admission.answer(&question(&json!({})));
        assert_eq!(outcome, Outcome::Injected);
        let mut pod = json!({});
        json_patch::patch(&mut pod, &answer.patch).expect("it fits");
        assert_eq!(pod["visits"], 2);
        assert_eq!(answer.warnings, ["visit 0", "visit 1"]);
        assert_eq!(answer.noted, "counting: 1 changes, counting: 1 changes");
    }

    #[test]
    fn only_the_creation_of_pods_is_looked_at() {
        let admission = Admission::new(vec![saying(|| panic!("must not be asked"))]);
        for changes in [
            json!({"operation": "UPDATE"}),
            json!({"operation": "DELETE", "object": null}),
            json!({"operation": "CONNECT", "subResource": "exec"}),
            json!({"subResource": "binding"}),
            json!({"kind": {"group": "apps", "kind": "Deployment"}}),
        ] {
            let (answer, outcome) = admission.answer(&question(&changes));
            assert!(answer.refusal.is_none() && answer.patch.is_empty(), "{changes}");
            assert_eq!(outcome, Outcome::Unchanged, "{changes}");
        }
    }

    #[test]
    fn a_refusal_is_final_and_takes_back_what_was_done() {
        let admission = Admission::new(vec![
            Box::new(Counting),
            saying(|| Err(Refusal::invalid("spec.x: change it"))),
        ]);
        let (answer, outcome) = admission.answer(&question(&json!({})));
        assert_eq!(outcome, Outcome::Refused);
        assert!(answer.patch.is_empty());
        assert_eq!(answer.refusal.expect("refused").message, "spec.x: change it");
    }

    #[test]
    fn skipped_passes_with_a_warning() {
        let admission = Admission::new(vec![
            saying(|| {
                Ok(Change::Skip {
                    reason: "not injected: it is a Windows pod".to_owned(),
                })
            }),
            saying(|| Ok(Change::NotAsked)),
        ]);
        let (answer, outcome) = admission.answer(&question(&json!({})));
        assert_eq!(outcome, Outcome::Skipped);
        assert_eq!(answer.warnings, ["not injected: it is a Windows pod"]);
    }

    #[test]
    fn our_own_failures_let_nothing_pass() {
        let misfit = || {
            let operations = json!([{"op": "remove", "path": "/nothing/there"}]);
            Ok(Change::Patch {
                operations: serde_json::from_value(operations).expect("a patch"),
                warnings: Vec::new(),
            })
        };
        for (mutator, says) in [
            (saying(|| panic!("a bug")), "failed on this pod"),
            (saying(misfit), "doesn't fit"),
        ] {
            let (answer, outcome) = Admission::new(vec![mutator]).answer(&question(&json!({})));
            let refusal = answer.refusal.expect("refused");
            assert_eq!((outcome, refusal.code), (Outcome::Error, 500));
            assert!(refusal.message.contains(says), "{}", refusal.message);
        }
        let nothing = question(&json!({"object": null}));
        let (answer, outcome) = Admission::new(Vec::new()).answer(&nothing);
        assert!(outcome == Outcome::Error && answer.refusal.is_some());
    }
}
