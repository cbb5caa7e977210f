//! Where central is.

use std::{fmt, str::FromStr};

use mk8s_model::ClusterName;
use reqwest::Url;

use crate::error::Failure;

/// An `https` origin: scheme, host and port, and nothing else, so that two spellings of one central are one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CentralUrl {
    url: Url,
    /// Without a trailing slash, with the port unless it is 443.
    origin: String,
}

impl CentralUrl {
    /// The origin as text: `https://central.example.com:8080`.
    pub(crate) fn as_str(&self) -> &str {
        &self.origin
    }

    /// The address of one of central's endpoints; `path` begins with a slash.
    pub(crate) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    /// The server of a cluster's kube API, as a kubeconfig names it.
    pub(crate) fn cluster_server(&self, cluster: &ClusterName) -> String {
        format!("{}/k8s/clusters/{cluster}", self.origin)
    }

    /// The host, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host)
    }

    /// The port, 443 when none was given.
    pub(crate) fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// Host and port as a piece of a file name.
    pub(crate) fn file_stem(&self) -> String {
        let host: String = self
            .host()
            .chars()
            .map(|c| if c == ':' { '-' } else { c })
            .collect();
        format!("{host}_{}", self.port())
    }

    /// Host and port for people and for names in a kubeconfig.
    pub(crate) fn authority(&self) -> &str {
        self.origin.trim_start_matches("https://")
    }
}

impl FromStr for CentralUrl {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        Self::of("central", text)
    }
}

impl CentralUrl {
    /// The origin of a server; `whose` is what errors call it.
    pub(crate) fn of(whose: &str, text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Failure::usage(format!("{whose}'s URL is empty"))
                .hint("give it as https://HOST or https://HOST:PORT"));
        }
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        // What stands before an @ may be a password.
        let shown = if text.contains('@') {
            "(not shown)".to_owned()
        } else {
            crate::output::plain(text)
        };
        let refuse = |why: &str| {
            Failure::usage(format!("{whose}'s URL {shown} {why}"))
                .hint("give it as https://HOST or https://HOST:PORT")
        };
        let url = Url::parse(&with_scheme).map_err(|error| refuse(&format!("can't be read: {error}")))?;
        match url.scheme() {
            "https" => {}
            "http" => {
                return Err(refuse(
                    "is http: passwords and tokens only ever travel over https",
                ));
            }
            _ => return Err(refuse("isn't https")),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refuse("names no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("holds a user name or password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("has something after the host and port"));
        }
        Ok(Self {
            origin: url.origin().ascii_serialization(),
            url,
        })
    }
}

impl fmt::Display for CentralUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_central_are_one() {
        for (text, origin, stem) in [
            (
                "https://central.example.com:8080",
                "https://central.example.com:8080",
                "central.example.com_8080",
            ),
            (
                "https://CENTRAL.example.com:443/",
                "https://central.example.com",
                "central.example.com_443",
            ),
            (
                "central.example.com",
                "https://central.example.com",
                "central.example.com_443",
            ),
            ("localhost:8443", "https://localhost:8443", "localhost_8443"),
            ("https://[::1]:8443", "https://[::1]:8443", "--1_8443"),
        ] {
            let url: CentralUrl = text.parse().expect(text);
            assert_eq!((url.as_str(), url.file_stem().as_str()), (origin, stem), "{text}");
        }
    }

    #[test]
    fn what_is_no_https_origin_is_refused() {
        for text in [
            "",
            "http://central.example.com",
            "http://localhost:8080",
            "ftp://central",
            "https://",
            "https://user:secret@central",
            "https://central/path",
            "https://central/?q",
            "https://central/#f",
            "https://central:99999",
        ] {
            assert!(text.parse::<CentralUrl>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn endpoints_and_servers() {
        let url: CentralUrl = "https://[::1]:8443".parse().expect("valid");
        assert_eq!(
            url.endpoint("/auth/login").as_str(),
            "https://[::1]:8443/auth/login"
        );
        assert_eq!(url.host(), "::1");
        let name = "prod".parse().expect("valid");
        assert_eq!(url.cluster_server(&name), "https://[::1]:8443/k8s/clusters/prod");
    }
}
