//! After everything was done that can be done with a secret: it is nowhere but where it was asked for.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_testkit::{Cluster, InPod, eventually, ksm::NewRecord};
use serde_json::json;

use super::{INTERVAL, Secrets, counter, metrics, read};

/// A text that was never anywhere before, whatever the cluster has seen.
fn unique(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{what}-{}-{:x}", std::process::id(), now.as_nanos())
}

/// The text as it may stand somewhere: plain, or in Base64 at each of its three offsets.
fn forms(text: &str) -> Vec<String> {
    let mut forms = vec![text.to_owned()];
    for before in 0..3 {
        // What depends on a neighbour is cut off.
        let encoded = BASE64_STANDARD.encode(format!("{}{text}", "x".repeat(before)));
        let (from, to) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
        forms.push(encoded[from..to].to_owned());
    }
    forms
}

#[test]
fn a_text_is_found_in_base64_wherever_it_begins() {
    for before in ["", "a", "bc", "def"] {
        let encoded = BASE64_STANDARD.encode(format!("{before}needle-in-hay and more"));
        let found = forms("needle-in-hay").iter().any(|form| encoded.contains(form));
        assert!(found, "{encoded}");
    }
}

/// Files of the cluster with the text in them: etcd's, logs of all programs and containers, the audit log, containers' disks.
/// What is mounted below (volumes in memory) is no disk, and isn't looked at.
fn on_disk(text: &str) -> Vec<String> {
    let directory = Cluster::shared().kubeconfig().parent().expect("a directory");
    let mut find = Command::new("find");
    find.arg(directory).args(["-xdev", "-type", "f", "-exec"]);
    find.args(["grep", "--files-with-matches", "--text", "--fixed-strings"]);
    for form in forms(text) {
        find.args(["--regexp", &form]);
    }
    let output = find.args(["{}", "+"]).output().expect("find and grep");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The environment of every process of this machine, the node's containers among them, as the kernel keeps it.
fn environments() -> Vec<(u32, Vec<u8>)> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Processes end while they are read, and some have none.
    ids.filter_map(|id: u32| Some((id, fs::read(format!("/proc/{id}/environ")).ok()?)))
        .collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let first = text.as_bytes()[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(text.as_bytes()) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// Which of these texts a process has anywhere in its memory.
fn in_memory(process: u32, texts: &[String]) -> Vec<String> {
    let regions = fs::read_to_string(format!("/proc/{process}/maps")).expect("the tests need root");
    let memory = File::open(format!("/proc/{process}/mem")).expect("the tests need root");
    let mut found = Vec::new();
    for region in regions.lines() {
        let mut columns = region.split_ascii_whitespace();
        let (Some(range), Some(may)) = (columns.next(), columns.next()) else {
            continue;
        };
        // Files that are mapped have nothing that the process wrote.
        if !may.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("a range");
        let number = |text| u64::from_str_radix(text, 16).expect("an address");
        let (from, to) = (number(from), number(to));
        let mut bytes = vec![0; usize::try_from(to - from).expect("memory fits into memory")];
        // The kernel's own pages can't be read.
        let Ok(length) = memory.read_at(&mut bytes, from) else {
            continue;
        };
        bytes.truncate(length);
        for text in texts {
            if !found.contains(text) && contains(&bytes, text) {
                found.push(text.clone());
            }
        }
    }
    found
}

/// A variable that tells a container's processes.
const MARK: &str = "TEST_CONTAINER";

#[test]
fn a_value_is_nowhere_but_where_it_was_asked_for() {
    let secrets = Secrets::start();
    let (value, next) = (unique("value"), unique("next"));
    let (title, kept) = (unique("title"), unique("kept"));
    let uid = secrets.vault().add(NewRecord::login(&title, "u", &value));
    secrets.vault().add(NewRecord::login("Kept", "u", &kept));
    let mark = |container: &str| format!("{container}-{title}");
    let marked = |container: &str| json!({"name": MARK, "value": mark(container)});
    let (of_app, of_other, of_watcher) = (marked("app"), marked("other"), marked("watcher"));
    let pod = secrets
        .pod("app")
        .annotation("keeper.security/secret", &title)
        .annotation("keeper.security/inject-env-vars", "true")
        // Two of one name can't both be variables.
        .annotation(
            "keeper.security/config",
            &format!(
                "secrets:\n- {{record: Kept, injectAsK8sSecret: true, k8sSecretName: kept, injectAsEnvVars: false}}\n\
                 - {{record: {title}, fields: [password], path: /app/config/raw, injectAsEnvVars: false}}\n"
            ),
        )
        .annotation("keeper.security/env-prefix", "RECORD_")
        .service_account(
            "app",
            &json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "create", "update"]}]),
        )
        .command(["sleep", "1000000"])
        .changed_by(move |mut pod| {
            // One beside it that starts before, and so has the files and not the variables.
            let mut watcher = pod["spec"]["containers"][0].clone();
            watcher["name"] = "watcher".into();
            watcher["restartPolicy"] = "Always".into();
            watcher["env"] = json!([of_watcher]);
            pod["spec"]["initContainers"] = json!([watcher]);
            pod["spec"]["containers"][0]["env"] = json!([of_app]);
            pod
        })
        .start()
        .ready();
    let other = InPod::named(secrets.namespace(), "other")
        .changed_by(move |mut pod| {
            pod["spec"]["containers"][0]["env"] = json!([of_other]);
            pod
        })
        .start()
        .ready();
    assert_eq!(read(&pod, "/app/config/raw"), value);
    // A change, too, goes nowhere else.
    secrets.vault().set_field(&uid, "password", next.as_str());
    mk8s_testkit::within(INTERVAL * 3, "the change", || {
        (pod.exec(["cat", "/app/config/raw"]).stdout == next).then_some(())
    });
    let values = [value.clone(), next.clone()];

    // On the disk: in etcd there is what was asked to be a Secret, and nothing else.
    let etcd = |path: &String| path.contains("/etcd/");
    let kept_at = eventually("the Secret in etcd", || {
        let found = on_disk(&kept);
        found.iter().any(etcd).then_some(found)
    });
    assert!(kept_at.iter().all(etcd), "{kept_at:?}");
    assert!(
        on_disk(&title).iter().any(etcd),
        "the pod, which names the record"
    );
    for value in &values {
        assert_eq!(on_disk(value), Vec::<String>::new());
    }

    // In variables: those of the container's own processes alone.
    let environments = environments();
    let of = |container: &str| {
        let mark = format!("{MARK}={}", mark(container));
        environments
            .iter()
            .filter(|(_, environment)| contains(environment, &mark))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
    };
    for container in ["app", "watcher", "other"] {
        assert!(!of(container).is_empty(), "no process of {container} is seen");
    }
    let having = |text: &str| -> Vec<u32> {
        let found = environments
            .iter()
            .filter(|(_, environment)| contains(environment, text));
        found.map(|(id, _)| *id).collect()
    };
    assert_eq!(having(&value), of("app"));
    assert_eq!(having(&next), Vec::<u32>::new());
    assert_eq!(having(&kept), Vec::<u32>::new());

    // In the webhook's memory.
    for process in secrets.webhook.processes() {
        let namespace = secrets.namespace().name().to_owned();
        let client = secrets.vault.app_config().client_id().to_owned();
        let looked_for = [&values[..], &[kept.clone(), client, namespace.clone()]].concat();
        assert_eq!(
            in_memory(process, &looked_for),
            [namespace],
            "of what a search finds"
        );
    }

    // In what is counted: neither values nor names.
    let of_sidecar = metrics(&secrets, &pod);
    assert!(
        of_sidecar.contains("keeper_sidecar_secrets_active"),
        "{of_sidecar}"
    );
    let mut pages = secrets.webhook.metrics();
    let injected = |page: &String| counter(page, "keeper_injector_mutations_total{status=\"success\"}");
    assert!(pages.iter().map(injected).sum::<u64>() > 0, "{pages:?}");
    pages.push(of_sidecar);
    let names = [&title, &uid, secrets.namespace().name(), "/app/config"];
    for page in &pages {
        for text in values.iter().map(String::as_str).chain(names) {
            assert!(!page.contains(text), "{text} in\n{page}");
        }
    }

    // And in what everybody sees.
    let kubectl = secrets.namespace().kubectl();
    let shown = [
        pod.json().to_string(),
        other.json().to_string(),
        pod.log_of("keeper-secrets-init"),
        pod.log_of("keeper-secrets-sidecar"),
        secrets.webhook.logs(),
        kubectl.run(["get", "events", "--output", "json"]).ok().stdout,
        kubectl.run(["describe", "pods"]).ok().stdout,
    ];
    for text in &shown {
        for value in values.iter().chain([&kept]) {
            assert!(!forms(value).iter().any(|form| text.contains(form)), "{text}");
        }
    }
}

