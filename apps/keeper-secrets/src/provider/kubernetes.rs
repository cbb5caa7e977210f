//! No vault at all: records are Secrets of the pod's namespace, mounted for us alone. The kubelet keeps them up to date.

use std::{fs, io, path::PathBuf};

use async_trait::async_trait;
use mk8s_secrets::{
    Hidden,
    contract::Request,
    outputs::{Fetched, FileToDownload},
    record::{Attachment, Field, Record, Value},
};

use super::{FetchError, Provider};

/// Secrets, mounted as directories.
#[derive(Debug)]
pub(crate) struct Kubernetes {
    source: PathBuf,
}

impl Kubernetes {
    pub(crate) fn new(source: PathBuf) -> Self {
        Self { source }
    }

    /// A Secret as a record: keys are fields. What isn't text is an attached file.
    fn record(&self, name: &str) -> io::Result<Option<Record>> {
        let directory = self.source.join(name);
        let mut record = Record {
            uid: name.to_owned(),
            title: name.to_owned(),
            kind: "kubernetes".to_owned(),
            folders: Vec::new(),
            fields: Vec::new(),
            custom: Vec::new(),
            notes: None,
            files: Vec::new(),
        };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let key = entry.file_name().to_string_lossy().into_owned();
            // The kubelet's own links: ..data and the directory behind it.
            if key.starts_with("..") {
                continue;
            }
            let content = Hidden::new(fs::read(entry.path())?);
            match content.expose_text() {
                Some(text) => record.fields.push(Field {
                    kind: "text".to_owned(),
                    label: key.clone(),
                    values: vec![Value::new(text.into())],
                }),
                None => record.files.push(Attachment {
                    uid: format!("{name}/{key}"),
                    name: key.clone(),
                    title: key,
                    size: content.len() as u64,
                    mime: "application/octet-stream".to_owned(),
                }),
            }
        }
        record.fields.sort_by(|a, b| a.label.cmp(&b.label));
        record.files.sort();
        // A Secret that isn't there is mounted as an empty directory.
        let is_there = !record.fields.is_empty() || !record.files.is_empty();
        Ok(is_there.then_some(record))
    }
}

#[async_trait]
impl Provider for Kubernetes {
    async fn fetch(&mut self, request: &Request) -> Result<Fetched, FetchError> {
        let mut records = Vec::new();
        for name in request.kubernetes_records() {
            let record = self.record(name).map_err(|error| {
                FetchError::lasting(format!("can't read the mounted Secret {name}: {error}"))
            })?;
            records.extend(record);
        }
        Ok(Fetched {
            records,
            ..Fetched::default()
        })
    }

    async fn download(&mut self, file: &FileToDownload) -> Result<Hidden, FetchError> {
        let path = self.source.join(&file.record).join(&file.file.name);
        fs::read(&path)
            .map(Hidden::new)
            .map_err(|error| FetchError::lasting(format!("can't read {}: {error}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_mounted_secret_is_a_record_of_its_keys() {
        let source = tempfile::tempdir().expect("a directory");
        // As the kubelet mounts one.
        let (db, data) = (source.path().join("db"), source.path().join("db/..2026"));
        fs::create_dir_all(&data).expect("made");
        fs::write(data.join("password"), "hunter2").expect("written");
        fs::write(data.join("store.jks"), [0xfe, 0xed]).expect("written");
        symlink("..2026", db.join("..data")).expect("a link");
        for key in ["password", "store.jks"] {
            symlink(format!("..data/{key}"), db.join(key)).expect("a link");
        }
        let provider = Kubernetes::new(source.path().to_owned());
        let record = provider.record("db").expect("readable").expect("there");
        assert_eq!(record.fields.len(), 1);
        assert_eq!(record.fields[0].label, "password");
        assert_eq!(record.files[0].name, "store.jks");
        assert!(!format!("{record:?}").contains("hunter2"));
    }

    #[test]
    fn one_that_isnt_there_is_no_record() {
        let source = tempfile::tempdir().expect("a directory");
        fs::create_dir(source.path().join("empty")).expect("made");
        let provider = Kubernetes::new(source.path().to_owned());
        for name in ["empty", "absent"] {
            assert_eq!(provider.record(name).expect("readable"), None, "{name}");
        }
    }
}
