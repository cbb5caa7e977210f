//! What a pod asks for is there when its first program starts, in every format, and changes when the vault does.

use std::time::Duration;

use jiff::Timestamp;
use mk8s_testkit::{
    eventually,
    ksm::{Endpoint, Field, NewRecord},
};
use serde_json::{Value, json};

use super::{INTERVAL, Secrets, counter, database, eventually_reads, metrics, read};

#[test]
fn every_format_and_source_is_a_file_before_the_first_program_starts() {
    let secrets = Secrets::start();
    let vault = secrets.vault();
    let uid = vault.add(
        database("pa\"ss $HOME 'x'")
            .custom(Field::new("text", "a=b").labelled("Odd Key"))
            .file("store.bin", &[0, 159, 146, 150]),
    );
    let folder = vault.add_folder("Team");
    let prod = vault.add_subfolder(&folder, "Prod");
    vault.add_to(&prod, NewRecord::login("In Folder", "u", "in-folder-value"));
    let formats = ["json", "env", "properties", "yaml", "ini"];
    let mut config = String::from("secrets:\n");
    for format in formats {
        config.push_str(&format!(
            "- {{record: Database, path: /keeper/secrets/db.{format}, format: {format}}}\n"
        ));
    }
    config.push_str(&format!(
        "- {{notation: 'keeper://{uid}/field/password', path: /app/config/password}}\n\
         - {{record: Database, file: store.bin, path: /app/config/deep/er/store.bin}}\n\
         - record: Database\n  path: /keeper/secrets/dsn\n  template: |\n    {{{{ .login | upper }}}}@{{{{ .Host }}}}\n\
         folders:\n- {{folderPath: Team/Prod, outputPath: /keeper/secrets/team}}\n"
    ));
    let started = "cat /keeper/secrets/db.json > /tmp/at-start; exec sleep 1000000";
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/config", &config)
        .annotation(
            "keeper.security/secret-extra",
            "Database[login]:/keeper/secrets/login",
        )
        .command(["sh", "-c", started])
        .changed_by(|mut pod| {
            // The pod's own init containers have them, too.
            let mut migrate = pod["spec"]["containers"][0].clone();
            migrate["name"] = "migrate".into();
            migrate["command"] = json!(["sh", "-c", "cp /keeper/secrets/db.env /tmp/migrate.env"]);
            pod["spec"]["initContainers"] = json!([migrate]);
            pod
        })
        .start()
        .ready();
    let json: Value = serde_json::from_str(&read(&pod, "/keeper/secrets/db.json")).expect("JSON");
    assert_eq!(json["password"], "pa\"ss $HOME 'x'");
    assert_eq!(json["Host"], "db.example");
    assert_eq!(read(&pod, "/tmp/at-start"), read(&pod, "/keeper/secrets/db.json"));
    assert_eq!(
        read(&pod, "/tmp/migrate.env"),
        read(&pod, "/keeper/secrets/db.env")
    );
    let sourced = pod.exec([
        "sh",
        "-c",
        ". /keeper/secrets/db.env; printf '%s|%s' \"$PASSWORD\" \"$ODD_KEY\"",
    ]);
    assert_eq!(sourced.ok().stdout, "pa\"ss $HOME 'x'|a=b");
    assert!(read(&pod, "/keeper/secrets/db.ini").starts_with("[secret]\n"));
    assert!(
        read(&pod, "/keeper/secrets/db.properties").contains("Odd\\ Key=a"),
        "escaped"
    );
    assert!(read(&pod, "/keeper/secrets/db.yaml").contains("login: "));
    assert_eq!(read(&pod, "/app/config/password"), "pa\"ss $HOME 'x'");
    assert_eq!(read(&pod, "/keeper/secrets/login"), "app");
    assert_eq!(read(&pod, "/keeper/secrets/dsn").trim(), "APP@db.example");
    let bytes = pod
        .exec(["od", "-An", "-tx1", "/app/config/deep/er/store.bin"])
        .ok()
        .stdout;
    assert_eq!(
        bytes.split_whitespace().collect::<Vec<_>>(),
        ["00", "9f", "92", "96"]
    );
    assert!(read(&pod, "/keeper/secrets/team/in-folder.json").contains("in-folder-value"));
    // Nobody but the readers' group, and nobody writes.
    let modes = pod
        .exec(["stat", "-c", "%a", "/keeper/secrets/db.json"])
        .ok()
        .stdout;
    assert_eq!(modes.trim(), "440");
    pod.exec(["sh", "-c", "echo x > /keeper/secrets/mine"]).failed();
    let mounts = pod.exec(["cat", "/proc/mounts"]).ok().stdout;
    for path in ["/keeper/secrets", "/app/config"] {
        let line = mounts
            .lines()
            .find(|line| line.contains(&format!(" {path} ")))
            .expect("a mount");
        assert!(line.starts_with("tmpfs "), "in memory: {line}");
    }
}

