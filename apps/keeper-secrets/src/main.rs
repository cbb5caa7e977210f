//! `keeper-secrets` brings a pod's secrets: `init` writes them before the pod's containers start, `run` keeps them up to date
//! beside these.
//!
//! What the pod asks for was read by the webhook, and stands in a variable as JSON. Read on in this order: [`cli`] (what the
//! program is told), [`serve`] (init and run), [`cycle`] (one look at the vault, and what follows from it), [`provider`] (whom
//! records come from) with [`configuration`] (who we are there), [`files`], [`environment`], [`cluster_secrets`] and [`signal`]
//! (where they go, and who hears of it), [`patience`], [`metrics`].

mod cli;
mod cluster_secrets;
mod configuration;
mod cycle;
mod environment;
mod files;
mod metrics;
mod patience;
mod provider;
mod serve;
mod signal;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let ran = match Arguments::parse().command {
        Command::Init(settings) => serve::init(&settings),
        Command::Run(settings) => serve::run(&settings),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
