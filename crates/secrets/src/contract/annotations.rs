//! From annotations to a request.

use std::collections::BTreeMap;

use super::{
    Item, Reading,
    auth::{Auth, METHODS},
    config::{self, Defaults},
    finding::{ContractError, Findings, Place, Position, quote},
    names::*,
    paths::{OutputDirectory, Taken, hides},
    reference::{self, default_record},
    request::*,
    values::{DataKey, EnvPrefix, ObjectName, Signal, boolean, refresh},
};
use crate::{notation, render::Format};

const DEFAULT_REFRESH_SECONDS: u64 = 5 * 60;
const DEFAULT_CA_KEY: &str = "ca.crt";

pub(super) fn read(
    annotations: &BTreeMap<String, String>,
    namespace: &str,
) -> Result<Reading, ContractError> {
    let mut reader = Reader {
        annotations,
        findings: Findings::default(),
    };
    let preset_marker = annotations.contains_key(INJECTED);
    let request = match annotations.get(INJECT).map(|value| value.trim()) {
        Some(value) if value.eq_ignore_ascii_case("true") => reader.request(namespace),
        Some(value) if !value.eq_ignore_ascii_case("false") => {
            let problem = format!("{} isn't \"true\", so nothing is injected", quote(value));
            reader.findings.warn(Place(INJECT, None), problem);
            None
        }
        _ => None,
    };
    match reader.findings.errors.is_empty() {
        true => Ok(Reading {
            request,
            warnings: reader.findings.warnings,
            preset_marker,
        }),
        false => Err(ContractError(reader.findings.errors)),
    }
}

struct Reader<'a> {
    annotations: &'a BTreeMap<String, String>,
    findings: Findings,
}

impl<'a> Reader<'a> {
    /// `None` only with an error noted.
    fn request(&mut self, namespace: &str) -> Option<Request> {
        self.unknown();
        let auth = self.auth();
        let defaults = self.defaults(namespace);
        let mut items = self.short_forms(&defaults);
        let mut folders: Vec<FolderRequest> = self.folder().into_iter().collect();
        if let Some(text) = self.annotations.get(CONFIG) {
            let (more, more_folders) = config::read(text, &defaults, &mut self.findings);
            items.extend(more);
            folders.extend(more_folders);
        }
        let certificate_authorities = self.certificate_authorities();
        self.clashes(&items, auth.as_ref(), certificate_authorities.as_ref());
        if items.is_empty() && folders.is_empty() && self.findings.errors.is_empty() {
            let problem = "the pod asks for secrets and names none; write secret, secrets, secret-NAME, file-NAME, folder or config";
            self.findings.error(Place(INJECT, None), problem);
        }
        let init_only = self.flag(INIT_ONLY, false);
        if init_only {
            for name in [REFRESH_INTERVAL, SIGNAL, K8S_SECRET_ROTATION] {
                self.useless(name, "it has no effect with init-only: nothing is fetched again");
            }
        }
        let refresh_seconds = self
            .parsed(REFRESH_INTERVAL, refresh)
            .unwrap_or(DEFAULT_REFRESH_SECONDS);
        let fail_on_error = self.flag(FAIL_ON_ERROR, true);
        let strict_lookup = self.flag(STRICT_LOOKUP, false);
        let signal = self.parsed(SIGNAL, |text| Signal::try_from(text));
        let kubernetes_secrets = KubernetesSecrets {
            mode: self.parsed(K8S_SECRET_MODE, mode).unwrap_or_default(),
            rotation: self.flag(K8S_SECRET_ROTATION, false),
            owner_reference: self.flag(K8S_SECRET_OWNER_REF, true),
        };
        let request = Request {
            version: VERSION,
            auth: auth?,
            secrets: items.into_iter().map(|item| item.request).collect(),
            folders,
            refresh_seconds,
            init_only,
            fail_on_error,
            strict_lookup,
            signal,
            kubernetes_secrets,
            certificate_authorities,
        };
        self.look_over(&request);
        Some(request)
    }

