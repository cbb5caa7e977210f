//! `mk8s pki list`.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    error::Result,
    output::{self, Format, Table},
    pki::{Entry, State, Store},
};

/// The answer in JSON and YAML.
#[derive(Debug, Serialize)]
struct Listed {
    certificates: Vec<ListedCertificate>,
}

#[derive(Debug, Serialize)]
struct ListedCertificate {
    #[serde(flatten)]
    entry: Entry,
    state: State,
}

/// Lists what was issued; what has expired only if asked for.
pub(super) fn run(store: &Store, expired: bool, format: Format, now: Timestamp) -> Result<()> {
    let index = store.index()?;
    if index.next_update <= now {
        let due = index.next_update;
        output::note(&format!(
            "warning: the revocation list was due {due}; mk8s pki crl makes the next one"
        ));
    }
    let marked = index.certificates.into_iter().map(|entry| ListedCertificate {
        state: entry.state(now),
        entry,
    });
    let listed = Listed {
        certificates: marked
            .filter(|certificate| expired || certificate.entry.not_after > now)
            .collect(),
    };
    if listed.certificates.is_empty() && format == Format::Table {
        output::note("No certificates: none was issued, or all have expired (--expired shows them).");
        return Ok(());
    }
    output::answer(format, &listed, || table(&listed))
}

fn table(listed: &Listed) -> String {
    let mut table = Table::new(&["SERIAL", "KIND", "NAME", "GROUPS", "NOT AFTER", "STATE"]);
    for ListedCertificate { entry, state } in &listed.certificates {
        let groups = match entry.groups.as_slice() {
            [] => "-".to_owned(),
            groups => groups.join(","),
        };
        table.row([
            entry.serial.as_str(),
            entry.kind.as_str(),
            &entry.name,
            &groups,
            &entry.not_after.to_string(),
            state.as_str(),
        ]);
    }
    table.render()
}
