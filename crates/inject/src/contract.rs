//! The names that the sidecar, its injection, the webhook and a pod's author share.

/// Pod label: `"true"` asks the webhook for injection, `"false"` opts out of it, on the command line too.
pub const INJECT_LABEL: &str = "mca.k8s.io/inject";

/// What the annotations below begin with.
pub const ANNOTATION_PREFIX: &str = "mca.k8s.io/";
/// Where the sidecar stands among the init containers: `first` (default) or `last`.
pub const ORDER_ANNOTATION: &str = "mca.k8s.io/order";
/// Containers, by comma, that get no environment and no mount, and lose the real token nevertheless.
pub const EXCLUDE_CONTAINERS_ANNOTATION: &str = "mca.k8s.io/exclude-containers";
/// `"true"`: inject although the pod, or its ServiceAccount, said `automountServiceAccountToken: false`.
pub const ALLOW_AUTOMOUNT_ANNOTATION: &str = "mca.k8s.io/allow-automount";
/// `"true"`: inject although the pod's containers see each other's processes.
pub const ALLOW_SHARED_PROCESS_NAMESPACE_ANNOTATION: &str = "mca.k8s.io/allow-shared-process-namespace";
/// The sidecar's UID, or `unset`.
pub const RUN_AS_USER_ANNOTATION: &str = "mca.k8s.io/run-as-user";
/// The sidecar's GID, or `unset`.
pub const RUN_AS_GROUP_ANNOTATION: &str = "mca.k8s.io/run-as-group";
/// The sidecar's CPU request, a Kubernetes quantity.
pub const CPU_REQUEST_ANNOTATION: &str = "mca.k8s.io/cpu-request";
/// The sidecar's CPU limit.
pub const CPU_LIMIT_ANNOTATION: &str = "mca.k8s.io/cpu-limit";
/// The sidecar's memory request.
pub const MEMORY_REQUEST_ANNOTATION: &str = "mca.k8s.io/memory-request";
/// The sidecar's memory limit.
pub const MEMORY_LIMIT_ANNOTATION: &str = "mca.k8s.io/memory-limit";
/// Name of a ConfigMap with clusters and routes.
pub const CONFIG_ANNOTATION: &str = "mca.k8s.io/config";
/// Names of Secrets, by comma, with credentials for other clusters.
pub const CREDENTIALS_ANNOTATION: &str = "mca.k8s.io/credentials";
/// The port, on all addresses of the pod, where the sidecar serves `/metrics`.
pub const METRICS_PORT_ANNOTATION: &str = "mca.k8s.io/metrics-port";
/// The sidecar's log filter.
pub const LOG_ANNOTATION: &str = "mca.k8s.io/log";
/// Requests a second that the pod may make.
pub const QPS_ANNOTATION: &str = "mca.k8s.io/qps";
/// Requests that the pod may make at once.
pub const BURST_ANNOTATION: &str = "mca.k8s.io/burst";
/// How long GETs are answered from memory, in seconds.
pub const CACHE_SECONDS_ANNOTATION: &str = "mca.k8s.io/cache-seconds";
/// The collector that spans are sent to.
pub const OTLP_ENDPOINT_ANNOTATION: &str = "mca.k8s.io/otlp-endpoint";
/// `"true"`: clusters and routes are read from custom resources, too.
pub const CUSTOM_RESOURCES_ANNOTATION: &str = "mca.k8s.io/custom-resources";
/// Written by injection, for people and for taking it out again. Never proof that a pod is injected.
pub const INJECTED_ANNOTATION: &str = "mca.k8s.io/injected";

/// The sidecar's container: an init container with `restartPolicy: Always`.
pub const CONTAINER: &str = "mca-proxy";
/// The sidecar's program, in its image.
pub const PROGRAM: &str = "/mca-proxy";
/// The sidecar's image, without a setting.
pub const DEFAULT_IMAGE: &str = concat!("mk8s/mca-proxy:", env!("CARGO_PKG_VERSION"));
/// The sidecar's UID and GID, without a setting.
pub const DEFAULT_ID: u32 = 999;
/// Where the sidecar listens, in the pod.
pub const LISTEN_ADDRESS: &str = "127.0.0.1";
/// The port there.
pub const LISTEN_PORT: u16 = 6443;
/// The name of the sidecar's container port for metrics.
pub const METRICS_PORT_NAME: &str = "mca-metrics";
/// The sidecar's environment variable for [`METRICS_PORT_ANNOTATION`].
pub const METRICS_PORT_VARIABLE: &str = "MCA_METRICS_PORT";
/// The sidecar's environment variable for [`LOG_ANNOTATION`].
pub const LOG_VARIABLE: &str = "MCA_LOG";

