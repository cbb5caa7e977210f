//! The vault is away, or answers oddly: what is there stays, and it comes back by itself.

use ::http::StatusCode;
use mk8s_testkit::{
    eventually,
    ksm::{Behaviour, Endpoint, Fault},
    within,
};

use super::{INTERVAL, Secrets, database, eventually_reads, read};

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
    secrets.vault.behave_well();
    eventually_reads(&pod, "/keeper/secrets/database.json", "after");
    eventually("the recovery to be said", || {
        pod.log_of("keeper-secrets-sidecar")
            .contains("up to date again")
            .then_some(())
    });
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
