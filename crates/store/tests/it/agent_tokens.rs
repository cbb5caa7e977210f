use std::{sync::Arc, time::Duration};

use mk8s_authn::{AgentTokenError, AgentTokenStore as _, AgentTokens, ManualClock};
use mk8s_model::ClusterName;
use mk8s_store::{Store, StoreError};

use crate::support::{Bench, at, nobody};

on_both! {
    tokens_are_listed_and_revoked,
    of_two_agents_at_once_one_wins,
    an_expired_token_is_not_consumed,
    what_ended_long_ago_is_forgotten,
}

const HOUR: Duration = Duration::from_secs(3600);

fn tokens(store: &Store) -> AgentTokens {
    AgentTokens::new(Arc::new(store.clone()), Arc::new(ManualClock::new(at(0))))
}

fn dev() -> ClusterName {
    "dev".parse().expect("a name")
}

async fn tokens_are_listed_and_revoked(bench: Bench) {
    let tokens = tokens(&bench.store);
    let (first, _) = tokens.create(&dev(), HOUR).await.expect("made");
    let (second, record) = tokens.create(&dev(), HOUR).await.expect("made");
    let listed = bench.store.agent_tokens().await.expect("listed");
    assert_eq!(
        listed.iter().map(|token| token.id).collect::<Vec<_>>(),
        [second.id(), first.id()]
    );
    assert_eq!(listed[0], record);
    bench
        .store
        .revoke_agent_token(first.id(), at(5))
        .await
        .expect("revoked");
    bench
        .store
        .revoke_agent_token(first.id(), at(9))
        .await
        .expect("revoked before");
    let error = tokens
        .redeem(first.expose(), &dev(), "key")
        .await
        .expect_err("revoked");
    assert!(
        matches!(error, AgentTokenError::Revoked(when) if when == at(5)),
        "{error:?}"
    );
    let missing = bench.store.revoke_agent_token(nobody(), at(5)).await;
    assert!(matches!(missing, Err(StoreError::Missing(_))));
    assert_eq!(
        tokens
            .redeem(second.expose(), &dev(), "key")
            .await
            .expect("taken"),
        second.id()
    );
    let used = bench
        .store
        .find_agent_token(second.id())
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (used.used_at, used.used_by.as_deref()),
        (Some(at(0)), Some("key"))
    );
}

async fn of_two_agents_at_once_one_wins(bench: Bench) {
    let (here, there) = (tokens(&bench.store), tokens(&bench.replica().await));
    for _ in 0..10 {
        let (token, _) = here.create(&dev(), HOUR).await.expect("made");
        let cluster = dev();
        let (a, b) = tokio::join!(
            here.redeem(token.expose(), &cluster, "key-a"),
            there.redeem(token.expose(), &cluster, "key-b")
        );
        assert_eq!(u8::from(a.is_ok()) + u8::from(b.is_ok()), 1, "{a:?} {b:?}");
        assert!(matches!(a.and(b), Err(AgentTokenError::AlreadyUsed(_))));
        let winner = bench
            .store
            .find_agent_token(token.id())
            .await
            .expect("asked")
            .expect("there")
            .used_by;
        let again = here
            .redeem(token.expose(), &cluster, winner.as_deref().expect("used"))
            .await;
        assert_eq!(again.expect("its own"), token.id());
    }
}

async fn an_expired_token_is_not_consumed(bench: Bench) {
    let (token, _) = tokens(&bench.store).create(&dev(), HOUR).await.expect("made");
    assert!(
        !bench
            .store
            .consume_agent_token(token.id(), "key", at(3600))
            .await
            .expect("asked")
    );
    assert!(
        bench
            .store
            .consume_agent_token(token.id(), "key", at(3599))
            .await
            .expect("asked")
    );
    assert!(
        !bench
            .store
            .consume_agent_token(token.id(), "key", at(3599))
            .await
            .expect("asked")
    );
    assert!(
        !bench
            .store
            .consume_agent_token(nobody(), "key", at(0))
            .await
            .expect("asked")
    );
}

async fn what_ended_long_ago_is_forgotten(bench: Bench) {
    tokens(&bench.store).create(&dev(), HOUR).await.expect("made");
    const DAY: i64 = 24 * 60 * 60;
    assert_eq!(bench.store.sweep(at(30 * DAY)).await.expect("swept"), 0);
    assert_eq!(bench.store.sweep(at(31 * DAY)).await.expect("swept"), 1);
}
