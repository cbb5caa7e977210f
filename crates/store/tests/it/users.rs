use mk8s_authn::UserStore as _;
use mk8s_store::{NewUser, StoreError};

use crate::support::{Bench, at, email, nobody, password};

on_both! {
    users_are_made_and_found,
    a_name_is_given_once,
    roles_are_given_as_a_whole_or_not_at_all,
    two_who_give_roles_at_once_leave_one_set,
    a_new_password_is_the_only_one,
    a_rehash_never_undoes_a_new_password,
    a_disabled_user_can_be_enabled_again,
    who_is_not_there_cannot_be_changed,
    a_role_that_goes_is_taken_from_everyone,
    text_comes_back_as_it_was,
}

async fn users_are_made_and_found(bench: Bench) {
    bench.add_role("viewer").await;
    bench.add_role("developer").await;
    let zoe = bench.add_user("zoe", &["viewer", "developer"]).await;
    let amy = bench.add_user("amy", &[]).await;
    assert_eq!(zoe.roles, ["developer", "viewer"]);
    assert_eq!(
        (zoe.created_at, zoe.updated_at, zoe.disabled),
        (at(0), at(0), false)
    );
    assert_eq!(
        bench.store.users().await.expect("users"),
        [amy.clone(), zoe.clone()]
    );
    assert_eq!(bench.store.user(zoe.id).await.expect("asked"), Some(zoe));
    assert_eq!(
        bench.store.user_named(&email("AMY")).await.expect("asked"),
        Some(amy.clone())
    );
    assert_eq!(bench.store.user(nobody()).await.expect("asked"), None);
    let record = bench
        .store
        .user_by_email(&email("amy"))
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (record.id, record.email, record.password),
        (amy.id, email("amy"), password(0))
    );
    assert!(bench.store.user_by_id(nobody()).await.expect("asked").is_none());
    assert!(
        bench
            .store
            .user_by_email(&email("nobody"))
            .await
            .expect("asked")
            .is_none()
    );
}

async fn a_name_is_given_once(bench: Bench) {
    bench.add_user("amy", &[]).await;
    let again = NewUser {
        email: &email("Amy"),
        password: &password(1),
        roles: &[],
    };
    let error = bench
        .store
        .create_user(again.clone(), at(1))
        .await
        .expect_err("taken");
    assert!(matches!(error, StoreError::Exists(_)));
    assert_eq!(error.to_string(), "a user amy@example.com exists already");
    // Two at once: one is told.
    let again = NewUser {
        email: &email("bob"),
        ..again
    };
    let replica = bench.replica().await;
    let (a, b) = tokio::join!(
        bench.store.create_user(again.clone(), at(1)),
        replica.create_user(again.clone(), at(1))
    );
    assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1, "{a:?} {b:?}");
    assert!(matches!(a.and(b), Err(StoreError::Exists(_))));
}

async fn roles_are_given_as_a_whole_or_not_at_all(bench: Bench) {
    for role in ["a", "b", "c"] {
        bench.add_role(role).await;
    }
    let amy = bench.add_user("amy", &["a", "b"]).await;
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let error = bench
        .store
        .set_roles(amy.id, &names(&["c", "nonsense"]), at(1))
        .await
        .expect_err("no role");
    assert_eq!(error.to_string(), "there is no role \"nonsense\"");
    assert_eq!(bench.store.user(amy.id).await.expect("asked"), Some(amy.clone()));
    let changed = bench
        .store
        .set_roles(amy.id, &names(&["c", "b", "c"]), at(2))
        .await
        .expect("given");
    assert_eq!((changed.roles, changed.updated_at), (names(&["b", "c"]), at(2)));
    let new = NewUser {
        email: &email("bob"),
        password: &password(0),
        roles: &names(&["x"]),
    };
    assert!(matches!(
        bench.store.create_user(new, at(1)).await,
        Err(StoreError::Missing(_))
    ));
    assert_eq!(
        bench.store.user_named(&email("bob")).await.expect("asked"),
        None,
        "nothing is left of him"
    );
}

