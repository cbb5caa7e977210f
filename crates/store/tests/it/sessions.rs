use std::{sync::Arc, time::Duration};

use mk8s_authn::{
    Clock, Lifetimes, LoginLimits, Logins, ManualClock, NewSession, Passwords, Quota, RefreshError, Rotation,
    SecretHash, SessionStore as _, SigningKeys, TokenIssuer, token::TokenSettings,
};
use mk8s_store::{NewUser, Store};
use uuid::Uuid;

use crate::support::{Bench, at, email, nobody, password};

on_both! {
    a_session_is_found_by_its_refresh_token,
    a_token_is_rotated_once,
    of_two_rotations_at_once_one_wins,
    an_ended_session_rotates_nothing,
    a_new_password_ends_all_sessions,
    a_session_needs_its_user,
    logins_work_on_a_real_store,
    what_ended_long_ago_is_forgotten,
}

fn session(user: Uuid, secret: &str) -> NewSession {
    NewSession {
        id: Uuid::now_v7(),
        user_id: user,
        created_at: at(0),
        expires_at: at(10_000),
        token_expires_at: at(100),
        refresh_hash: SecretHash::of(secret),
        refresh_expires_at: at(5_000),
    }
}

fn rotation(session: &NewSession, old: &str, new: &str) -> Rotation {
    Rotation {
        session_id: session.id,
        old_hash: SecretHash::of(old),
        first_use: true,
        new_hash: SecretHash::of(new),
        new_expires_at: at(6_000),
        token_expires_at: at(1_100),
        at: at(1_000),
    }
}

async fn begin(bench: &Bench) -> NewSession {
    let user = bench.add_user("amy", &[]).await;
    let session = session(user.id, "one");
    bench.store.create_session(&session).await.expect("begun");
    session
}

async fn a_session_is_found_by_its_refresh_token(bench: Bench) {
    let session = begin(&bench).await;
    let found = bench
        .store
        .find_refresh(&SecretHash::of("one"))
        .await
        .expect("asked")
        .expect("there");
    assert_eq!((found.session_id, found.user_id), (session.id, session.user_id));
    assert_eq!(
        (found.expires_at, found.session_expires_at),
        (at(5_000), at(10_000))
    );
    assert_eq!((found.rotated_at, found.revoked), (None, false));
    assert_eq!(
        bench
            .store
            .find_refresh(&SecretHash::of("two"))
            .await
            .expect("asked"),
        None
    );
}

async fn a_token_is_rotated_once(bench: Bench) {
    let session = begin(&bench).await;
    let rotate = async |rotation| bench.store.rotate_refresh(&rotation).await.expect("asked");
    assert!(rotate(rotation(&session, "one", "two")).await);
    let old = bench
        .store
        .find_refresh(&SecretHash::of("one"))
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(old.rotated_at, Some(at(1_000)));
    let new = bench
        .store
        .find_refresh(&SecretHash::of("two"))
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (new.rotated_at, new.expires_at, new.session_id),
        (None, at(6_000), session.id)
    );
    assert!(!rotate(rotation(&session, "one", "three")).await, "used before");
    assert_eq!(
        bench
            .store
            .find_refresh(&SecretHash::of("three"))
            .await
            .expect("asked"),
        None
    );
    let again = Rotation {
        first_use: false,
        ..rotation(&session, "one", "three")
    };
    assert!(rotate(again).await, "in the grace");
    let old = bench
        .store
        .find_refresh(&SecretHash::of("one"))
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(old.rotated_at, Some(at(1_000)), "the first use counts");
}

async fn of_two_rotations_at_once_one_wins(bench: Bench) {
    let session = begin(&bench).await;
    let replica = bench.replica().await;
    let (a, b) = (rotation(&session, "one", "a"), rotation(&session, "one", "b"));
    let (a, b) = tokio::join!(bench.store.rotate_refresh(&a), replica.rotate_refresh(&b));
    let (a, b) = (a.expect("asked"), b.expect("asked"));
    assert!(a != b, "{a} {b}");
    for (name, won) in [("a", a), ("b", b)] {
        let found = bench
            .store
            .find_refresh(&SecretHash::of(name))
            .await
            .expect("asked");
        assert_eq!(found.is_some(), won);
    }
}

async fn an_ended_session_rotates_nothing(bench: Bench) {
    let session = begin(&bench).await;
    bench
        .store
        .revoke_session(session.id, at(500))
        .await
        .expect("ended");
    bench
        .store
        .revoke_session(session.id, at(900))
        .await
        .expect("ended before");
    bench
        .store
        .revoke_session(nobody(), at(900))
        .await
        .expect("nothing to end");
    assert!(
        !bench
            .store
            .rotate_refresh(&rotation(&session, "one", "two"))
            .await
            .expect("asked")
    );
    let found = bench
        .store
        .find_refresh(&SecretHash::of("one"))
        .await
        .expect("asked")
        .expect("there");
    assert!(found.revoked);
}