    /// The application's configuration.
    fn auth(&mut self) -> Option<Auth> {
        let method = self.text(AUTH_METHOD).unwrap_or("secret").to_owned();
        let Some((_, own)) = METHODS.iter().find(|(name, _)| *name == method) else {
            let known = METHODS.map(|(name, _)| name).join(", ");
            let problem = format!("{} is no method; write one of {known}", quote(&method));
            self.findings.error(Place(AUTH_METHOD, None), problem);
            return None;
        };
        for name in METHODS
            .iter()
            .flat_map(|(_, names)| *names)
            .filter(|name| !own.contains(name))
        {
            self.useless(name, &format!("it has no effect with auth-method {method}"));
        }
        let auth = match method.as_str() {
            "secret" => {
                let old = self.parsed(AUTH_SECRET, |text| ObjectName::try_from(text));
                let new = self.parsed(KSM_CONFIG, |text| ObjectName::try_from(text));
                if let (Some(old), Some(new)) = (&old, &new)
                    && old != new
                {
                    let problem = format!(
                        "it is the older name of ksm-config, which says {new} and is taken; remove this one"
                    );
                    self.findings.warn(Place(AUTH_SECRET, None), problem);
                }
                if !self.has(KSM_CONFIG) && !self.has(AUTH_SECRET) {
                    let problem = "it is missing; name the Secret of this namespace that has the application's configuration \
                                   under the key config";
                    self.findings.error(Place(KSM_CONFIG, None), problem);
                }
                return new.or(old).map(|name| Auth::Secret { name });
            }
            "aws-secrets-manager" => Auth::AwsSecretsManager {
                secret_id: self.needed(AWS_SECRET_ID, &method, "a name or ARN")?,
                region: self.text(AWS_REGION).map(str::to_owned),
            },
            "gcp-secret-manager" => Auth::GcpSecretManager {
                secret_id: self.needed(GCP_SECRET_ID, &method, "projects/PROJECT/secrets/NAME")?,
            },
            "kubernetes" => Auth::Kubernetes {},
            _ => {
                let vault = self.needed(AZURE_VAULT_NAME, &method, "the key vault's name");
                let secret = self.needed(AZURE_SECRET_NAME, &method, "the secret's name in it");
                Auth::AzureKeyVault {
                    vault: vault?,
                    secret: secret?,
                }
            }
        };
        match auth.check() {
            Ok(()) => Some(auth),
            Err((name, problem)) => {
                self.findings.error(Place(name, None), problem);
                None
            }
        }
    }

    /// What holds for all secrets.
    fn defaults(&mut self, namespace: &str) -> Defaults {
        let kubernetes = self.flag(INJECT_AS_K8S_SECRET, false);
        if let Some(other) = self
            .text(K8S_SECRET_NAMESPACE)
            .filter(|other| *other != namespace)
        {
            let problem = format!(
                "{} isn't the pod's namespace, and no other is written to; remove it",
                quote(other)
            );
            self.findings.error(Place(K8S_SECRET_NAMESPACE, None), problem);
        }
        let kubernetes_name = self.parsed(K8S_SECRET_NAME, |text| ObjectName::try_from(text));
        if kubernetes && !self.has(K8S_SECRET_NAME) {
            let problem = "it is missing; name the Secret that inject-as-k8s-secret asks for";
            self.findings.error(Place(K8S_SECRET_NAME, None), problem);
        }
        Defaults {
            env: self.flag(INJECT_ENV_VARS, false),
            env_prefix: self
                .parsed(ENV_PREFIX, |text| EnvPrefix::try_from(text))
                .unwrap_or_default(),
            kubernetes,
            kubernetes_name,
            kubernetes_kind: self
                .parsed(K8S_SECRET_TYPE, config::secret_kind)
                .unwrap_or_default(),
        }
    }

    /// `secret`, `secrets`, `secret-NAME` and `file-NAME`.
    fn short_forms(&mut self, defaults: &Defaults) -> Vec<Item> {
        let mut items = Vec::new();
        if let Some(title) = self.text(SECRET) {
            if title.contains(',') {
                let problem = "it is one title, comma and all; write secrets for several";
                self.findings.warn(Place(SECRET, None), problem);
            }
            items.extend(self.titled(SECRET, None, title, defaults));
        } else if self.has(SECRET) {
            self.findings
                .error(Place(SECRET, None), "it is empty; write a title or UID");
        }
        if let Some(list) = self.annotations.get(SECRETS) {
            if reference::titles(list).next().is_none() {
                self.findings.error(
                    Place(SECRETS, None),
                    "it is empty; write titles or UIDs, by comma",
                );
            }
            for (entry, title) in reference::titles(list) {
                items.extend(self.titled(SECRETS, Some(Position::Entry(entry)), &title, defaults));
            }
        }
        let forms = [(SECRET_PREFIX, true), (FILE_PREFIX, false)];
        for (annotation, value) in self.annotations {
            let form = forms.iter().find_map(|(prefix, is_secret)| {
                let name = annotation.strip_prefix(prefix).filter(|name| !name.is_empty())?;
                Some((name, *is_secret))
            });
            let Some((name, is_secret)) = form else { continue };
            let value = value.trim();
            let read = if is_secret {
                reference::secret(name, value)
            } else {
                reference::file(name, value)
            };
            match read {
                Ok((source, path)) => {
                    let format = match &source {
                        Source::Record { fields, .. } if fields.is_empty() => Format::Json,
                        _ => Format::Raw,
                    };
                    items.push(item(annotation, None, source, path, format, defaults));
                }
                Err((position, problem)) => self.findings.error(Place(annotation, position), problem),
            }
        }
        items
    }

