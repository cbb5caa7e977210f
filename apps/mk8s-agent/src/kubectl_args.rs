//! Which kubectl arguments an agent runs for somebody else.
//!
//! kubectl runs with the agent's file system around it, so that whatever makes it read or write a file, choose another
//! server, or run another program is left out. What may be said is listed; anything else is refused by name.

/// An argument that is not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RefusedArgument {
    #[error("there is no command: give kubectl's arguments, such as [\"get\", \"pods\"]")]
    Empty,
    #[error("kubectl {0:?} can't be run at the agent; use `mk8s kubectl {0} …`, which runs your own kubectl")]
    Subcommand(String),
    #[error(
        "the argument {0:?} can't be used at the agent; use `mk8s kubectl …`, which runs your own kubectl"
    )]
    Flag(String),
    #[error("an argument has a control character in it")]
    ControlCharacter,
}

const SUBCOMMANDS: &[&str] = &[
    "annotate",
    "api-resources",
    "api-versions",
    "auth",
    "autoscale",
    "cluster-info",
    "cordon",
    "create",
    "delete",
    "describe",
    "drain",
    "events",
    "exec",
    "explain",
    "expose",
    "get",
    "label",
    "logs",
    "patch",
    "rollout",
    "run",
    "scale",
    "set",
    "taint",
    "top",
    "uncordon",
    "version",
    "wait",
];

const LONG: &[&str] = &[
    "all",
    "all-containers",
    "all-namespaces",
    "allow-missing-template-keys",
    "annotations",
    "api-group",
    "cached",
    "cascade",
    "categories",
    "chunk-size",
    "clusterip",
    "clusterrole",
    "container",
    "containers",
    "cpu",
    "cpu-percent",
    "current-replicas",
    "delete-emptydir-data",
    "disable-eviction",
    "dry-run",
    "duration",
    "env",
    "expose",
    "external-ip",
    "field-manager",
    "field-selector",
    "for",
    "force",
    "grace-period",
    "group",
    "hard",
    "ignore-daemonsets",
    "ignore-not-found",
    "image",
    "image-pull-policy",
    "initial-names",
    "label-columns",
    "labels",
    "limit-bytes",
    "limits",
    "list",
    "local",
    "max",
    "max-log-requests",
    "memory",
    "min",
    "name",
    "namespace",
    "namespaced",
    "no-headers",
    "non-resource-url",
    "now",
    "output",
    "output-watch-events",
    "overrides",
    "overwrite",
    "patch",
    "pod-selector",
    "port",
    "prefix",
    "previous",
    "propagation-policy",
    "protocol",
    "quiet",
    "raw",
    "record-events",
    "recursive",
    "replicas",
    "request-timeout",
    "requests",
    "resource",
    "resource-name",
    "resource-version",
    "restart",
    "revision",
    "role",
    "rollback",
    "schedule",
    "scopes",
    "selector",
    "server-print",
    "serviceaccount",
    "session-affinity",
    "short",
    "show-events",
    "show-kind",
    "show-labels",
    "show-managed-fields",
    "since",
    "since-time",
    "skip-wait-for-delete-timeout",
    "sort-by",
    "subresource",
    "sum",
    "tail",
    "target-port",
    "tcp",
    "template",
    "timeout",
    "timestamps",
    "to-revision",
    "type",
    "types",
    "user",
    "verb",
    "verbs",
    "wait",
    "warnings-as-errors",
    "watch",
    "watch-only",
];

/// One letter each; those in [`SHORT_WITH_VALUE`] take the rest of the word or the next one.
const SHORT: &str = "ARwpLlnocq";
const SHORT_WITH_VALUE: &str = "Llnoc";

