//! Cluster API's clusters by the HTTP door: a management cluster and two workload clusters, all real, and people whom a real issuer
//! knows. Both workload clusters are called `prod`.

mod world;

use mk8s_testkit::{Kubectl, eventually};
use serde_json::{Value, json};

use self::world::World;
use crate::served::Served;

const HIDDEN: &str = "no such cluster for you, or no way to it";

/// What a configmap of a cluster says, where it is.
fn whereabouts(cluster: &str) -> Value {
    json!({"kind": "configmaps", "name": "whereabouts", "namespace": "shop", "cluster": cluster, "fields": [".data.here"]})
}

/// The names of calls' records, as the server wrote them down.
fn calls(served: &Served, user: &str, tool: &str) -> Vec<String> {
    let all = served.audit();
    let of = |line: &&Value| line["stage"] == "call" && line["user"] == user && line["tool"] == tool;
    all.iter()
        .filter(of)
        .map(|line| line["id"].as_str().expect("an id").to_owned())
        .collect()
}

// One test, because three clusters are started for it.
#[tokio::test(flavor = "multi_thread")]
async fn each_user_reaches_their_own_clusters_in_their_own_name() {
    let world = World::start();
    let served = Served::start(world.as_each_user());
    let alice = world.token("alice").await;
    let bob = world.token("bob").await;

    each_sees_their_own(&world, &served, &alice, &bob).await;
    nobody_learns_what_isnt_theirs(&world, &served, &alice).await;
    every_audit_log_names_them(&world, &served, &alice, &bob).await;
    a_rotated_kubeconfig_is_found(&world, &served, &alice).await;
    an_older_cluster_api_is_read(&world, &served, &alice).await;
    drop(served);
    the_servers_account_reads_where_it_may(&world, &alice, &bob).await;
}

async fn each_sees_their_own(world: &World, served: &Served, alice: &str, bob: &str) {
    for (token, own, here, other) in [
        (alice, "team-a.prod", "west", "team-b.prod"),
        (bob, "team-b.prod", "east", "team-a.prod"),
    ] {
        let (is_error, text) = served.call(Some(token), "clusters", json!({})).await;
        assert!(!is_error, "{text}");
        assert!(
            text.contains("2 clusters") && text.contains(own) && !text.contains(other),
            "{text}"
        );
        let namespace = own.trim_end_matches(".prod");
        let about =
            format!("namespace {namespace}, Provisioned, ready, provider DockerCluster, organisation acme");
        assert!(
            text.contains(&about) && text.contains(world.west.kubernetes_version()),
            "{text}"
        );
        let (is_error, text) = served.call(Some(token), "get", whereabouts(own)).await;
        assert!(!is_error && text.contains(here), "{text}");
    }
    // A workload cluster's own RBAC has the last word about them.
    let elsewhere = json!({"kind": "configmaps", "namespace": "kube-system", "cluster": "team-a.prod"});
    let (is_error, text) = served.call(Some(alice), "get", elsewhere).await;
    assert!(
        is_error && text.contains("403") && text.contains("oidc:alice"),
        "{text}"
    );
    // Where nobody names one, the management cluster is meant.
    let (is_error, text) = served
        .call(
            Some(alice),
            "get",
            json!({"kind": "clusters.cluster.x-k8s.io", "namespace": "team-a", "output": "names"}),
        )
        .await;
    assert!(!is_error && text.contains("team-a/prod"), "{text}");
    // The API server's own rules for selectors; and what is filtered is filtered.
    for (chosen, count) in [
        (json!({"provider": "docker"}), "1 cluster"),
        (json!({"provider": "aws"}), "0 clusters"),
        (
            json!({"labelSelector": "giantswarm.io/organization in (acme)", "readyOnly": true}),
            "1 cluster",
        ),
        (
            json!({"labelSelector": "giantswarm.io/organization!=acme"}),
            "0 clusters",
        ),
    ] {
        let (is_error, text) = served.call(Some(alice), "clusters", chosen.clone()).await;
        assert!(!is_error && text.contains(count), "{chosen}: {text}");
    }
    let (is_error, text) = served
        .call(Some(alice), "clusters", json!({"labelSelector": "=="}))
        .await;
    assert!(is_error && text.contains("labelSelector"), "{text}");
}

