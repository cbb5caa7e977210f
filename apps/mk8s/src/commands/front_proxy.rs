//! `mk8s front-proxy`: kubeconfigs with a client certificate.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use mk8s_model::{AuthMethod, Identity};
use mk8s_tls::{Issued, PeerCertificate};
use serde::Deserialize;

use super::{kubeconfig::write, pki};
use crate::{
    cli::front_proxy::{FrontProxy, FrontProxyCommand, Kubeconfig},
    clock::Moment,
    context::Context,
    error::{Failure, Result},
    home,
    kubeconfig::{Holder, Material, render_for_certificate},
    output::{self, plain},
    pki::{Entry, Kind, State},
    trust::Trust,
};

/// Ending within this, a certificate is worth a warning.
pub(super) const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);

const RENEW: &str = "issue another: mk8s pki issue user NAME --force, or ask whoever gave it to you";

/// Does what was asked.
pub(super) fn run(context: &Context<'_>, command: FrontProxy) -> Result<()> {
    match command.command {
        FrontProxyCommand::Kubeconfig(args) => kubeconfig(context, args, Moment::now().timestamp()),
    }
}

fn kubeconfig(context: &Context<'_>, args: Kubeconfig, now: Timestamp) -> Result<()> {
    let name = args.name.as_str();
    if name.is_empty() || name.trim() != name || plain(name) != name {
        return Err(Failure::usage(
            "--name is empty, or has white space or control characters in it that don't belong there",
        )
        .hint("leave it out for \"front-proxy\""));
    }
    let files = Files::choose(context, &args, now)?;
    let certificate = material(files.certificate, "the certificate", home::read)?;
    let key = material(files.key, "the key", home::read_private)?;
    let authority = files
        .authority
        .map(|path| material(path, "the authority", home::read))
        .transpose()?;
    if let Some(Material { path, pem }) = &authority {
        Trust::only(path.clone(), pem.clone())?;
    }
    let holder = usable(&certificate, &key, now)?;
    let text = render_for_certificate(
        name,
        &plain(&holder.common_name),
        Holder {
            server: args.server.0.as_str(),
            authority,
            certificate,
            key,
        },
        args.embed,
    )?;
    if holder.not_after.duration_since(now) < SOON {
        output::note(&format!("warning: the certificate ends at {}", holder.not_after));
    }
    match args.output {
        Some(path) if path.as_os_str() != "-" => {
            refuse_to_lose(&path, name)?;
            write(&path, &text)
        }
        _ => output::print(&text),
    }
}

/// Where everything is.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authority: Option<PathBuf>,
}

impl Files {
    fn choose(context: &Context<'_>, args: &Kubeconfig, now: Timestamp) -> Result<Self> {
        let absolute = |path: &PathBuf| context.environment.absolute(path);
        let named = args.ca.as_ref().map(absolute);
        if let (Some(certificate), Some(key)) = (&args.certificate, &args.key) {
            return Ok(Self {
                certificate: absolute(certificate),
                key: absolute(key),
                authority: named,
            });
        }
        let user = args.user.as_deref().unwrap_or_default();
        let store = pki::store(context, args.dir.as_deref())?;
        let index = store.index()?;
        let entry = newest(&index.certificates, user, now)?;
        let Some(key) = &entry.key else {
            return Err(Failure::new(format!("{} made the key and has it", plain(user)))
                .hint("run this where the key is, with --certificate and --key"));
        };
        Ok(Self {
            certificate: entry.certificate.clone(),
            key: key.clone(),
            authority: Some(named.unwrap_or_else(|| store.directory().join("ca.crt"))),
        })
    }
}

fn newest<'a>(entries: &'a [Entry], user: &str, now: Timestamp) -> Result<&'a Entry> {
    let mut of_user = entries
        .iter()
        .rev()
        .filter(|entry| entry.kind == Kind::User && entry.name == user);
    of_user
        .find(|entry| entry.state(now) == State::Valid)
        .ok_or_else(|| {
            Failure::new(format!(
                "there is no valid certificate of the user {:?}",
                plain(user)
            ))
            .hint("mk8s pki list shows what there is; mk8s pki issue user makes one")
        })
}

fn material(
    path: PathBuf,
    what: &str,
    read: impl FnOnce(&Path) -> Result<Option<Vec<u8>>>,
) -> Result<Material> {
    let Some(pem) = read(&path)? else {
        return Err(Failure::new(format!("{what} isn't there: {}", path.display()))
            .hint("mk8s pki issue user makes a certificate and its key; --ca names the authority's file"));
    };
    Ok(Material { path, pem })
}

/// Refuses what a front proxy would refuse; gives what the certificate says.
fn usable(certificate: &Material, key: &Material, now: Timestamp) -> Result<PeerCertificate> {
    let at = certificate.path.display();
    let issued = Issued::from_pem(&certificate.pem, &key.pem).map_err(|error| {
        Failure::new(format!("{at} and {}: {error}", key.path.display()))
            .hint("name the certificate and the key that were made together")
    })?;
    let unusable = |error: &dyn std::fmt::Display| Failure::new(format!("{at}: {error}")).hint(RENEW);
    let holder = PeerCertificate::from_der(issued.chain.leaf()).map_err(|e| unusable(&e))?;
    Identity::new(
        &holder.common_name,
        &holder.organizations,
        AuthMethod::Certificate,
    )
    .map_err(|e| unusable(&e))?;
    if !issued.chain.is_for_clients() {
        return Err(unusable(
            &"the certificate isn't for clients (extended key usage)",
        ));
    }
    if holder.not_after <= now {
        return Err(unusable(&format!(
            "the certificate ended at {}",
            holder.not_after
        )));
    }
    if issued.chain.not_before() > now {
        let from = issued.chain.not_before();
        return Err(
            Failure::new(format!("{at}: the certificate holds from {from} on"))
                .hint("look at this machine's clock"),
        );
    }
    Ok(holder)
}

/// Refuses to replace a kubeconfig that leads elsewhere, too.
fn refuse_to_lose(path: &Path, name: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct Kubeconfig {
        #[serde(default)]
        contexts: Option<Vec<Named>>,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        name: String,
    }
    if !path.is_file() {
        return Ok(());
    }
    let text = home::read(path)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    if text.trim().is_empty() {
        return Ok(());
    }
    let is_ours = serde_saphyr::from_str::<Kubeconfig>(&text).is_ok_and(|config| {
        let contexts = config.contexts.unwrap_or_default();
        !contexts.is_empty() && contexts.iter().all(|context| context.name == name)
    });
    if is_ours {
        return Ok(());
    }
    let at = home::shell_word(path);
    Err(Failure::new(format!(
        "{} is there already, and has more in it than the context {name}",
        path.display()
    ))
    .hint(format!(
        "write another file; both are used with: export KUBECONFIG={at}:OTHER"
    )))
}
