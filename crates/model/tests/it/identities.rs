//! What can be an identity.

use mk8s_model::{AuthMethod, Identity, MAX_NAME_BYTES};
use proptest::{collection::vec, prelude::*, sample::select};

fn name() -> impl Strategy<Value = String> {
    let odd = vec![
        "system:masters",
        "SYSTEM:admin",
        " system:x",
        "\tsystem:x",
        "\u{a0}system:x",
        "jane",
        "jane ",
        "dev",
        "",
        " ",
        "a\r\nb",
        "a\0",
        "\u{7f}",
        "\u{85}",
        "é",
        "名前",
        "system",
        "system:",
        "xsystem:a",
        "mk8s:dev",
        "a:b",
    ];
    prop_oneof![4 => select(odd).prop_map(str::to_owned), 1 => vec(any::<char>(), 0..12).prop_map(String::from_iter),
        1 => (MAX_NAME_BYTES - 2..MAX_NAME_BYTES + 3).prop_map(|length| "x".repeat(length)),]
}

fn is_acceptable(name: &str) -> bool {
    let reserved = name.trim_start().to_lowercase().starts_with("system:");
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(char::is_control)
        && name.trim() == name
        && !reserved
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn an_identity_is_made_of_acceptable_names_and_of_nothing_else(user in name(), groups in vec(name(), 0..5)) {
        let identity = Identity::new(&user, &groups, AuthMethod::Token);
        let acceptable = is_acceptable(&user) && groups.iter().all(|group| is_acceptable(group));
        prop_assert_eq!(identity.is_ok(), acceptable, "{:?} {:?}", user, groups);
    }

    #[test]
    fn an_identity_is_a_header_that_every_http_keeps_as_it_is(user in name(), groups in vec(name(), 0..5)) {
        let Ok(identity) = Identity::new(&user, &groups, AuthMethod::Token) else { return Ok(()) };
        for name in std::iter::once(identity.user()).chain(identity.groups()) {
            let header = http::HeaderValue::from_bytes(name.as_bytes()).expect("a header value");
            prop_assert_eq!(header.as_bytes().trim_ascii(), name.as_bytes());
        }
    }

    #[test]
    fn a_refusal_shows_no_control_character(user in name()) {
        if let Err(why) = Identity::new(&user, [""; 0], AuthMethod::Token) {
            prop_assert!(!why.to_string().chars().any(char::is_control), "{}", why);
            prop_assert!(why.to_string().len() < 600, "{}", why);
        }
    }
}
