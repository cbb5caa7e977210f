//! What central doesn't start with.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use mk8s_testkit::{
    Gateway, Ran, command,
    gateway::{Settings, free_ports},
    workspace,
};

use super::one_line;

/// `serve` with this configuration, which ends by itself.
fn serve(directory: &Path, yaml: &str) -> Ran {
    let file = directory.join("central.yaml");
    fs::write(&file, yaml).expect("a file");
    command::run(
        Command::new(workspace::program("mk8s-central"))
            .args(["serve", "--config"])
            .arg(&file),
    )
}

#[test]
fn a_malformed_configuration_is_refused_with_file_line_and_key() {
    let directory = tempfile::tempdir().expect("a directory");
    for (yaml, words) in [
        ("server:\n  http_prt: 8080\n", &["line 2", "http_prt"][..]),
        ("server:\n  http_port: many\n", &["line 2", "http_port"]),
        ("server:\n  http_port: 99999\n", &["line 2"]),
        ("server: [\n", &["line"]),
        ("data_dir: /x\ndata_dir: /y\n", &["line 2", "data_dir"]),
        ("auth:\n  token_expiry: soon\n", &["line 2", "soon"]),
        ("database:\n  driver: oracle\n", &["database.driver"]),
        (
            "roles:\n  - name: x\n    clusters:\n      - nme: a\n",
            &["line 4", "nme"],
        ),
        ("tls:\n  cert_file: /none\n", &["cert_file", "key_file"]),
    ] {
        let line = one_line_of_yaml(&serve(directory.path(), yaml));
        assert!(line.contains("central.yaml"), "the file: {line}");
        for word in words {
            assert!(line.contains(word), "{word}: {line}");
        }
    }
    let missing = command::run(Command::new(workspace::program("mk8s-central")).args([
        "serve",
        "--config",
        "/none/central.yaml",
    ]));
    assert!(one_line(&missing).contains("/none/central.yaml"));
}

/// A message about YAML may show the place in the lines after the first.
#[track_caller]
fn one_line_of_yaml(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(1), "{ran}");
    assert!(!ran.stderr.contains("panicked"), "{ran}");
    ran.stderr.clone()
}

#[test]
fn a_taken_port_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let (taken, free) = (taken.local_addr().expect("an address").port(), free_ports().http);
    let data = directory.path().join("data");
    let _listener = TcpListener::bind(("127.0.0.1", taken));
    for (http, grpc) in [(taken, free), (free, taken)] {
        let held = TcpListener::bind(("127.0.0.1", taken));
        let yaml = format!(
            "server: {{bind: 127.0.0.1, http_port: {http}, grpc_port: {grpc}}}\ndata_dir: {}\n",
            data.display()
        );
        let line = one_line(&serve(directory.path(), &yaml));
        assert!(
            line.contains(&format!("127.0.0.1:{taken}")) && line.contains("in use"),
            "{line}"
        );
        drop(held);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.stop_central();
    let file = gateway.data_directory().join("mk8s.db");
    let garbage = vec![b'x'; 8192];
    remove_sidecars(&file);
    fs::write(&file, &garbage).expect("a file");
    let line = one_line(&last_line(&gateway.run_central(&["serve"])));
    assert!(line.contains("mk8s.db") && line.contains("database"), "{line}");
    assert_eq!(fs::read(&file).expect("the file"), garbage);
}

#[test]
fn a_database_of_a_newer_version_is_refused() {
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.stop_central();
    let file = gateway.data_directory().join("mk8s.db");
    crate::http::runtime().block_on(async {
        use sqlx::Connection as _;
        let mut database = sqlx::SqliteConnection::connect(&format!("sqlite:{}", file.display()))
            .await
            .expect("a database");
        let future = "UPDATE meta SET number = 9999 WHERE name = 'schema'";
        let changed = sqlx::query(future)
            .execute(&mut database)
            .await
            .expect("the schema's number is changed");
        assert_eq!(changed.rows_affected(), 1);
        database.close().await.expect("closed");
    });
    let line = one_line(&last_line(&gateway.run_central(&["serve"])));
    assert!(
        line.contains("mk8s.db") && line.contains("newer") && line.contains("9999"),
        "{line}"
    );
}

#[test]
fn a_database_that_cant_be_written_is_refused() {
    let mut gateway = Gateway::without_agents(Settings::default());
    gateway.stop_central();
    let data = gateway.data_directory();
    let file = data.join("mk8s.db");
    remove_sidecars(&file);
    // Everything may be read and nothing written; as root that is true of nobody but somebody else.
    let open =
        |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    let command = gateway.central_command(&["serve"]);
    let mut serve = Command::new("setpriv");
    if is_root() {
        serve.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
        open(gateway.directory(), 0o755);
        open_for_all(&data);
    } else {
        serve.args(["--nnp", "--"]);
    }
    open(&file, 0o444);
    open(&data, 0o555);
    let ran = last_line(&command::run(
        serve.arg(command.get_program()).args(command.get_args()),
    ));
    open(&data, 0o755);
    let line = one_line(&ran);
    assert!(
        line.contains("mk8s.db") && line.contains("can't be written"),
        "{line}"
    );
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Lets everybody read all below.
fn open_for_all(directory: &Path) {
    command::run(Command::new("chmod").args(["-R", "a+rX"]).arg(directory)).ok();
}

/// Central logs before it fails; the line for a person is the last.
fn last_line(ran: &Ran) -> Ran {
    let mut ran = ran.clone();
    ran.stderr = ran.stderr.lines().last().unwrap_or_default().to_owned();
    ran
}

/// SQLite's files beside the database.
fn remove_sidecars(database: &Path) {
    for suffix in ["-wal", "-shm"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}
