//! Authorities that come and go.

use crate::{
    fake::{Fake, SECRET},
    replica::{Replica, eventually},
};

/// A new authority every four seconds, each good for six.
const FAST: &str = "{caLifetime: 6s, certificateLifetime: 3s, settle: 200ms}";

#[tokio::test]
async fn whatever_is_served_was_believed_before_through_several_authorities() {
    let fake = Fake::new();
    let (one, two) = (
        Replica::start(&fake, FAST).await,
        Replica::start(&fake, FAST).await,
    );
    one.ready().await;
    two.ready().await;
    let first = fake.secret("ca.crt");
    let key = one.served.shared_key("pages").expect("there is one");
    eventually("another authority", || fake.secret("ca.crt") != first).await;
    assert!(
        fake.bundle().contains(&first) && fake.bundle().contains(&fake.secret("ca.crt")),
        "the previous one is believed as well"
    );
    for replica in [&one, &two] {
        let chain = || replica.served.certificate().chain().pem();
        eventually("its certificate", || chain().contains(&fake.secret("ca.crt"))).await;
        assert_eq!(replica.objection(), None);
        assert_ne!(replica.served.shared_key("pages"), Some(key));
    }
    assert_eq!(one.served.shared_key("pages"), two.served.shared_key("pages"));
    eventually("the first to be forgotten", || !fake.bundle().contains(&first)).await;
    assert_eq!(fake.objects().unbelieved, [""; 0]);
}

#[tokio::test]
async fn an_authority_whose_secret_was_deleted_is_believed_on() {
    let fake = Fake::new();
    let replica = Replica::start(&fake, "{settle: 100ms}").await;
    replica.ready().await;
    let lost = fake.secret("ca.crt");
    fake.delete(SECRET);
    let made = || fake.secret("ca.crt");
    eventually("another authority", || !made().is_empty()).await;
    assert_ne!(made(), lost);
    assert!(fake.bundle().contains(&lost) && fake.bundle().contains(&made()));
    eventually("its certificate", || {
        replica.served.certificate().chain().pem().contains(&made())
    })
    .await;
    assert_eq!(fake.objects().unbelieved, [""; 0]);
}
