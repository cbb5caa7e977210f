//! Keeper's vault.

use std::path::PathBuf;

use async_trait::async_trait;
use mk8s_keeper::{Client, Config, HttpOptions, HttpTransport};
use mk8s_secrets::{
    Hidden,
    contract::{Auth, Request},
    outputs::{Fetched, FileToDownload},
    record::{Attachment, Folder, Record},
};
use tracing::warn;

use super::{FetchError, Provider};
use crate::{cli::Settings, configuration};

/// The application's view of the vault.
pub(crate) struct Keeper {
    auth: Auth,
    config_dir: PathBuf,
    hosts: Vec<String>,
    transport: HttpOptions,
    connected: Option<Connected>,
    /// Files of the last fetch, for downloads.
    files: Vec<mk8s_keeper::FileRef>,
}

/// A client, and what it was made of: a configuration that changes makes another.
struct Connected {
    configuration: Hidden,
    client: Client,
}

impl Keeper {
    pub(crate) fn new(request: &Request, settings: &Settings) -> anyhow::Result<Self> {
        let extra_roots = match &request.certificate_authorities {
            None => None,
            Some(_) => Some(configuration::authorities::read(&settings.ca_dir)?),
        };
        Ok(Self {
            auth: request.auth.clone(),
            config_dir: settings.config_dir.clone(),
            hosts: settings.hosts.clone(),
            transport: HttpOptions {
                extra_roots,
                ..HttpOptions::default()
            },
            connected: None,
            files: Vec::new(),
        })
    }

    /// The client for the configuration as it is now.
    async fn client(&mut self) -> Result<&Client, FetchError> {
        let loaded = configuration::load(&self.auth, &self.config_dir)
            .await
            .map_err(|error| FetchError {
                is_passing: error.is_passing(),
                ..FetchError::lasting(error.to_string())
            })?;
        let is_same = |connected: &Connected| connected.configuration == loaded;
        if !self.connected.as_ref().is_some_and(is_same) {
            let connected = self.connect(loaded)?;
            self.connected = Some(connected);
        }
        match &self.connected {
            Some(connected) => Ok(&connected.client),
            None => Err(FetchError::lasting("there is no client")),
        }
    }

    fn connect(&self, configuration: Hidden) -> Result<Connected, FetchError> {
        let text = configuration
            .expose_text()
            .ok_or_else(|| FetchError::lasting("the application's configuration isn't text"))?;
        let config = Config::parse(text).map_err(|error| FetchError::lasting(error.to_string()))?;
        if !is_allowed(config.authority(), &self.hosts) {
            return Err(FetchError::lasting(format!(
                "the configuration's host {} isn't one that may be asked ({}); ask your operator to add it to secrets.hosts",
                config.authority(),
                self.hosts.join(", ")
            )));
        }
        let transport = HttpTransport::new(self.transport.clone())
            .map_err(|error| FetchError::lasting(error.to_string()))?;
        Ok(Connected {
            client: Client::new(config, transport),
            configuration,
        })
    }
}

/// Whether a host is one of these, or below one. With a port in it, exactly that is meant.
fn is_allowed(host: &str, allowed: &[String]) -> bool {
    let host = host.to_ascii_lowercase();
    allowed.iter().any(|allowed| {
        let allowed = allowed.trim().to_ascii_lowercase();
        !allowed.is_empty()
            && host
                .strip_suffix(&allowed)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    })
}

#[async_trait]
impl Provider for Keeper {
    async fn fetch(&mut self, request: &Request) -> Result<Fetched, FetchError> {
        let with_folders = !request.folders.is_empty();
        let vault = self
            .client()
            .await?
            .fetch(with_folders)
            .await
            .map_err(passed_on)?;
        for damaged in &vault.damaged {
            warn!("{damaged}");
        }
        for warning in &vault.warnings {
            warn!("Keeper says: {warning}");
        }
        let mut fetched = Fetched::default();
        self.files.clear();
        for found in vault.records {
            let record = match Record::read(&found.uid, &found.data) {
                Ok(record) => record,
                Err(error) => {
                    warn!("{error}");
                    continue;
                }
            };
            let folders = found.places.iter().map(|place| {
                place
                    .inner_folder
                    .clone()
                    .unwrap_or_else(|| place.shared_folder.clone())
            });
            fetched.records.push(Record {
                folders: folders.collect(),
                files: found.files.iter().map(attachment).collect(),
                ..record
            });
            self.files.extend(found.files);
        }
        fetched.folders = vault
            .folders
            .into_iter()
            .map(|folder| Folder {
                uid: folder.uid,
                parent: folder.parent,
                name: folder.name,
            })
            .collect();
        Ok(fetched)
    }

    async fn download(&mut self, file: &FileToDownload) -> Result<Hidden, FetchError> {
        let Some(found) = self
            .files
            .iter()
            .find(|found| found.uid == file.file.uid)
            .cloned()
        else {
            return Err(FetchError::lasting(format!(
                "there is no file {}",
                file.file.name
            )));
        };
        // As it was a moment ago, when the files were listed: a cloud's store isn't asked again for each of them.
        let Some(Connected { client, .. }) = &self.connected else {
            return Err(FetchError::lasting("there is no client"));
        };
        if client.config().host() != found.host() && !is_allowed_for_files(found.host(), &self.hosts) {
            return Err(FetchError::lasting(format!(
                "files come from {}, which isn't a host that may be asked; ask your operator to add it to secrets.hosts",
                found.host()
            )));
        }
        let content = client.download(&found).await.map_err(passed_on)?;
        Ok(Hidden::new(content.to_vec()))
    }
}

/// Keeper keeps files with Amazon, under addresses that only who may read them is told.
fn is_allowed_for_files(host: &str, hosts: &[String]) -> bool {
    is_allowed(host, hosts) || is_allowed(host, &["amazonaws.com".to_owned()])
}

fn attachment(file: &mk8s_keeper::FileRef) -> Attachment {
    Attachment {
        uid: file.uid.clone(),
        name: file.name.clone(),
        title: file.title.clone(),
        size: file.size,
        mime: file.media_type.clone(),
    }
}

fn passed_on(error: mk8s_keeper::FetchError) -> FetchError {
    let after = match &error {
        mk8s_keeper::FetchError::Throttled { retry_after } => *retry_after,
        _ => None,
    };
    FetchError {
        is_passing: error.is_worth_retrying(),
        after,
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_that_the_operator_names_are_asked() {
        let allowed = [
            "keepersecurity.com".to_owned(),
            "127.0.0.1:8443".to_owned(),
            String::new(),
        ];
        for host in [
            "keepersecurity.com",
            "KeeperSecurity.com",
            "eu.keepersecurity.com",
            "127.0.0.1:8443",
        ] {
            assert!(is_allowed(host, &allowed), "{host}");
        }
        for host in [
            "evilkeepersecurity.com",
            "keepersecurity.com.evil.example",
            "127.0.0.1",
            "127.0.0.1:9",
            "169.254.169.254",
            "",
        ] {
            assert!(!is_allowed(host, &allowed), "{host}");
        }
    }
}
