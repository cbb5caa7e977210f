//! `mk8s login`.

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    central_url::CentralUrl,
    cli::Login,
    client::{CentralClient, CentralError},
    clock::Moment,
    cluster_cache,
    commands::first_contact,
    context::{Context, block_on},
    contract::Tokens,
    credentials::Session,
    error::{Failure, Result},
    home,
    output::{self, plain},
    prompt::{ask, first_line},
    session,
};

/// Logs in and keeps the session; remembers central and its certificate authority.
pub(crate) fn run(mut context: Context<'_>, login: Login) -> Result<()> {
    let central = login.central.clone().map_or_else(|| context.central(), Ok)?;
    let contact = block_on(first_contact::establish(&context, &central, &login))?;
    let email = email(&context, &central, &login)?;
    let password = password(&context, &login)?;
    let client = CentralClient::new(central.clone(), contact.trust)?;
    let answer = block_on(async { Ok(client.login(&email, &password).await) })?;
    let trusted = !matches!(
        answer,
        Err(CentralError::Certificate { .. } | CentralError::Unreachable { .. })
    );
    if let (true, Some(pem)) = (trusted, &contact.remember) {
        context.home.ensure()?;
        home::write_private(&context.home.ca_file(&central), pem)?;
    }
    let tokens = match answer {
        Ok(tokens) => tokens,
        Err(error) => return Err(block_on(async { Ok(explain(&client, &email, error).await) })?),
    };
    keep_session(&context, &central, &email, tokens)?;
    remember_central(&mut context, &central, &login, contact.remember.is_some())?;
    output::print(&format!("Logged in to {central} as {}\n", plain(&email)))?;
    if context.config.current_cluster.is_none() && context.environment.stdin_is_terminal {
        output::note("Next: mk8s clusters list, then mk8s clusters use NAME");
    }
    Ok(())
}

fn keep_session(context: &Context<'_>, central: &CentralUrl, email: &str, tokens: Tokens) -> Result<()> {
    let store = context.credentials();
    let lock = store.lock()?;
    store.save_login(&lock, central, &Session::new(email, tokens, Moment::now()))?;
    cluster_cache::forget(context, central);
    Ok(())
}

/// Makes this the configured central, unless the environment named it for the moment.
fn remember_central(
    context: &mut Context<'_>,
    central: &CentralUrl,
    login: &Login,
    pinned: bool,
) -> Result<()> {
    let configured = context.configured_central().ok().flatten();
    if configured.is_some() && configured.as_ref() != Some(central) && login.central.is_none() {
        return Ok(());
    }
    if configured.as_ref() != Some(central) {
        if let Some(left) = context.config.current_cluster.take() {
            output::note(&format!(
                "The chosen cluster ({left}) was another central's and isn't chosen any more"
            ));
        }
        context.config.namespace = None;
        context.config.ca_file = None;
        context.config.central_url = Some(central.as_str().to_owned());
    }
    if pinned {
        context.config.ca_file = None;
    }
    context.config.save(&context.home)
}

async fn explain(client: &CentralClient, email: &str, error: CentralError) -> Failure {
    match error {
        CentralError::Unauthorized(_) => Failure::new(format!(
            "{} refused the login of {}: wrong e-mail or password",
            client.central(),
            plain(email)
        ))
        .hint("check both; your administrator can set a new password"),
        error => session::explain(client, error).await,
    }
}

fn email(context: &Context<'_>, central: &CentralUrl, login: &Login) -> Result<String> {
    if let Some(email) = &login.email {
        return checked_email(email);
    }
    if !context.environment.stdin_is_terminal {
        return Err(Failure::usage("there is no terminal to ask for the e-mail on")
            .hint("mk8s login --email EMAIL --password-stdin"));
    }
    let before = context
        .credentials()
        .load(central)
        .ok()
        .flatten()
        .map(|session| session.email);
    let prompt = before.as_ref().map_or("E-mail: ".to_owned(), |email| {
        format!("E-mail [{}]: ", plain(email))
    });
    match (ask(&prompt)?, before) {
        (line, Some(before)) if line.is_empty() => Ok(before),
        (line, _) => checked_email(&line),
    }
}

fn checked_email(email: &str) -> Result<String> {
    let email = email.trim();
    if email.is_empty() || email.len() > 320 || email.chars().any(char::is_control) {
        return Err(Failure::usage("that is no e-mail address"));
    }
    Ok(email.to_owned())
}

fn password(context: &Context<'_>, login: &Login) -> Result<SecretString> {
    let password: SecretString = if login.password_stdin {
        first_line()?.into()
    } else if context.environment.stdin_is_terminal {
        rpassword::prompt_password("Password: ")
            .map_err(|error| Failure::new(format!("no password: {}", home::reason(&error))))?
            .into()
    } else {
        return Err(Failure::usage("there is no terminal to ask for the password on")
            .hint("mk8s login --email EMAIL --password-stdin"));
    };
    if password.expose_secret().is_empty() {
        return Err(Failure::usage("the password is empty"));
    }
    Ok(password)
}
