//! `mk8s pki issue`: a certificate of one's own authority.

use jiff::Timestamp;
use mk8s_model::{AuthMethod, Identity};
use mk8s_tls::{CertificateChain, PrivateKey, SerialNumber, Terms};

use super::{days, files::Files};
use crate::{
    cli::pki::{Common, IssueServer, IssueUser},
    context::Context,
    error::{Failure, Result},
    home,
    output::{self, plain},
    pki::{Entry, Kind, Store, failure, service_names},
};

/// Issues a certificate that says who somebody is.
pub(super) fn user(context: &Context<'_>, store: &Store, args: IssueUser, now: Timestamp) -> Result<()> {
    let identity = check(&args.name, &args.groups)?;
    let draft = Entry {
        groups: identity.groups().map(str::to_owned).collect(),
        ..draft(Kind::User, args.name, now)
    };
    let terms = terms(&args.common, args.days);
    issue(
        context,
        store,
        draft,
        &args.common,
        now,
        |authority, request, draft| {
            let (user, groups) = (&draft.name, &draft.groups);
            match request {
                Some(request) => Ok((authority.sign_user(request, user, groups, &terms, now)?, None)),
                None => {
                    let issued = authority.issue_user(user, groups, &terms, now)?;
                    Ok((issued.chain, Some(issued.key)))
                }
            }
        },
    )
}

/// Issues a certificate for a server.
pub(super) fn server(context: &Context<'_>, store: &Store, args: IssueServer, now: Timestamp) -> Result<()> {
    check(&args.name, &[])?;
    let mut hosts = args.dns;
    hosts.extend(args.ips.iter().map(ToString::to_string));
    for service in &args.services {
        hosts.extend(service_names(service)?);
    }
    if hosts.is_empty() {
        hosts.push(args.name.clone());
    }
    let draft = Entry {
        hosts,
        ..draft(Kind::Server, args.name, now)
    };
    let terms = terms(&args.common, args.days);
    issue(
        context,
        store,
        draft,
        &args.common,
        now,
        |authority, request, draft| match request {
            Some(request) => Ok((authority.sign_server(request, &draft.hosts, &terms, now)?, None)),
            None => {
                let issued = authority.issue_server_on(&draft.hosts, &terms, now)?;
                Ok((issued.chain, Some(issued.key)))
            }
        },
    )
}

/// Refuses names that no client may have: whoever reads certificates would refuse them later.
pub(super) fn check(name: &str, groups: &[String]) -> Result<Identity> {
    Identity::new(name, groups, AuthMethod::Certificate).map_err(|error| Failure::usage(error.to_string()))
}

type Signed = (CertificateChain, Option<PrivateKey>);

fn issue(
    context: &Context<'_>,
    store: &Store,
    draft: Entry,
    common: &Common,
    now: Timestamp,
    sign: impl FnOnce(
        &mk8s_tls::CertificateAuthority,
        Option<&[u8]>,
        &Entry,
    ) -> Result<Signed, mk8s_tls::AuthorityError>,
) -> Result<()> {
    let request = common.csr.as_deref().map(|path| {
        let path = context.environment.absolute(path);
        home::read(&path)?.ok_or_else(|| Failure::new(format!("{} doesn't exist", path.display())))
    });
    let request = request.transpose()?;
    let mut opened = store.open(now)?;
    let files = Files::choose(context, store, common, &draft.name, request.is_none())?;
    let (chain, key) = sign(&opened.authority, request.as_deref(), &draft).map_err(failure)?;
    let serial = SerialNumber::of(chain.leaf()).map_err(|error| Failure::new(error.to_string()))?;
    let entry = Entry {
        serial: serial.to_string(),
        not_after: chain.not_after(),
        certificate: files.certificate.clone(),
        key: key.as_ref().map(|_| files.key.clone()),
        ..draft
    };
    // The index first: a certificate that nobody knows of could never be taken back.
    opened.index.certificates.push(entry.clone());
    opened.save()?;
    let pem = key.as_ref().map(PrivateKey::pem);
    files.write(&chain.pem(), pem.as_ref().map(|pem| pem.as_str()))?;
    if entry.not_after == opened.authority.not_after() {
        let end = entry.not_after;
        output::note(&format!(
            "warning: it ends with its authority, {end}; make another authority in time"
        ));
    }
    output::answer(common.output.format, &entry, || shown(&entry))
}

fn shown(entry: &Entry) -> String {
    let mut text = format!(
        "Issued a {} certificate for {}\nserial {}, valid until {}\n{}\n",
        entry.kind.as_str(),
        plain(&entry.name),
        entry.serial,
        entry.not_after,
        entry.certificate.display()
    );
    if let Some(key) = &entry.key {
        text += &format!("{}\n", key.display());
    }
    text
}

fn draft(kind: Kind, name: String, now: Timestamp) -> Entry {
    Entry {
        serial: String::new(),
        kind,
        name,
        groups: Vec::new(),
        hosts: Vec::new(),
        // The index tells seconds, as certificates do.
        issued: Timestamp::from_second(now.as_second()).unwrap_or(now),
        not_after: now,
        certificate: Default::default(),
        key: None,
        revoked: None,
    }
}

fn terms(common: &Common, validity: std::num::NonZeroU16) -> Terms {
    Terms {
        validity: days(validity),
        ocsp: common.ocsp_url.clone(),
        crl: common.crl_url.clone(),
    }
}
