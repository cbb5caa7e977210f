//! A request line: it never panics, and what is accepted is what Kubernetes makes of it. The first byte chooses the method,
//! the rest is the target.
#![no_main]

use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use mk8s_model::{Interactive, KubeRequest, Verb};

#[path = "../../crates/model/tests/it/reference.rs"]
mod reference;

const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, target)) = bytes.split_first() else { return };
    let method = &METHODS[usize::from(*choice) % METHODS.len()];
    let Ok(uri) = Uri::try_from(target) else { return };
    let Ok(ours) = KubeRequest::classify(method, &uri) else { return };
    let _ = (ours.verb(), ours.is_long_running(uri.query()));

    let decoded = reference::unescape(uri.path(), false).expect("what is accepted can be decoded");
    assert!(!decoded.iter().any(u8::is_ascii_control));
    assert!(!decoded.split(|b| matches!(b, b'/' | b'\\')).any(|segment| segment == b".."));

    let path = String::from_utf8(decoded).expect("what is accepted is UTF-8");
    let theirs = reference::request_info(method.as_str(), &path, uri.query().unwrap_or_default())
        .expect("what is accepted is understood");
    match &ours {
        KubeRequest::NonResource { verb, path } => {
            assert!(!theirs.is_resource_request);
            assert_eq!((verb.as_ref(), path.as_ref()), (theirs.verb.as_str(), theirs.path.as_str()));
        }
        KubeRequest::Resource(r) => {
            assert!(theirs.is_resource_request);
            assert_eq!(r.verb.as_str(), theirs.verb);
            assert_eq!((r.group.as_ref(), r.version.as_ref()), (theirs.group.as_str(), theirs.version.as_str()));
            assert_eq!(r.resource, theirs.resource);
            assert_eq!(r.subresource.as_deref().unwrap_or_default(), theirs.subresource);
            assert_eq!(r.namespace.as_deref().unwrap_or_default(), theirs.namespace);
            if !matches!(r.verb, Verb::List | Verb::Watch) {
                assert_eq!(r.name.as_deref().unwrap_or_default(), theirs.name);
            }
            if r.interactive() != Some(Interactive::Proxy) {
                let split_first = uri.path().split('/').count();
                assert_eq!(split_first, path.split('/').count(), "decoding first gives other segments");
            }
        }
    }
});
