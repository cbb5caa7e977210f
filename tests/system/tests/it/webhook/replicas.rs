//! Several replicas: one certificate, one leader.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use mk8s_testkit::{eventually, within};
use serde_json::json;

use super::{QUICK, Webhook, certificates, eventual_leader, pod};

#[test]
fn replicas_share_a_certificate_and_one_leads() {
    let webhook = Webhook::start(QUICK);
    let bundle = webhook.bundle();
    assert_eq!(certificates(&bundle), certificates(&webhook.secret("ca.crt")));
    for replica in &webhook.replicas {
        let response = webhook
            .endpoint(replica, &bundle)
            .request("GET", "/readyz", &[], b"");
        assert_eq!(response.expect("believed").status, 200);
    }
    let leader = eventual_leader(&webhook, &["a", "b"]);
    for replica in &webhook.replicas {
        let page = webhook
            .endpoint(replica, &bundle)
            .request("GET", "/metrics", &[], b"");
        let leads = page.expect("believed").text().contains("mk8s_webhook_leader 1\n");
        assert_eq!(leads, replica.name == leader, "{}", replica.name);
    }
}

#[test]
fn a_leader_that_is_killed_is_followed_by_the_other_which_goes_on_with_its_work() {
    let mut webhook = Webhook::start(QUICK);
    let before = (webhook.bundle(), webhook.secret("tls.crt"));
    let first = eventual_leader(&webhook, &["a", "b"]);
    let other = if first == "a" { "b" } else { "a" };
    webhook.kill(&first);
    assert_eq!(eventual_leader(&webhook, &[other]), other);
    assert_eq!(
        (webhook.bundle(), webhook.secret("tls.crt")),
        before,
        "nothing was made anew"
    );
    eventually("pods to be made", || {
        let ran = webhook.try_create(&pod("after"), &[]);
        (ran.code == Some(0)).then_some(())
    });
    // Somebody emptied it: whoever leads now fills it again.
    let empty = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]).to_string();
    let arguments = [
        "patch",
        "mutatingwebhookconfiguration",
        &webhook.unique,
        "--type=json",
        "--patch",
        &empty,
    ];
    webhook.kubectl().run(arguments).ok();
    eventually("the caBundle to be filled again", || {
        (webhook.bundle() == before.0).then_some(())
    });
    // The dead one's successor finds everything as it was.
    webhook.add("c");
    webhook.ready();
    assert_eq!((webhook.bundle(), webhook.secret("tls.crt")), before);
}

#[test]
fn a_replica_that_stops_lets_go_of_the_lease_and_loses_no_review() {
    let mut webhook = Webhook::start(QUICK);
    let first = eventual_leader(&webhook, &["a", "b"]);
    let other = if first == "a" { "b" } else { "a" };
    let (done, begun) = (AtomicBool::new(false), Instant::now());
    let many = json!({"apiVersion": "v1", "kind": "List", "items": vec![pod("always"); 20]}).to_string();
    thread::scope(|scope| {
        let shared = &webhook;
        let making = scope.spawn(|| {
            let sidecar = "jsonpath={.spec.initContainers[0].name} ";
            let arguments = [
                "create",
                "--dry-run=server",
                "--output",
                sidecar,
                "--filename",
                "-",
            ];
            while !done.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(90) {
                let ran = shared.kubectl().run_with(arguments, many.as_bytes()).ok();
                assert_eq!(ran.stdout, "mca-proxy ".repeat(20), "{ran}");
            }
        });
        // While they are being made.
        thread::sleep(Duration::from_millis(500));
        shared.replica(&first).program.terminate();
        // As its readiness probe finds out.
        shared.reach(&first, false);
        // Sooner than by the Lease's running out: it was released.
        within(Duration::from_secs(30), "the other to lead", || {
            (shared.leader().as_deref() == Some(other)).then_some(())
        });
        let log = || shared.replica(&first).program.log();
        assert!(log().contains("released the Lease"), "{}", log());
        within(Duration::from_secs(30), "the replica to end", || {
            log().contains("stopped").then_some(())
        });
        done.store(true, Ordering::Relaxed);
        making.join().expect("no review was lost");
    });
    let at = webhook.replicas.iter().position(|r| r.name == first).expect("it");
    let status = webhook.replicas[at].program.wait(Duration::from_secs(10));
    assert!(status.success(), "{status}");
}

#[test]
fn a_leader_that_was_held_up_undoes_nothing_of_the_next() {
    let mut webhook = Webhook::start(QUICK);
    let first = eventual_leader(&webhook, &["a", "b"]);
    let other = if first == "a" { "b" } else { "a" };
    webhook.replica(&first).program.pause();
    webhook.reach(&first, false);
    assert_eq!(eventual_leader(&webhook, &[other]), other);
    // A new authority, made by the next leader while the first knows nothing of it.
    webhook.kubectl().run(["delete", "secret", super::SECRET]).ok();
    let made = eventually("a new certificate", || {
        let ran = webhook.kubectl().run(["get", "secret", super::SECRET]);
        (ran.code == Some(0))
            .then(|| webhook.secret("ca.crt"))
            .filter(|pem| !pem.is_empty())
    });
    webhook.replica(&first).program.resume();
    eventually("the first to see that it leads no longer", || {
        webhook
            .replica(&first)
            .program
            .log()
            .contains("leads no longer")
            .then_some(())
    });
    webhook.reach(&first, true);
    webhook.ready();
    let bundle = webhook.bundle();
    assert!(bundle.contains(&made), "{bundle}");
    assert_eq!(webhook.secret("ca.crt"), made);
    assert_eq!(
        certificates(&bundle).len(),
        2,
        "what was believed before still is"
    );
    for replica in &webhook.replicas {
        eventually("both to serve a certificate of the new authority", || {
            webhook.endpoint(replica, &made).connect().ok().map(drop)
        });
    }
    webhook.kill(&first);
}
