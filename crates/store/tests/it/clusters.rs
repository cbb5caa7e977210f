use mk8s_model::ClusterName;
use mk8s_store::{AgentIdentity, ClusterStatus, StoreError};
use serde_json::json;

use crate::support::{Bench, at};

on_both! {
    a_cluster_is_what_its_agent_says,
    another_agent_takes_its_place,
    a_cluster_that_goes_is_gone,
}

fn name(name: &str) -> ClusterName {
    name.parse().expect("a name")
}

fn agent(n: u8) -> AgentIdentity {
    AgentIdentity {
        agent_id: format!("agent-{n}"),
        certificate: format!("{n:02x}"),
        serial: format!("{n}"),
        public_key: format!("key-{n}"),
    }
}

async fn a_cluster_is_what_its_agent_says(bench: Bench) {
    let metadata = json!({"version": "v1.34", "nodes": 3});
    let made = bench
        .store
        .upsert_cluster(&name("prod"), &agent(1), &metadata, at(0))
        .await
        .expect("made");
    assert_eq!(
        (made.status, made.last_seen, made.created_at),
        (ClusterStatus::Disconnected, Some(at(0)), at(0))
    );
    bench
        .store
        .upsert_cluster(&name("dev"), &agent(2), &json!({}), at(0))
        .await
        .expect("made");
    bench
        .store
        .set_cluster_status(&name("prod"), ClusterStatus::Connected, at(7))
        .await
        .expect("set");
    let prod = bench
        .store
        .cluster(&name("prod"))
        .await
        .expect("asked")
        .expect("there");
    assert_eq!(
        (prod.status, prod.last_seen),
        (ClusterStatus::Connected, Some(at(7)))
    );
    assert_eq!((prod.metadata, prod.agent), (metadata, Some(agent(1))));
    let names: Vec<_> = bench
        .store
        .clusters()
        .await
        .expect("asked")
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(names, [name("dev"), name("prod")]);
    assert_eq!(bench.store.cluster(&name("none")).await.expect("asked"), None);
}

async fn another_agent_takes_its_place(bench: Bench) {
    let first = bench
        .store
        .upsert_cluster(&name("prod"), &agent(1), &json!({}), at(0))
        .await
        .expect("made");
    let second = bench
        .store
        .upsert_cluster(&name("prod"), &agent(2), &json!({}), at(9))
        .await
        .expect("made");
    assert_eq!((first.id, first.created_at), (second.id, second.created_at));
    assert_eq!((second.agent, second.last_seen), (Some(agent(2)), Some(at(9))));
}

async fn a_cluster_that_goes_is_gone(bench: Bench) {
    bench
        .store
        .upsert_cluster(&name("prod"), &agent(1), &json!({}), at(0))
        .await
        .expect("made");
    bench.store.delete_cluster(&name("prod")).await.expect("deleted");
    assert!(matches!(
        bench.store.delete_cluster(&name("prod")).await,
        Err(StoreError::Missing(_))
    ));
    let status = bench
        .store
        .set_cluster_status(&name("prod"), ClusterStatus::Connected, at(1))
        .await;
    assert!(matches!(status, Err(StoreError::Missing(_))));
    assert_eq!(bench.store.clusters().await.expect("asked"), []);
}
