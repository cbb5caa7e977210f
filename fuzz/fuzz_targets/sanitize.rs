//! Headers, a line each: none that names an identity ever passes, whatever `Connection` says.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use mk8s_proxy::sanitize::{self, Audience, Impersonation};

fuzz_target!(|bytes: &[u8]| {
    let mut sent = HeaderMap::new();
    for line in bytes.split(|b| *b == b'\n').take(200) {
        let at = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(at);
        let value = HeaderValue::from_bytes(value.strip_prefix(b":").unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), value) {
            sent.append(name, value);
        }
    }
    let chose = sent.keys().any(|name| name.as_str().starts_with("impersonate-"));
    for audience in [Audience::ApiServer, Audience::Workload] {
        let mut headers = sent.clone();
        assert_eq!(sanitize::request(&mut headers, audience, Impersonation::Refused).is_err(), chose);
        if chose {
            continue;
        }
        for (name, value) in &headers {
            let text = name.as_str();
            assert!(!["impersonate-", "x-remote-", "x-mk8s-"].iter().any(|prefix| text.starts_with(prefix)), "{text}");
            assert!(!matches!(text, "audit-id" | "x-forwarded-user" | "x-forwarded-groups"), "{text}");
            assert!(!matches!(*name, header::AUTHORIZATION | header::PROXY_AUTHORIZATION | header::CONNECTION), "{text}");
            assert!(!matches!(*name, header::UPGRADE | header::TE | header::TRANSFER_ENCODING | header::HOST), "{text}");
            if *name == header::SEC_WEBSOCKET_PROTOCOL {
                let value = value.as_bytes().to_ascii_lowercase();
                let offers = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                for offer in offers {
                    assert!(!offer.starts_with(b"base64url.bearer.authorization.k8s.io."));
                }
            }
        }
    }
    sanitize::response(&mut sent);
    assert!(![header::CONNECTION, header::UPGRADE, header::TRANSFER_ENCODING].iter().any(|name| sent.contains_key(name)));
});
