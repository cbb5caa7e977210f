//! `mk8s completion`.

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Shell},
    error::Result,
    output,
};

const BASH: &str = include_str!("../../completion/mk8s.bash");
const ZSH: &str = include_str!("../../completion/mk8s.zsh");
const FISH: &str = include_str!("../../completion/mk8s.fish");

/// Prints a shell's script. Those of bash, zsh and fish ask `mk8s __complete`; the others know our own words only.
pub(crate) fn run(shell: Shell) -> Result<()> {
    match shell {
        Shell::Bash => output::print(BASH),
        Shell::Zsh => output::print(ZSH),
        Shell::Fish => output::print(FISH),
        Shell::Elvish => output::print(&generate(clap_complete::Shell::Elvish)),
        Shell::Powershell => output::print(&generate(clap_complete::Shell::PowerShell)),
    }
}

fn generate(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mk8s", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
