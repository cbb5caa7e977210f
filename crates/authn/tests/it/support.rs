//! A central's worth of parts, by a clock that stands still.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use mk8s_authn::{
    Clock, Email, Lifetimes, LoginLimits, Logins, ManualClock, Passwords, Quota, SigningKeys, TokenIssuer,
    TokenVerifier, token::TokenSettings,
};
use uuid::Uuid;

use crate::memory::Memory;

pub(crate) const ISSUER: &str = "https://central.example";
pub(crate) const AUDIENCE: &str = "mk8s";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct Central {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keys: SigningKeys,
    pub(crate) store: Arc<Memory>,
    pub(crate) logins: Logins,
    pub(crate) issuer: TokenIssuer,
    pub(crate) verifier: TokenVerifier,
    pub(crate) user: Uuid,
}

pub(crate) fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

pub(crate) fn settings() -> TokenSettings {
    TokenSettings {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        lifetime: HOUR,
    }
}

pub(crate) fn email() -> Email {
    "dev@example.com".parse().expect("an address")
}

pub(crate) fn source() -> IpAddr {
    "192.0.2.1".parse().expect("an address")
}

/// One key for all tests of a process: making one takes a while.
pub(crate) fn keys() -> SigningKeys {
    static KEYS: OnceLock<SigningKeys> = OnceLock::new();
    KEYS.get_or_init(|| SigningKeys::ephemeral().expect("a key"))
        .clone()
}

/// With one user, `dev@example.com`.
pub(crate) async fn central() -> Central {
    let clock = Arc::new(ManualClock::new(start()));
    let shared: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let keys = keys();
    let store = Arc::new(Memory::default());
    let passwords = Passwords::new(2);
    let hash = passwords.hash(PASSWORD.into()).await.expect("hashed");
    let user = store.add_user(email(), hash);
    let issuer = TokenIssuer::new(keys.clone(), settings(), Arc::clone(&shared));
    let logins = Logins::new(
        Arc::clone(&store) as Arc<_>,
        Arc::clone(&store) as Arc<_>,
        passwords,
        Arc::new(LoginLimits::new(
            Quota::ACCOUNT,
            Quota::SOURCE,
            Arc::clone(&shared),
        )),
        issuer.clone(),
        Lifetimes {
            refresh: 7 * DAY,
            session: 30 * DAY,
        },
        Arc::clone(&shared),
    );
    let verifier = TokenVerifier::new(keys.clone(), ISSUER, AUDIENCE, shared, 1000);
    Central {
        clock,
        keys,
        store,
        logins,
        issuer,
        verifier,
        user,
    }
}
