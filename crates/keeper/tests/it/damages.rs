//! A damaged record is told of, and costs no other.

use mk8s_keeper::{Part, Why};
use mk8s_testkit::ksm::{Damage, NewRecord};

use crate::support::{client, record, server};

const ALL: [(Damage, Why); 4] = [
    (Damage::Key, Why::Key),
    (Damage::Data, Why::Data),
    (Damage::NotJson, Why::NotJson),
    (Damage::NotBase64, Why::NotBase64("data")),
];

#[tokio::test]
async fn others_still_come() {
    for (damage, why) in ALL {
        let server = server().await;
        let vault = server.vault();
        let folder = vault.add_folder("f");
        let new = |title: &str| NewRecord::login(title, "b", "c");
        let direct = [vault.add(new("1")), vault.add(new("2")), vault.add(new("3"))];
        let inside = [vault.add_to(&folder, new("4")), vault.add_to(&folder, new("5"))];
        vault.damage(&direct[1], damage);
        vault.damage(&inside[0], damage);
        let client = client(&server);
        let read = client.fetch(true).await.unwrap();
        let uids: Vec<&str> = read.records.iter().map(|record| record.uid.as_str()).collect();
        assert_eq!(uids, [&direct[0], &direct[2], &inside[1]], "{damage:?}");
        let damaged: Vec<_> = read.damaged.iter().map(|d| (&d.part, &d.uid, d.why)).collect();
        assert_eq!(
            damaged,
            [(&Part::Record, &direct[1], why), (&Part::Record, &inside[0], why)]
        );
        vault.repair(&direct[1]);
        vault.repair(&inside[0]);
        let read = client.fetch(true).await.unwrap();
        assert!(read.damaged.is_empty());
        assert_eq!(record(&read, &direct[1]).uid, direct[1]);
    }
}

#[tokio::test]
async fn all_may_be_damaged() {
    let server = server().await;
    for (damage, _) in ALL {
        let uid = server.vault().add(NewRecord::login("a", "b", "c"));
        server.vault().damage(&uid, damage);
    }
    let read = client(&server).fetch(false).await.unwrap();
    assert_eq!((read.records.len(), read.damaged.len()), (0, ALL.len()));
}
