//! Why a pod isn't injected, or not taken out again.

/// A pod that injection can't do right. The message names the field and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The JSON isn't shaped like a pod.
    #[error("{field}: {problem}; see `kubectl explain pod.{}`", .field.replace(|c: char| c == '[' || c == ']' || c.is_ascii_digit(), ""))]
    Shape {
        /// Where: `spec.containers[1].env`.
        field: String,
        /// What is there, or isn't.
        problem: String,
    },
    /// Nothing to put the sidecar beside.
    #[error("spec.containers: a pod needs at least one container; add one")]
    NoContainers,
    /// The pod has its node's loopback.
    #[error(
        "spec.hostNetwork: the pod shares 127.0.0.1:6443 with its node, where other pods could use its sidecar; set it to \
         false, or opt the pod out with the label mca.k8s.io/inject: \"false\""
    )]
    HostNetwork,
    /// The sidecar's files could be read through `/proc`.
    #[error(
        "spec.shareProcessNamespace: containers of the sidecar's UID could read the real token through /proc; set it to \
         false, or accept that with the annotation mca.k8s.io/allow-shared-process-namespace: \"true\""
    )]
    SharedProcessNamespace,
    /// A container of the sidecar's name that injection didn't make.
    #[error(
        "{field}: the name mca-proxy is the injected sidecar's, and this container isn't one ({reason}); rename it"
    )]
    OwnContainer {
        /// Where.
        field: String,
        /// What tells that it isn't.
        reason: String,
    },
    /// A volume of one of injection's names that injection didn't make.
    #[error("spec.volumes: the name {volume:?} is injection's, and this volume isn't ({reason}); rename it")]
    OwnVolume {
        /// The volume's name.
        volume: String,
        /// What tells that it isn't.
        reason: String,
    },
    /// A container that reaches for the sidecar's files.
    #[error(
        "{field}: mounts the volume {volume:?}, which injection keeps for itself; remove the mount, or rename the volume"
    )]
    OwnMount {
        /// Where.
        field: String,
        /// The volume's name.
        volume: String,
    },
    /// An annotation that injection can't read.
    #[error("annotation {name}: {value:?} {problem}")]
    Annotation {
        /// The annotation's name.
        name: &'static str,
        /// The start of its value.
        value: String,
        /// What is wrong with it, and what to write.
        problem: String,
    },
    /// The port for metrics is somebody else's.
    #[error(
        "metrics port {port}: {taken_by} has it already; choose another with the annotation mca.k8s.io/metrics-port"
    )]
    MetricsPort {
        /// The port.
        port: u16,
        /// Who has it.
        taken_by: String,
    },
    /// The sidecar couldn't be scheduled or started with these.
    #[error(
        "the sidecar's {resource} limit {limit} is below its request {request}; set both with the annotations mca.k8s.io/{resource}-limit and mca.k8s.io/{resource}-request"
    )]
    Resources {
        /// Which resource.
        resource: &'static str,
        /// The limit.
        limit: String,
        /// The request.
        request: String,
    },
    /// What uninjecting needs to know doesn't fit.
    #[error(
        "metadata.annotations: {bytes} bytes with what injection replaces, and Kubernetes takes {limit}; remove annotations, or the \
         environment variables and mounts that injection replaces"
    )]
    TooLarge {
        /// What it would be.
        bytes: usize,
        /// What it may be.
        limit: usize,
    },
    /// The pod was injected when its token was withheld only by leave, and the leave is gone.
    #[error(
        "{reason}, and yet the pod has the sidecar; take it out with `mk8s uninject`, or set the annotation \
         mca.k8s.io/allow-automount: \"true\""
    )]
    InjectedAgainstItsWill {
        /// Why the pod would not be injected.
        reason: String,
    },
    /// The note of what was replaced can't be believed.
    #[error(
        "annotation mca.k8s.io/injected: {problem}, so what injection replaced can't be restored; remove the annotation to \
         uninject without"
    )]
    Record {
        /// What is wrong with it.
        problem: String,
    },
}

impl Refused {
    pub(crate) fn shape(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Shape {
            field: field.into(),
            problem: problem.into(),
        }
    }

    pub(crate) fn annotation(name: &'static str, value: &str, problem: impl Into<String>) -> Self {
        Self::Annotation {
            name,
            value: value.chars().take(100).collect(),
            problem: problem.into(),
        }
    }
}
