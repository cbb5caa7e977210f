//! The vault is away, or answers oddly: what is there stays, and it comes back by itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use ::http::StatusCode;
use mk8s_testkit::{
    eventually,
    ksm::{Behaviour, Endpoint, Fault},
    within,
};

use super::{INTERVAL, Secrets, counter, database, eventually_reads, metrics, read};

#[test]
fn away_for_ten_looks_the_files_stay_and_then_it_recovers() {
    let secrets = Secrets::start();
    let uid = secrets.vault().add(database("before"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .start()
        .ready();
    secrets
        .vault
        .behave(Behaviour::always(Fault::Status(StatusCode::SERVICE_UNAVAILABLE)));
    secrets.vault().set_field(&uid, "password", "after");
    let failed = |pod: &mk8s_testkit::InPod| {
        pod.log_of("keeper-secrets-sidecar")
            .matches("the files stay as they are")
            .count()
    };
    within(INTERVAL * 20, "ten looks in vain", || {
        (failed(&pod) >= 10).then_some(())
    });
    assert!(read(&pod, "/keeper/secrets/database.json").contains("before"));
    assert_eq!(pod.phase(), "Running");
    let page = metrics(&secrets, &pod);
    let looks = counter(&page, "keeper_sidecar_refresh_cycles_total{status=\"error\"}");
    assert!((10..=11).contains(&looks), "each look is counted once: {looks}");
    let fetches = counter(&page, "keeper_sidecar_secret_fetches_total{status=\"error\"}");
    assert!(fetches >= 4 * looks, "and each of its four tries: {fetches}");
    secrets.vault.behave_well();
    eventually_reads(&pod, "/keeper/secrets/database.json", "after");
    eventually("the recovery to be said", || {
        pod.log_of("keeper-secrets-sidecar")
            .contains("up to date again")
            .then_some(())
    });
}

#[test]
fn throttled_for_a_minute_nothing_is_asked_for_a_minute() {
    let secrets = Secrets::start();
    let uid = secrets.vault().add(database("before"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .start()
        .ready();
    secrets
        .vault
        .behave(Behaviour::once(Fault::Throttled(Some(60))).at(Endpoint::GetSecret));
    let asked_before = secrets.vault.requests(Endpoint::GetSecret);
    let asked = within(INTERVAL * 2, "the next look", || {
        let asked = secrets.vault.requests(Endpoint::GetSecret);
        (asked > asked_before).then_some(asked)
    });
    let since = Instant::now();
    // Only now: a look before it would have brought it.
    secrets.vault().set_field(&uid, "password", "after");
    let nothing_is_asked_until = |end: Duration| {
        while since.elapsed() < end {
            assert_eq!(
                secrets.vault.requests(Endpoint::GetSecret),
                asked,
                "{:?}",
                since.elapsed()
            );
            thread::sleep(Duration::from_secs(1));
        }
    };
    // Reading a file of a pod takes its time, too.
    nothing_is_asked_until(Duration::from_secs(35));
    assert!(read(&pod, "/keeper/secrets/database.json").contains("before"));
    nothing_is_asked_until(Duration::from_secs(58));
    eventually_reads(&pod, "/keeper/secrets/database.json", "after");
}

#[test]
fn a_passing_fault_at_the_start_only_delays_it() {
    let secrets = Secrets::start();
    secrets.vault().add(database("patient"));
    for fault in [
        Fault::Status(StatusCode::BAD_GATEWAY),
        Fault::Truncated,
        Fault::Throttled(Some(1)),
    ] {
        secrets
            .vault
            .behave(Behaviour::once(fault).at(Endpoint::GetSecret));
        let pod = secrets
            .pod(&format!("app-{}", secrets.vault.requests(Endpoint::GetSecret)))
            .annotation("keeper.security/secret", "Database")
            .annotation("keeper.security/init-only", "true")
            .start()
            .ready();
        assert!(
            read(&pod, "/keeper/secrets/database.json").contains("patient"),
            "{fault:?}"
        );
    }
}
