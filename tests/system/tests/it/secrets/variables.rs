//! Variables that stand in no pod.

use super::{Secrets, database, read};

#[test]
fn the_program_has_the_variables_and_the_pod_has_not() {
    let secrets = Secrets::start();
    secrets.vault().add(database("in-the-environment"));
    let script = "printf '%s|%s|%s' \"$DB_PASSWORD\" \"$DB_HOST\" \"$HOME\" > /tmp/seen; exec sleep 1000000";
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-env-vars", "true")
        .annotation("keeper.security/env-prefix", "DB_")
        .command(["sh", "-c", script])
        .start()
        .ready();
    assert_eq!(read(&pod, "/tmp/seen"), "in-the-environment|db.example|/tmp");
    assert!(!pod.json().to_string().contains("in-the-environment"));
    // The wrapper is gone: process 1 is the program's own.
    assert_eq!(read(&pod, "/proc/1/comm").trim(), "sleep");
}

#[test]
fn the_exit_code_is_the_programs_own() {
    let secrets = Secrets::start();
    secrets.vault().add(database("x"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .annotation("keeper.security/inject-env-vars", "true")
        .annotation("keeper.security/init-only", "true")
        .command(["sh", "-c", "exit 7"])
        .start();
    mk8s_testkit::eventually("the program to end", || (pod.phase() == "Failed").then_some(()));
    let status = pod.json()["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone();
    assert_eq!(status, 7);
}
