//! What lies on the disk, and what happens when it can't.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use mk8s_audit::{Journal, JournalError, Limits};
use mk8s_model::Outcome;
use mk8s_proxy::AuditLog as _;

use crate::support::{Rows, close, first_half, id, open, start};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_read_the_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("data/audit");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(&dir, &sink);
    open(&journal);
    shipper.ship().await.expect("shipped");
    assert_eq!(mode(&dir), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(
            path.file_name()
                .expect("a name")
                .to_str()
                .expect("text")
                .to_owned(),
        );
    }
    names.sort();
    assert_eq!(names, ["00000000000000000001.jsonl", "lock", "running.jsonl"]);
}

#[test]
fn two_processes_on_one_directory_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Journal::open(dir.path(), Limits::default()).expect("a journal");
    let refusal = Journal::open(dir.path(), Limits::default()).expect_err("in use");
    assert!(matches!(refusal, JournalError::Locked(_)), "{refusal}");
    assert!(
        refusal.to_string().contains(&dir.path().display().to_string()),
        "{refusal}"
    );
    assert!(
        refusal.to_string().contains("a data directory of its own"),
        "{refusal}"
    );
    drop(first);
    Journal::open(dir.path(), Limits::default()).expect("free again");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let refusal = Journal::open(&file.path().join("audit"), Limits::default()).expect_err("no directory");
    assert!(matches!(refusal, JournalError::Directory { .. }), "{refusal}");
    assert!(
        refusal.to_string().contains(&file.path().display().to_string()),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_last_line_that_was_cut_short_is_passed_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let id = {
        let journal = Journal::open(dir.path(), Limits::default()).expect("a journal");
        open(&journal)
    };
    let segment = dir.path().join("00000000000000000000.jsonl");
    let mut bytes = fs::read(&segment).expect("a segment");
    let line = bytes.clone();
    bytes.extend(&line[..line.len() / 2]);
    fs::write(&segment, &bytes).expect("written");
    let (_journal, mut shipper) = start(dir.path(), &sink);
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.outcome(id), Some(Outcome::Interrupted));
    assert_eq!(sink.len(), 1);
    assert!(!segment.exists());
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_and_the_rest_is_shipped() {
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let id = {
        let journal = Journal::open(dir.path(), Limits::default()).expect("a journal");
        let id = open(&journal);
        close(&journal, id);
        id
    };
    let segment = dir.path().join("00000000000000000000.jsonl");
    let mut bytes = b"x{\"of\":\"a newer version\"}\no{}\n\0\0\0\n\n".to_vec();
    bytes.extend(fs::read(&segment).expect("a segment"));
    fs::write(&segment, &bytes).expect("written");
    let (journal, mut shipper) = start(dir.path(), &sink);
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.outcome(id), Some(Outcome::Complete));
    assert!(!segment.exists());
    assert_eq!(
        fs::read(segment.with_extension("unreadable")).expect("set aside"),
        bytes
    );
    assert_eq!(journal.unshipped_bytes(), 0);
    drop((journal, shipper));
    let (_journal, mut shipper) = start(dir.path(), &sink);
    shipper.ship().await.expect("nothing to do");
    assert_eq!(sink.len(), 1);
}

#[tokio::test]
async fn strangers_files_in_the_directory_are_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["notes.txt", "x.jsonl", ".jsonl", "-1.jsonl"] {
        fs::write(dir.path().join(name), "hello").expect("written");
    }
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    open(&journal);
    shipper.ship().await.expect("shipped");
    for name in ["notes.txt", "x.jsonl", ".jsonl", "-1.jsonl"] {
        assert_eq!(fs::read_to_string(dir.path().join(name)).expect("there"), "hello");
    }
}

/// The rest of a test, in a process of its own that may write no more than so many KiB to a file.
fn in_a_process_with_little_disk(test: &str, kib: u32) -> bool {
    const MARK: &str = "MK8S_TEST_LITTLE_DISK";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    // With the signal ignored, a write beyond the limit is an error, as on a full disk: it writes as much as there is room
    // for, and then fails.
    let program = std::env::current_exe().expect("this program");
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" --exact {test} --nocapture");
    let ran = Command::new("bash")
        .args(["-c", &script])
        .arg(program)
        .env(MARK, "1")
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    false
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_of_a_line_loses_no_other() {
    if !in_a_process_with_little_disk(
        "disk::a_disk_that_fills_up_in_the_middle_of_a_line_loses_no_other",
        8,
    ) {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let sink = Arc::new(Rows::default());
    let (journal, mut shipper) = start(dir.path(), &sink);
    let mut written = Vec::new();
    let mut refused = Vec::new();
    for _ in 0..100 {
        let id = id();
        match journal.open(&first_half(id)) {
            Ok(()) => written.push(id),
            Err(why) => {
                assert!(why.to_string().contains("can't be written"), "{why}");
                refused.push(id);
            }
        }
    }
    assert!(!written.is_empty() && !refused.is_empty());
    let before = journal.unshipped_bytes();
    assert!(before <= 8 * 1024);
    // What is left of the room takes the shorter line that tells how one of them ended.
    close(&journal, written[0]);
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.len(), written.len());
    assert!(written[1..].iter().all(|id| sink.outcome(*id).is_none()));
    // Room again: a new segment has its own.
    let id = open(&journal);
    close(&journal, id);
    shipper.ship().await.expect("shipped");
    assert_eq!(sink.outcome(id), Some(Outcome::Complete));
    assert_eq!(journal.unshipped_bytes(), 0);
}
