//! `mca-proxy` is the sidecar of a pod: the containers beside it use the Kubernetes API at 127.0.0.1:6443 with a
//! placeholder token, and it keeps the real one.
//!
//! Read on in the order of start-up: [`cli`] (what it is told), [`serve`] (the wiring), [`service_account`] (what the
//! containers see in place of their own), [`certificate`], [`ready`] (the probe), [`dev`] (without a pod). A request meets
//! [`door`] (who is let in, and how often: [`limit`]), [`inside`] (what happens then), [`route`] (to which cluster, of those
//! in [`routes`], which may come from [`custom_resources`], and [`targets`], or to [`several`]), and [`metrics`].

mod certificate;
mod cli;
mod custom_resources;
mod dev;
mod door;
mod inside;
mod limit;
mod metrics;
mod ready;
mod route;
mod routes;
mod serve;
mod service_account;
mod several;
mod targets;
mod whole;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Arguments, Command};

fn main() -> ExitCode {
    let ran = match Arguments::parse().command {
        Command::Run(run) => serve::run(&run),
        Command::Ready(ready) => ready::ask(&ready.state_dir, ready.timeout()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
