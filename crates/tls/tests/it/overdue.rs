//! Revocation lists whose next one is late.

use std::{
    io,
    sync::{Arc, Mutex},
};

use mk8s_tls::ExpiredLists;

use crate::{
    revocation::{Door, assert_revoked, list_at},
    support::{DAY, ago, authority, client as client_certificate, now},
};

#[tokio::test]
async fn an_overdue_list_locks_nobody_out_unless_asked_to() {
    let ours = authority();
    let (jane, joe) = (client_certificate(&ours), client_certificate(&ours));
    let old = list_at(&ours, 7, &[&jane], ago(3 * DAY), ago(DAY));
    let lenient = Door::new(&[&ours], ExpiredLists::Use);
    lenient.write("a.crl", &old);
    lenient.refresh().expect("read");
    lenient.enter(&joe).await.expect("not on the list");
    assert_revoked(lenient.enter(&jane).await);
    let lists = lenient.auth.lists();
    let overdue: Vec<_> = lists.expired(now()).collect();
    assert_eq!(overdue.len(), 1);
    assert_eq!((overdue[0].number.as_deref(), overdue[0].entries), (Some("7"), 1));
    assert_eq!(lists.expired(ago(2 * DAY)).count(), 0);

    let strict = Door::new(&[&ours], ExpiredLists::Refuse);
    strict.enter(&joe).await.expect("no list yet");
    strict.write("a.crl", &old);
    strict.refresh().expect("read");
    for client in [&jane, &joe] {
        let error = strict.enter(client).await.expect_err("refused");
        assert!(error.contains("revocation list expired"), "{error}");
    }
}

#[test]
fn an_overdue_list_is_logged_once() {
    let ours = authority();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let door = Door::new(&[&ours], ExpiredLists::Use);
        door.write("a.crl", list_at(&ours, 1, &[], ago(DAY), now() + DAY));
        door.refresh().expect("read");
        assert_eq!(log.lines(), 0);
        // It becomes overdue while nothing changes.
        for _ in 0..3 {
            door.auth.refresh(now() + 2 * DAY).expect("read");
        }
        assert_eq!(log.lines(), 1);
        // The next one is overdue as it comes.
        door.write("a.crl", list_at(&ours, 2, &[], ago(2 * DAY), ago(DAY)));
        door.refresh().expect("read");
        assert_eq!(log.lines(), 2);
    });
    assert!(
        log.text().contains("a.crl") && log.text().contains("overdue"),
        "{}",
        log.text()
    );
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("unlocked").clone()).expect("UTF-8")
    }

    fn lines(&self) -> usize {
        self.text().lines().count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unlocked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
