//! `mk8s __complete`: what a completion script shows.
//!
//! The answer is in the form that kubectl (cobra) gives its own scripts: a line `value<TAB>description` for each
//! candidate, and a last line `:N` whose bits say what the shell may do. So after the word kubectl its answer is ours.

use std::{ffi::OsString, time::Duration};

use clap::{Arg, CommandFactory as _, ValueHint};
use mk8s_model::ClusterName;

use crate::{
    argv::{Argv, is_kubectl},
    cli::Cli,
    cluster_cache, commands,
    context::{Context, Environment, block_on},
    error::{Failure, Result},
    output,
};

/// The shell may go on with file names.
const FILES: &str = ":0\n";
/// The shell shows the candidates and nothing else.
const NO_FILES: &str = ":4\n";
/// How long TAB may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Prints the candidates for the last word. There is no good moment for an error here: it is an empty list.
pub(crate) fn run(environment: &Environment, words: &[OsString]) -> Result<()> {
    let argv = Argv::split(std::iter::once(OsString::from("mk8s")).chain(words.iter().cloned()));
    let after_kubectl =
        argv.own.len() < words.len() + 1 && argv.own.last().is_some_and(|word| is_kubectl(word));
    if after_kubectl {
        let answer = Context::load(environment).and_then(|context| {
            commands::kubectl::completions(&context, cluster_of(&argv.own).as_ref(), &argv.kubectl)
        });
        let answer = answer.map(|answer| String::from_utf8_lossy(&answer).into_owned());
        return output::print(answer.as_deref().unwrap_or(NO_FILES));
    }
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    output::print(&own(environment, &words))
}

/// The cluster that `--cluster` names among our own words.
fn cluster_of(own: &[OsString]) -> Option<ClusterName> {
    let texts: Vec<&str> = own.iter().filter_map(|word| word.to_str()).collect();
    let apart = texts
        .windows(2)
        .find(|pair| pair[0] == "--cluster")
        .map(|pair| pair[1]);
    apart
        .or_else(|| texts.iter().find_map(|word| word.strip_prefix("--cluster=")))?
        .parse()
        .ok()
}

/// Candidates among our own commands, options and values.
fn own(environment: &Environment, words: &[String]) -> String {
    let mut root = Cli::command();
    root.build();
    let mut command = &root;
    let (current, before) = words
        .split_last()
        .map_or(("", [].as_slice()), |(last, before)| (last.as_str(), before));
    let mut awaits: Option<&Arg> = None;
    let mut positionals = 0;
    for word in before {
        if awaits.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            awaits = option(command, word)
                .filter(|option| option.get_action().takes_values() && !word.contains('='));
        } else if let Some(sub) = command.find_subcommand(word) {
            (command, positionals) = (sub, 0);
        } else {
            positionals += 1;
        }
    }
    if let Some(argument) = awaits {
        return values(environment, argument, "", current);
    }
    if let (Some((name, value)), true) = (current.split_once('='), current.starts_with("--")) {
        let argument = option(command, name);
        return argument.map_or(NO_FILES.to_owned(), |argument| {
            values(environment, argument, &format!("{name}="), value)
        });
    }
    if current.starts_with('-') {
        return options(command, current);
    }
    if command.has_subcommands() {
        let visible = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        return list(
            visible.map(|sub| {
                (
                    sub.get_name().to_owned(),
                    sub.get_about().map(ToString::to_string),
                )
            }),
            current,
        );
    }
    match command.get_positionals().nth(positionals) {
        Some(argument) => values(environment, argument, "", current),
        None => NO_FILES.to_owned(),
    }
}

fn option<'c>(command: &'c clap::Command, word: &str) -> Option<&'c Arg> {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().find(|argument| {
        let long = argument
            .get_long()
            .is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = argument
            .get_short()
            .is_some_and(|short| name.strip_prefix('-') == Some(short.to_string().as_str()));
        long || short
    })
}

