//! What `mk8s kubectl` looks for in kubectl's arguments before it hands them over: flags that would lead around central,
//! and commands that need no cluster.
//!
//! This keeps people from mistakes; it isn't a wall. Whoever has credentials of their own for a cluster can use plain
//! kubectl.

use std::ffi::{OsStr, OsString};

use crate::error::{Failure, Result};

/// Global flags that say where the API server is, or who asks it: what mk8s is there to say.
const BYPASSES: [&str; 14] = [
    "kubeconfig",
    "context",
    "cluster",
    "server",
    "certificate-authority",
    "insecure-skip-tls-verify",
    "tls-server-name",
    "client-certificate",
    "client-key",
    "user",
    "token",
    "username",
    "password",
    "auth-provider",
];
/// Those of them that no plugin would mean otherwise.
const ALSO_IN_PLUGINS: [&str; 4] = [
    "kubeconfig",
    "context",
    "insecure-skip-tls-verify",
    "client-certificate",
];
/// kubectl's own commands; any other first word is a plugin, whose flags are its own business.
const BUILT_IN: &str = "alpha annotate api-resources api-versions apply attach auth autoscale certificate cluster-info \
    completion config cordon cp create debug delete describe diff drain edit events exec explain expose get help kuberc \
    kustomize label logs options patch plugin port-forward proxy replace rollout run scale set taint top uncordon version wait";
/// Short flags without a value that every kubectl command which has them means so; `-s` may be stuck to them.
const SWITCHES: &[u8] = b"AitwRqh";
/// Parts of `kubectl config` that change the file, which is ours and made anew each time.
const CONFIG_CHANGES: [&str; 11] = [
    "set",
    "unset",
    "use-context",
    "use",
    "set-context",
    "set-cluster",
    "set-credentials",
    "rename-context",
    "delete-context",
    "delete-cluster",
    "delete-user",
];

/// Refuses what would not reach the chosen cluster through central, or would have no effect.
pub(crate) fn check(arguments: &[OsString]) -> Result<()> {
    let own = before_separator(arguments);
    let command = words(own).next();
    let (before, after) = own.split_at(
        own.iter()
            .position(|word| Some(word.as_os_str()) == command)
            .unwrap_or(own.len()),
    );
    let is_plugin = command.is_some_and(|word| !BUILT_IN.split_ascii_whitespace().any(|known| word == known));
    // `create rolebinding --user` and `set subject --user` are about somebody else.
    let names_subjects = command.is_some_and(|word| word == "create" || word == "set");
    // What stands before the command is kubectl's own, whatever the command.
    if let Some(flag) = before.iter().find_map(|argument| bypass(argument)) {
        return Err(refusal(flag));
    }
    for flag in after.iter().filter_map(|argument| bypass(argument)) {
        let meant_otherwise =
            (is_plugin && !ALSO_IN_PLUGINS.contains(&flag)) || (names_subjects && flag == "user");
        if !meant_otherwise {
            return Err(refusal(flag));
        }
    }
    let mut words = words(own);
    if words.next().is_some_and(|word| word == "config")
        && let Some(change) = words
            .next()
            .and_then(OsStr::to_str)
            .filter(|word| CONFIG_CHANGES.contains(word))
    {
        return Err(Failure::usage(format!(
            "kubectl config {change} would change a kubeconfig that mk8s writes anew each time"
        ))
        .hint("mk8s clusters use NAME [--namespace NAMESPACE] chooses; mk8s kubeconfig -o FILE writes a file of your own"));
    }
    Ok(())
}

/// Whether kubectl can do this without a cluster, so that nobody needs to be logged in for it.
pub(crate) fn needs_no_cluster(arguments: &[OsString]) -> bool {
    let own = before_separator(arguments);
    if own
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        return true;
    }
    let Some(command) = words(own).next().and_then(OsStr::to_str) else {
        return true;
    };
    let client_only = || {
        own.iter()
            .any(|argument| argument == "--client" || argument == "--client=true")
    };
    matches!(
        command,
        "help" | "options" | "completion" | "kustomize" | "plugin"
    ) || (command == "version" && client_only())
}

