use mk8s_authn::{NewSession, Rotation, SecretHash, SessionStore as _, UserStore as _};
use mk8s_store::{AgentIdentity, ClusterStatus};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Bench, at, password};

on_both! {
    a_snapshot_has_all_that_decides,
    every_write_that_decides_moves_the_version_and_no_other,
    versions_of_writers_at_once_are_all_counted,
    a_revoked_session_is_forgotten_with_its_tokens,
    an_installation_keeps_its_id,
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

async fn a_snapshot_has_all_that_decides(bench: Bench) {
    bench.add_role("viewer").await;
    bench.add_role("admin").await;
    let amy = bench.add_user("amy", &["viewer", "admin"]).await;
    let bob = bench.add_user("bob", &[]).await;
    bench.store.set_disabled(bob.id, true, at(1)).await.expect("set");
    let snapshot = bench.store.snapshot(at(2)).await.expect("a snapshot");
    assert_eq!(snapshot.version, bench.store.version().await.expect("a version"));
    assert_eq!(snapshot.roles, bench.store.roles().await.expect("roles"));
    assert_eq!(snapshot.users.len(), 2);
    let amy = &snapshot.users[&amy.id];
    assert_eq!((&*amy.email, amy.disabled), ("amy@example.com", false));
    assert_eq!(
        amy.roles.iter().map(|role| &**role).collect::<Vec<_>>(),
        ["admin", "viewer"]
    );
    assert!(snapshot.users[&bob.id].disabled);
    assert_eq!(
        bench.replica().await.snapshot(at(2)).await.expect("a snapshot"),
        snapshot
    );
}

async fn every_write_that_decides_moves_the_version_and_no_other(bench: Bench) {
    let store = &bench.store;
    let version = async || store.version().await.expect("a version");
    let mut seen = version().await;
    macro_rules! moves {
        ($by:literal, $write:expr) => {{
            let written = $write.await.expect("written");
            let now = version().await;
            assert_eq!(now - seen, $by, "{}", stringify!($write));
            seen = now;
            written
        }};
    }
    moves!(1, store.upsert_role("a", &json!({}), at(0)));
    let amy = bench.add_user("amy", &["a"]).await;
    seen += 1;
    moves!(1, store.set_roles(amy.id, &[], at(1)));
    moves!(1, store.set_password(amy.id, &password(1), at(1)));
    moves!(0, store.rehash_password(amy.id, &password(1), &password(2)));
    moves!(1, store.set_disabled(amy.id, true, at(1)));
    moves!(1, store.set_disabled(amy.id, false, at(1)));
    moves!(1, store.delete_role("a"));
    let session = session(amy.id, "one");
    moves!(0, store.create_session(&session));
    let rotation = Rotation {
        session_id: session.id,
        old_hash: session.refresh_hash,
        first_use: true,
        new_hash: SecretHash::of("two"),
        new_expires_at: at(6_000),
        token_expires_at: at(200),
        at: at(10),
    };
    moves!(0, store.rotate_refresh(&rotation));
    moves!(1, store.revoke_session(session.id, at(20)));
    moves!(0, store.revoke_session(session.id, at(20)));
    let agent = AgentIdentity {
        agent_id: String::new(),
        certificate: String::new(),
        serial: String::new(),
        public_key: String::new(),
    };
    let dev = "dev".parse().expect("a name");
    moves!(1, store.upsert_cluster(&dev, &agent, &json!({}), at(0)));
    moves!(0, store.set_cluster_status(&dev, ClusterStatus::Connected, at(0)));
    moves!(1, store.delete_cluster(&dev));
    moves!(0, store.sweep(at(0)));
    assert_eq!(version().await, seen, "reading moves nothing");
}

async fn versions_of_writers_at_once_are_all_counted(bench: Bench) {
    let replica = bench.replica().await;
    let before = bench.store.version().await.expect("a version");
    let mut writers = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = if n % 2 == 0 {
            bench.store.clone()
        } else {
            replica.clone()
        };
        writers.spawn(async move { store.upsert_role(&format!("role-{n}"), &json!({}), at(n)).await });
    }
    while let Some(written) = writers.join_next().await {
        written.expect("no panic").expect("written");
        let snapshot = bench.store.snapshot(at(0)).await.expect("a snapshot");
        assert_eq!(
            snapshot.roles.len() as i64,
            snapshot.version - before,
            "a version shows its write"
        );
    }
    assert_eq!(bench.store.version().await.expect("a version"), before + 20);
}

async fn a_revoked_session_is_forgotten_with_its_tokens(bench: Bench) {
    let amy = bench.add_user("amy", &[]).await;
    let (one, two) = (session(amy.id, "one"), session(amy.id, "two"));
    bench.store.create_session(&one).await.expect("begun");
    bench.store.create_session(&two).await.expect("begun");
    bench.store.revoke_session(one.id, at(50)).await.expect("ended");
    for (when, known) in [(51, true), (100 + 119, true), (100 + 121, false)] {
        let snapshot = bench.store.snapshot(at(when)).await.expect("a snapshot");
        assert_eq!(snapshot.revoked_sessions.contains(&one.id), known, "{when}");
        assert!(!snapshot.revoked_sessions.contains(&two.id));
    }
}

async fn an_installation_keeps_its_id(bench: Bench) {
    let id = bench.store.installation_id().await.expect("an id");
    assert_eq!(bench.replica().await.installation_id().await.expect("an id"), id);
    assert_ne!(id, Uuid::nil());
    bench.store.close().await;
}
