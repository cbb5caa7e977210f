//! Logging in, staying in, logging out.

use std::{sync::atomic::Ordering, time::Duration};

use mk8s_authn::{LoginError, PasswordHash, RefreshError, TokenPair};
use serde_json::Value;

use crate::support::{Central, DAY, HOUR, PASSWORD, central, source, start};

impl Central {
    async fn login(&self) -> TokenPair {
        self.logins
            .login("dev@example.com", PASSWORD.into(), source())
            .await
            .expect("logged in")
    }

    async fn refused(&self, email: &str, password: &str) -> LoginError {
        self.logins
            .login(email, password.into(), source())
            .await
            .expect_err("refused")
    }
}

#[tokio::test]
async fn a_login_gives_a_pair_that_works() {
    let central = central().await;
    for spelling in ["dev@example.com", " DEV@Example.com "] {
        let pair = central
            .logins
            .login(spelling, PASSWORD.into(), source())
            .await
            .expect("logged in");
        let verified = central.verifier.verify(&pair.token).expect("good");
        assert_eq!(verified.user_id, central.user);
        assert_eq!((pair.expires_at, pair.expires_in), (start() + HOUR, 3600));
        assert_eq!(pair.refresh_expires_at, start() + 7 * DAY);
        assert!(pair.refresh_token.starts_with("mk8s_rt_"));
        let shown = format!("{pair:?}");
        assert!(!shown.contains(&pair.token) && !shown.contains(&pair.refresh_token));
    }
    let pair: Value = serde_json::to_value(central.login().await).expect("JSON");
    assert_eq!(pair["expires_at"], "2026-01-01T01:00:00Z");
    assert_eq!(central.issuer.expiry(), start() + HOUR);
    assert_eq!(central.keys.signing_key_id().len(), 43);
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_one_error() {
    let central = central().await;
    let long = "x".repeat(2000);
    let rows = [
        ("dev@example.com", "wrong password"),
        ("dev@example.com", ""),
        ("dev@example.com", long.as_str()),
        ("nobody@example.com", PASSWORD),
        ("nonsense", PASSWORD),
        ("dev@example.com\r\nX: y", PASSWORD),
    ];
    let mut texts = Vec::new();
    for (email, password) in rows {
        let error = central.refused(email, password).await;
        assert!(
            matches!(error, LoginError::WrongCredentials),
            "{email}: {error:?}"
        );
        texts.push(error.to_string());
    }
    texts.dedup();
    assert_eq!(texts, ["the e-mail address or the password is wrong"]);
}

#[tokio::test]
async fn a_disabled_account_is_told_only_after_its_password() {
    let central = central().await;
    let pair = central.login().await;
    central
        .store
        .change_user(central.user, |user| user.disabled = true);
    assert!(matches!(
        central.refused("dev@example.com", "wrong").await,
        LoginError::WrongCredentials
    ));
    assert!(matches!(
        central.refused("dev@example.com", PASSWORD).await,
        LoginError::Disabled
    ));
    let refreshed = central.logins.refresh(&pair.refresh_token).await;
    assert!(matches!(refreshed, Err(RefreshError::Disabled)));
}

#[tokio::test]
async fn guessing_is_limited_and_the_wait_is_told() {
    let central = central().await;
    for _ in 0..10 {
        assert!(matches!(
            central.refused("dev@example.com", "guess").await,
            LoginError::WrongCredentials
        ));
    }
    match central.refused("dev@example.com", PASSWORD).await {
        LoginError::Limited { retry_after } => assert_eq!(retry_after, Duration::from_secs(6)),
        other => panic!("{other:?}"),
    }
    central.clock.advance(Duration::from_secs(6));
    for _ in 0..20 {
        // What succeeds is not counted.
        central.login().await;
    }
}

#[tokio::test]
async fn an_old_hash_becomes_a_strong_one_at_login() {
    let central = central().await;
    let old = bcrypt::hash(PASSWORD, 4).expect("hashed");
    let old = PasswordHash::parse(&old).expect("bcrypt");
    central
        .store
        .change_user(central.user, |user| user.password = old);
    central.login().await;
    assert!(
        central
            .store
            .password_of(central.user)
            .as_str()
            .starts_with("$argon2id$")
    );
    central.login().await;
}

#[tokio::test]
async fn a_refresh_token_gives_another_pair_of_the_same_session() {
    let central = central().await;
    let first = central.login().await;
    central.clock.advance(HOUR);
    let second = central
        .logins
        .refresh(&first.refresh_token)
        .await
        .expect("refreshed");
    assert_ne!(first.refresh_token, second.refresh_token);
    let session = |pair: &TokenPair| central.verifier.verify(&pair.token).expect("good").session_id;
    assert_eq!(session(&first), session(&second));
    assert_eq!(second.expires_at, start() + 2 * HOUR);
    assert_eq!(second.refresh_expires_at, start() + HOUR + 7 * DAY);
}

#[tokio::test]
async fn two_shells_that_refresh_at_once_both_stay_in() {
    let central = central().await;
    let shared = central.login().await;
    let (a, b) = tokio::join!(
        central.logins.refresh(&shared.refresh_token),
        central.logins.refresh(&shared.refresh_token)
    );
    let (a, b) = (a.expect("refreshed"), b.expect("refreshed"));
    assert_ne!(a.refresh_token, b.refresh_token);
    central.clock.advance(Duration::from_secs(30));
    let late = central
        .logins
        .refresh(&shared.refresh_token)
        .await
        .expect("within the grace");
    central.clock.advance(HOUR);
    for pair in [a, b, late] {
        assert!(
            central.logins.refresh(&pair.refresh_token).await.is_ok(),
            "each goes on by itself"
        );
    }
}

#[tokio::test]
async fn a_copied_refresh_token_ends_the_session() {
    let central = central().await;
    let stolen = central.login().await;
    let mine = central
        .logins
        .refresh(&stolen.refresh_token)
        .await
        .expect("refreshed");
    central.clock.advance(Duration::from_secs(31));
    let thief = central.logins.refresh(&stolen.refresh_token).await;
    assert!(matches!(thief, Err(RefreshError::Reused)), "{thief:?}");
    assert_eq!(central.store.revoked_sessions(), 1);
    assert!(matches!(
        central.logins.refresh(&mine.refresh_token).await,
        Err(RefreshError::Revoked)
    ));
    assert!(matches!(
        central.logins.refresh(&stolen.refresh_token).await,
        Err(RefreshError::Revoked)
    ));
}

#[tokio::test]
async fn a_session_ends_by_disuse_and_in_any_case() {
    let central = central().await;
    let unused = central.login().await;
    central.clock.advance(7 * DAY);
    assert!(matches!(
        central.logins.refresh(&unused.refresh_token).await,
        Err(RefreshError::Expired)
    ));
    let mut pair = central.login().await;
    for _ in 0..5 {
        central.clock.advance(5 * DAY);
        pair = central.logins.refresh(&pair.refresh_token).await.expect("in use");
    }
    assert_eq!(
        pair.refresh_expires_at,
        start() + 37 * DAY,
        "not beyond the session's end"
    );
    central.clock.advance(5 * DAY);
    assert!(matches!(
        central.logins.refresh(&pair.refresh_token).await,
        Err(RefreshError::Expired)
    ));
}

#[tokio::test]
async fn after_a_logout_nothing_is_refreshed() {
    let central = central().await;
    let pair = central.login().await;
    let other = central.login().await;
    for token in [
        pair.refresh_token.as_str(),
        pair.refresh_token.as_str(),
        "mk8s_rt_x",
        "",
    ] {
        central.logins.logout(token).await.expect("said and done");
    }
    assert!(matches!(
        central.logins.refresh(&pair.refresh_token).await,
        Err(RefreshError::Revoked)
    ));
    assert!(
        central.logins.refresh(&other.refresh_token).await.is_ok(),
        "other sessions go on"
    );
}

#[tokio::test]
async fn what_is_no_refresh_token_is_unknown() {
    let central = central().await;
    let pair = central.login().await;
    let changed = format!("{}A", &pair.refresh_token[..pair.refresh_token.len() - 1]);
    for token in ["", "x", pair.token.as_str(), changed.as_str()] {
        if token != pair.refresh_token {
            assert!(matches!(
                central.logins.refresh(token).await,
                Err(RefreshError::Unknown)
            ));
        }
    }
}

#[tokio::test]
async fn a_lost_race_is_judged_again_but_not_for_ever() {
    let central = central().await;
    let pair = central.login().await;
    central.store.races.store(2, Ordering::SeqCst);
    let pair = central
        .logins
        .refresh(&pair.refresh_token)
        .await
        .expect("third time lucky");
    central.store.races.store(100, Ordering::SeqCst);
    assert!(matches!(
        central.logins.refresh(&pair.refresh_token).await,
        Err(RefreshError::Failed)
    ));
}
