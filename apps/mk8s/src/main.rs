//! `mk8s`: the command line people live in. One login at mk8s-central, then kubectl (and helm, k9s, anything that reads
//! a kubeconfig) to every cluster behind it, without a cluster's credentials ever reaching this machine.
//!
//! What holds everywhere:
//! - the environment, the terminal and the configuration are read once, here, and handed down in a [`Context`];
//! - tokens are in one 0600 file, in no kubeconfig, no argument and no environment variable;
//! - central's certificate is always verified; there is no insecure mode;
//! - an error is one line, and a `hint:` line when something can be done about it.

mod argv;
mod central_url;
mod cli;
mod client;
mod clock;
mod cluster_cache;
mod commands;
mod config;
mod context;
mod contract;
mod credentials;
mod error;
mod home;
mod kubeconfig;
mod kubectl_args;
mod lock;
mod manifest;
mod output;
mod pki;
mod prompt;
mod selection;
mod session;
mod trust;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{argv::Argv, cli::Cli, context::Environment};

fn main() -> ExitCode {
    let argv = Argv::split(std::env::args_os());
    let cli = Cli::parse_from(&argv.own);
    let environment = Environment::read();
    match commands::run(cli, argv.kubectl, &environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report(&failure, environment.colour_on_stderr());
            failure.exit_code()
        }
    }
}