async fn two_who_give_roles_at_once_leave_one_set(bench: Bench) {
    bench.add_role("a").await;
    bench.add_role("b").await;
    let amy = bench.add_user("amy", &[]).await;
    let replica = bench.replica().await;
    for round in 0..10 {
        let (a, b) = (["a".to_owned()], ["b".to_owned()]);
        let (first, second) = tokio::join!(
            bench.store.set_roles(amy.id, &a, at(round)),
            replica.set_roles(amy.id, &b, at(round))
        );
        first.and(second).expect("both given");
        let roles = bench
            .store
            .user(amy.id)
            .await
            .expect("asked")
            .expect("there")
            .roles;
        assert!(roles == a || roles == b, "{roles:?}");
    }
}

async fn a_new_password_is_the_only_one(bench: Bench) {
    let amy = bench.add_user("amy", &[]).await;
    bench
        .store
        .set_password(amy.id, &password(1), at(5))
        .await
        .expect("set");
    let record = bench
        .store
        .user_by_id(amy.id)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(record.password, password(1));
    assert_eq!(
        bench
            .store
            .user(amy.id)
            .await
            .expect("asked")
            .map(|u| u.updated_at),
        Some(at(5))
    );
}

async fn a_rehash_never_undoes_a_new_password(bench: Bench) {
    let amy = bench.add_user("amy", &[]).await;
    bench
        .store
        .rehash_password(amy.id, &password(0), &password(1))
        .await
        .expect("rehashed");
    bench
        .store
        .set_password(amy.id, &password(2), at(1))
        .await
        .expect("set");
    bench
        .store
        .rehash_password(amy.id, &password(1), &password(3))
        .await
        .expect("too late");
    let record = bench
        .store
        .user_by_id(amy.id)
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(record.password, password(2));
}

async fn a_disabled_user_can_be_enabled_again(bench: Bench) {
    let amy = bench.add_user("amy", &[]).await;
    for disabled in [true, false] {
        bench
            .store
            .set_disabled(amy.id, disabled, at(1))
            .await
            .expect("set");
        let record = bench
            .store
            .user_by_id(amy.id)
            .await
            .expect("asked")
            .expect("there");
        assert_eq!(record.disabled, disabled);
    }
}

async fn who_is_not_there_cannot_be_changed(bench: Bench) {
    let store = &bench.store;
    let before = store.version().await.expect("a version");
    let errors = [
        store
            .set_password(nobody(), &password(0), at(0))
            .await
            .expect_err("nobody"),
        store
            .set_disabled(nobody(), true, at(0))
            .await
            .expect_err("nobody"),
        store.set_roles(nobody(), &[], at(0)).await.expect_err("nobody"),
        store.delete_role("none").await.expect_err("none"),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::Missing(_)), "{error}");
        assert!(!error.is_transient());
    }
    assert_eq!(store.version().await.expect("a version"), before);
}

async fn a_role_that_goes_is_taken_from_everyone(bench: Bench) {
    bench.add_role("a").await;
    bench.add_role("b").await;
    let amy = bench.add_user("amy", &["a", "b"]).await;
    bench.store.delete_role("a").await.expect("deleted");
    assert_eq!(
        bench.store.user(amy.id).await.expect("asked").map(|u| u.roles),
        Some(vec!["b".to_owned()])
    );
    let names: Vec<_> = bench
        .store
        .roles()
        .await
        .expect("roles")
        .into_iter()
        .map(|role| role.name)
        .collect();
    assert_eq!(names, ["b"]);
}

async fn text_comes_back_as_it_was(bench: Bench) {
    let permissions = serde_json::json!({
        "z": 1, "a": ["*", "dev-*", "'; DROP TABLE users; --", "$1 ? :x", "日本\u{1f600}\\u0000 \"q\""], "n": 1.5, "null": null
    });
    let made = bench
        .store
        .upsert_role("röle '\"%_$1", &permissions, at(1))
        .await
        .expect("made");
    let changed = bench
        .store
        .upsert_role("röle '\"%_$1", &permissions, at(2))
        .await
        .expect("changed");
    assert_eq!((made.id, made.created_at), (changed.id, changed.created_at));
    assert_eq!((changed.updated_at, &changed.permissions), (at(2), &permissions));
    assert_eq!(bench.store.roles().await.expect("roles"), [changed]);
}
