//! `mk8s-mcp` lets AI agents use Kubernetes clusters by MCP (Model Context Protocol), and never shows them a secret. Started by a
//! person, it speaks on standard input and output in that person's name; `mk8s-mcp serve` speaks HTTP with many.
//!
//! Read on in the order of start-up. For one person: [`config`], [`serve`] (the wiring), [`contexts`] (which clusters there are),
//! [`ways`] (how they are reached). For many: [`http`]. Both reach clusters by the one path (`crates/proxy`). What is asked and told is
//! in `crates/mcp`.

mod asking;
mod calls;
mod config;
#[cfg(feature = "conformance")]
mod conformance;
mod contexts;
mod http;
mod serve;
mod upgrade;
mod ways;

use std::process::ExitCode;

use clap::Parser as _;

use crate::config::{Arguments, Command, Config};

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
    let mut arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match arguments.command.take() {
        Some(Command::Serve(arguments)) => {
            let config = http::config::Config::load(&arguments)?;
            mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
            runtime.block_on(http::run(config))
        }
        #[cfg(feature = "conformance")]
        Some(Command::Conformance(arguments)) => runtime.block_on(conformance::run(&arguments)),
        None => {
            let config = Config::load(arguments)?;
            mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
            runtime.block_on(serve::run(config))
        }
    }
}
