//! URLs that settings and documents name, checked once.

use std::net::IpAddr;

use reqwest::Url;

/// What URLs are taken: those of https, and with the setting for it those of http on this machine alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Https,
    HttpsAndLoopback,
}

impl Taken {
    /// The URL, or what is wrong with it and what to write instead.
    pub(crate) fn check(self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "is no URL; write the whole of it, from https:// on")?;
        if !url.has_host() {
            return Err("names no host; write https:// and the host's name");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user or password in it; leave them out");
        }
        if url.fragment().is_some() {
            return Err("has a fragment; leave out the # and what follows");
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if self == Self::HttpsAndLoopback && is_loopback(&url) => Ok(url),
            "http" if is_loopback(&url) => {
                Err("is plain http; write https, or for a trial on one machine set allow_loopback_http: true")
            }
            _ => Err("is not https; tokens and keys are worth what their way is worth, so write https"),
        }
    }

    /// The same of a URL that is an identifier, to which clients add nothing.
    pub(crate) fn check_identifier(self, text: &str) -> Result<Url, &'static str> {
        let url = self.check(text)?;
        if url.query().is_some() {
            return Err("has a query; leave out the ? and what follows");
        }
        Ok(url)
    }
}

/// Whether the URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the text is how everybody writes the URL (RFC 3986 section 6.2.2): audiences are compared byte by byte. The slash
/// after a host alone may be left out.
pub(crate) fn is_canonical(text: &str, url: &Url) -> bool {
    url.as_str() == text || url.as_str().strip_suffix('/') == Some(text)
}

/// The URL's path, and nothing if that is a lone slash.
pub(crate) fn path(url: &Url) -> &str {
    url.path().trim_end_matches('/')
}

/// Scheme, host and port, with neither path nor slash.
pub(crate) fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_taken_and_plain_http_on_this_machine_if_somebody_asked_for_it() {
        assert!(Taken::Https.check("https://issuer.example.com/realm").is_ok());
        for local in ["http://127.0.0.1:9/x", "http://localhost:9", "http://[::1]/"] {
            assert!(Taken::HttpsAndLoopback.check(local).is_ok(), "{local}");
            let refused = Taken::Https.check(local).expect_err(local);
            assert!(refused.contains("allow_loopback_http"), "{refused}");
        }
        for bad in [
            "http://issuer.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://2130706433.example.com",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
            "https://user:word@issuer.example.com",
            "https://user@issuer.example.com",
            "https://issuer.example.com/#x",
            "issuer.example.com",
            "data:,x",
            "",
        ] {
            assert!(Taken::HttpsAndLoopback.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identifier_is_canonical_if_all_would_write_it_so() {
        let canonical = |text: &str| is_canonical(text, &Url::parse(text).expect("a URL"));
        for good in [
            "https://x.example.com",
            "https://x.example.com/",
            "https://x.example.com/mcp",
        ] {
            assert!(canonical(good), "{good}");
        }
        for bad in [
            "https://X.example.com",
            "HTTPS://x.example.com",
            "https://x.example.com:443",
            "https://x.example.com/a/../b",
        ] {
            assert!(!canonical(bad), "{bad}");
        }
    }
}
