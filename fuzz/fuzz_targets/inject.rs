//! A pod as JSON: injecting never panics, what comes of it needs no second time, and taking it out again gives the pod back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mk8s_inject::{Outcome, Settings, inject, json_patch, uninject};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(pod) = serde_json::from_slice::<Value>(bytes) else { return };
    let settings = Settings::default();
    let Ok(Outcome::Inject(first)) = inject(&pod, &settings) else { return };
    let mut injected = pod.clone();
    json_patch::patch(&mut injected, &first.patch).expect("our own patch fits");
    match inject(&injected, &settings).expect("what was injected is accepted") {
        Outcome::Inject(second) => assert!(second.patch.is_empty(), "{:?}", second.patch),
        Outcome::Skip { reason } => panic!("an injected pod is skipped: {reason}"),
    }
    let is_new = !first.patch.is_empty();
    if is_new && inject_was_ours(&pod) {
        return;
    }
    let out = uninject(&injected).expect("what was injected can be taken out");
    let mut back = injected;
    json_patch::patch(&mut back, &out.patch).expect("our own patch fits");
    if is_new {
        assert_eq!(back, pod);
    }
});

/// Whether the pod came with something that uninject takes for ours.
fn inject_was_ours(pod: &Value) -> bool {
    uninject(pod).is_ok_and(|injection| !injection.patch.is_empty())
}