/// The sidecar's environment variable for [`QPS_ANNOTATION`].
pub const QPS_VARIABLE: &str = "MCA_QPS";
/// The sidecar's environment variable for [`BURST_ANNOTATION`].
pub const BURST_VARIABLE: &str = "MCA_BURST";
/// The sidecar's environment variable for [`CACHE_SECONDS_ANNOTATION`].
pub const CACHE_SECONDS_VARIABLE: &str = "MCA_CACHE_SECONDS";
/// The sidecar's environment variable for [`OTLP_ENDPOINT_ANNOTATION`].
pub const OTLP_ENDPOINT_VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The sidecar's environment variable for [`CUSTOM_RESOURCES_ANNOTATION`].
pub const CUSTOM_RESOURCES_VARIABLE: &str = "MCA_CUSTOM_RESOURCES";

/// Volume with the real credentials, mounted in the sidecar alone.
pub const REAL_VOLUME: &str = "kube-api-access-sa";
/// Volume with what the other containers get instead: placeholder token, the sidecar's CA, namespace.
pub const PLACEHOLDER_VOLUME: &str = "kube-api-access-mca-sa";
/// Volume with the sidecar's own CA and key, mounted in the sidecar alone.
pub const STATE_VOLUME: &str = "mca-proxy-state";
/// Volume of the ConfigMap of [`CONFIG_ANNOTATION`], mounted in the sidecar alone.
pub const CONFIG_VOLUME: &str = "mca-proxy-config";
/// With an index from 0: volumes of the Secrets of [`CREDENTIALS_ANNOTATION`], mounted in the sidecar alone.
pub const CREDENTIALS_VOLUME_PREFIX: &str = "mca-proxy-credentials-";

/// Where every client looks for its service account's credentials.
pub const SERVICE_ACCOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Where the sidecar writes what the other containers get.
pub const PLACEHOLDER_PATH: &str = "/var/run/secrets/kubernetes.io/mca-serviceaccount";
/// The sidecar's state.
pub const STATE_PATH: &str = "/var/lib/mca-proxy";
/// The sidecar's configuration.
pub const CONFIG_PATH: &str = "/etc/mca-proxy/config";
/// With a Secret's name below it: credentials for other clusters.
pub const CREDENTIALS_PATH: &str = "/etc/mca-proxy/credentials";

/// What leads the other containers' clients to the sidecar.
pub const ENVIRONMENT: [(&str, &str); 8] = [
    ("KUBERNETES_SERVICE_HOST", "127.0.0.1"),
    ("KUBERNETES_SERVICE_PORT", "6443"),
    ("KUBERNETES_SERVICE_PORT_HTTPS", "6443"),
    ("KUBERNETES_PORT", "tcp://127.0.0.1:6443"),
    ("KUBERNETES_PORT_443_TCP", "tcp://127.0.0.1:6443"),
    ("KUBERNETES_PORT_443_TCP_PROTO", "tcp"),
    ("KUBERNETES_PORT_443_TCP_PORT", "6443"),
    ("KUBERNETES_PORT_443_TCP_ADDR", "127.0.0.1"),
];

/// The first Kubernetes (major, minor) that has native sidecars without a feature gate.
pub const OLDEST_KUBERNETES: (u32, u32) = (1, 29);

/// Whether a volume of this name is one of injection's.
#[must_use]
pub fn is_own_volume(name: &str) -> bool {
    let credentials = |name: &str| {
        name.strip_prefix(CREDENTIALS_VOLUME_PREFIX)
            .is_some_and(|index| !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(
        name,
        REAL_VOLUME | PLACEHOLDER_VOLUME | STATE_VOLUME | CONFIG_VOLUME
    ) || credentials(name)
}
