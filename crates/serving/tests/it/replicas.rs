//! Several replicas, one of which keeps everything for all.

use serde_json::json;

use crate::{
    fake::{API_SERVICE, Fake, LEASE, SECRET, api_service},
    replica::{Replica, eventually},
};

const QUICK: &str = "{settle: 100ms}";

#[tokio::test]
async fn all_serve_the_one_certificate_that_the_leader_made_and_the_api_service_believes() {
    let fake = Fake::new();
    let (one, two) = (
        Replica::start(&fake, QUICK).await,
        Replica::start(&fake, QUICK).await,
    );
    let early = one.objection().expect("nothing is there yet");
    assert!(early.contains("once the APIService is there"), "{early}");
    assert_eq!(one.served.shared_key("pages"), None);
    one.ready().await;
    two.ready().await;
    let chain = one.served.certificate().chain();
    assert_eq!(chain, two.served.certificate().chain());
    assert_eq!(chain.pem(), fake.secret("tls.crt"));
    assert_eq!(fake.bundle(), fake.secret("ca.crt"));
    assert_eq!(
        i32::from(one.leads()) + i32::from(two.leads()),
        1,
        "exactly one leads"
    );
    // What they share makes the same secrets for all, another for each purpose, and not the key itself.
    let key = one.served.shared_key("pages").expect("there is one");
    assert_eq!(two.served.shared_key("pages"), Some(key));
    assert_ne!(one.served.shared_key("other"), Some(key));
    assert_eq!(fake.objects().unbelieved, [""; 0]);
}

#[tokio::test]
async fn only_the_ca_bundle_is_written() {
    let fake = Fake::new();
    let before = fake.get(API_SERVICE).expect("it is there");
    let replica = Replica::start(&fake, QUICK).await;
    replica.ready().await;
    let mut after = fake.get(API_SERVICE).expect("it is there");
    after["spec"].as_object_mut().expect("a spec").remove("caBundle");
    after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
    assert_eq!(after, before);
    let ours = [API_SERVICE, SECRET, LEASE];
    let objects = fake.objects();
    assert!(
        objects
            .writes
            .iter()
            .all(|(path, _)| ours.contains(&path.as_str())),
        "{:?}",
        objects.writes
    );
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_stays() {
    let fake = Fake::new();
    let mut theirs = api_service();
    theirs["spec"]["versionPriority"] = json!(77);
    fake.objects().faster = Some(theirs);
    let replica = Replica::start(&fake, QUICK).await;
    replica.ready().await;
    let service = fake.get(API_SERVICE).expect("it is there");
    assert_eq!(service["spec"]["versionPriority"], 77);
    assert_eq!(fake.bundle(), fake.secret("ca.crt"));
    let refused = (API_SERVICE.to_owned(), false);
    assert!(fake.objects().writes.contains(&refused), "it came too late once");
}

#[tokio::test]
async fn nothing_is_served_before_there_is_an_api_service_that_names_us() {
    let fake = Fake::empty();
    let replica = Replica::start(&fake, QUICK).await;
    eventually("a next authority", || !fake.secret("next-ca.crt").is_empty()).await;
    let mut theirs = api_service();
    theirs["spec"]["service"]["name"] = json!("other");
    fake.put(API_SERVICE, theirs.clone());
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(replica.objection().is_some());
    assert_eq!(fake.bundle(), "", "it is another's");
    fake.put(API_SERVICE, api_service());
    replica.ready().await;
    assert_eq!(fake.bundle(), fake.secret("ca.crt"));
}

#[tokio::test]
async fn a_leader_that_stops_lets_go_and_another_takes_over() {
    let fake = Fake::new();
    let first = Replica::start(&fake, QUICK).await;
    first.ready().await;
    assert!(first.leads());
    let second = Replica::start(&fake, QUICK).await;
    second.ready().await;
    let certificate = fake.secret("tls.crt");
    first.stop().await;
    eventually("another leader", || second.leads()).await;
    // Whatever is taken out is put back by the new one.
    fake.put(API_SERVICE, api_service());
    eventually("the caBundle", || fake.bundle() == fake.secret("ca.crt")).await;
    assert_eq!(fake.secret("tls.crt"), certificate, "nothing was made anew");
}

#[tokio::test]
async fn a_leader_that_dies_is_replaced_once_its_lease_ran_out() {
    let fake = Fake::new();
    let first = Replica::start(&fake, QUICK).await;
    first.ready().await;
    let second = Replica::start(&fake, QUICK).await;
    second.ready().await;
    assert!(!second.leads());
    let holder = || fake.get(LEASE).expect("a Lease")["spec"]["holderIdentity"].clone();
    let dead = holder();
    first.kill();
    eventually("another leader", || second.leads()).await;
    assert_ne!(holder(), dead);
}