    fn titled(
        &mut self,
        annotation: &str,
        position: Option<Position>,
        title: &str,
        defaults: &Defaults,
    ) -> Option<Item> {
        let place = || Place(annotation, position);
        if title.starts_with(notation::PREFIX) {
            let problem = "a notation stands in secret-NAME, or in config; here are titles and UIDs";
            self.findings.error(place(), problem);
            return None;
        }
        let path = self.findings.ok(place(), default_record(title))?;
        let source = Source::Record {
            record: title.to_owned(),
            fields: Vec::new(),
        };
        Some(item(annotation, position, source, path, Format::Json, defaults))
    }

    /// `folder`, `folder-uid` and `folder-path`.
    fn folder(&mut self) -> Option<FolderRequest> {
        let directory = self.parsed(FOLDER_PATH, |text| OutputDirectory::try_from(text));
        let name = match (self.has(FOLDER), self.has(FOLDER_UID)) {
            (true, true) => {
                let problem = "folder and folder-uid both say which folder; remove one";
                self.findings.error(Place(FOLDER_UID, None), problem);
                return None;
            }
            (true, false) => FOLDER,
            (false, true) => FOLDER_UID,
            (false, false) => {
                self.useless(FOLDER_PATH, "it has no effect without folder or folder-uid");
                return None;
            }
        };
        let Some(folder) = self.text(name).map(str::to_owned) else {
            self.findings
                .error(Place(name, None), "it is empty; write a folder's path or UID");
            return None;
        };
        Some(FolderRequest {
            origin: name.to_owned(),
            folder,
            directory: directory.unwrap_or_default(),
            kubernetes_secret_prefix: None,
        })
    }

    fn certificate_authorities(&mut self) -> Option<CertificateAuthorities> {
        let key = self.parsed(CA_CERT_KEY, |text| DataKey::try_from(text));
        let secret = self.parsed(CA_CERT_SECRET, |text| ObjectName::try_from(text));
        let config_map = self.parsed(CA_CERT_CONFIGMAP, |text| ObjectName::try_from(text));
        if self.has(CA_CERT_SECRET) {
            self.useless(
                CA_CERT_CONFIGMAP,
                "it has no effect beside ca-cert-secret, which is taken",
            );
        } else if !self.has(CA_CERT_CONFIGMAP) {
            self.useless(
                CA_CERT_KEY,
                "it has no effect without ca-cert-secret or ca-cert-configmap",
            );
        }
        let object = secret
            .map(CaObject::Secret)
            .or(config_map.map(CaObject::ConfigMap))?;
        let key = key.or_else(|| DataKey::try_from(DEFAULT_CA_KEY).ok())?;
        Some(CertificateAuthorities { object, key })
    }

    /// Two of one path, and Secrets that mustn't be written.
    fn clashes(&mut self, items: &[Item], auth: Option<&Auth>, authorities: Option<&CertificateAuthorities>) {
        let mut taken = Taken::default();
        for item in items {
            let place = || Place(&item.annotation, item.position);
            if let Some(file) = &item.request.file
                && let Err(problem) = taken.take(file.path.as_str(), &item.request.origin)
            {
                self.findings.error(place(), problem);
            }
            if let Some(kubernetes) = &item.request.kubernetes_secret
                && let Err(problem) = may_write(kubernetes.name.as_str(), auth, authorities)
            {
                self.findings.error(place(), problem);
            }
        }
        let mut kinds = BTreeMap::new();
        for item in items {
            let Some(kubernetes) = &item.request.kubernetes_secret else {
                continue;
            };
            let first = *kinds.entry(&kubernetes.name).or_insert(kubernetes.kind);
            if first != kubernetes.kind {
                let problem = format!(
                    "the Secret {} is of type {first} and of type {}; give both one type, or two names",
                    kubernetes.name, kubernetes.kind
                );
                self.findings
                    .error(Place(&item.annotation, item.position), problem);
            }
        }
    }

