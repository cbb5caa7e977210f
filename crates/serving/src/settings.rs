//! What is said of the certificate: the sections `tls` and `lease` of a program's settings, and what they mean.

use std::{path::PathBuf, time::Duration};

use mk8s_model::duration;
use serde::Deserialize;

/// Where a pod finds the namespace it is in.
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// The replicas make an authority and a certificate of their own, kept in a Secret
    #[serde(rename = "self")]
    #[value(name = "self")]
    SelfMade,
    /// Files that cert-manager renews; the caBundle is cert-manager's business too
    CertManager,
    /// Files that somebody else renews
    Given,
}

/// Where the certificate comes from, and what comes with it.
#[derive(Clone, Debug)]
pub enum Tls {
    /// The replicas make it.
    SelfMade(SelfMade),
    /// Somebody else does.
    Files {
        /// Our certificate and its chain, PEM.
        certificate: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
        /// Authorities to be put into the caBundle, PEM, and where that is.
        bundle: Option<(PathBuf, Place)>,
    },
}

/// A certificate of the replicas' own.
#[derive(Clone, Debug)]
pub struct SelfMade {
    /// Where we are.
    pub place: Place,
    /// The Secret that the replicas share.
    pub secret: String,
    /// How long what is made is good for.
    pub lifetimes: Lifetimes,
}

/// How long what is made is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An authority.
    pub authority: Duration,
    /// A certificate of it.
    pub certificate: Duration,
    /// How long an authority is in the caBundle before it is relied on: every API server must have heard of it.
    pub settle: Duration,
}

/// Where in the cluster we are, and who of the replicas keeps the caBundle.
#[derive(Clone, Debug)]
pub struct Place {
    /// What the program is called: authorities have this name, and our writes are marked with it in an object's managed
    /// fields. The same for all replicas, so that any of them may change what another wrote.
    pub program: &'static str,
    /// Of the Service, the Secret and the Lease.
    pub namespace: String,
    /// The certificate is for `SERVICE.NAMESPACE.svc`.
    pub service: String,
    /// The objects whose caBundle is kept.
    pub bundles: BundlesIn,
    /// How a leader is found.
    pub lease: Lease,
}

/// Which objects say whom the API server believes to be us. Of them, what names our Service is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundlesIn {
    /// MutatingWebhookConfigurations of these names, each with entries that may be ours.
    MutatingWebhookConfigurations(Vec<String>),
    /// APIServices of these names.
    ApiServices(Vec<String>),
}

/// How a leader is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What it is called.
    pub name: String,
    /// How long a leader that isn't heard of stays leader.
    pub duration: Duration,
}

/// Settings that can't be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Files, where none are used.
    #[error(
        "tls.certificateFile, tls.keyFile and tls.caFile are for the modes cert-manager and given; the mode is self (tls.mode)"
    )]
    FilesOfSelf,
    /// A mode that needs files, without them.
    #[error("tls.certificateFile and tls.keyFile: this mode needs both")]
    FilesMissing,
    /// A caBundle that two would keep.
    #[error(
        "tls.caFile: with cert-manager the caBundle is kept by its CA injector (annotation cert-manager.io/inject-ca-from); \
         remove the line, or use the mode given"
    )]
    BundleIsInjected,
    /// A certificate that would have to outlive its authority.
    #[error("tls.certificateLifetime may be half of tls.caLifetime at most")]
    CertificateLifetime,
    /// No time to put a new authority in everybody's hands.
    #[error("tls.settle may be a sixth of tls.caLifetime at most")]
    Settle,
    /// A leader that would be lost at once, or never.
    #[error("lease.duration: a leader must be heard of within 1s to 1h")]
    LeaseDuration,
    /// Nobody says where we are.
    #[error(
        "namespace is missing, and this is no pod: where is the Service? (namespace, --namespace or POD_NAMESPACE)"
    )]
    NoNamespace,
}

/// The section `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
#[expect(
    missing_docs,
    reason = "the settings' own names, which the programs' documentation explains"
)]
pub struct TlsSettings {
    pub mode: Option<TlsMode>,
    pub secret: Option<String>,
    #[serde(deserialize_with = "duration::optional")]
    pub ca_lifetime: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub certificate_lifetime: Option<Duration>,
    #[serde(deserialize_with = "duration::optional")]
    pub settle: Option<Duration>,
    pub certificate_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
}

/// The section `lease`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseSettings {
    name: Option<String>,
    #[serde(deserialize_with = "duration::optional")]
    duration: Option<Duration>,
}

impl Tls {
    /// Where we are, if anything is kept in the cluster.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::SelfMade(own) => Some(&own.place),
            Self::Files { bundle, .. } => bundle.as_ref().map(|(_, place)| place),
        }
    }
}

impl BundlesIn {
    /// What they are called.
    pub fn names(&self) -> &[String] {
        match self {
            Self::MutatingWebhookConfigurations(names) | Self::ApiServices(names) => names,
        }
    }
}

