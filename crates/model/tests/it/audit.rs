//! An audit event is written down and read back as it was.

use std::borrow::Cow;

use mk8s_model::{AuditClose, AuditId, AuditOpen, Outcome};
use proptest::{collection::vec, option, prelude::*, sample::select};

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    any::<String>().prop_map(Cow::Owned)
}

prop_compose! {
    fn open()(
        (id, user, groups, source, user_agent, cluster) in
            (any::<u128>(), text(), vec(text(), 0..3), text(), option::of(text()), option::of(text())),
        (method, uri, verb, resource) in (text(), text(), text(), text()),
        (api_group, namespace, name, rule, denied, policy_version) in
            (option::of(text()), option::of(text()), option::of(text()), option::of(text()), option::of(text()), any::<u64>()),
        at in 0_i64..4_000_000_000,
    ) -> AuditOpen<'static> {
        AuditOpen {
            id: AuditId(uuid::Uuid::from_u128(id)),
            at: jiff::Timestamp::from_second(at).expect("a time"),
            user, groups, source, user_agent, cluster, method, uri, verb, resource, api_group, namespace, name, rule,
            denied, policy_version,
        }
    }
}

proptest! {
    #[test]
    fn the_first_half_survives_being_written_down(open in open()) {
        let json = serde_json::to_string(&open).expect("JSON");
        prop_assert!(!json.contains('\n'), "an event is one line");
        let back: AuditOpen<'_> = serde_json::from_str(&json).expect("an event");
        prop_assert_eq!(back, open);
    }

    #[test]
    fn the_second_half_survives_being_written_down(
        id in any::<u128>(),
        status in any::<u16>(),
        outcome in select(vec![
            Outcome::Complete, Outcome::ClientGone, Outcome::UpstreamFailed, Outcome::Refused, Outcome::Ended,
            Outcome::Interrupted,
        ]),
        duration_ms in any::<u64>(),
        bytes_sent in any::<u64>(),
    ) {
        let close = AuditClose { id: AuditId(uuid::Uuid::from_u128(id)), status, outcome, duration_ms, bytes_sent };
        let json = serde_json::to_string(&close).expect("JSON");
        prop_assert!(json.contains(outcome.as_str()), "rows and lines say the same word");
        prop_assert_eq!(serde_json::from_str::<AuditClose>(&json).expect("a close"), close);
    }
}
