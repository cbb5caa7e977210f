//! `mk8s-central`: the gateway. People reach clusters through it over HTTPS ([`people`]); the clusters' agents dial it
//! ([`agents`]). [`access`] holds who may do what, [`registry`] which clusters there are, [`commands::serve`] starts it
//! all.

mod access;
mod agents;
mod commands;
mod config;
mod keeping;
mod metrics;
mod operators;
mod people;
mod registry;
mod upkeep;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::config::Config;

/// The gateway to your Kubernetes clusters: people sign in here, agents dial in.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
First steps:
  mk8s-central init --config central.yaml --admin-email you@example.com
  mk8s-central serve --config central.yaml
  mk8s-central agent-token create --config central.yaml --cluster production   # give it to that cluster's agent"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file
    #[arg(
        long,
        short,
        global = true,
        env = "MK8S_CENTRAL_CONFIG",
        value_name = "FILE",
        default_value = "central.yaml"
    )]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway (what happens without a command, too)
    Serve,
    /// Make the data directory, the keys, the database and the first administrator
    Init(commands::init::Arguments),
    /// Make, list and revoke the tokens by which agents join
    #[command(subcommand)]
    AgentToken(commands::agent_token::Command),
    /// Print the CA certificate that clients and agents need to know
    Ca(commands::ca::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config)?;
    // sqlx takes its TLS from the process-wide provider.
    mk8s_tls::install_default_provider();
    mk8s_telemetry::init_logging(config.log.format, &config.log.filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match arguments.command.unwrap_or(Command::Serve) {
            Command::Serve => commands::serve::run(config).await,
            Command::Init(arguments) => commands::init::run(&config, arguments).await,
            Command::AgentToken(command) => commands::agent_token::run(&config, command).await,
            Command::Ca(arguments) => commands::ca::run(&config, &arguments),
        }
    })
}