#[test]
fn a_hundred_secrets_cost_one_call() {
    let secrets = Secrets::start();
    let vault = secrets.vault();
    let titles: Vec<String> = (0..100).map(|number| format!("record-{number}")).collect();
    for title in &titles {
        vault.add(NewRecord::login(title, "u", "p"));
    }
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secrets", &titles.join(","))
        .annotation("keeper.security/init-only", "true")
        .start()
        .ready();
    let files = pod.exec(["ls", "/keeper/secrets"]).ok().stdout;
    assert_eq!(files.lines().count(), 100);
    assert_eq!(secrets.vault.requests(Endpoint::GetSecret), 1);
    assert_eq!(
        secrets.vault.requests(Endpoint::GetFolders),
        0,
        "no folder is asked for"
    );
    // So does each look of a sidecar.
    let pod = secrets
        .pod("kept")
        .annotation("keeper.security/secrets", &titles.join(","))
        .start()
        .ready();
    let before = secrets.vault.requests(Endpoint::GetSecret);
    assert_eq!(before, 2);
    let looks = mk8s_testkit::within(INTERVAL * 4, "two looks", || {
        let page = metrics(&secrets, &pod);
        let looks = counter(&page, "keeper_sidecar_refresh_cycles_total{status=\"success\"}");
        (looks >= 2).then_some(looks)
    });
    // Another may have begun meanwhile.
    let asked = secrets.vault.requests(Endpoint::GetSecret) - before;
    assert!(
        (looks..=looks + 1).contains(&asked),
        "{asked} calls for {looks} looks"
    );
}

#[test]
fn a_changed_record_arrives_within_an_interval_once_and_the_program_is_told() {
    let secrets = Secrets::start();
    let uid = secrets.vault().add(database("first"));
    let other = secrets.vault().add(NewRecord::login("Other", "u", "stays"));
    let program =
        "trap 'cat /keeper/secrets/database.json >> /tmp/told' HUP; while true; do sleep 1 & wait $!; done";
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secrets", "Database,Other")
        .annotation("keeper.security/signal", "SIGHUP")
        .command(["sh", "-c", program])
        .changed_by(|mut pod| {
            pod["spec"]["shareProcessNamespace"] = true.into();
            // As the one who signals: another user's processes can't be told anything.
            pod["spec"]["containers"][0]["securityContext"]["runAsUser"] = 65531.into();
            pod
        })
        .start()
        .ready();
    let inode = |file: &str| pod.exec(["stat", "-c", "%i", file]).ok().stdout;
    let (database_inode, other_inode) = (
        inode("/keeper/secrets/database.json"),
        inode("/keeper/secrets/other.json"),
    );
    let changed_at = Timestamp::now();
    secrets.vault().set_field(&uid, "password", "second");
    eventually_reads(&pod, "/keeper/secrets/database.json", "second");
    let log = pod.log_of("keeper-secrets-sidecar");
    let written = log
        .lines()
        .find(|line| line.contains("wrote /keeper/secrets/database.json"));
    let written = written
        .and_then(|line| line.split_whitespace().next())
        .expect("a time");
    let written_at: Timestamp = written.parse().expect("a time");
    let took = Duration::try_from(written_at - changed_at).expect("it was written afterwards");
    // And a moment for the look itself.
    assert!(took <= INTERVAL + Duration::from_secs(2), "{took:?}");
    eventually("the program to be told", || {
        pod.exec(["cat", "/tmp/told"])
            .stdout
            .contains("second")
            .then_some(())
    });
    let changed = inode("/keeper/secrets/database.json");
    assert_ne!(changed, database_inode);
    // Two more looks, and nothing to say.
    let before = secrets.vault.requests(Endpoint::GetSecret);
    mk8s_testkit::within(INTERVAL * 4, "two more looks", || {
        (secrets.vault.requests(Endpoint::GetSecret) >= before + 2).then_some(())
    });
    assert_eq!(inode("/keeper/secrets/database.json"), changed, "written once");
    assert_eq!(inode("/keeper/secrets/other.json"), other_inode, "untouched");
    // Though it is the same user and sees our process, it gets nowhere through it.
    let through =
        "cat /proc/[0-9]*/root/keeper/config/config /proc/[0-9]*/root/keeper/ca/ca.crt 2>/dev/null | wc -c";
    assert_eq!(pod.exec(["sh", "-c", through]).ok().stdout.trim(), "0");
    let seen = pod.exec(["sh", "-c", "cat /proc/[0-9]*/comm"]).ok().stdout;
    assert!(seen.contains("keeper-secrets"), "{seen}");
    let told = read(&pod, "/tmp/told");
    assert_eq!(told.matches("second").count(), 1, "told once: {told}");
    let _ = other;
}

#[test]
fn jobs_complete_with_and_without_a_sidecar() {
    let secrets = Secrets::start();
    secrets.vault().add(database("for-a-job"));
    for (name, init_only) in [("with", "false"), ("without", "true")] {
        let pod = secrets
            .pod(name)
            .annotation("keeper.security/secret", "Database")
            .annotation("keeper.security/init-only", init_only)
            .command(["grep", "-q", "for-a-job", "/keeper/secrets/database.json"])
            .prepare()
            .into_json();
        let template =
            json!({"metadata": {"annotations": pod["metadata"]["annotations"]}, "spec": pod["spec"]});
        let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": template}});
        secrets.namespace().apply(&job.to_string());
        let kubectl = secrets.namespace().kubectl();
        let object = format!("job/{name}");
        kubectl
            .run(["wait", "--for=condition=Complete", &object, "--timeout=100s"])
            .ok();
    }
}

#[test]
fn secrets_of_the_namespace_are_records_without_any_vault() {
    let secrets = Secrets::start();
    let kept = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"},
        "stringData": {"user": "app", "password": "kept-in-kubernetes"}});
    secrets.namespace().apply(&kept.to_string());
    let pod = mk8s_testkit::InPod::named(secrets.namespace(), "app")
        .annotation("keeper.security/inject", "true")
        .annotation("keeper.security/auth-method", "kubernetes")
        .annotation("keeper.security/secret-db", "db[password]:/app/config/password")
        .start()
        .ready();
    assert_eq!(read(&pod, "/app/config/password"), "kept-in-kubernetes");
    assert_eq!(secrets.vault.requests(Endpoint::GetSecret), 0);
}
