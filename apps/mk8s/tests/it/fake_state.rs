//! What tests turn and read of the small central.

use std::collections::BTreeSet;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

/// What tests turn and read.
pub(crate) struct State {
    /// Seconds that a token lives.
    pub(crate) expires_in: u64,
    /// How far central's clock is from ours, in seconds.
    pub(crate) clock_skew: i64,
    /// Answer every login with 429 and this Retry-After.
    pub(crate) too_many_logins: Option<u64>,
    /// Answer every refresh with this status.
    pub(crate) refresh_status: Option<StatusCode>,
    /// Answer `GET /clusters` with this, whatever the token.
    pub(crate) clusters_answer: Option<(StatusCode, &'static str, String)>,
    /// Name and status of the clusters.
    pub(crate) clusters: Vec<(&'static str, &'static str)>,
    /// What was asked: `POST /auth/login`.
    pub(crate) requests: Vec<String>,
    /// The User-Agent header of the last request.
    pub(crate) user_agent: String,
    pub(crate) tokens: BTreeSet<String>,
    pub(crate) refresh_token: Option<String>,
    issued: u32,
}

impl State {
    /// How often this was asked.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.requests.iter().filter(|seen| *seen == request).count()
    }

    /// Central forgets every token, as when an administrator ends a session.
    pub(crate) fn revoke_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Nor does it take the refresh token any more.
    pub(crate) fn revoke_session(&mut self) {
        self.revoke_tokens();
        self.refresh_token = None;
    }

    /// A new pair of tokens; the refresh token before is spent.
    pub(crate) fn issue(&mut self) -> Value {
        self.issued += 1;
        let (token, refresh) = (
            format!("token-{}-secret", self.issued),
            format!("refresh-{}-secret", self.issued),
        );
        self.tokens.insert(token.clone());
        self.refresh_token = Some(refresh.clone());
        let now = Timestamp::now().as_second() + self.clock_skew;
        let at = |seconds: i64| Timestamp::from_second(seconds).expect("in range").to_string();
        json!({
            "token": token,
            "expires_at": at(now + i64::try_from(self.expires_in).expect("in range")),
            "expires_in": self.expires_in,
            "refresh_token": refresh,
            "refresh_expires_at": at(now + 604_800),
        })
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            expires_in: 3_600,
            clock_skew: 0,
            too_many_logins: None,
            refresh_status: None,
            clusters_answer: None,
            clusters: vec![
                ("production-us-east", "connected"),
                ("staging", "connected"),
                ("dev", "disconnected"),
            ],
            requests: Vec::new(),
            user_agent: String::new(),
            tokens: BTreeSet::new(),
            refresh_token: None,
            issued: 0,
        }
    }
}