async fn a_new_password_ends_all_sessions(bench: Bench) {
    let one = begin(&bench).await;
    let two = session(one.user_id, "two");
    let other = session(bench.add_user("bob", &[]).await.id, "three");
    bench.store.create_session(&two).await.expect("begun");
    bench.store.create_session(&other).await.expect("begun");
    bench
        .store
        .set_password(one.user_id, &password(1), at(10))
        .await
        .expect("set");
    for (secret, revoked) in [("one", true), ("two", true), ("three", false)] {
        let found = bench
            .store
            .find_refresh(&SecretHash::of(secret))
            .await
            .expect("asked")
            .expect("there");
        assert_eq!(found.revoked, revoked, "{secret}");
    }
    bench
        .store
        .set_disabled(other.user_id, true, at(11))
        .await
        .expect("set");
    let snapshot = bench.store.snapshot(at(12)).await.expect("a snapshot");
    assert_eq!(snapshot.revoked_sessions, [one.id, two.id, other.id].into());
}

async fn a_session_needs_its_user(bench: Bench) {
    assert!(
        bench
            .store
            .create_session(&session(nobody(), "one"))
            .await
            .is_err()
    );
    assert_eq!(
        bench
            .store
            .find_refresh(&SecretHash::of("one"))
            .await
            .expect("asked"),
        None
    );
}

fn logins(store: &Store, clock: &Arc<ManualClock>) -> Logins {
    let shared = || Arc::clone(clock) as Arc<dyn Clock>;
    let settings = TokenSettings {
        issuer: "https://central.example".to_owned(),
        audience: "mk8s".to_owned(),
        lifetime: Duration::from_secs(600),
    };
    let issuer = TokenIssuer::new(SigningKeys::ephemeral().expect("a key"), settings, shared());
    Logins::new(
        Arc::new(store.clone()),
        Arc::new(store.clone()),
        Passwords::new(2),
        Arc::new(LoginLimits::new(Quota::ACCOUNT, Quota::SOURCE, shared())),
        issuer,
        Lifetimes::default(),
        shared(),
    )
}

async fn logins_work_on_a_real_store(bench: Bench) {
    let clock = Arc::new(ManualClock::new(at(0)));
    let hash = Passwords::new(1)
        .hash("correct horse".into())
        .await
        .expect("hashed");
    let user = NewUser {
        email: &email("amy"),
        password: &hash,
        roles: &[],
    };
    bench.store.create_user(user, at(0)).await.expect("a user");
    let (here, there) = (
        logins(&bench.store, &clock),
        logins(&bench.replica().await, &clock),
    );
    let source = "192.0.2.1".parse().expect("an address");
    let pair = here
        .login("Amy@example.com", "correct horse".into(), source)
        .await
        .expect("logged in");
    assert!(
        here.login("amy@example.com", "wrong horse".into(), source)
            .await
            .is_err()
    );
    let token = pair.refresh_token.as_str();
    let together = tokio::join!(
        here.refresh(token),
        there.refresh(token),
        here.refresh(token),
        there.refresh(token)
    );
    let together = [together.0, together.1, together.2, together.3].map(|pair| pair.expect("refreshed"));
    clock.advance(Duration::from_secs(300));
    for pair in &together {
        there.refresh(&pair.refresh_token).await.expect("each goes on");
    }
    assert!(matches!(there.refresh(token).await, Err(RefreshError::Reused)));
    let ended = bench
        .store
        .snapshot(at(300))
        .await
        .expect("a snapshot")
        .revoked_sessions;
    assert_eq!(ended.len(), 1);
    here.logout(token).await.expect("ended before");
}

async fn what_ended_long_ago_is_forgotten(bench: Bench) {
    const DAY: i64 = 24 * 60 * 60;
    let session = begin(&bench).await;
    assert!(
        bench
            .store
            .rotate_refresh(&rotation(&session, "one", "two"))
            .await
            .expect("asked")
    );
    assert_eq!(bench.store.sweep(at(DAY)).await.expect("swept"), 0);
    assert_eq!(
        bench.store.sweep(at(2 * DAY)).await.expect("swept"),
        1,
        "the session"
    );
    for secret in ["one", "two"] {
        assert_eq!(
            bench
                .store
                .find_refresh(&SecretHash::of(secret))
                .await
                .expect("asked"),
            None
        );
    }
}
