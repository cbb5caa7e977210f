//! What each command does, a module each.

mod clusters;
mod complete;
mod completion;
mod credential;
mod doctor;
mod first_contact;
mod front_proxy;
mod inject;
mod kubeconfig;
mod kubectl;
mod login;
mod logout;
mod mcp;
pub(crate) mod pki;
mod status;

use std::ffi::OsString;

use crate::{
    cli::{Cli, ClustersCommand, Command},
    context::{Context, Environment},
    error::Result,
    output,
};

/// Does what was asked. `kubectl` is what follows the word kubectl.
pub(crate) fn run(cli: Cli, kubectl: Vec<OsString>, environment: &Environment) -> Result<()> {
    let load = || Context::load(environment);
    let cluster = cli.cluster.as_ref();
    match cli.command {
        Command::Login(login) => login::run(load()?, login),
        Command::Logout(_) => logout::run(&load()?),
        Command::Status(status) => status::run(&load()?, cluster, status.output.format),
        Command::Clusters(clusters) => match clusters.command {
            ClustersCommand::List(list) => clusters::list(&load()?, cluster, list.output.format),
            ClustersCommand::Use(choice) => clusters::choose(load()?, choice),
        },
        Command::Kubectl(_) => kubectl::run(&load()?, cluster, &kubectl),
        Command::Kubeconfig(kubeconfig) => kubeconfig::run(&load()?, cluster, kubeconfig),
        Command::Credential(credential) => credential::run(&load()?, credential),
        Command::Inject(inject) => inject::inject(environment, inject),
        Command::Uninject(uninject) => inject::uninject(environment, uninject),
        Command::Pki(pki) => pki::run(&load()?, cluster, pki),
        Command::Doctor(doctor) => doctor::run(&load()?, cluster, &doctor),
        Command::FrontProxy(front_proxy) => front_proxy::run(&load()?, front_proxy),
        Command::Mcp(mcp) => mcp::run(&load()?, cluster, &mcp.arguments),
        Command::Completion(completion) => completion::run(completion.shell),
        Command::Version(_) => output::print(concat!("mk8s ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Complete(complete) => complete::run(environment, &complete.words),
    }
}
