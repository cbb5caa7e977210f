//! `mk8s-central init`

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use mk8s_authn::{Email, Passwords, password::random_password};
use mk8s_policy::{DEFAULT_ROLES, Policy, PolicySpec};
use mk8s_store::{NewUser, Store};
use secrecy::{ExposeSecret, SecretString};

use crate::{access::ADMIN_ROLE, config::Config, keeping};

use super::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The first administrator
    #[arg(long, value_name = "EMAIL")]
    admin_email: Email,
    /// Read their password from standard input; otherwise one is made and printed once
    #[arg(long)]
    admin_password_stdin: bool,
}

pub(crate) async fn run(config: &Config, arguments: Arguments) -> anyhow::Result<()> {
    let authority = keeping::authority(config)?;
    keeping::signing_keys(config)?;
    let store = keeping::store(config).await?;
    declare_roles(config, &store).await?;
    if store.user_named(&arguments.admin_email).await?.is_some() {
        bail!(
            "there is an account {} already; sign in with it, or name another with --admin-email",
            arguments.admin_email.as_str()
        );
    }
    let (password, is_made) = if arguments.admin_password_stdin {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .context("can't read the password from standard input")?;
        (SecretString::from(line.trim_end_matches(['\r', '\n'])), false)
    } else {
        (random_password(), true)
    };
    let hash = Passwords::new(1).hash(password.clone()).await?;
    let roles = [ADMIN_ROLE.to_owned()];
    let user = NewUser {
        email: &arguments.admin_email,
        password: &hash,
        roles: &roles,
    };
    store.create_user(user, Timestamp::now()).await?;
    say(format_args!("administrator: {}", arguments.admin_email.as_str()));
    if is_made {
        say(format_args!("password: {}", password.expose_secret()));
    }
    say(format_args!("CA fingerprint: {}", authority.fingerprint()));
    Ok(())
}

/// Writes the configuration's roles (or the built-in ones, once) into the database, where decisions read them, and gives
/// the users named there theirs.
pub(crate) async fn declare_roles(config: &Config, store: &Store) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let declared = PolicySpec {
        roles: config.roles.clone(),
        users: config.users.clone(),
    };
    if !declared.roles.is_empty() {
        Policy::new(&declared, 0).context("roles in the configuration")?;
    }
    let there = store.roles().await?;
    for role in &declared.roles {
        let permissions = serde_json::to_value(&role.clusters)?;
        if there
            .iter()
            .all(|r| r.name != role.name || r.permissions != permissions)
        {
            store.upsert_role(&role.name, &permissions, now).await?;
        }
    }
    let defaults: PolicySpec = serde_saphyr::from_str(DEFAULT_ROLES).context("the built-in roles")?;
    for role in defaults.roles {
        let is_named = |name: &str| name == role.name;
        if !there.iter().any(|r| is_named(&r.name)) && !declared.roles.iter().any(|r| is_named(&r.name)) {
            store
                .upsert_role(&role.name, &serde_json::to_value(&role.clusters)?, now)
                .await?;
        }
    }
    for user in &declared.users {
        let email: Email = user
            .email
            .parse()
            .with_context(|| format!("users: {:?}", user.email))?;
        // Accounts are made by an administrator; here is said only what those that exist may do.
        let Some(account) = store.user_named(&email).await? else {
            continue;
        };
        let mut roles = account.roles.clone();
        roles.extend(user.roles.iter().filter(|r| !account.roles.contains(r)).cloned());
        if roles != account.roles {
            store.set_roles(account.id, &roles, now).await?;
        }
    }
    Ok(())
}
