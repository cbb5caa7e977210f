//! Whom to believe to be central, decided at login: what was remembered, what the user says, or what a person confirms.

use mk8s_tls::{
    Fingerprint, Roots,
    pin::{PinError, PresentedAuthority},
};

use crate::{
    central_url::CentralUrl,
    cli::Login,
    clock::Moment,
    context::Context,
    error::{Failure, Result},
    home, output,
    prompt::ask,
    trust::{Trust, presented},
};

/// What was decided.
#[derive(Debug)]
pub(crate) struct Contact {
    pub(crate) trust: Trust,
    /// The authority to keep for later, once it has proved to be central's.
    pub(crate) remember: Option<Vec<u8>>,
}

/// Decides; asks only a person at a terminal.
pub(crate) async fn establish(context: &Context<'_>, central: &CentralUrl, login: &Login) -> Result<Contact> {
    if let Some(file) = &login.ca_file {
        let pem =
            home::read(file)?.ok_or_else(|| Failure::new(format!("{} doesn't exist", file.display())))?;
        return Ok(Contact {
            trust: Trust::only(file.clone(), pem.clone())?,
            remember: Some(pem),
        });
    }
    if let Some(fingerprint) = &login.ca_fingerprint {
        let expected: Fingerprint = fingerprint
            .parse()
            .map_err(|error| Failure::usage(format!("--ca-fingerprint: {error}")))?;
        let authority = authority(central).await?;
        if authority.fingerprint != expected {
            return Err(mismatch(central, expected, &authority));
        }
        return pin(context, central, &authority);
    }
    let remembered = context.trust(central)?;
    if remembered != Trust::System {
        return Ok(Contact {
            trust: remembered,
            remember: None,
        });
    }
    let now = Moment::now().timestamp();
    let chain = presented(central)
        .await
        .map_err(|error| unusable(central, &error))?;
    if chain.verify(&Roots::System, now).is_ok() {
        return Ok(Contact {
            trust: Trust::System,
            remember: None,
        });
    }
    let authority = chain.authority(now).map_err(|error| unusable(central, &error))?;
    if !context.environment.stdin_is_terminal {
        return Err(Failure::new(format!(
            "this machine doesn't trust the certificate of {central}, and there is no terminal to ask on"
        ))
        .hint("give --ca-fingerprint SHA256:… (your administrator has it) or --ca-file FILE"));
    }
    confirm(central, &authority)?;
    pin(context, central, &authority)
}

/// The authority that vouches for what central presents.
async fn authority(central: &CentralUrl) -> Result<PresentedAuthority> {
    let chain = presented(central)
        .await
        .map_err(|error| unusable(central, &error))?;
    chain
        .authority(Moment::now().timestamp())
        .map_err(|error| unusable(central, &error))
}

fn pin(context: &Context<'_>, central: &CentralUrl, authority: &PresentedAuthority) -> Result<Contact> {
    let pem = authority.pem().into_bytes();
    Ok(Contact {
        trust: Trust::only(context.home.ca_file(central), pem.clone())?,
        remember: Some(pem),
    })
}

fn confirm(central: &CentralUrl, authority: &PresentedAuthority) -> Result<()> {
    output::note(&format!(
        "The certificate of {central} comes from an authority that this machine doesn't know:\n\
         \x20 subject      {}\n\
         \x20 valid until  {}\n\
         \x20 fingerprint  {}\n\
         Compare the fingerprint with the one that your administrator gave you.",
        output::plain(&authority.subject),
        authority.not_after,
        authority.fingerprint
    ));
    let answer = ask("Trust this authority for this central, now and later? [y/N] ")?;
    if ["y", "yes"].contains(&answer.to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::new(
        "not logged in: the certificate authority was not accepted",
    ))
}

fn mismatch(central: &CentralUrl, expected: Fingerprint, authority: &PresentedAuthority) -> Failure {
    Failure::new(format!(
        "THE FINGERPRINT DOESN'T MATCH: {central} presents the certificate authority {}, expected {expected}; nothing was sent",
        authority.fingerprint
    ))
    .hint("check the URL and the fingerprint with your administrator; if both are right, somebody stands between you and central")
}

fn unusable(central: &CentralUrl, error: &PinError) -> Failure {
    let why = output::plain(&error.to_string());
    match error {
        PinError::Connect { .. } | PinError::Timeout { .. } => {
            Failure::new(format!("can't reach {central}: {why}"))
                .hint("check the URL, the network and HTTPS_PROXY")
        }
        _ => Failure::new(format!("can't trust {central}: {why}")),
    }
}
