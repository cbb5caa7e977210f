//! `mk8s pki secret`: a server's certificate as a Secret.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use mk8s_tls::{Issued, SerialNumber};
use serde_json::json;

use crate::{
    cli::pki::Secret,
    error::{Failure, Result},
    home,
    output::{self, plain},
    pki::{Entry, Kind, State, Store, is_label, is_subdomain},
};

/// Prints the Secret of the newest valid certificate of this name.
pub(super) fn run(store: &Store, args: &Secret, now: Timestamp) -> Result<()> {
    let name = args.secret_name.as_deref().unwrap_or(&args.certificate);
    if !is_subdomain(name) {
        return Err(
            Failure::usage(format!("{:?} can't be a Secret's name", plain(name)))
                .hint("name it with --secret-name: lower-case letters, digits, '-' and '.'"),
        );
    }
    if !is_label(&args.namespace) {
        return Err(
            Failure::usage(format!("{:?} is no namespace", plain(&args.namespace)))
                .hint("a namespace has 1 to 63 lower-case letters, digits and '-'"),
        );
    }
    let index = store.index()?;
    let entry = newest(&index.certificates, &args.certificate, now)?;
    let (certificate, key) = read(entry)?;
    let authority = present(&store.directory().join("ca.crt"), home::read)?;
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": { "name": name, "namespace": args.namespace },
        "data": {
            "ca.crt": STANDARD.encode(authority),
            "tls.crt": STANDARD.encode(certificate),
            "tls.key": STANDARD.encode(key),
        },
    });
    output::print(&output::yaml(&secret)?)
}

fn newest<'a>(entries: &'a [Entry], name: &str, now: Timestamp) -> Result<&'a Entry> {
    let named = |entry: &&Entry| entry.kind == Kind::Server && entry.name == name;
    let found = entries
        .iter()
        .rev()
        .filter(named)
        .find(|entry| entry.state(now) == State::Valid);
    found.ok_or_else(|| {
        Failure::new(format!(
            "there is no valid server certificate called {:?}",
            plain(name)
        ))
        .hint("mk8s pki list shows what there is; mk8s pki issue server makes one")
    })
}

/// The certificate and key as they were written, if they are still the same.
fn read(entry: &Entry) -> Result<(Vec<u8>, Vec<u8>)> {
    let Some(key) = &entry.key else {
        return Err(Failure::new(format!(
            "the key of {} was made by whoever asked for it",
            plain(&entry.name)
        ))
        .hint("make the Secret where the key is: kubectl create secret tls"));
    };
    let certificate = present(&entry.certificate, home::read)?;
    let key = present(key, home::read_private)?;
    let issued = Issued::from_pem(&certificate, &key)
        .map_err(|error| Failure::new(format!("{}: {error}", entry.certificate.display())))?;
    let serial = SerialNumber::of(issued.chain.leaf()).map(|serial| serial.to_string());
    if serial.is_ok_and(|serial| serial == entry.serial) {
        return Ok((certificate, key));
    }
    Err(Failure::new(format!(
        "{} isn't the certificate with the serial number {}",
        entry.certificate.display(),
        entry.serial
    ))
    .hint("it was replaced; issue another"))
}

fn present(path: &Path, read: impl FnOnce(&Path) -> Result<Option<Vec<u8>>>) -> Result<Vec<u8>> {
    read(path)?.ok_or_else(|| {
        Failure::new(format!("{} is gone", path.display()))
            .hint("bring it back, or issue another certificate")
    })
}