async fn nobody_learns_what_isnt_theirs(world: &World, served: &Served, alice: &str) {
    // Dana may list Clusters everywhere, and read no Secret.
    let dana = world.token("dana").await;
    let (_, text) = served.call(Some(&dana), "clusters", json!({})).await;
    assert!(
        text.contains("3 clusters") && text.contains("team-a.prod") && text.contains("team-b.prod"),
        "{text}"
    );
    let mut said = Vec::new();
    for (token, cluster) in [
        (&*dana, "team-a.prod"),
        (&*dana, "team-a.nobody"),
        (&*dana, "prod"),
        (alice, "team-b.prod"),
        (alice, "nowhere.prod"),
    ] {
        let (is_error, text) = served.call(Some(token), "get", whereabouts(cluster)).await;
        assert!(is_error && text.contains(HIDDEN), "{cluster}: {text}");
        said.push(text);
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
}

async fn every_audit_log_names_them(world: &World, served: &Served, alice: &str, bob: &str) {
    let (hub, west, east) = (
        world.hub.audit_log(),
        world.west.audit_log(),
        world.east.audit_log(),
    );
    // With another token a way is found anew.
    let (alice_again, bob_again) = (world.token("alice").await, world.token("bob").await);
    assert!(alice != alice_again && bob != bob_again);
    for (user, token, namespace, log, other) in [
        ("oidc:alice", &alice_again, "team-a", &west, &east),
        ("oidc:bob", &bob_again, "team-b", &east, &west),
    ] {
        let cluster = format!("{namespace}.prod");
        let (is_error, text) = served.call(Some(token), "get", whereabouts(&cluster)).await;
        assert!(!is_error, "{text}");
        let id = calls(served, user, "get").pop().expect("a call");
        // On the management cluster they come by a token of their own.
        let uri = format!("/api/v1/namespaces/{namespace}/secrets/prod-kubeconfig");
        let event = hub.event("the kubeconfig's reading", |event| {
            event.request_uri == uri && event.user.username == user
        });
        assert!(event.impersonated_user.is_none() && event.user_agent.starts_with("mk8s-mcp/"));
        assert!(
            event.user.groups.contains(&format!("oidc:{namespace}")),
            "{:?}",
            event.user.groups
        );
        // On their workload cluster, by impersonation, with what it is for.
        let event = log.event("the configmap's reading", |event| {
            event.request_uri == "/api/v1/namespaces/shop/configmaps/whereabouts"
        });
        assert_eq!(event.user.username, "system:serviceaccount:agents:first");
        let person = event.impersonated_user.expect("in somebody's name");
        assert_eq!(person.username, user);
        assert!(
            person.groups.contains(&format!("oidc:{namespace}")),
            "{:?}",
            person.groups
        );
        for (key, value) in [("agent", "mk8s-mcp"), ("tool", "get"), ("request-id", &*id)] {
            assert_eq!(person.extra[key], [value], "{key}");
        }
        // Our own record of the request is under the API server's id.
        let own = served.audit();
        let open = own.iter().find(|line| line["id"] == *event.audit_id);
        let open = open.unwrap_or_else(|| panic!("{} isn't written down", event.audit_id));
        assert_eq!((&open["user"], &open["cluster"]), (&json!(user), &json!(cluster)));
        let strangers = other.events(|event| {
            event
                .impersonated_user
                .as_ref()
                .is_some_and(|person| person.username == user)
        });
        assert!(strangers.is_empty(), "{strangers:?}");
    }
    // Nobody but they themselves was asked for by us on the management cluster: the server has no credentials there.
    let ours = hub.events(|event| event.user_agent.starts_with("mk8s-mcp/"));
    assert!(
        ours.iter().all(|event| event.user.username.starts_with("oidc:")),
        "{ours:?}"
    );
}

async fn a_rotated_kubeconfig_is_found(world: &World, served: &Served, alice: &str) {
    let (hub, west) = (world.hub.audit_log(), world.west.audit_log());
    let reads = || {
        let is_read = |event: &mk8s_testkit::cluster::AuditEvent| {
            event.request_uri.ends_with("/secrets/prod-kubeconfig") && event.user.username == "oidc:alice"
        };
        hub.events(is_read).len()
    };
    let (is_error, text) = served.call(Some(alice), "get", whereabouts("team-a.prod")).await;
    assert!(!is_error && text.contains("west"), "{text}");
    assert_eq!(reads(), 0, "the way is kept");

    // The credentials are revoked, and there are no others yet.
    let old = world.by_given_kubeconfig("team-a");
    world
        .west
        .kubectl()
        .in_namespace("agents")
        .run(["delete", "serviceaccount", "first"])
        .ok();
    eventually("the old token is refused", || is_refused(&old).then_some(()));
    let (is_error, text) = served.call(Some(alice), "get", whereabouts("team-a.prod")).await;
    assert!(
        is_error && text.contains("does not accept our own credentials"),
        "{text}"
    );
    assert_eq!(reads(), 1, "it looked for others once");

    // The others are there: the next call finds them.
    world.impersonator(&world.west, "second");
    world.give_kubeconfig("team-a", &world.west, "second");
    let (is_error, text) = served.call(Some(alice), "get", whereabouts("team-a.prod")).await;
    assert!(!is_error && text.contains("west"), "{text}");
    assert_eq!(reads(), 2);
    let event = west.event("a request by the new credentials", |event| {
        event.user.username == "system:serviceaccount:agents:second"
    });
    assert_eq!(event.impersonated_user.expect("somebody").username, "oidc:alice");
}

fn is_refused(kubectl: &Kubectl) -> bool {
    kubectl.run(["get", "--raw", "/version"]).code != Some(0)
}

async fn an_older_cluster_api_is_read(world: &World, served: &Served, alice: &str) {
    world.serve_only_v1beta1();
    let log = world.hub.audit_log();
    let (is_error, text) = served.call(Some(alice), "clusters", json!({})).await;
    assert!(
        !is_error && text.contains("namespace team-a, Provisioned, ready, provider DockerCluster"),
        "{text}"
    );
    log.event("the older version's list", |event| {
        event
            .request_uri
            .starts_with("/apis/cluster.x-k8s.io/v1beta1/namespaces/team-a/clusters")
            && event.user.username == "oidc:alice"
    });
    let again = world.token("alice").await;
    let (is_error, text) = served.call(Some(&again), "get", whereabouts("team-a.prod")).await;
    assert!(!is_error && text.contains("west"), "{text}");
}

async fn the_servers_account_reads_where_it_may(world: &World, alice: &str, bob: &str) {
    let served = Served::start(world.as_the_server());
    let log = world.west.audit_log();
    let (is_error, text) = served.call(Some(alice), "get", whereabouts("team-a.prod")).await;
    assert!(!is_error && text.contains("west"), "{text}");
    let event = log.event("the configmap's reading", |event| {
        event.request_uri.ends_with("/configmaps/whereabouts")
    });
    assert_eq!(event.impersonated_user.expect("somebody").username, "oidc:alice");
    // The same way leads others there, too, and the cluster's RBAC tells them apart.
    let (is_error, text) = served.call(Some(bob), "get", whereabouts("team-a.prod")).await;
    assert!(
        is_error && text.contains("403") && text.contains("oidc:bob"),
        "{text}"
    );
    // What isn't among the namespaces is nowhere, though the account could read it.
    let (_, text) = served.call(Some(bob), "clusters", json!({})).await;
    assert!(
        text.contains("team-a.prod") && !text.contains("team-b.prod"),
        "{text}"
    );
    let (is_error, text) = served.call(Some(bob), "get", whereabouts("team-b.prod")).await;
    assert!(is_error && text.contains(HIDDEN), "{text}");
}
