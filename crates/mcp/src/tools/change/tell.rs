//! What is said of a change: planned, asked about, done.

use serde_json::Value;

use super::draft::{Draft, Rehearsed};
use crate::{
    answer::{Answer, Content, Keep, Lines, Objects, Rank, Section, Shape, name},
    cluster::Done,
    plan::{Harm, Operation, Propagation},
    tools::each,
};

/// A plan, without the words that lead on.
pub(super) fn plan(draft: &Draft, rehearsed: &Rehearsed) -> Answer {
    would(Answer::new(format!("plan: {}", phrase(draft))), draft, rehearsed)
}

/// The question to the user.
pub(super) fn question(draft: &Draft, rehearsed: &Rehearsed) -> Answer {
    let title = format!(
        "An agent wants to {}. Approve it only if that is what you want.",
        phrase(draft)
    );
    would(Answer::new(title), draft, rehearsed)
}

/// What was done.
pub(super) fn done(draft: &Draft, done: Done) -> Answer {
    let mut answer = Answer::new(format!("done: {}", phrase(draft)));
    if matches!(draft.operation, Operation::Apply { .. }) && draft.before.is_none() && !done.is_new {
        answer = answer.with(note(
            "Somebody else made the object in the meantime: the manifest was merged into theirs.",
        ));
    }
    answer = warned(answer, done.warnings);
    let object = done.object;
    match draft.operation {
        Operation::Delete { .. } if object["kind"] == "Status" => answer,
        Operation::Delete { .. } => {
            let waits: Vec<&str> = each(&object, "/metadata/finalizers")
                .filter_map(Value::as_str)
                .map(name)
                .collect();
            let why = if waits.is_empty() {
                "It is being deleted: it ends when its containers have.".to_owned()
            } else {
                format!("It is being deleted: it waits for {}.", waits.join(", "))
            };
            answer.with(note(why))
        }
        // A Scale says nothing else.
        Operation::Scale { .. } => answer,
        _ => answer.with(objects(object)),
    }
}

fn would(mut answer: Answer, draft: &Draft, rehearsed: &Rehearsed) -> Answer {
    if let Some(harm) = rehearsed.harm {
        answer = answer.with(note(match harm {
            Harm::Deletes => "This deletes: it can't be brought back.".to_owned(),
            harm => format!("This {harm}."),
        }));
    }
    if let Some(taken) = &rehearsed.taken {
        answer = answer.with(lines(
            "fields that are taken over, and whose they are",
            vec![taken.clone()],
        ));
    }
    answer = warned(answer, rehearsed.warnings.clone());
    match (&draft.operation, &draft.before) {
        (Operation::Delete { .. }, Some(before)) => {
            answer.with(objects(before.clone()).under("what would be gone"))
        }
        (_, None) => answer.with(objects(rehearsed.after.clone()).under("what would be there")),
        _ => {
            let diff = Box::new(draft.diff(&rehearsed.after));
            answer.with(Section::new(Rank::Essential, Content::Diff(diff)).under("what would change"))
        }
    }
}

/// `scale deployments.apps web in namespace shop of cluster home to 5`
fn phrase(draft: &Draft) -> String {
    let target = &draft.target;
    let word = draft.operation.word();
    match &draft.operation {
        Operation::Scale { replicas } => {
            let before = draft
                .before
                .as_ref()
                .and_then(|before| before.pointer("/spec/replicas"))
                .and_then(Value::as_u64);
            let from = before.map_or_else(String::new, |before| format!(" from {before}"));
            format!("{word} {target}{from} to {replicas}")
        }
        Operation::Delete { propagation } => {
            let rest = match propagation {
                Propagation::Background => "and what it owns",
                Propagation::Foreground => "after what it owns",
                Propagation::Orphan => "and leave what it owns",
            };
            format!("{word} {target}, {rest}")
        }
        _ => format!("{word} {target}"),
    }
}

fn note(text: impl Into<String>) -> Section {
    Section::new(Rank::Essential, Content::Note(text.into()))
}

fn lines(from: &str, text: Vec<String>) -> Section {
    let lines = Lines {
        from: from.to_owned(),
        text,
        keep: Keep::Head,
    };
    Section::new(Rank::Essential, Content::Lines(lines))
}

fn objects(object: Value) -> Section {
    Section::new(
        Rank::Essential,
        Content::Objects(Objects::new(vec![object], Shape::Slim)),
    )
}

fn warned(answer: Answer, warnings: Vec<String>) -> Answer {
    if warnings.is_empty() {
        return answer;
    }
    answer.with(lines("the API server warns", warnings))
}
