//! `mk8s-mcp` lets AI agents read Kubernetes clusters by MCP (Model Context Protocol), in the name of whoever started it, and
//! without ever showing them a secret. It speaks on standard input and output; log lines go to standard error.
//!
//! Read on in the order of start-up: [`config`], [`serve`] (the wiring). Which clusters there are is in [`contexts`],
//! how they are reached in [`ways`]: by the one path (`crates/proxy`). What is asked and told is in `crates/mcp`.

mod calls;
mod config;
mod contexts;
mod serve;
mod upgrade;
mod ways;

use std::process::ExitCode;

use clap::Parser as _;

use crate::config::{Arguments, Config};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let config = Config::load(Arguments::parse())?;
    mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve::run(config))
}
