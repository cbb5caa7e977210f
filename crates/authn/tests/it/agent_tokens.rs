//! Join tokens.

use std::sync::Arc;

use mk8s_authn::{AgentTokenError, AgentTokens, Clock, JoinToken, ManualClock};
use mk8s_model::ClusterName;

use crate::{
    memory::Memory,
    support::{HOUR, start},
};

struct Fixture {
    clock: Arc<ManualClock>,
    store: Arc<Memory>,
    tokens: AgentTokens,
}

fn fixture() -> Fixture {
    let clock = Arc::new(ManualClock::new(start()));
    let store = Arc::new(Memory::default());
    let tokens = AgentTokens::new(Arc::clone(&store) as Arc<_>, Arc::clone(&clock) as Arc<dyn Clock>);
    Fixture { clock, store, tokens }
}

fn cluster(name: &str) -> ClusterName {
    name.parse().expect("a name")
}

impl Fixture {
    async fn create(&self) -> JoinToken {
        self.tokens.create(&cluster("dev"), HOUR).await.expect("made").0
    }

    async fn error(&self, token: &str, name: &str, key: &str) -> AgentTokenError {
        self.tokens
            .redeem(token, &cluster(name), key)
            .await
            .expect_err("refused")
    }
}

#[tokio::test]
async fn a_token_is_used_up_by_one_agent() {
    let f = fixture();
    let token = f.create().await;
    let dev = cluster("dev");
    assert_eq!(
        f.tokens
            .redeem(token.expose(), &dev, "key-a")
            .await
            .expect("taken"),
        token.id()
    );
    let again = f.tokens.redeem(token.expose(), &dev, "key-a").await;
    assert_eq!(again.expect("the first answer was lost"), token.id());
    let error = f.error(token.expose(), "dev", "key-b").await;
    assert!(
        matches!(error, AgentTokenError::AlreadyUsed(at) if at == start()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_token_that_is_not_good_says_why() {
    let f = fixture();
    let token = f.create().await;
    let wrong = f.error(token.expose(), "prod", "key").await;
    assert_eq!(
        wrong.to_string(),
        "the join token is for the cluster dev, not prod: make one for prod"
    );
    let other = JoinToken::generate();
    assert!(matches!(
        f.error(other.expose(), "dev", "key").await,
        AgentTokenError::Unknown
    ));
    let forged = format!("mk8s_at_{}{}", token.id().simple(), &other.expose()[40..]);
    assert!(matches!(
        f.error(&forged, "dev", "key").await,
        AgentTokenError::Unknown
    ));
    for malformed in ["", "mk8s_at_", "mk8s_rt_x"] {
        assert!(matches!(
            f.error(malformed, "dev", "key").await,
            AgentTokenError::Malformed(_)
        ));
    }
    f.clock.advance(HOUR);
    assert!(matches!(
        f.error(token.expose(), "dev", "key").await,
        AgentTokenError::Expired(_)
    ));
    f.store
        .change_agent_token(token.id(), |record| record.revoked_at = Some(start()));
    assert!(matches!(
        f.error(token.expose(), "dev", "key").await,
        AgentTokenError::Revoked(_)
    ));
}

#[tokio::test]
async fn even_its_own_agent_cannot_use_it_for_ever() {
    let f = fixture();
    let token = f.create().await;
    f.tokens
        .redeem(token.expose(), &cluster("dev"), "key")
        .await
        .expect("taken");
    f.clock.advance(HOUR);
    assert!(matches!(
        f.error(token.expose(), "dev", "key").await,
        AgentTokenError::Expired(_)
    ));
}