/// kubectl's own part: what follows `--` is somebody else's command line.
fn before_separator(arguments: &[OsString]) -> &[OsString] {
    let end = arguments
        .iter()
        .position(|argument| argument == "--")
        .unwrap_or(arguments.len());
    &arguments[..end]
}

/// The arguments that aren't flags; the values of the few flags that people put before the command are left out.
fn words(own: &[OsString]) -> impl Iterator<Item = &OsStr> {
    let mut is_value = false;
    own.iter().map(OsString::as_os_str).filter(move |argument| {
        let skip = std::mem::take(&mut is_value);
        is_value = [
            "-n",
            "--namespace",
            "-v",
            "--v",
            "--request-timeout",
            "--as",
            "--as-group",
            "--cache-dir",
        ]
        .iter()
        .any(|flag| argument == flag);
        !skip && !argument.as_encoded_bytes().starts_with(b"-")
    })
}

/// The name of the flag that leads around central, if this argument is one.
fn bypass(argument: &OsStr) -> Option<&'static str> {
    let bytes = argument.as_encoded_bytes();
    if let Some(long) = bytes.strip_prefix(b"--") {
        let name = long.split(|&byte| byte == b'=').next().unwrap_or_default();
        return BYPASSES.into_iter().find(|flag| flag.as_bytes() == name);
    }
    let short = bytes.strip_prefix(b"-")?;
    let first = short.iter().find(|&byte| !SWITCHES.contains(byte))?;
    (*first == b's').then_some("server")
}

fn refusal(flag: &str) -> Failure {
    let failure = Failure::usage(format!(
        "--{flag} would lead around central, and `mk8s kubectl` only goes through it"
    ));
    match flag {
        "context" | "cluster" => failure.hint("another cluster, this once: mk8s --cluster NAME kubectl …"),
        "user" | "token" | "username" | "password" | "client-certificate" | "client-key" => {
            failure.hint("mk8s login says who you are; for credentials of your own use plain kubectl")
        }
        _ => failure.hint("leave it out; for a cluster that isn't behind central use plain kubectl"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Vec<OsString> {
        line.split_ascii_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn flags_that_lead_around_central_are_refused() {
        for line in [
            "get pods --kubeconfig=/x",
            "--kubeconfig /x get pods",
            "--token t get pods",
            "-s x neat",
            "--user x create rolebinding r",
            "get pods --server https://x",
            "get pods -s https://x",
            "get pods -shttps://x",
            "get pods -As https://x",
            "get pods --token=t",
            "get --context x pods",
            "get pods --cluster=x",
            "get pods --user x",
            "create configmap x --token t",
            "get pods --client-certificate f --client-key g",
            "get pods --insecure-skip-tls-verify",
            "exec -it p --token t -- sh",
            "neat get pods --context x",
            "config use-context x",
            "config set-context --current --namespace=x",
        ] {
            assert!(check(&arguments(line)).is_err(), "{line}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_left_alone() {
        for line in [
            "",
            "get pods -n x -o yaml",
            "exec p -- curl -s --token t --user u",
            "apply -f x --server-side",
            "create rolebinding r --clusterrole=view --user=a@b",
            "set subject rolebinding r --user=a@b",
            "ssh node --user root -s",
            "logs -f p",
            "get pods -lapp=s",
            "get pods -os",
            "get pods --as=a@b",
            "config view",
            "get config set",
        ] {
            assert_eq!(check(&arguments(line)), Ok(()), "{line}");
        }
    }

    #[test]
    fn help_needs_no_cluster() {
        for line in [
            "",
            "--help",
            "get -h",
            "help get",
            "completion bash",
            "version --client",
            "-v 6 options",
        ] {
            assert!(needs_no_cluster(&arguments(line)), "{line}");
        }
        for line in ["get pods", "version", "exec p -- ls --help", "-n help get"] {
            assert!(!needs_no_cluster(&arguments(line)), "{line}");
        }
    }
}
