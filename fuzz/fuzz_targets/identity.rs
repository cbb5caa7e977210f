//! A user and groups, a line each: what becomes an identity is never reserved, and a header that stays as it is.
#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use mk8s_model::{AuthMethod, Identity, MAX_NAME_BYTES};

fuzz_target!(|text: &str| {
    let mut names = text.split('\n');
    let user = names.next().unwrap_or_default();
    let groups: Vec<&str> = names.take(50).collect();
    let identity = match Identity::new(user, &groups, AuthMethod::Certificate) {
        Ok(identity) => identity,
        Err(why) => {
            assert!(!why.to_string().chars().any(char::is_control));
            return;
        }
    };
    assert_eq!(identity.user(), user);
    assert!(identity.groups().len() <= groups.len());
    for name in std::iter::once(identity.user()).chain(identity.groups()) {
        assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
        assert!(!name.to_lowercase().trim_start().starts_with("system:"));
        assert_eq!(name.trim(), name);
        HeaderValue::from_bytes(name.as_bytes()).expect("a header value");
    }
});