/// A configuration has the application's keys: whoever has it, has the vault.
#[test]
fn no_applications_configuration_is_in_git() {
    let root = mk8s_testkit::workspace::root();
    let listed = Command::new("git")
        .arg("ls-files")
        .current_dir(root)
        .output()
        .expect("git");
    let listed = String::from_utf8(listed.stdout).expect("paths in UTF-8");
    let keys = regex::Regex::new(
        r#"["']?(privateKey|appKey|clientKey)["']?\s*[:=]\s*["']?([A-Za-z0-9+/_-]{40,}={0,2})"#,
    )
    .expect("an expression");
    let coded = regex::Regex::new(r"[A-Za-z0-9+/]{120,}={0,2}").expect("an expression");
    let mut looked_at = 0;
    for file in listed.lines() {
        let Ok(bytes) = fs::read(Path::new(root).join(file)) else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        looked_at += 1;
        assert!(!keys.is_match(&text), "{file} has a key of an application");
        for found in coded.find_iter(&text) {
            let whole = found.as_str().trim_end_matches('=');
            let whole = &whole[..whole.len() / 4 * 4];
            let decoded = BASE64_STANDARD.decode(whole).unwrap_or_default();
            assert!(
                !contains(&decoded, "privateKey") && !contains(&decoded, "appKey"),
                "{file} has an application's configuration in Base64"
            );
        }
    }
    assert!(looked_at > 100, "git lists the project's files: {looked_at}");
    // It would be found.
    let config = mk8s_testkit::ksm::Settings::new("127.0.0.1:0".parse().expect("an address"));
    let vault = mk8s_testkit::ksm::Served::start(config).expect("a vault");
    assert!(keys.is_match(&vault.app_config().json()));
    let decoded = BASE64_STANDARD
        .decode(vault.app_config().base64())
        .expect("Base64");
    assert!(coded.is_match(&vault.app_config().base64()) && contains(&decoded, "privateKey"));
}
