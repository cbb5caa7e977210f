//! One look after the other, at a vault that is whatever a test wants.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command as Process,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use clap::Parser as _;
use mk8s_secrets::{Hidden, contract, outputs::FileToDownload, record::Record};
use serde_json::json;

use super::*;
use crate::cli::{Arguments, Command};

/// What the vault has; nothing, if it is away.
type Vault = Arc<Mutex<Option<Vec<Record>>>>;

struct Fake(Vault);

#[async_trait]
impl Provider for Fake {
    async fn fetch(&mut self, _: &Request) -> Result<Fetched, FetchError> {
        match &*self.0.lock().expect("no test panicked with it") {
            Some(records) => Ok(Fetched {
                records: records.clone(),
                ..Fetched::default()
            }),
            None => Err(FetchError::lasting("nobody is there")),
        }
    }

    async fn download(&mut self, _: &FileToDownload) -> Result<Hidden, FetchError> {
        Err(FetchError::lasting("there are no files"))
    }
}

fn record(title: &str, fields: &[(&str, &str)]) -> Record {
    let fields: Vec<_> = fields
        .iter()
        .map(|(kind, value)| json!({"type": kind, "value": [value]}))
        .collect();
    let data = json!({"title": title, "type": "login", "fields": fields}).to_string();
    Record::read(&format!("uid-of-{title}"), data.as_bytes()).expect("a record")
}

/// A cycle that writes `password` and `login` of the record "db" into a directory.
struct Kept {
    cycle: Cycle<'static>,
    metrics: Metrics,
    vault: Vault,
    directory: PathBuf,
}

impl Kept {
    fn start(directory: &Path) -> Self {
        let at = |name: &str| directory.join(name).display().to_string();
        let annotations = BTreeMap::from([
            ("keeper.security/inject".to_owned(), "true".to_owned()),
            ("keeper.security/ksm-config".to_owned(), "ksm".to_owned()),
            (
                "keeper.security/secret-one".to_owned(),
                format!("db[login]:{}", at("login")),
            ),
            (
                "keeper.security/secret-two".to_owned(),
                format!("db[password]:{}", at("password")),
            ),
        ]);
        let reading = contract::read(&annotations, "ns").expect("what can be asked for");
        // For as long as the test.
        let request: &Request = Box::leak(Box::new(reading.request.expect("a request")));
        let arguments = Arguments::parse_from([
            "keeper-secrets",
            "run",
            "--request",
            "{}",
            "--hosts",
            "none.example",
        ]);
        let Command::Run(settings) = arguments.command else {
            panic!("run was said");
        };
        let settings: &Settings = Box::leak(Box::new(Settings {
            readers: None,
            ..settings
        }));
        let (vault, metrics) = (Vault::default(), Metrics::new());
        let provider = Box::new(Fake(Arc::clone(&vault)));
        Self {
            cycle: Cycle::new(request, settings, provider, metrics.clone()).expect("a cycle"),
            metrics,
            vault,
            directory: directory.to_owned(),
        }
    }

    async fn look(&mut self, records: Option<Vec<Record>>) -> Result<Report, FetchError> {
        *self.vault.lock().expect("no test panicked with it") = records;
        self.cycle.look(When::Later).await
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).expect("a file")
    }

    fn inode(&self, name: &str) -> u64 {
        fs::metadata(self.directory.join(name)).expect("a file").ino()
    }

    /// How many looks ended so.
    fn looks(&self, status: &str) -> u64 {
        let name = format!("keeper_sidecar_refresh_cycles_total{{status=\"{status}\"}} ");
        let page = self.metrics.page();
        let value = page
            .lines()
            .find_map(|line| line.strip_prefix(&name)?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name}in\n{page}"))
    }
}

fn db(password: &str) -> Option<Vec<Record>> {
    Some(vec![record("db", &[("login", "app"), ("password", password)])])
}