fn options(command: &clap::Command, current: &str) -> String {
    let visible = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let named = visible.filter_map(|argument| {
        Some((
            format!("--{}", argument.get_long()?),
            argument.get_help().map(ToString::to_string),
        ))
    });
    list(named, current)
}

/// Candidates for the value of an argument; `prefix` is what of the word stands before the value.
fn values(environment: &Environment, argument: &Arg, prefix: &str, current: &str) -> String {
    if matches!(
        argument.get_id().as_str(),
        "cluster" | "kubeconfig_cluster" | "name"
    ) {
        let names = clusters(environment).unwrap_or_default();
        let names = names
            .into_iter()
            .filter(|name| name.as_str().starts_with(current));
        return list(names.map(|name| (format!("{prefix}{name}"), None)), prefix);
    }
    if argument.get_id() == "certificate" || argument.get_id() == "certificate_of_user" {
        let names = Context::load(environment).and_then(|context| commands::pki::names(&context));
        let names = names.unwrap_or_default().into_iter();
        let names = names.filter(|name| name.starts_with(current));
        return list(
            names.map(|name| (format!("{prefix}{}", output::plain(&name)), None)),
            prefix,
        );
    }
    if matches!(
        argument.get_value_hint(),
        ValueHint::FilePath | ValueHint::DirPath
    ) {
        return FILES.to_owned();
    }
    let possible = argument.get_possible_values();
    let possible = possible
        .iter()
        .filter(|value| !value.is_hide_set() && value.get_name().starts_with(current));
    list(
        possible.map(|value| {
            (
                format!("{prefix}{}", value.get_name()),
                value.get_help().map(ToString::to_string),
            )
        }),
        prefix,
    )
}

fn clusters(environment: &Environment) -> Result<Vec<ClusterName>> {
    let context = Context::load(environment)?;
    let central = context.central()?;
    let clusters = match cluster_cache::recent(&context, &central) {
        Some(clusters) => clusters,
        None => block_on(async {
            let fetched = tokio::time::timeout(LIMIT, cluster_cache::fetch(&context, &central)).await;
            fetched.unwrap_or_else(|_| Err(Failure::new("too slow")))
        })?,
    };
    Ok(clusters.into_iter().map(|cluster| cluster.name).collect())
}

fn list(candidates: impl Iterator<Item = (String, Option<String>)>, start: &str) -> String {
    let mut answer: String = candidates
        .filter(|(value, _)| value.starts_with(start))
        .map(|(value, help)| {
            let help = help
                .as_deref()
                .and_then(|help| help.lines().next())
                .map(|help| format!("\t{help}"));
            format!("{value}{}\n", help.unwrap_or_default())
        })
        .collect();
    answer += NO_FILES;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let answer = own(&Environment::default(), &words);
        answer
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn commands_options_and_values() {
        assert_eq!(complete("clusters "), ["list", "use", "help", ":4"]);
        assert_eq!(complete("cluster l"), ["list", ":4"]);
        assert_eq!(complete("clusters list --o"), ["--output", ":4"]);
        assert_eq!(complete("clusters list -o j"), ["json", ":4"]);
        assert_eq!(complete("clusters list --output=y"), ["--output=yaml", ":4"]);
        assert_eq!(complete("login --ca-file x"), [":0"]);
        assert_eq!(complete("completion b"), ["bash", ":4"]);
        assert_eq!(complete("pki issue "), ["user", "server", "help", ":4"]);
        assert_eq!(complete("pki revoke x --reason s"), ["superseded", ":4"]);
        assert_eq!(complete("pki issue user jane --csr x"), [":0"]);
        assert_eq!(complete("doctor "), ["front-proxy", "apiserver", ":4"]);
        assert_eq!(complete("doctor front-proxy --certificate x"), [":0"]);
        assert_eq!(complete("front-proxy kubeconfig --em"), ["--embed", ":4"]);
        assert_eq!(complete("--cluster x vers"), ["version", ":4"]);
        assert!(
            !complete("")
                .iter()
                .any(|word| word == "credential" || word == "__complete")
        );
    }
}
