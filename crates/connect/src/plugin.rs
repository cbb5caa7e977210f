//! Credential plugins: the program that a kubeconfig names for a token or a certificate (`exec`; KEP-541,
//! `client.authentication.k8s.io`). Only a program that a person started for themselves runs one.

use std::path::Path;

use secrecy::SecretString;
use serde::Deserialize;

#[cfg(feature = "plugins")]
pub use run::{Lent, PluginError};

/// A plugin, as a kubeconfig names it (`k8s.io/client-go/tools/clientcmd/api/v1.ExecConfig`).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Plugin {
    api_version: String,
    command: String,
    #[serde(deserialize_with = "or_none")]
    args: Vec<String>,
    #[serde(deserialize_with = "or_none")]
    env: Vec<Variable>,
    install_hint: Option<String>,
    interactive_mode: Option<String>,
    provide_cluster_info: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: String,
    value: SecretString,
}

impl Plugin {
    /// A command with a slash in it is a path from the kubeconfig's directory; one without is looked for on the PATH.
    pub(crate) fn beside(mut self, directory: &Path) -> Self {
        if self.command.contains('/') {
            self.command = directory.join(&self.command).to_string_lossy().into_owned();
        }
        self
    }
}

fn or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(feature = "plugins")]
mod run {
    use std::{process::Stdio, sync::Arc, time::Duration};

    use jiff::Timestamp;
    use mk8s_proxy::credentials::Credentials;
    use mk8s_tls::{CertificateChain, Issued, PrivateKey, ReloadingCertificate};
    use secrecy::{ExposeSecret as _, SecretString};
    use serde::Deserialize;
    use tokio::{io::AsyncReadExt as _, process::Command};

    use super::Plugin;
    use crate::Target;

    const VERSIONS: &[&str] = &[
        "client.authentication.k8s.io/v1",
        "client.authentication.k8s.io/v1beta1",
    ];
    /// A plugin may ask an identity provider, which may be far away.
    const PATIENCE: Duration = Duration::from_secs(60);
    const LONGEST: u64 = 1 << 20;
    /// What is nearly over is over when it arrives.
    const MARGIN: Duration = Duration::from_secs(5);

    /// What a plugin gave, and until when.
    #[derive(Clone, Debug)]
    pub struct Lent {
        credentials: Credentials,
        certificate: Option<Arc<ReloadingCertificate>>,
        until: Option<Timestamp>,
    }

    /// Why a plugin gave nothing.
    #[derive(Debug, thiserror::Error)]
    #[error("the credential plugin {command:?} {why}")]
    pub struct PluginError {
        command: String,
        why: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ExecCredential {
        api_version: String,
        kind: String,
        status: Option<Status>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        expiration_timestamp: Option<Timestamp>,
        token: Option<SecretString>,
        client_certificate_data: Option<String>,
        client_key_data: Option<SecretString>,
    }

