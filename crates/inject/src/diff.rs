//! Two versions of a pod to RFC 6902 operations.
//!
//! Lists of containers, variables, mounts and volumes are compared by their elements' names, not by position: putting a
//! container first is one `add`, and what others have in the lists meanwhile isn't written again.

use std::collections::HashMap;

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation,
    jsonptr::{PointerBuf, Token},
};
use serde_json::{Map, Value};

/// The operations that make `after` of `before`.
pub(crate) fn diff(before: &Value, after: &Value) -> Patch {
    let mut diff = Diff {
        path: PointerBuf::new(),
        operations: Vec::new(),
    };
    diff.values(before, after);
    Patch(diff.operations)
}

struct Diff {
    /// Where we are.
    path: PointerBuf,
    operations: Vec<PatchOperation>,
}

impl Diff {
    fn values(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => self.objects(before, after),
            (Value::Array(before), Value::Array(after)) => self.arrays(before, after),
            (before, after) if before == after => {}
            _ => self.replace(after),
        }
    }

    fn objects(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            self.at(Token::new(key), Self::remove);
        }
        for (key, value) in after {
            self.at(Token::new(key), |diff| match before.get(key) {
                Some(before) => diff.values(before, value),
                None => diff.add(value),
            });
        }
    }

    fn arrays(&mut self, before: &[Value], after: &[Value]) {
        if before == after {
            return;
        }
        let (Some(old), Some(new)) = (identities(before), identities(after)) else {
            self.replace(&after.to_vec().into());
            return;
        };
        let (mut left_old, mut left_new) = (counts(&old), counts(&new));
        let (mut a, mut b, mut index) = (0, 0, 0);
        loop {
            match (old.get(a), new.get(b)) {
                (None, None) => break,
                (Some(id), Some(other)) if id == other => {
                    self.at(Token::from(index), |diff| diff.values(&before[a], &after[b]));
                    used(&mut left_old, id);
                    used(&mut left_new, id);
                    (a, b, index) = (a + 1, b + 1, index + 1);
                }
                // What is in the new list later, and no more in the old one, is new.
                (id, Some(other)) if id.is_none() || !left_old.contains_key(other) => {
                    self.at(Token::from(index), |diff| diff.add(&after[b]));
                    used(&mut left_new, other);
                    (b, index) = (b + 1, index + 1);
                }
                // Gone, or moved to behind: then it is added there.
                (Some(id), _) => {
                    self.at(Token::from(index), Self::remove);
                    used(&mut left_old, id);
                    a += 1;
                }
                (None, Some(_)) => unreachable!("the second arm takes it"),
            }
        }
    }

    fn at(&mut self, token: Token<'_>, step: impl FnOnce(&mut Self)) {
        self.path.push_back(token);
        step(self);
        self.path.pop_back();
    }

    fn add(&mut self, value: &Value) {
        let (path, value) = (self.path.clone(), value.clone());
        self.operations
            .push(PatchOperation::Add(AddOperation { path, value }));
    }

    fn replace(&mut self, value: &Value) {
        let (path, value) = (self.path.clone(), value.clone());
        self.operations
            .push(PatchOperation::Replace(ReplaceOperation { path, value }));
    }

    fn remove(&mut self) {
        let path = self.path.clone();
        self.operations
            .push(PatchOperation::Remove(RemoveOperation { path }));
    }
}

/// What tells an element from others: its name, and its path if it is a mount.
type Identity<'a> = (&'a str, &'a str);

/// The elements' identities, if all have one.
fn identities(list: &[Value]) -> Option<Vec<Identity<'_>>> {
    list.iter()
        .map(|element| {
            let path = element
                .get("mountPath")
                .and_then(Value::as_str)
                .unwrap_or_default();
            Some((element.get("name")?.as_str()?, path))
        })
        .collect()
}

fn counts<'a>(identities: &[Identity<'a>]) -> HashMap<Identity<'a>, usize> {
    let mut counts = HashMap::new();
    for identity in identities {
        *counts.entry(*identity).or_default() += 1;
    }
    counts
}

fn used<'a>(counts: &mut HashMap<Identity<'a>, usize>, identity: &Identity<'a>) {
    if let Some(count) = counts.get_mut(identity) {
        *count -= 1;
        if *count == 0 {
            counts.remove(identity);
        }
    }
}
