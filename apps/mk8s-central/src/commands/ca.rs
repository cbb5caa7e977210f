//! `mk8s-central ca`

use crate::{config::Config, keeping};

use super::say;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print the certificate's SHA-256 fingerprint instead, for people to compare at their first login
    #[arg(long)]
    fingerprint: bool,
}

pub(crate) fn run(config: &Config, arguments: &Arguments) -> anyhow::Result<()> {
    let authority = keeping::authority(config)?;
    if arguments.fingerprint {
        say(authority.fingerprint());
    } else {
        say(authority.certificate_pem().trim_end());
    }
    Ok(())
}
