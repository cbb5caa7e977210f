//! A folder: each of its records as a file, and maybe as a Kubernetes Secret.

use std::collections::BTreeMap;

use super::{Fetched, Made, Making, Part, Problem};
use crate::{
    contract::{FolderRequest, ObjectName, paths},
    record::{self, Record},
    render::{Format, SecretKind, kubernetes_data, render},
};

pub(super) fn make(asked: &FolderRequest, fetched: &Fetched, making: &mut Making<'_>) {
    let folder = match record::folder(&fetched.folders, &asked.folder) {
        Ok(folder) => folder,
        Err(problem) => return making.fail(&asked.origin, None, problem.into()),
    };
    let mut records: Vec<&Record> = fetched
        .records
        .iter()
        .filter(|record| record.folders.contains(&folder.uid))
        .collect();
    records.sort_by(|a, b| a.uid.cmp(&b.uid));
    records.dedup_by(|a, b| a.uid == b.uid);
    if records.is_empty() {
        making.warn(
            &asked.origin,
            &[format!("the folder {:?} has no records", folder.name)],
        );
    }
    for (record, name) in names(&records) {
        match one(asked, record, &name, making) {
            Ok(made) => making.add(&asked.origin, made),
            // No other Secret lacks anything by this: that of a record is its own.
            Err(problem) => making.fail(&asked.origin, None, problem),
        }
    }
}

/// Files' names without ending: of the title; with the UID behind it if another record has the same; the UID alone if no name
/// can be made of the title.
fn names<'a>(records: &[&'a Record]) -> Vec<(&'a Record, String)> {
    let name = |record: &Record| paths::name_of(&record.title).ok();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for name in records.iter().filter_map(|record| name(record)) {
        *times.entry(name).or_default() += 1;
    }
    let unique = |record: &&'a Record| match name(record) {
        None => (*record, record.uid.clone()),
        Some(name) if times.get(&name).is_some_and(|times| *times > 1) => {
            (*record, format!("{name}-{}", record.uid))
        }
        Some(name) => (*record, name),
    };
    records.iter().map(unique).collect()
}

fn one(asked: &FolderRequest, record: &Record, name: &str, making: &mut Making<'_>) -> Result<Made, Problem> {
    let directory = asked.directory.as_str();
    // A UID comes from the vault, and is looked at like a title.
    let file = paths::name_of_file(&format!("{name}.json")).map_err(Problem::Clash)?;
    let path = format!("{directory}/{file}");
    making
        .taken
        .take(&path, &format!("{} (record {:?})", asked.origin, record.title))
        .map_err(Problem::Clash)?;
    let (fields, warnings) = record.named();
    let bytes = render(&fields, Format::Json)?;
    let kubernetes = match &asked.kubernetes_secret_prefix {
        None => None,
        Some(prefix) => {
            let secret = secret_name(prefix, name);
            let clash = |problem| Problem::Clash(format!("record {:?}: {problem}", record.title));
            ObjectName::try_from(secret.as_str()).map_err(clash)?;
            may_write(making, &secret).map_err(clash)?;
            Some(Part {
                name: secret,
                kind: SecretKind::Opaque,
                data: kubernetes_data(&fields)?,
            })
        }
    };
    Ok(Made {
        file: Some((path, bytes)),
        kubernetes,
        warnings,
        ..Made::default()
    })
}

/// A record's title decides the name, so that it is looked at again.
fn may_write(making: &Making<'_>, secret: &str) -> Result<(), String> {
    let request = making.request;
    let asked = request
        .secrets
        .iter()
        .filter_map(|secret| secret.kubernetes_secret.as_ref());
    let is_taken = asked
        .into_iter()
        .any(|kubernetes| kubernetes.name.as_str() == secret)
        || making.secrets.contains_key(secret);
    if is_taken {
        return Err(format!(
            "the Secret {secret} is there already; give the folder another k8sSecretNamePrefix"
        ));
    }
    crate::contract::may_write(
        secret,
        Some(&request.auth),
        request.certificate_authorities.as_ref(),
    )
}

/// A Secret's name of a file's: what Kubernetes doesn't take becomes `-`.
fn secret_name(prefix: &str, name: &str) -> String {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.';
    let name: String = name
        .to_lowercase()
        .chars()
        .map(|c| if valid(c) { c } else { '-' })
        .collect();
    format!("{prefix}{}", name.trim_matches(['-', '.']))
}
