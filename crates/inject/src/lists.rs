//! Taking from lists and adding to them, in a way that can be undone.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pod::Object;

/// What a field was before something was put into it, other than absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Before {
    Absent,
    Null,
    Empty,
}

/// What was taken from a list.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Taken {
    /// What the list was, if it was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) was: Option<Before>,
    /// The elements that were taken, each with its index in the original list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) removed: Vec<(usize, Value)>,
}

impl Taken {
    pub(crate) fn is_empty(&self) -> bool {
        self.was.is_none() && self.removed.is_empty()
    }

    /// Takes over what the list was before there was anything in it.
    pub(crate) fn inherit(&mut self, older: &Self) {
        self.was = self.was.or(older.was);
    }
}

/// What is done to a list.
pub(crate) struct Change<F> {
    /// Which elements go.
    pub(crate) take: F,
    /// What is put before the rest.
    pub(crate) front: Vec<Value>,
    /// What is put after it.
    pub(crate) back: Vec<Value>,
}

impl<F: FnMut(&Value) -> bool> Change<F> {
    /// Does it to the list at `key`. A list that ends empty goes altogether.
    pub(crate) fn apply(mut self, parent: &mut Object, key: &str) -> Taken {
        let present = parent.get_mut(key).map(Value::take);
        let mut taken = Taken {
            was: match &present {
                Some(Value::Null) => Some(Before::Null),
                Some(Value::Array(elements)) if elements.is_empty() => Some(Before::Empty),
                _ => None,
            },
            removed: Vec::new(),
        };
        let mut elements = self.front;
        let before = match present {
            Some(Value::Array(before)) => before,
            _ => Vec::new(),
        };
        for (index, element) in before.into_iter().enumerate() {
            if (self.take)(&element) {
                taken.removed.push((index, element));
            } else {
                elements.push(element);
            }
        }
        elements.append(&mut self.back);
        set(parent, key, elements, taken.was);
        taken
    }
}

/// Undoes a [`Change`]: removes what `is_own` says was added, and puts back what was taken.
pub(crate) fn restore(parent: &mut Object, key: &str, taken: &Taken, mut is_own: impl FnMut(&Value) -> bool) {
    let mut elements = match parent.get_mut(key).map(Value::take) {
        Some(Value::Array(elements)) => elements,
        _ => Vec::new(),
    };
    elements.retain(|element| !is_own(element));
    let elements = merge(elements, &taken.removed);
    set(parent, key, elements, taken.was);
}

/// The elements with the removed ones at their indices, or at the end where the list is shorter now.
fn merge(elements: Vec<Value>, removed: &[(usize, Value)]) -> Vec<Value> {
    let mut merged = Vec::with_capacity(elements.len() + removed.len());
    let mut rest = elements.into_iter();
    for (index, value) in removed {
        while merged.len() < *index
            && let Some(element) = rest.next()
        {
            merged.push(element);
        }
        merged.push(value.clone());
    }
    merged.extend(rest);
    merged
}

fn set(parent: &mut Object, key: &str, elements: Vec<Value>, was: Option<Before>) {
    let value = match (elements.is_empty(), was) {
        (true, None | Some(Before::Absent)) => {
            parent.remove(key);
            return;
        }
        (true, Some(Before::Null)) => Value::Null,
        _ => elements.into(),
    };
    parent.insert(key.to_owned(), value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_done_to_a_list_is_undone() {
        for before in [
            json!({}),
            json!({"l": null}),
            json!({"l": []}),
            json!({"l": [1]}),
            json!({"l": [1, 9, 2, 9, 9]}),
        ] {
            let mut object = before.as_object().expect("an object").clone();
            let change = Change {
                take: |v: &Value| v == 9,
                front: vec![json!(7)],
                back: vec![json!(8)],
            };
            let taken = change.apply(&mut object, "l");
            let list = object["l"].as_array().expect("a list");
            assert!(
                list.first() == Some(&json!(7))
                    && list.last() == Some(&json!(8))
                    && !list.contains(&json!(9))
            );
            restore(&mut object, "l", &taken, |v| v == 7 || v == 8);
            assert_eq!(Value::from(object), before);
        }
    }

    #[test]
    fn a_list_that_ends_empty_goes_and_comes_back() {
        let mut object = json!({"l": [9, 9]}).as_object().expect("an object").clone();
        let taken = Change {
            take: |_: &Value| true,
            front: vec![],
            back: vec![],
        }
        .apply(&mut object, "l");
        assert!(object.is_empty());
        restore(&mut object, "l", &taken, |_| false);
        assert_eq!(Value::from(object), json!({"l": [9, 9]}));
    }

    #[test]
    fn indices_beyond_the_end_are_the_end() {
        let mut object = json!({"l": [1]}).as_object().expect("an object").clone();
        let taken = Taken {
            was: None,
            removed: vec![(usize::MAX, json!(2)), (0, json!(3))],
        };
        restore(&mut object, "l", &taken, |_| false);
        assert_eq!(Value::from(object), json!({"l": [1, 2, 3]}));
    }
}
