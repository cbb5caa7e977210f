//! The token out of a request's headers. Nowhere else is one looked for: what stands in a URL is in logs.

use http::{HeaderMap, header::AUTHORIZATION};
use secrecy::SecretString;

use crate::Refused;

/// The bearer token of a request (RFC 6750 section 2.1).
///
/// # Errors
/// [`Refused::Missing`] if there is none, [`Refused::Malformed`] if it has not the form of one, or if there are several.
pub fn bearer(headers: &HeaderMap) -> Result<SecretString, Refused> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next().ok_or(Refused::Missing)?;
    if all.next().is_some() {
        return Err(Refused::Malformed("there is more than one Authorization header"));
    }
    let value = value
        .to_str()
        .map_err(|_| Refused::Malformed("the Authorization header is no ASCII"))?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Missing);
    }
    let token = token.trim_matches(' ');
    if !is_token68(token) {
        return Err(Refused::Malformed("it has not the form of a bearer token"));
    }
    Ok(SecretString::from(token))
}

/// RFC 9110 section 11.2.
fn is_token68(text: &str) -> bool {
    let unpadded = text.trim_end_matches('=');
    !unpadded.is_empty()
        && unpadded
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn from(values: &[&[u8]]) -> Result<String, Refused> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                AUTHORIZATION,
                HeaderValue::from_bytes(value).expect("a header's value"),
            );
        }
        bearer(&headers).map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn the_scheme_is_of_any_case_and_the_token_is_one_word() {
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c "] {
            assert_eq!(from(&[good.as_bytes()]).as_deref(), Ok("a.b.c"), "{good}");
        }
    }

    #[test]
    fn other_ways_to_say_who_one_is_are_none_here() {
        for other in [&b"Basic YTpi"[..], b"Bearerabc", b"Negotiate x", b""] {
            assert_eq!(from(&[other]), Err(Refused::Missing), "{other:?}");
        }
        assert_eq!(from(&[]), Err(Refused::Missing));
    }

    #[test]
    fn a_token_that_is_none_or_two_of_them_are_malformed() {
        for bad in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer a b",
            b"Bearer a,b",
            b"Bearer \"a\"",
            b"Bearer ===",
            b"Bearer \xc3\xa9",
        ] {
            assert!(matches!(from(&[bad]), Err(Refused::Malformed(_))), "{bad:?}");
        }
        assert!(matches!(
            from(&[b"Bearer a", b"Bearer a"]),
            Err(Refused::Malformed(_))
        ));
        assert!(matches!(
            from(&[b"Bearer a", b"Basic b"]),
            Err(Refused::Malformed(_))
        ));
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert(AUTHORIZATION, value);
                let _ = bearer(&headers);
            }
        }
    }
}
