//! `mk8s-front-proxy` stands before one API server, for operators with a client certificate: its common name is the user, each
//! of its organizations a group, and the API server is asked in that name.
//!
//! Read on in the order of start-up: [`config`], [`serve`] (the wiring). A request meets [`door`]: whose certificate is it, and
//! does it still count (`crates/operators`)? Then it takes the one path (`crates/proxy`); [`metrics`] counts.

mod config;
mod door;
mod metrics;
mod serve;

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
    let arguments = Arguments::parse();
    let config = Config::load(&arguments)?;
    if arguments.check {
        use std::io::Write as _;
        return Ok(writeln!(
            std::io::stdout(),
            "{} can be used",
            arguments.config.display()
        )?);
    }
    mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(serve::run(config))
}