    impl Plugin {
        /// Runs it, without a terminal, and reads what it gives.
        ///
        /// # Errors
        /// [`PluginError`] if it can't be run, wants to ask something, fails, takes longer than a minute, or gives nothing.
        pub async fn run(&self) -> Result<Lent, PluginError> {
            let error = |why: String| PluginError {
                command: self.command.clone(),
                why,
            };
            if !VERSIONS.contains(&&*self.api_version) {
                return Err(error(format!(
                    "speaks {:?}, which isn't known: {} is",
                    self.api_version, VERSIONS[0]
                )));
            }
            if self.interactive_mode.as_deref() == Some("Always") {
                return Err(error(
                    "wants a terminal, and there is none: log in with kubectl once, or use another context"
                        .to_owned(),
                ));
            }
            let info = serde_json::json!({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": {"interactive": false}});
            if self.provide_cluster_info {
                return Err(error(
                    "wants to know the cluster (provideClusterInfo), which isn't supported".to_owned(),
                ));
            }
            let mut command = Command::new(&self.command);
            command
                .args(&self.args)
                .envs(
                    self.env
                        .iter()
                        .map(|variable| (&variable.name, variable.value.expose_secret())),
                )
                .env("KUBERNETES_EXEC_INFO", info.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                // What it says to a person is in our log.
                .stderr(Stdio::inherit())
                .kill_on_drop(true);
            let mut child = command.spawn().map_err(|why| {
                let hint = self
                    .install_hint
                    .as_deref()
                    .map(|hint| format!(" ({})", one_line(hint)))
                    .unwrap_or_default();
                error(format!("can't be run: {why}{hint}"))
            })?;
            let mut said = Vec::new();
            let output = child.stdout.take();
            let finish = async {
                if let Some(output) = output {
                    output.take(LONGEST).read_to_end(&mut said).await?;
                }
                child.wait().await
            };
            let ended = match tokio::time::timeout(PATIENCE, finish).await {
                Ok(ended) => ended.map_err(|why| error(format!("can't be waited for: {why}")))?,
                Err(_) => return Err(error(format!("didn't end within {} s", PATIENCE.as_secs()))),
            };
            if !ended.success() {
                return Err(error(format!(
                    "failed ({ended}): run it by hand to see why; you may have to log in again"
                )));
            }
            read(&said).map_err(|why| error(format!("gave {why}")))
        }
    }

    /// What it printed may be a secret, so none of it is shown.
    fn read(said: &[u8]) -> Result<Lent, String> {
        let credential: ExecCredential = serde_json::from_slice(said).map_err(|error| {
            format!(
                "no ExecCredential (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        if credential.kind != "ExecCredential" || !VERSIONS.contains(&&*credential.api_version) {
            return Err("something else than an ExecCredential".to_owned());
        }
        let status = credential.status.ok_or("an ExecCredential without status")?;
        let credentials = match &status.token {
            Some(token) => Credentials::token(token).map_err(|_| "a token that can't be one")?,
            None => Credentials::None,
        };
        let certificate = match (&status.client_certificate_data, &status.client_key_data) {
            (Some(chain), Some(key)) => Some(
                certificate(chain, key).map_err(|why| format!("a certificate that can't be used: {why}"))?,
            ),
            (None, None) if status.token.is_some() => None,
            (None, None) => return Err("neither a token nor a certificate".to_owned()),
            _ => return Err("a certificate without its key, or the other way round".to_owned()),
        };
        Ok(Lent {
            credentials,
            certificate,
            until: status.expiration_timestamp,
        })
    }

    fn certificate(chain: &str, key: &SecretString) -> Result<Arc<ReloadingCertificate>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let chain = CertificateChain::from_pem(chain.as_bytes()).map_err(|error| text(&error))?;
        let key = PrivateKey::from_pem(key.expose_secret().as_bytes()).map_err(|error| text(&error))?;
        let issued = Issued::new(chain, key).map_err(|error| text(&error))?;
        ReloadingCertificate::from_issued(&issued).map_err(|error| text(&error))
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    impl Lent {
        /// The target with these for credentials.
        #[must_use]
        pub fn lend(&self, target: Target) -> Target {
            Target {
                credentials: self.credentials.clone(),
                certificate: self.certificate.clone().or(target.certificate),
                ..target
            }
        }

        /// Whether it is still good at that time.
        #[must_use]
        pub fn is_good_at(&self, now: Timestamp) -> bool {
            self.until.is_none_or(|until| now + MARGIN < until)
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn plugin(script: &str) -> Plugin {
            Plugin {
                api_version: VERSIONS[0].to_owned(),
                command: "sh".to_owned(),
                args: vec!["-c".to_owned(), script.to_owned()],
                env: vec![super::super::Variable {
                    name: "WHO".to_owned(),
                    value: "anna".to_owned().into(),
                }],
                ..Plugin::default()
            }
        }

        async fn fails(plugin: Plugin) -> String {
            let error = plugin.run().await.expect_err("it gives nothing").to_string();
            assert!(!error.contains('\n'), "{error}");
            error
        }

        #[tokio::test]
        async fn a_token_is_lent_until_its_end() {
            let script = r#"echo "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",
                \"status\":{\"token\":\"for-$WHO\",\"expirationTimestamp\":\"2030-01-01T00:00:00Z\"}}""#;
            let lent = plugin(script).run().await.expect("a token");
            assert_eq!(
                lent.credentials.authorization().expect("a header"),
                "Bearer for-anna"
            );
            let at = |text: &str| lent.is_good_at(text.parse().expect("a time"));
            assert!(at("2029-12-31T23:59:00Z") && !at("2029-12-31T23:59:56Z") && !at("2031-01-01T00:00:00Z"));
            assert!(!format!("{lent:?}").contains("for-anna"));
        }

        #[tokio::test]
        async fn a_plugin_is_told_that_there_is_no_terminal() {
            let script = r#"case $KUBERNETES_EXEC_INFO in *'"interactive":false'*) ;; *) exit 9;; esac; read line && exit 8
                echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"x"}}'"#;
            assert!(plugin(script).run().await.is_ok());
        }

        #[tokio::test]
        async fn what_gives_nothing_says_why_and_shows_no_secret() {
            for (script, why) in [
                ("exit 3", "failed (exit status: 3)"),
                ("echo my-secret", "no ExecCredential (line 1"),
                ("echo '{}'", "no ExecCredential"),
                (r#"echo '{"apiVersion":"v1","kind":"Secret"}'"#, "something else"),
                (
                    r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"}'"#,
                    "without status",
                ),
                (
                    r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{}}'"#,
                    "neither",
                ),
                (
                    r#"printf %s '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"a\nb"}}'"#,
                    "can't be one",
                ),
                (
                    r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"clientCertificateData":"x"}}'"#,
                    "without its key",
                ),
            ] {
                let error = fails(plugin(script)).await;
                assert!(
                    error.contains(why) && !error.contains("my-secret"),
                    "{script}: {error}"
                );
            }
        }

        #[tokio::test]
        async fn what_cant_be_run_here_is_refused() {
            let absent = Plugin {
                command: "mk8s-no-such-plugin".to_owned(),
                install_hint: Some("get it\nfrom your administrator".to_owned()),
                ..plugin("")
            };
            let error = fails(absent).await;
            assert!(
                error.contains("can't be run") && error.contains("(get it from your administrator)"),
                "{error}"
            );
            let old = Plugin {
                api_version: "client.authentication.k8s.io/v1alpha1".to_owned(),
                ..plugin("")
            };
            assert!(fails(old).await.contains("isn't known"));
            let asks = Plugin {
                interactive_mode: Some("Always".to_owned()),
                ..plugin("")
            };
            assert!(fails(asks).await.contains("wants a terminal"));
        }
    }
}