/// Checks the arguments of one command.
///
/// # Errors
/// [`RefusedArgument`], naming the first that is not run.
pub(crate) fn check(arguments: &[String]) -> Result<(), RefusedArgument> {
    let (command, rest) = arguments.split_first().ok_or(RefusedArgument::Empty)?;
    if !SUBCOMMANDS.contains(&command.as_str()) {
        return Err(RefusedArgument::Subcommand(shown(command)));
    }
    let mut rest = rest.iter();
    while let Some(argument) = rest.next() {
        if argument.contains(['\0', '\n', '\r']) && !argument.starts_with('{') {
            return Err(RefusedArgument::ControlCharacter);
        }
        if argument == "--" {
            // What follows is for the program in the container.
            return Ok(());
        }
        let refused = || RefusedArgument::Flag(shown(argument));
        if let Some(long) = argument.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
            // `auth can-i --user` doesn't exist; `create rolebinding --user` does. A global `--user` names a kubeconfig
            // entry, and there is one entry only.
            if !LONG.contains(&name) {
                return Err(refused());
            }
            if name == "output" {
                let value = value.or_else(|| rest.next().map(String::as_str));
                value.filter(|v| is_plain_output(v)).ok_or_else(refused)?;
            }
        } else if let Some(short) = argument.strip_prefix('-').filter(|s| !s.is_empty()) {
            check_short(short, &mut rest).ok_or_else(refused)?;
        }
    }
    Ok(())
}

fn check_short<'a>(cluster: &str, rest: &mut impl Iterator<Item = &'a String>) -> Option<()> {
    for (at, letter) in cluster.char_indices() {
        if !SHORT.contains(letter) {
            return None;
        }
        if SHORT_WITH_VALUE.contains(letter) {
            let value = &cluster[at + 1..];
            if letter == 'o' {
                let value = if value.is_empty() {
                    rest.next().map(String::as_str)
                } else {
                    Some(value)
                };
                return is_plain_output(value?.trim_start_matches('=')).then_some(());
            }
            return Some(());
        }
    }
    Some(())
}

/// Output formats that read no file.
fn is_plain_output(format: &str) -> bool {
    let name = format.split('=').next().unwrap_or_default();
    matches!(
        name,
        "wide"
            | "yaml"
            | "json"
            | "name"
            | "jsonpath"
            | "jsonpath-as-json"
            | "go-template"
            | "custom-columns"
            | "template"
    )
}

fn shown(argument: &str) -> String {
    argument.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(line: &str) -> Result<(), RefusedArgument> {
        check(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn everyday_commands_pass() {
        for line in [
            "get pods -n default",
            "get pods -nkube-system -owide -A",
            "get deploy,svc -o jsonpath={.items[*].metadata.name}",
            "logs web --tail=20 --since 5m -c app",
            "exec web -- sh -c cat</etc/passwd -f /x",
            "scale deploy/web --replicas=3",
            "delete pod web --wait=false",
            "rollout status deploy/web --timeout=30s",
        ] {
            assert_eq!(checked(line), Ok(()), "{line}");
        }
    }

    #[test]
    fn nothing_that_reads_a_file_or_another_server_passes() {
        for line in [
            "apply -f x.yaml",
            "config view --raw",
            "cp a:/b /c",
            "proxy",
            "plugin list",
            "create -f /etc/shadow",
            "create configmap x --from-file=/var/run/secrets/kubernetes.io/serviceaccount/token",
            "create secret generic x --from-env-file=/proc/self/environ",
            "create secret tls x --cert=a --key=b",
            "get pods --kubeconfig=/other",
            "get pods --server https://elsewhere",
            "get pods -s https://elsewhere",
            "get pods --token=x",
            "get pods --as=system:admin",
            "get pods --as-group system:masters",
            "get pods -o go-template-file=/etc/passwd",
            "get pods -ogo-template-file=/etc/passwd",
            "get pods -Ao jsonpath-file=/etc/passwd",
            "get pods --output custom-columns-file=/x",
            "get -f /etc/passwd",
            "get -Af /etc/passwd",
            "get pods --profile=cpu --profile-output=/x",
            "get pods --cache-dir=/x",
            "patch pod x --patch-file=/x",
            "logs -f web",
            "exec -it web -- sh",
            "-n x get pods",
            "--kubeconfig=/x get pods",
        ] {
            assert!(checked(line).is_err(), "{line}");
        }
        assert_eq!(check(&[]), Err(RefusedArgument::Empty));
    }
}
