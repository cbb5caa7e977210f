//! A volume in memory that has no room left.

use mk8s_testkit::{eventually, within};

use super::{INTERVAL, Secrets, counter, database, eventually_reads, metrics, read};

#[test]
fn the_old_file_stays_whole_it_is_said_and_counted_and_is_over_when_there_is_room() {
    let secrets = Secrets::start_with("sizeLimit: 64Ki");
    let uid = secrets.vault().add(database("before"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .start()
        .ready();
    let old = read(&pod, "/keeper/secrets/database.json");
    let failed = |pod| {
        counter(
            &metrics(&secrets, pod),
            "keeper_sidecar_refresh_cycles_total{status=\"error\"}",
        )
    };
    assert_eq!(failed(&pod), 0);

    secrets
        .vault()
        .set_field(&uid, "password", "x".repeat(128 * 1024));
    within(INTERVAL * 3, "the full volume to be said", || {
        let log = pod.log_of("keeper-secrets-sidecar");
        let said = log.lines().find(|line| line.contains("the volume is full"))?;
        assert!(
            said.contains("ERROR") && said.contains("/keeper/secrets/database.json"),
            "{said}"
        );
        Some(())
    });
    eventually("it to be counted", || (failed(&pod) >= 1).then_some(()));
    assert_eq!(
        read(&pod, "/keeper/secrets/database.json"),
        old,
        "whole, as it was"
    );
    let files = pod.exec(["ls", "-A", "/keeper/secrets"]).ok().stdout;
    assert_eq!(files.trim(), "database.json", "no half of a file");
    assert_eq!(pod.phase(), "Running");

    secrets.vault().set_field(&uid, "password", "there is room again");
    eventually_reads(&pod, "/keeper/secrets/database.json", "there is room again");
    let counted = failed(&pod);
    within(INTERVAL * 3, "a look that is well", || {
        let page = metrics(&secrets, &pod);
        (counter(&page, "keeper_sidecar_refresh_cycles_total{status=\"success\"}") >= 2).then_some(())
    });
    assert_eq!(failed(&pod), counted, "no more of them");
}

#[test]
fn at_the_start_the_pod_waits_and_says_why() {
    let secrets = Secrets::start_with("sizeLimit: 64Ki");
    let large = "x".repeat(128 * 1024);
    let uid = secrets.vault().add(database(&large));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", "Database")
        .changed_by(|mut pod| {
            pod["spec"]["restartPolicy"] = "Always".into();
            pod
        })
        .start();
    eventually("the init container to say it", || {
        pod.log_of("keeper-secrets-init")
            .contains("the volume is full")
            .then_some(())
    });
    assert_eq!(pod.phase(), "Pending");
    secrets.vault().set_field(&uid, "password", "small");
    let pod = pod.ready();
    assert!(read(&pod, "/keeper/secrets/database.json").contains("small"));
}
