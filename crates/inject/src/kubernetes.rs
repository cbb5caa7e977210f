//! Which Kubernetes can run an injected pod.

use crate::contract::OLDEST_KUBERNETES;

/// Refuses clusters without native sidecars. They would take the sidecar for an init container that never ends, and the pod
/// would never start.
///
/// `version` is what the API server's `/version` calls `gitVersion`: `v1.33.2+k3s1`.
pub fn check_version(version: &str) -> Result<(), TooOld> {
    let too_old = || TooOld {
        version: version.chars().take(60).collect(),
    };
    let mut numbers = version.trim_start_matches('v').splitn(3, '.');
    let mut number = || {
        let text = numbers.next()?;
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<u32>().ok()
    };
    let found = number().zip(number()).ok_or_else(too_old)?;
    if found < OLDEST_KUBERNETES {
        Err(too_old())
    } else {
        Ok(())
    }
}

/// A cluster that can't run injected pods.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Kubernetes {version:?} has no native sidecars; injected pods need {}.{} or newer", OLDEST_KUBERNETES.0, OLDEST_KUBERNETES.1)]
pub struct TooOld {
    version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_without_native_sidecars_are_refused() {
        for version in ["v1.29.0", "v1.33.2+k3s1", "1.36", "v2.0.0", "v1.30+"] {
            assert_eq!(check_version(version), Ok(()), "{version}");
        }
        for version in ["v1.28.15", "v1.9.0", "v0.99.0", "", "v1", "vX.Y", "latest"] {
            assert!(check_version(version).is_err(), "{version}");
        }
    }
}
