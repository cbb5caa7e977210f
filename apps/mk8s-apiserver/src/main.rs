//! `mk8s-apiserver` is an aggregated API server: `custom.api.local/v1` has the namespaces that one may see (`mynamespace`), what is
//! in those that one has rights in (`mypods`, …), and who one is (`whoami`).
//!
//! Read on in the order of start-up: [`config`], [`serve`] (the wiring). A request meets [`door`], [`requester`] (who asks: what
//! the API server says of them, or their token), [`api`] (what is asked for), [`discovery`] (what there is), or [`own`] (the lists),
//! which asks [`scopes`] (what they may see, by [`reviews`] and [`grants`]) and hands on to `crates/filter`.

mod api;
mod config;
mod discovery;
mod door;
mod grants;
mod metrics;
mod own;
mod request_header;
mod requester;
mod resources;
mod reviews;
mod scopes;
mod seal_key;
mod serve;
mod whoami;

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
