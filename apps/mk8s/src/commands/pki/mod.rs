//! `mk8s pki`: a certificate authority of one's own.

mod cluster;
mod files;
mod issue;
mod list;
mod revoke;
mod secret;

use std::{num::NonZeroU16, time::Duration};

use jiff::{SignedDuration, Timestamp};
use mk8s_model::ClusterName;

use crate::{
    cli::pki::{Init, IssueCommand, Pki, PkiCommand},
    clock::Moment,
    context::Context,
    error::{Failure, Result},
    output,
    pki::Store,
};

/// When the first list's next update is due.
const FIRST_LIST: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Does what was asked.
pub(super) fn run(context: &Context<'_>, cluster: Option<&ClusterName>, pki: Pki) -> Result<()> {
    let store = store(context, pki.dir.as_deref())?;
    let now = Moment::now().timestamp();
    match pki.command {
        PkiCommand::Init(args) => init(&store, &args, now),
        PkiCommand::Issue(issue) => match issue.command {
            IssueCommand::User(args) if args.cluster_csr => cluster::run(context, cluster, &store, &args),
            IssueCommand::User(args) => issue::user(context, &store, args, now),
            IssueCommand::Server(args) => issue::server(context, &store, args, now),
        },
        PkiCommand::Revoke(args) => revoke::run(&store, &args, now),
        PkiCommand::List(args) => list::run(&store, args.expired, args.output.format, now),
        PkiCommand::Crl(args) => {
            let mut opened = store.open(now)?;
            opened.write_list(hours(args.days), now)?;
            output::print(&format!(
                "{}\nnext update due {}\n",
                store.list_file().display(),
                opened.index.next_update
            ))
        }
        PkiCommand::Secret(args) => secret::run(&store, &args, now),
    }
}

/// The names of what was issued, for completion.
pub(crate) fn names(context: &Context<'_>) -> Result<Vec<String>> {
    let index = store(context, None)?.index()?;
    let mut names: Vec<String> = index.certificates.into_iter().map(|entry| entry.name).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The authority in this directory, or in the usual one.
pub(super) fn store(context: &Context<'_>, directory: Option<&std::path::Path>) -> Result<Store> {
    match directory {
        Some(directory) => Ok(Store::at(context.environment.absolute(directory))),
        None => {
            context.home.check()?;
            Ok(Store::at(context.home.pki_directory()))
        }
    }
}

fn init(store: &Store, args: &Init, now: Timestamp) -> Result<()> {
    if args.name.trim() != args.name {
        return Err(Failure::usage(
            "the authority's name begins or ends with white space",
        ));
    }
    let authority = store.init(&args.name, days(args.days), FIRST_LIST, now)?;
    output::print(&format!(
        "Made a certificate authority in {}\n{}\nvalid until {}\n",
        store.directory().display(),
        authority.fingerprint(),
        authority.not_after()
    ))
}

fn days(days: NonZeroU16) -> Duration {
    Duration::from_secs(u64::from(days.get()) * 24 * 60 * 60)
}

fn hours(days: NonZeroU16) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days.get()) * 24)
}