    /// What can be seen of the whole alone.
    fn look_over(&mut self, request: &Request) {
        let bytes = request.to_json().len();
        if bytes > LONGEST_REQUEST {
            let problem = format!(
                "all together makes {bytes} bytes, and {LONGEST_REQUEST} can be handed over; shorten the templates"
            );
            self.findings.error(Place(CONFIG, None), problem);
        }
        if let Err((origin, problem)) = request.check_kubernetes() {
            self.findings.error(Place(&origin, None), problem);
        }
        if !request.has_env() {
            self.useless(ENV_PREFIX, "it has no effect without inject-env-vars");
        }
        if !request.has_kubernetes_secrets() {
            for name in [
                K8S_SECRET_NAME,
                K8S_SECRET_MODE,
                K8S_SECRET_TYPE,
                K8S_SECRET_ROTATION,
                K8S_SECRET_OWNER_REF,
            ] {
                self.useless(name, "it has no effect without inject-as-k8s-secret");
            }
        }
        if !request.folders.is_empty() {
            for name in [INJECT_ENV_VARS, INJECT_AS_K8S_SECRET] {
                if self
                    .text(name)
                    .is_some_and(|value| value.eq_ignore_ascii_case("true"))
                {
                    let problem = "it holds for secrets; a folder's records become files (of config also Kubernetes Secrets)";
                    self.findings.warn(Place(name, None), problem);
                }
            }
        }
        for mount in request.mounts().iter().filter(|mount| hides(mount)) {
            let origin = |secret: &&SecretRequest| {
                secret
                    .file
                    .as_ref()
                    .is_some_and(|file| file.path.as_str().starts_with(&format!("{mount}/")))
            };
            let by = request
                .secrets
                .iter()
                .find(origin)
                .map(|secret| secret.origin.as_str());
            let problem = format!(
                "a mount at {mount} hides what the image has there; choose a directory of its own in it"
            );
            self.findings
                .warn(Place(by.unwrap_or(FOLDER_PATH), None), problem);
        }
    }

    /// Annotations of our prefix that nobody knows.
    fn unknown(&mut self) {
        for name in self.annotations.keys().filter(|name| name.starts_with(PREFIX)) {
            let is_form = [SECRET_PREFIX, FILE_PREFIX]
                .iter()
                .any(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
            if is_form || KNOWN.contains(&name.as_str()) {
                continue;
            }
            let problem = match nearest(name, KNOWN.iter().copied()) {
                Some(near) => format!("it has no meaning; did you mean {near}?"),
                None => "it has no meaning; is it misspelt?".to_owned(),
            };
            self.findings.warn(Place(name, None), problem);
        }
    }

    fn has(&self, name: &str) -> bool {
        self.annotations.contains_key(name)
    }

    /// A value that isn't empty.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.annotations
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    fn parsed<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.annotations.get(name)?.trim();
        self.findings.ok(Place(name, None), parse(value))
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        self.parsed(name, boolean).unwrap_or(default)
    }

    fn needed(&mut self, name: &str, method: &str, write: &str) -> Option<String> {
        let value = self.text(name).map(str::to_owned);
        if value.is_none() {
            let problem = format!("auth-method {method} needs it; write {write}");
            self.findings.error(Place(name, None), problem);
        }
        value
    }

    /// A warning if it is there.
    fn useless(&mut self, name: &str, why: &str) {
        if self.has(name) {
            self.findings.warn(Place(name, None), why);
        }
    }
}

fn item(
    annotation: &str,
    position: Option<Position>,
    source: Source,
    path: super::OutputPath,
    format: Format,
    defaults: &Defaults,
) -> Item {
    let is_file = matches!(source, Source::File { .. });
    let name = defaults.kubernetes_name.clone().filter(|_| defaults.kubernetes);
    Item {
        annotation: annotation.to_owned(),
        position,
        request: SecretRequest {
            origin: Place(annotation, position).to_string(),
            source,
            file: Some(FileRequest {
                path,
                content: Content::Format(format),
            }),
            // A file can't be a variable.
            env: (defaults.env && !is_file).then(|| defaults.env_prefix.clone()),
            kubernetes_secret: name.map(|name| KubernetesSecretRequest {
                name,
                kind: defaults.kubernetes_kind,
                keys: BTreeMap::new(),
            }),
        },
    }
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "overwrite" => Ok(Mode::Overwrite),
        "merge" => Ok(Mode::Merge),
        "skip-if-exists" => Ok(Mode::SkipIfExists),
        "fail" => Ok(Mode::Fail),
        _ => Err(format!(
            "{} is no mode; write overwrite, merge, skip-if-exists or fail",
            quote(text)
        )),
    }
}
