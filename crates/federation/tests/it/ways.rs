//! Ways that are kept, for whom and how long, and looked for again.

use std::time::{Duration, Instant};

use http::{Method, Request};
use mk8s_mcp_core::{cluster::Clusters as _, principal::Principal};
use mk8s_model::{AuthMethod, Identity};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    Hub, call, federation, federation_with, principal, read, request, settings, told, workload::Workload,
};

/// A hub with a cluster `team-a.prod` that Anna may use.
async fn one() -> (std::sync::Arc<Hub>, Workload) {
    let (hub, workload) = (Hub::new(), Workload::start("prod").await);
    hub.cluster("team-a", "prod");
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("first"));
    hub.allow("anna", "clusters", "team-a");
    hub.allow("anna", "secrets", "team-a");
    (hub, workload)
}

#[tokio::test]
async fn a_way_is_kept_for_one_identity_and_one_proof_of_it() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let anna = principal("anna");
    for _ in 0..3 {
        assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
    }
    assert_eq!(hub.secrets_read().len(), 1);
    let with_groups = |groups: &[&str]| Principal {
        identity: Identity::new("anna", groups, AuthMethod::Token).expect("an identity"),
        ..anna.clone()
    };
    let with_proof = |proof| Principal {
        proof,
        ..anna.clone()
    };
    // Each of these must show anew that they may read the Secret.
    for other in [
        with_groups(&[]),
        with_groups(&["devs", "ops"]),
        with_proof(Some([2; 32])),
        with_proof(None),
    ] {
        assert_eq!(read(&federation, &other, "team-a.prod").await.0, 200);
        assert_eq!(hub.secrets_read().len(), 1, "{other:?}");
    }
    workload.seen();
    // Whoever may not has no way, though others' are kept; nor do they with the rights of yesterday.
    hub.allow("bob", "clusters", "team-a");
    assert_eq!(read(&federation, &principal("bob"), "team-a.prod").await.0, 404);
    hub.forbid("anna", "secrets", "team-a");
    let later = with_proof(Some([3; 32]));
    assert_eq!(read(&federation, &later, "team-a.prod").await.0, 404);
    assert!(workload.seen().is_empty());
}

#[tokio::test]
async fn a_way_is_kept_no_longer_than_its_token() {
    let (hub, _workload) = one().await;
    let federation = federation(&hub);
    let anna = |until| Principal {
        until: Some(until),
        ..principal("anna")
    };
    let now = Instant::now();
    for (until, reads) in [(now, 3), (now + Duration::from_secs(3_600), 1)] {
        for _ in 0..3 {
            read(&federation, &anna(until), "team-a.prod").await;
        }
        assert_eq!(hub.secrets_read().len(), reads);
    }
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be() {
    let (hub, _workload) = one().await;
    let federation = federation_with(&hub, settings(json!({"cache": {"ttl": "0s"}})));
    for _ in 0..3 {
        assert_eq!(read(&federation, &principal("anna"), "team-a.prod").await.0, 200);
    }
    assert_eq!(hub.secrets_read().len(), 3);
}

#[tokio::test]
async fn a_kubeconfig_that_isnt_taken_is_read_again_once_and_only_once() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let anna = principal("anna");
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
    hub.asked();
    workload.seen();

    // There is no other: it is told, and not asked again.
    workload.take("second");
    let (status, text) = read(&federation, &anna, "team-a.prod").await;
    assert!(
        status == 503 && text.contains("does not accept our own credentials"),
        "{status} {text}"
    );
    assert_eq!((hub.secrets_read().len(), workload.seen().len()), (1, 1));

    // There is another, that isn't taken either.
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("third"));
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 503);
    assert_eq!((hub.secrets_read().len(), workload.seen().len()), (1, 2));

    // There is the right one.
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("second"));
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
    assert_eq!((hub.secrets_read().len(), workload.seen().len()), (1, 2));
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
    assert_eq!((hub.secrets_read().len(), workload.seen().len()), (0, 1));
}