impl TlsSettings {
    /// What is meant, if it goes together. Only where something is kept in the cluster it must be known where we are.
    ///
    /// # Errors
    /// Says which settings don't go together, or what `place` says.
    pub fn checked(self, place: impl FnOnce() -> Result<Place, SettingsError>) -> Result<Tls, SettingsError> {
        let mode = self.mode.unwrap_or(TlsMode::SelfMade);
        let files = [&self.certificate_file, &self.key_file, &self.ca_file];
        if mode == TlsMode::SelfMade {
            if files.iter().any(|file| file.is_some()) {
                return Err(SettingsError::FilesOfSelf);
            }
            return self.self_made(place()?).map(Tls::SelfMade);
        }
        let (Some(certificate), Some(key)) = (self.certificate_file, self.key_file) else {
            return Err(SettingsError::FilesMissing);
        };
        if mode == TlsMode::CertManager && self.ca_file.is_some() {
            return Err(SettingsError::BundleIsInjected);
        }
        let bundle = self.ca_file.map(|file| place().map(|place| (file, place)));
        Ok(Tls::Files {
            certificate,
            key,
            bundle: bundle.transpose()?,
        })
    }

    fn self_made(self, place: Place) -> Result<SelfMade, SettingsError> {
        let lifetimes = Lifetimes {
            authority: self.ca_lifetime.unwrap_or(365 * DAY),
            certificate: self.certificate_lifetime.unwrap_or(30 * DAY),
            settle: self.settle.unwrap_or(Duration::from_secs(10)),
        };
        // So that no certificate has to outlive its authority, and there is time to put a new one in everybody's hands.
        if lifetimes.certificate.saturating_mul(2) > lifetimes.authority {
            return Err(SettingsError::CertificateLifetime);
        }
        if lifetimes.settle.saturating_mul(6) > lifetimes.authority {
            return Err(SettingsError::Settle);
        }
        Ok(SelfMade {
            secret: self.secret.unwrap_or_else(|| format!("{}-tls", place.program)),
            place,
            lifetimes,
        })
    }
}

impl LeaseSettings {
    /// What is meant; it is called like the program unless something else is said.
    ///
    /// # Errors
    /// If the duration can't be meant.
    pub fn checked(self, program: &str) -> Result<Lease, SettingsError> {
        let duration = self.duration.unwrap_or(Duration::from_secs(15));
        if duration < Duration::from_secs(1) || duration > Duration::from_secs(3600) {
            return Err(SettingsError::LeaseDuration);
        }
        Ok(Lease {
            name: self.name.unwrap_or_else(|| program.to_owned()),
            duration,
        })
    }
}

/// The namespace of the pod we are in, if we are in one.
pub fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(OWN_NAMESPACE).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Result<Place, SettingsError> {
        Ok(Place {
            program: "mk8s-extension",
            namespace: "n".to_owned(),
            service: "s".to_owned(),
            bundles: BundlesIn::ApiServices(vec!["v1.example.com".to_owned()]),
            lease: LeaseSettings::default().checked("mk8s-extension")?,
        })
    }

    fn read(yaml: &str) -> Result<Tls, String> {
        let settings: TlsSettings = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        settings.checked(place).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_need_be_said() {
        let tls = read("{}").expect("valid");
        let Tls::SelfMade(own) = &tls else {
            panic!("the mode is self");
        };
        assert_eq!(own.secret, "mk8s-extension-tls");
        assert_eq!(own.lifetimes.authority, 365 * DAY);
        let place = tls.place().expect("something is kept");
        assert_eq!(
            place.lease,
            Lease {
                name: "mk8s-extension".to_owned(),
                duration: Duration::from_secs(15)
            }
        );
    }

    #[test]
    fn files_alone_need_no_place() {
        let settings: TlsSettings =
            serde_saphyr::from_str("{mode: given, certificateFile: /a, keyFile: /b}").expect("valid");
        let nowhere = || Err(SettingsError::NoNamespace);
        let tls = settings.clone().checked(nowhere).expect("valid");
        assert!(tls.place().is_none());
        let with_authorities = TlsSettings {
            ca_file: Some("/c".into()),
            ..settings
        };
        let error = with_authorities.checked(nowhere).expect_err("nowhere");
        assert_eq!(error, SettingsError::NoNamespace);
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (yaml, says) in [
            ("{mode: given}", "needs both"),
            ("{mode: cert-manager, certificateFile: /a}", "needs both"),
            ("{caFile: /a}", "the mode is self"),
            (
                "{mode: cert-manager, certificateFile: /a, keyFile: /b, caFile: /c}",
                "inject-ca-from",
            ),
            ("{certificateLifetime: 300d}", "half of tls.caLifetime"),
            (
                "{caLifetime: 60s, certificateLifetime: 30s, settle: 11s}",
                "a sixth",
            ),
            ("{certificateLifetime: 99999999999h}", "no duration"),
            ("{mode: own}", "own"),
            ("{settle: soon}", "soon"),
            ("{cert_file: /a}", "cert_file"),
        ] {
            let error = read(yaml).expect_err(yaml);
            assert!(error.contains(says), "{yaml}: {error}");
        }
    }

    #[test]
    fn a_lease_that_lasts_too_short_or_too_long_is_refused() {
        for yaml in ["{duration: 999ms}", "{duration: 61m}"] {
            let settings: LeaseSettings = serde_saphyr::from_str(yaml).expect("a duration");
            assert_eq!(settings.checked("x"), Err(SettingsError::LeaseDuration), "{yaml}");
        }
    }
}
