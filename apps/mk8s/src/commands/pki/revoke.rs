//! `mk8s pki revoke`.

use jiff::Timestamp;
use mk8s_tls::{RevocationReason, SerialNumber};

use super::hours;
use crate::{
    cli::pki::Revoke,
    error::{Failure, Result},
    output::{self, plain},
    pki::{Index, Revocation, State, Store},
};

/// Takes certificates back and rewrites the list.
pub(super) fn run(store: &Store, args: &Revoke, now: Timestamp) -> Result<()> {
    let mut opened = store.open(now)?;
    let chosen = choose(&opened.index, &args.certificate, args.all, now)?;
    let mut text = String::new();
    for at in chosen {
        let entry = &mut opened.index.certificates[at];
        entry.revoked = Some(Revocation {
            at: Timestamp::from_second(now.as_second()).unwrap_or(now),
            reason: RevocationReason::from(args.reason).to_string(),
        });
        text += &format!("Revoked {} (serial {})\n", plain(&entry.name), entry.serial);
    }
    opened.write_list(hours(args.days), now)?;
    text += &format!(
        "{}: bring it to the doors that read it; next update due {}\n",
        store.list_file().display(),
        opened.index.next_update
    );
    output::print(&text)
}

/// The places in the index of what is meant.
fn choose(index: &Index, text: &str, all: bool, now: Timestamp) -> Result<Vec<usize>> {
    let entries = || index.certificates.iter().enumerate();
    let named: Vec<_> = entries().filter(|(_, entry)| entry.name == text).collect();
    let valid: Vec<usize> = named
        .iter()
        .filter(|(_, entry)| entry.state(now) == State::Valid)
        .map(|(at, _)| *at)
        .collect();
    let shown = plain(text);
    match (named.last(), valid.as_slice()) {
        (Some(_), [_]) => return Ok(valid),
        (Some(_), [_, ..]) if all => return Ok(valid),
        (Some(_), [_, ..]) => {
            let serials: Vec<&str> = valid
                .iter()
                .map(|at| index.certificates[*at].serial.as_str())
                .collect();
            return Err(Failure::new(format!(
                "{shown} has {} valid certificates: {}",
                serials.len(),
                serials.join(", ")
            ))
            .hint("name one by its serial number, or say --all"));
        }
        (Some((_, newest)), []) => return Err(no_more(&shown, newest.revoked.as_ref(), newest.not_after)),
        (None, _) => {}
    }
    let serial: Option<SerialNumber> = text.parse().ok();
    let found = entries().find(|(_, entry)| serial.is_some() && entry.serial.parse().ok() == serial);
    match found {
        Some((at, entry)) if entry.revoked.is_none() => Ok(vec![at]),
        Some((_, entry)) => Err(no_more(&shown, entry.revoked.as_ref(), entry.not_after)),
        None => Err(Failure::new(format!(
            "no certificate was issued for {shown:?}, and none has this serial number"
        ))
        .hint("mk8s pki list --expired shows all that were")),
    }
}

fn no_more(shown: &str, revoked: Option<&Revocation>, not_after: Timestamp) -> Failure {
    match revoked {
        Some(revocation) => Failure::new(format!(
            "{shown} is revoked already, since {} ({})",
            revocation.at, revocation.reason
        ))
        .hint("mk8s pki crl rewrites the list if it got lost"),
        None => Failure::new(format!(
            "{shown} has no valid certificate any more; the last one expired at {not_after}"
        ))
        .hint("there is nothing to revoke"),
    }
}