#[tokio::test]
async fn what_changed_is_written_once_and_what_didnt_isnt_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kept = Kept::start(directory.path());
    let first = kept.look(db("one")).await.expect("there");
    assert_eq!(first.changed.len(), 2);
    let (login, password) = (kept.inode("login"), kept.inode("password"));
    let second = kept.look(db("two")).await.expect("there");
    assert_eq!(
        second.changed,
        [kept.directory.join("password").display().to_string()]
    );
    assert_eq!(
        (kept.read("password"), kept.inode("login")),
        ("two".to_owned(), login)
    );
    assert_ne!(kept.inode("password"), password);
    for _ in 0..3 {
        let password = kept.inode("password");
        assert_eq!(
            kept.look(db("two")).await.expect("there").changed,
            Vec::<String>::new()
        );
        assert_eq!(kept.inode("password"), password);
    }
    assert_eq!((kept.looks("success"), kept.looks("error")), (5, 0));
}

#[tokio::test]
async fn a_record_that_is_gone_or_lost_its_field_leaves_the_files_as_they_were() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kept = Kept::start(directory.path());
    kept.look(db("one")).await.expect("there");
    let lost = Some(vec![record("db", &[("login", "changed")])]);
    for (records, says) in [(Some(Vec::new()), "there is no record"), (lost, "has no field")] {
        let report = kept.look(records).await.expect("there");
        assert!(
            report.errors.iter().any(|error| error.contains(says)),
            "{report:?}"
        );
        assert_eq!(kept.read("password"), "one");
    }
    assert_eq!(
        kept.read("login"),
        "changed",
        "the other field is kept up to date"
    );
    assert_eq!((kept.looks("success"), kept.looks("error")), (1, 2));
    let report = kept.look(db("two")).await.expect("there");
    assert_eq!(
        (report.errors, kept.read("password")),
        (Vec::new(), "two".to_owned())
    );
}

#[tokio::test]
async fn when_nobody_is_there_everything_stays_and_one_look_is_counted_however_often_it_was_tried() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut kept = Kept::start(directory.path());
    kept.look(db("one")).await.expect("there");
    let inode = kept.inode("password");
    for _ in 0..4 {
        assert!(kept.look(None).await.is_err());
    }
    kept.cycle.gave_up();
    assert_eq!(
        (kept.read("password"), kept.inode("password")),
        ("one".to_owned(), inode)
    );
    assert_eq!((kept.looks("success"), kept.looks("error")), (1, 1));
    assert!(
        kept.metrics
            .page()
            .contains("keeper_sidecar_secret_fetches_total{status=\"error\"} 4")
    );
}

/// A volume in memory of 64 KiB.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let small = Self(tempfile::tempdir().expect("a directory"));
        let mounted = Process::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(small.0.path())
            .status()
            .expect("mount (Debian: mount)");
        assert!(mounted.success(), "a tmpfs can't be mounted: the tests need root");
        small
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_volume_is_an_error_that_is_over_when_there_is_room() {
    let volume = Small::mount();
    let mut kept = Kept::start(volume.0.path());
    kept.look(db("old")).await.expect("there");
    let report = kept.look(db(&"x".repeat(100 * 1024))).await.expect("there");
    assert!(
        report.errors.len() == 1 && report.errors[0].contains("the volume is full"),
        "{:?}",
        report.errors.len()
    );
    assert!(report.errors[0].contains("/password") && !report.errors[0].contains("xxx"));
    assert_eq!(
        (kept.read("password"), kept.looks("error")),
        ("old".to_owned(), 1)
    );
    assert_eq!(
        fs::read_dir(volume.0.path()).expect("readable").count(),
        2,
        "no half of a file"
    );
    let report = kept.look(db("new")).await.expect("there");
    assert_eq!(
        (report.errors, kept.read("password")),
        (Vec::new(), "new".to_owned())
    );
    assert_eq!((kept.looks("success"), kept.looks("error")), (2, 1));
}
