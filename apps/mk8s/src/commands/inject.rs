//! `mk8s inject` and `mk8s uninject`.

use std::path::Path;

use mk8s_inject::{
    ImagePullPolicy, Injection, Order, Outcome, Refused, Resource, Settings,
    json_patch::{PatchOperation, jsonptr::Pointer},
    workload::{self, Pod},
};
use serde_json::Value;

use crate::{
    cli::{Inject, ManifestFormat, Manifests, Position, PullPolicy, Uninject},
    context::Environment,
    error::{Failure, Result},
    manifest::{self, Chunk, Format, Source},
    output::{self, note, plain},
};

/// Puts the sidecar into the pods of manifests.
pub(crate) fn inject(environment: &Environment, inject: Inject) -> Result<()> {
    let manifests = inject.manifests.clone();
    let settings = settings(environment, inject)?;
    run(
        environment,
        "inject",
        &manifests,
        &|pod| match mk8s_inject::inject(pod, &settings)? {
            Outcome::Inject(injection) => Ok(injection),
            Outcome::Skip { reason } => Ok(Injection {
                patch: Default::default(),
                warnings: vec![reason],
            }),
        },
    )
}

/// Takes it out of them.
pub(crate) fn uninject(environment: &Environment, uninject: Uninject) -> Result<()> {
    run(
        environment,
        "uninject",
        &uninject.manifests,
        &mk8s_inject::uninject,
    )
}

/// What is done to a pod.
type Change<'a> = &'a dyn Fn(&Value) -> Result<Injection, Refused>;

/// Nothing is written before all of it is known to be right.
fn run(environment: &Environment, command: &str, manifests: &Manifests, change: Change<'_>) -> Result<()> {
    let mut report = Report {
        check: manifests.check,
        ..Report::default()
    };
    let mut output = Output::default();
    for source in manifest::read(environment, command, &manifests.files)? {
        let mut number = 0;
        for chunk in manifest::split(&source)? {
            number += usize::from(chunk.content.is_some());
            let place = Place {
                source: &source,
                line: chunk.line,
                number,
            };
            let format = match manifests.output {
                None => chunk.format,
                Some(ManifestFormat::Yaml) => Format::Yaml,
                Some(ManifestFormat::Json) => Format::Json,
            };
            output.push(document(&chunk, &place, change, format, &mut report)?, format);
        }
    }
    report.notes.iter().for_each(|line| note(line));
    if !manifests.check {
        return output::print(&output.text);
    }
    if report.changed == 0 {
        return Ok(());
    }
    let message = format!("{} of {} pods would change", report.changed, report.pods);
    Err(Failure::new(message).hint(format!("mk8s {command} without --check changes them")))
}

/// What is said on standard error.
#[derive(Default)]
struct Report {
    /// Whether to tell of each change.
    check: bool,
    notes: Vec<String>,
    pods: usize,
    changed: usize,
}

/// Where a document is.
struct Place<'a> {
    source: &'a Source,
    line: usize,
    number: usize,
}

impl Place<'_> {
    /// `app.yaml:12: document 2: Deployment shop/web`
    fn of(&self, pod: &Pod) -> String {
        let name = pod.name.as_deref().unwrap_or("without a name");
        let namespace = pod
            .namespace
            .as_ref()
            .map(|namespace| format!("{namespace}/"))
            .unwrap_or_default();
        let pod = plain(&format!("{} {namespace}{name}", pod.kind));
        format!(
            "{}:{}: document {}: {pod}",
            self.source.name, self.line, self.number
        )
    }
}

