//! Central's own endpoints, asked over HTTPS.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    central_url::CentralUrl,
    contract::{ClusterList, LoginRequest, Problem, RefreshRequest, Tokens, WhoAmI},
    error::Failure,
    output::plain,
    trust::{Trust, certificate_refusal, innermost},
};

/// To be connected.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// For a request and its answer.
const TOTAL_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is read: a list of thousands of clusters is a tenth of it.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// A client of one central.
#[derive(Debug)]
pub(crate) struct CentralClient {
    http: reqwest::Client,
    central: CentralUrl,
    trust: Trust,
}

/// Why central didn't do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CentralError {
    /// No connection, or no answer in time.
    #[error("can't reach {central}: {reason}")]
    Unreachable {
        /// Which central.
        central: CentralUrl,
        /// Why.
        reason: String,
    },
    /// Whoever answered isn't trusted to be central.
    #[error("the certificate of {central} was refused: {reason}")]
    Certificate {
        /// Which central.
        central: CentralUrl,
        /// Why.
        reason: String,
    },
    /// 401: the token, or the password, is no good.
    #[error("{}", .0.line(StatusCode::UNAUTHORIZED))]
    Unauthorized(Problem),
    /// Another answer that isn't a success.
    #[error("{}", problem.line(*status))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What central says of it.
        problem: Problem,
    },
    /// What answered doesn't speak our contract.
    #[error("{central} gave an answer that isn't mk8s-central's: {reason}")]
    Unexpected {
        /// Which central.
        central: CentralUrl,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl CentralClient {
    /// A client that believes `trust` alone.
    pub(crate) fn new(central: CentralUrl, trust: Trust) -> Result<Self, Failure> {
        let cannot = |error: &dyn std::fmt::Display| Failure::new(format!("can't set TLS up: {error}"));
        let tls = mk8s_tls::client::config(&trust.roots(), None, &[b"h2", b"http/1.1"])
            .map_err(|error| cannot(&error))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.as_ref().clone())
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(TOTAL_LIMIT)
            .user_agent(concat!("mk8s/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| cannot(&error))?;
        Ok(Self { http, central, trust })
    }

    /// Which central this is a client of.
    pub(crate) fn central(&self) -> &CentralUrl {
        &self.central
    }

    /// Whom it believes.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// `POST /auth/login`.
    pub(crate) async fn login(&self, email: &str, password: &SecretString) -> Result<Tokens, CentralError> {
        self.call(
            Method::POST,
            "/auth/login",
            None,
            Some(&LoginRequest { email, password }),
        )
        .await
    }

    /// `POST /auth/refresh`.
    pub(crate) async fn refresh(&self, refresh_token: &SecretString) -> Result<Tokens, CentralError> {
        self.call(
            Method::POST,
            "/auth/refresh",
            None,
            Some(&RefreshRequest { refresh_token }),
        )
        .await
    }

    /// `POST /auth/logout`.
    pub(crate) async fn logout(&self, refresh_token: &SecretString) -> Result<(), CentralError> {
        self.send(
            Method::POST,
            "/auth/logout",
            None,
            Some(&RefreshRequest { refresh_token }),
        )
        .await
        .map(drop)
    }

    /// `GET /auth/whoami`.
    pub(crate) async fn who_am_i(&self, token: &SecretString) -> Result<WhoAmI, CentralError> {
        self.call(Method::GET, "/auth/whoami", Some(token), None::<&()>)
            .await
    }

    /// `GET /clusters`.
    pub(crate) async fn clusters(&self, token: &SecretString) -> Result<ClusterList, CentralError> {
        self.call(Method::GET, "/clusters", Some(token), None::<&()>)
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<&impl Serialize>,
    ) -> Result<T, CentralError> {
        let answer = self.send(method, path, token, body).await?;
        // Where it is wrong, not what is there: the answer to a login holds tokens.
        serde_json::from_slice(&answer).map_err(|error| {
            self.unexpected(format!(
                "{path}: line {}, column {}",
                error.line(),
                error.column()
            ))
        })
    }

    /// The body of a success.
    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Option<&impl Serialize>,
    ) -> Result<Vec<u8>, CentralError> {
        let mut request = self
            .http
            .request(method, self.central.endpoint(path))
            .header(header::ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let retry_after = retry_after(&response);
        let is_json = content_type(&response).ends_with("json");
        let answer = self.read(response).await?;
        if status.is_success() {
            return Ok(answer);
        }
        if status.is_redirection() {
            return Err(self.unexpected(format!("{path}: a redirection ({status})")));
        }
        let problem = if is_json {
            serde_json::from_slice(&answer).unwrap_or_default()
        } else {
            Problem::default()
        };
        let problem = Problem {
            retry_after,
            ..problem
        };
        Err(match status {
            StatusCode::UNAUTHORIZED => CentralError::Unauthorized(problem),
            StatusCode::NOT_FOUND if !is_json => self.unexpected(format!("{path}: {status}")),
            _ => CentralError::Refused { status, problem },
        })
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, CentralError> {
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if answer.len() + chunk.len() > LARGEST_ANSWER {
                return Err(self.unexpected(format!("larger than {} MiB", LARGEST_ANSWER / 1024 / 1024)));
            }
            answer.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CentralError {
        let central = self.central.clone();
        if let Some(reason) = certificate_refusal(error) {
            return CentralError::Certificate { central, reason };
        }
        let reason = match (error.is_timeout(), error.is_connect()) {
            (true, true) => format!("no connection within {} s", CONNECT_LIMIT.as_secs()),
            (true, false) => format!("no answer within {} s", TOTAL_LIMIT.as_secs()),
            _ => innermost(error).to_lowercase(),
        };
        CentralError::Unreachable { central, reason }
    }

    fn unexpected(&self, reason: String) -> CentralError {
        CentralError::Unexpected {
            central: self.central.clone(),
            reason: plain(&reason),
        }
    }
}

impl CentralError {
    /// Whether the same request may well succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Certificate { .. } | Self::Unauthorized(_) | Self::Unexpected { .. } => false,
        }
    }
}

impl From<CentralError> for Failure {
    fn from(error: CentralError) -> Self {
        let failure = Self::new(error.to_string());
        match error {
            CentralError::Unreachable { .. } => failure.hint(
                "check the network, HTTPS_PROXY and central's URL (`mk8s login --central URL` changes it)",
            ),
            CentralError::Certificate { .. } => failure.hint("mk8s login"),
            CentralError::Unexpected { .. } => failure.hint("check central's URL: mk8s login --central URL"),
            CentralError::Unauthorized(problem) => {
                failure.hint(problem.advice().unwrap_or("mk8s login".to_owned()))
            }
            CentralError::Refused { problem, .. } => match problem.advice() {
                Some(advice) => failure.hint(advice),
                None => failure,
            },
        }
    }
}

/// The header in seconds; an HTTP date, its other form, isn't what central sends.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

fn content_type(response: &Response) -> String {
    let value = response
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_lowercase()
}
