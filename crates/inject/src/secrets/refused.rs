//! Why a pod can't have its secrets.

use mk8s_secrets::contract::ContractError;

/// A pod that can't have what it asks for. The message names the field and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretsRefused {
    /// Its JSON isn't a pod's.
    #[error(transparent)]
    Pod(#[from] crate::Refused),
    /// Its annotations ask for what can't be.
    #[error("{0}")]
    Contract(ContractError),
    /// A template can't be parsed.
    #[error("{origin}: the template {problem}")]
    Template {
        /// Which annotation, and where.
        origin: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A container or volume of injection's names that injection didn't make.
    #[error("{field}: the name {name:?} is that of an injected {what}, and this one isn't; rename it")]
    Own {
        /// Where.
        field: String,
        /// Its name.
        name: String,
        /// Container or volume.
        what: &'static str,
    },
    /// A container that reaches for what is injection's.
    #[error("{field}: mounts the volume {volume:?}, which injection keeps for itself; remove the mount")]
    OwnMount {
        /// Where.
        field: String,
        /// The volume's name.
        volume: String,
    },
    /// Something is mounted where secrets go.
    #[error(
        "{field}: {path} is where secrets go; mount this elsewhere, or write the secrets to another directory"
    )]
    Taken {
        /// Where.
        field: String,
        /// The path.
        path: String,
    },
    /// Nobody can be signalled.
    #[error(
        "keeper.security/signal: the sidecar sees no other container's processes; set spec.shareProcessNamespace: true, or remove \
         the annotation and watch the files"
    )]
    NoSharedProcesses,
    /// Nothing is known of the program that is to have variables.
    #[error(
        "{field}.command: variables are set by a program that starts the container's own, and what the image starts isn't known here; \
         write command (and args), or use files"
    )]
    NoCommand {
        /// Which container.
        field: String,
    },
}