/// The text of a document after the change.
fn document(
    chunk: &Chunk,
    place: &Place<'_>,
    change: Change<'_>,
    format: Format,
    report: &mut Report,
) -> Result<String> {
    let Some(content) = &chunk.content else {
        // Comments, for which JSON has no place.
        return Ok(if format == Format::Yaml {
            chunk.text.clone()
        } else {
            String::new()
        });
    };
    let value = Value::from(content);
    let mut operations = Vec::new();
    for pod in workload::pods(&value) {
        let Some(json) = value.pointer(pod.pointer.as_str()) else {
            continue;
        };
        let at = place.of(&pod);
        let injection =
            change(json).map_err(|refused| Failure::new(format!("{at}: {}", plain(&refused.to_string()))))?;
        report.pods += 1;
        report.notes.extend(
            injection
                .warnings
                .iter()
                .map(|warning| format!("warning: {at}: {}", plain(warning))),
        );
        if !injection.patch.is_empty() {
            report.changed += 1;
            report
                .notes
                .extend(report.check.then(|| format!("{at} would change")));
            operations.extend(
                injection
                    .patch
                    .0
                    .iter()
                    .map(|operation| below(&pod.pointer, operation)),
            );
        }
    }
    if operations.is_empty() && format == chunk.format {
        return Ok(chunk.text.clone());
    }
    let mut after = content.clone();
    after.apply(&operations);
    let written = manifest::write(chunk, &operations, &after, format)?;
    if written.is_rewritten {
        let Place { source, line, number } = place;
        report.notes.push(format!(
            "note: {}:{line}: document {number} is written anew, without its comments (anchors, or YAML that can't be changed in place)",
            source.name
        ));
    }
    Ok(written.text)
}

/// An operation on a pod as one on the document that holds it.
fn below(pointer: &Pointer, operation: &PatchOperation) -> PatchOperation {
    let mut operation = operation.clone();
    let path = match &mut operation {
        PatchOperation::Add(add) => &mut add.path,
        PatchOperation::Remove(remove) => &mut remove.path,
        PatchOperation::Replace(replace) => &mut replace.path,
        PatchOperation::Move(step) => &mut step.path,
        PatchOperation::Copy(copy) => &mut copy.path,
        PatchOperation::Test(test) => &mut test.path,
    };
    *path = pointer.concat(path);
    operation
}

/// The documents' texts, one after the other.
#[derive(Default)]
struct Output {
    text: String,
    last: Option<Format>,
}

impl Output {
    fn push(&mut self, text: String, format: Format) {
        if text.is_empty() {
            return;
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        // JSON documents follow one another as they are; a YAML document needs its marker.
        let is_yaml = format == Format::Yaml || self.last == Some(Format::Yaml);
        let has_marker = || {
            text.lines()
                .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
                .is_some_and(|line| line.starts_with("---"))
        };
        if self.last.is_some() && is_yaml && !has_marker() {
            self.text.push_str("---\n");
        }
        self.text.push_str(&text);
        self.last = Some(format);
    }
}

/// The settings of the file, and what the flags say before it.
fn settings(environment: &Environment, flags: Inject) -> Result<Settings> {
    let mut settings = match &flags.settings {
        Some(path) => settings_file(&environment.absolute(path), path)?,
        None => Settings::default(),
    };
    if let Some(image) = flags.image {
        settings.image = image;
    }
    if let Some(policy) = flags.image_pull_policy {
        settings.image_pull_policy = Some(match policy {
            PullPolicy::Always => ImagePullPolicy::Always,
            PullPolicy::IfNotPresent => ImagePullPolicy::IfNotPresent,
            PullPolicy::Never => ImagePullPolicy::Never,
        });
    }
    if let Some(uid) = flags.uid {
        settings.uid = uid.0;
    }
    if let Some(gid) = flags.gid {
        settings.gid = gid.0;
    }
    if let Some(order) = flags.order {
        settings.order = match order {
            Position::First => Order::First,
            Position::Last => Order::Last,
        };
    }
    settings.log = flags.log.or(settings.log);
    settings.metrics_port = flags.metrics_port.or(settings.metrics_port);
    let resources = &mut settings.resources;
    resources
        .requests
        .extend(flags.cpu_request.map(|quantity| (Resource::Cpu, quantity)));
    resources
        .requests
        .extend(flags.memory_request.map(|quantity| (Resource::Memory, quantity)));
    resources
        .limits
        .extend(flags.cpu_limit.map(|quantity| (Resource::Cpu, quantity)));
    resources
        .limits
        .extend(flags.memory_limit.map(|quantity| (Resource::Memory, quantity)));
    Ok(settings)
}

fn settings_file(path: &Path, name: &Path) -> Result<Settings> {
    let name = name.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::new(format!("can't read {name}: {error}")))?;
    serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let why = plain(&error.without_snippet().to_string());
        let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
        Failure::new(format!("{name}:{line}: {why}"))
            .hint("the keys are image, imagePullPolicy, uid, gid, resources, log, metricsPort, order and apiAudiences")
    })
}
