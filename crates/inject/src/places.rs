//! Leaving volumes and mounts where they stand.
//!
//! Their order means nothing, and others add theirs behind injection's: the StatefulSet controller, other webhooks. A pod that
//! comes again isn't changed for that.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;

use crate::{contract::CONTAINER, pod::CONTAINER_LISTS};

/// Orders the volumes and mounts of `target` as `present` has them, the sidecar's own excepted; what is new stays behind.
pub(crate) fn keep_places(target: &mut Value, present: &Value) {
    let (Some(target), Some(present)) = (target.get_mut("spec"), present.get("spec")) else {
        return;
    };
    order(target.get_mut("volumes"), present.get("volumes"));
    for list in CONTAINER_LISTS {
        let before: HashMap<&str, &Value> = elements(present.get(list))
            .filter_map(|container| Some((name(container)?, container)))
            .filter(|(name, _)| *name != CONTAINER)
            .collect();
        for container in target
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if let Some(before) = name(container).and_then(|name| before.get(name)) {
                order(container.get_mut("volumeMounts"), before.get("volumeMounts"));
            }
        }
    }
}

fn order(target: Option<&mut Value>, present: Option<&Value>) {
    let Some(target) = target.and_then(Value::as_array_mut) else {
        return;
    };
    let mut places: HashMap<(Option<&str>, Option<&str>), VecDeque<usize>> = HashMap::new();
    for (place, element) in elements(present).enumerate() {
        places
            .entry((name(element), path(element)))
            .or_default()
            .push_back(place);
    }
    let mut place_of = |element| places.get_mut(&(name(element), path(element)))?.pop_front();
    let order: Vec<usize> = target
        .iter()
        .map(|element| place_of(element).unwrap_or(usize::MAX))
        .collect();
    let mut ordered: Vec<(usize, Value)> = order.into_iter().zip(std::mem::take(target)).collect();
    ordered.sort_by_key(|(place, _)| *place);
    target.extend(ordered.into_iter().map(|(_, element)| element));
}

fn elements(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn name(element: &Value) -> Option<&str> {
    element.get("name")?.as_str()
}

fn path(element: &Value) -> Option<&str> {
    element.get("mountPath")?.as_str()
}