#[tokio::test]
async fn what_changes_something_is_never_sent_twice() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let (anna, prod) = (principal("anna"), "team-a.prod".parse().expect("a name"));
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
    workload.take("second");
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("second"));
    hub.asked();
    workload.seen();
    let response = federation.send(&call(&anna), &prod, request(Method::POST)).await;
    assert_eq!(response.status(), 503);
    assert_eq!(workload.seen().len(), 1);
    // But whoever asks next has the other way.
    let response = federation.send(&call(&anna), &prod, request(Method::POST)).await;
    assert_eq!(response.status(), 200);
    assert_eq!((hub.secrets_read().len(), workload.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_server_that_isnt_reached_is_looked_for_again() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let anna = principal("anna");
    // Nobody listens there; and there, somebody whom it doesn't vouch for does.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nowhere = format!("https://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    let other = Workload::start("other").await;
    let lost = [
        workload.kubeconfig_at(&nowhere, "first"),
        other.kubeconfig_at(&workload.server(), "first"),
    ];
    for (number, kubeconfig) in (10..).zip(lost) {
        hub.kubeconfig("team-a", "prod", &kubeconfig);
        let anew = Principal {
            proof: Some([number; 32]),
            ..anna.clone()
        };
        let (status, text) = read(&federation, &anew, "team-a.prod").await;
        assert!(status == 503 && text.contains("can't connect"), "{status} {text}");
        assert_eq!(hub.secrets_read().len(), 2);
        hub.kubeconfig("team-a", "prod", &workload.kubeconfig("first"));
        assert_eq!(read(&federation, &anew, "team-a.prod").await.0, 200);
        assert_eq!(hub.secrets_read().len(), 1);
    }
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn who_lost_the_right_meanwhile_loses_the_way_when_it_is_looked_for_again() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let anna = principal("anna");
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
    workload.take("second");
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("second"));
    hub.forbid("anna", "secrets", "team-a");
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 404);
    // What isn't there is never kept: with the right the way is back.
    hub.allow("anna", "secrets", "team-a");
    assert_eq!(read(&federation, &anna, "team-a.prod").await.0, 200);
}

#[tokio::test]
async fn those_who_ask_at_once_find_the_way_once() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let anna = principal("anna");
    let all = futures_util::future::join_all((0..20).map(|_| read(&federation, &anna, "team-a.prod"))).await;
    assert!(all.iter().all(|(status, _)| *status == 200));
    assert_eq!(hub.secrets_read().len(), 1);
    workload.take("second");
    hub.kubeconfig("team-a", "prod", &workload.kubeconfig("second"));
    let all = futures_util::future::join_all((0..20).map(|_| read(&federation, &anna, "team-a.prod"))).await;
    assert!(all.iter().all(|(status, _)| *status == 200));
    assert_eq!(hub.secrets_read().len(), 1);
}

#[tokio::test]
async fn a_cluster_that_never_answers_is_told() {
    let (hub, workload) = one().await;
    let federation = federation_with(&hub, settings(json!({"requestSeconds": 1})));
    workload.hang();
    let (status, text) = told(
        federation
            .send(
                &call(&principal("anna")),
                &"team-a.prod".parse().expect("a name"),
                crate::get(),
            )
            .await,
    )
    .await;
    assert!(
        status == 504 && text.contains("cluster team-a.prod: no answer within 1 s"),
        "{status} {text}"
    );
}

/// A wish to enter a container.
fn enter() -> Request<()> {
    let mut request = Request::new(());
    let path = "/api/v1/namespaces/shop/pods/web/exec?command=ls&stdout=true";
    *request.uri_mut() = path.parse().expect("a path");
    for (name, value) in [
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "v5.channel.k8s.io"),
    ] {
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
    }
    request
}

#[tokio::test]
async fn containers_are_entered_in_the_users_name_by_the_same_ways() {
    let (hub, workload) = one().await;
    let federation = federation(&hub);
    let cluster = "team-a.prod".parse().expect("a name");
    let entering = call(&principal("anna"));
    let mut entered = match federation.upgrade(&entering, &cluster, enter()).await {
        Ok(entered) => entered.stream,
        Err(response) => panic!("{:?}", told(response).await),
    };
    entered.write_all(b"hello").await.expect("written");
    let mut said = [0; 5];
    entered.read_exact(&mut said).await.expect("read");
    assert_eq!(&said, b"hello");
    let seen = workload.seen();
    assert_eq!(seen[0].all("impersonate-user"), ["anna"]);
    assert_eq!(seen[0].all("impersonate-extra-agent"), ["mk8s-mcp"]);
    assert_eq!(
        seen[0].all("impersonate-extra-request-id"),
        [entering.id.to_string()]
    );
    // Whoever may not see the cluster is told the same as by reading, and it hears nothing of them.
    for (user, name) in [
        ("bob", "team-a.prod"),
        ("anna", "team-a.gone"),
        ("anna", "nowhere"),
    ] {
        let cluster = name.parse().expect("a name");
        let refused = federation
            .upgrade(&call(&principal(user)), &cluster, enter())
            .await;
        let Err(response) = refused else {
            panic!("{user} was let in to {name}");
        };
        assert_eq!(response.status(), 404, "{user} {name}");
    }
    assert!(workload.seen().is_empty());
}
