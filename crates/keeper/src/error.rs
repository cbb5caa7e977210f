//! Why a fetch fails.

use std::time::Duration;

use crate::TransportError;

/// Why there is nothing to be had. One line each, with a remedy, and nothing secret.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// The service wants fewer requests.
    #[error("Keeper wants fewer requests{}; fetch less often", wait_of(*.retry_after))]
    Throttled {
        /// How long it wants silence, if it says so.
        retry_after: Option<Duration>,
    },
    /// The service doesn't know the client, or no longer.
    #[error(
        "Keeper denies this client access: {message}; check in the vault that its device still belongs to the application and isn't locked to another address"
    )]
    AccessDenied {
        /// The service's words.
        message: String,
    },
    /// The service asks for a key of its own that we can't use.
    #[error("Keeper asks for its server key {id:?}, {problem}")]
    ServerKey {
        /// Which.
        id: String,
        /// Why not.
        problem: KeyProblem,
    },
    /// Any other answer that isn't a success.
    #[error("Keeper's server answers {status}: {message}; {}", remedy_of(*.status))]
    Server {
        /// The status of HTTP.
        status: u16,
        /// The service's words, or what else can be told.
        message: String,
    },
    /// A file isn't to be had.
    #[error("the server of Keeper's files answers {status}; fetch again, for addresses of files expire")]
    File {
        /// The status of HTTP.
        status: u16,
    },
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer that can't be read.
    #[error("Keeper's answer {0}; if it stays like this, check what stands between here and Keeper")]
    Malformed(#[from] Malformed),
    /// The request couldn't be made.
    #[error("can't encrypt the request: the system gives no random numbers; check its entropy source")]
    Unsealable,
}

/// Why a server's key can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// It isn't one of those built in.
    #[error("which this version doesn't know; install a newer version")]
    Unknown,
    /// The server has asked for one after the other.
    #[error("after other keys before; make a new configuration")]
    TooManySwitches,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It isn't encrypted with the key of the request.
    #[error("can't be decrypted")]
    Undecryptable,
    /// It decrypts to something else.
    #[error("isn't a JSON object")]
    NotJson,
    /// There is no list of records in it.
    #[error("has no list of records")]
    WithoutRecords,
    /// There is no list of folders in it.
    #[error("has no list of folders")]
    WithoutFolders,
    /// The file isn't encrypted with its key.
    #[error("to the request for a file can't be decrypted")]
    File,
}

impl FetchError {
    /// Whether the same request may well succeed a little later.
    pub fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Throttled { .. } => true,
            Self::Server { status, .. } | Self::File { status } => is_passing(*status),
            Self::Transport(error) => error.is_worth_retrying(),
            Self::AccessDenied { .. } | Self::ServerKey { .. } | Self::Malformed(_) | Self::Unsealable => {
                false
            }
        }
    }

    /// Whether there is more than may be taken.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::Transport(TransportError::TooLarge { .. }))
    }
}

fn is_passing(status: u16) -> bool {
    status >= 500 || status == 408 || status == 429
}

fn wait_of(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", none for {} s", wait.as_secs_f32()))
}

fn remedy_of(status: u16) -> &'static str {
    match status {
        300..400 => "redirects aren't followed: check the hostname in the Keeper configuration, and proxies",
        407 => "check the user and password in HTTPS_PROXY",
        _ if is_passing(status) => "it should pass; if not, look at Keeper's status page",
        _ => "check the hostname in the Keeper configuration, and proxies",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(status: u16) -> FetchError {
        FetchError::Server {
            status,
            message: "words".to_owned(),
        }
    }

    #[test]
    fn each_is_one_line_with_a_remedy() {
        let host = || "keepersecurity.eu".to_owned();
        let throttled = FetchError::Throttled {
            retry_after: Some(Duration::from_millis(1500)),
        };
        assert_eq!(
            throttled.to_string(),
            "Keeper wants fewer requests, none for 1.5 s; fetch less often"
        );
        for error in [
            throttled,
            FetchError::Throttled { retry_after: None },
            server(302),
            server(407),
            server(404),
            server(503),
            FetchError::File { status: 403 },
            FetchError::Unsealable,
            Malformed::Empty.into(),
            TransportError::BadUrl.into(),
            TransportError::TooLarge {
                host: host(),
                limit: 7,
            }
            .into(),
            FetchError::ServerKey {
                id: "9".to_owned(),
                problem: KeyProblem::Unknown,
            },
        ] {
            let text = error.to_string();
            assert!(text.contains("; ") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn only_what_may_pass_is_worth_retrying() {
        for status in [500, 502, 503, 504, 429, 408] {
            assert!(server(status).is_worth_retrying(), "{status}");
        }
        for status in [200, 302, 400, 401, 404, 407] {
            assert!(!server(status).is_worth_retrying(), "{status}");
        }
        assert!(!FetchError::from(Malformed::NotJson).is_worth_retrying());
        assert!(!FetchError::from(TransportError::BadUrl).is_worth_retrying());
    }
}
