//! Mount paths, which have many spellings for one place.

use crate::contract::SERVICE_ACCOUNT_PATH;

/// Where a mount lies, seen from the service account's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At it, or in it: what is there is injection's.
    ServiceAccount,
    /// Elsewhere.
    Elsewhere,
}

impl Place {
    /// Where this `mountPath` lies. `/var/run` is a link to `/run` in most images, so that both mean the same; the kubelet
    /// makes relative paths absolute.
    pub(crate) fn of(mount_path: &str) -> Self {
        let place = resolve(mount_path);
        let own = resolve(SERVICE_ACCOUNT_PATH);
        if place.starts_with(&own) {
            Self::ServiceAccount
        } else {
            Self::Elsewhere
        }
    }
}

/// The path's names from the root, without `.`, `..`, empty ones and the link at `/var/run`.
fn resolve(path: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    // Windows' separator means nothing here: such pods are passed over.
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    if names.starts_with(&["var", "run"]) {
        names.remove(0);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_the_directory_are_one_place() {
        for path in [
            "/var/run/secrets/kubernetes.io/serviceaccount",
            "/var/run/secrets/kubernetes.io/serviceaccount/",
            "/run/secrets/kubernetes.io/serviceaccount",
            "//var//run/secrets/./kubernetes.io/serviceaccount",
            "/var/lib/../run/secrets/kubernetes.io/x/../serviceaccount",
            "var/run/secrets/kubernetes.io/serviceaccount",
            "/../run/secrets/kubernetes.io/serviceaccount",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "/run/secrets/kubernetes.io/serviceaccount/extra/deep",
        ] {
            assert_eq!(Place::of(path), Place::ServiceAccount, "{path}");
        }
    }

    #[test]
    fn parents_and_neighbours_are_elsewhere() {
        for path in [
            "/",
            "",
            "/var",
            "/var/run",
            "/run",
            "/var/run/secrets",
            "/var/run/secrets/kubernetes.io",
            "/var/run/secrets/kubernetes.io/serviceaccounts",
            "/var/run/secrets/kubernetes.io/serviceaccount/..",
            "/var/run/secrets/kubernetes.io/mca-serviceaccount",
            "/var/run/secrets/eks.amazonaws.com/serviceaccount",
            "/opt/run/secrets/kubernetes.io/serviceaccount",
        ] {
            assert_eq!(Place::of(path), Place::Elsewhere, "{path}");
        }
    }
}
