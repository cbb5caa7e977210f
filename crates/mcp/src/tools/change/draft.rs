//! A change before anybody approved of it: what is meant, whether the user may, how it is now, and what would happen.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, Word},
    manifest, rollout,
};
use crate::{
    answer::{Diff, item_name, step},
    cluster::{ApiError, Cluster, Done, Resource, check_name, check_namespace},
    error::ToolError,
    plan::{AsSeen, Harm, Operation, PatchForm, Seen, Target},
    render::{EnvPolicy, redact::Redactor},
    tools::{Context, text},
};

/// A change that is understood.
pub(super) struct Draft {
    pub(super) cluster: Cluster,
    pub(super) target: Target,
    pub(super) operation: Operation,
    /// The object as it is; None if it isn't there.
    pub(super) before: Option<Value>,
    /// What it destroys, by what it is.
    harm: Option<Harm>,
}

/// What would happen.
pub(super) struct Rehearsed {
    pub(super) after: Value,
    pub(super) warnings: Vec<String>,
    pub(super) harm: Option<Harm>,
    /// Whose fields would be taken over, in the cluster's words.
    pub(super) taken: Option<String>,
}

impl Draft {
    /// Understands arguments. What can't be done is said before anything is asked of the cluster, and what the user may not do before
    /// anything else of it.
    pub(super) async fn of(context: &Context, arguments: Arguments) -> Result<Self, ToolError> {
        let word = arguments.word()?;
        let harm = match word {
            Word::Delete => Some(Harm::Deletes),
            Word::Undo => Some(Harm::Undoes),
            Word::Apply if arguments.force => Some(Harm::Forces),
            _ => None,
        };
        context.guard.allow(harm).map_err(ApiError::from)?;
        let written = arguments.manifest.clone().map(manifest::object).transpose()?;
        let patch = match (word, arguments.patch.clone()) {
            (Word::Patch, Some(patch)) => Some(manifest::value(patch, "patch")?),
            (Word::Patch, None) => return Err(ToolError::arguments("give \"patch\"")),
            _ => None,
        };
        let cluster = context.cluster(arguments.cluster.as_deref()).await?;
        let discovery = cluster.discovery().await?;
        let written = written.map(Value::Object);
        for value in [&written, &patch].into_iter().flatten() {
            manifest::check(value, &context.guard, &discovery)?;
        }
        let (resource, target) = match (&written, word) {
            (Some(object), _) => {
                let resource = kind_of(object, discovery.resources())?;
                let target = target(&cluster, &resource, object, arguments.namespace.as_deref())?;
                (resource, target)
            }
            (None, Word::Apply | Word::Create) => return Err(ToolError::arguments("give \"manifest\"")),
            (None, _) => {
                let (Some(kind), Some(name)) = (&arguments.kind, &arguments.name) else {
                    return Err(ToolError::arguments("give \"kind\" and \"name\""));
                };
                let resource = discovery.find(kind)?.clone();
                let object = json!({"metadata": {"name": name}});
                let target = target(&cluster, &resource, &object, arguments.namespace.as_deref())?;
                (resource, target)
            }
        };
        let is_patched = !matches!(word, Word::Create | Word::Delete);
        may(&cluster, &target, word).await?;
        let before = now(&cluster, &target).await?;
        let operation = match word {
            Word::Create | Word::Apply => {
                let mut object = written.unwrap_or_default();
                if let (Some(namespace), Some(metadata)) =
                    (&target.namespace, object["metadata"].as_object_mut())
                {
                    metadata.insert("namespace".to_owned(), namespace.clone().into());
                }
                match word {
                    Word::Create => Operation::Create { manifest: object },
                    _ => Operation::Apply {
                        manifest: object,
                        force: arguments.force,
                    },
                }
            }
            Word::Patch => patched(&resource, &arguments, patch.unwrap_or_default(), before.as_ref())?,
            Word::Delete => Operation::Delete {
                propagation: arguments.propagation.into(),
            },
            Word::Scale => Operation::Scale {
                replicas: arguments
                    .replicas
                    .ok_or_else(|| ToolError::arguments("give \"replicas\""))?,
            },
            _ => {
                let object = before.as_ref().ok_or_else(|| absent(&target))?;
                let now = Timestamp::from_second(context.plans.now()).unwrap_or(Timestamp::UNIX_EPOCH);
                rollout::operation(&cluster, &resource, object, word, arguments.revision, now).await?
            }
        };
        if is_patched && !matches!(word, Word::Apply) && before.is_none() {
            return Err(absent(&target));
        }
        match (word, &before) {
            (Word::Create, Some(_)) => {
                return Err(ToolError::Denied(format!(
                    "{target} is there already: change it with operation apply or patch"
                )));
            }
            (Word::Delete, None) => return Err(absent(&target)),
            (Word::Scale, _) if !resource.subresources.iter().any(|part| part == "scale") => {
                return Err(ToolError::Arguments(format!("{resource} can't be scaled")));
            }
            _ => {}
        }
        Ok(Self {
            cluster,
            target,
            operation,
            before,
            harm,
        })
    }

    /// One that was understood before.
    pub(super) fn again(
        cluster: Cluster,
        target: Target,
        operation: Operation,
        before: Option<Value>,
        harm: Option<Harm>,
    ) -> Self {
        Self {
            cluster,
            target,
            operation,
            before,
            harm,
        }
    }

    /// What a plan of it is for.
    pub(super) fn seen(&self) -> Result<Option<Seen>, ToolError> {
        self.before.as_ref().map(Seen::of).transpose()
    }

    /// Asks the API server what would happen, and refuses what the mode doesn't let happen.
    pub(super) async fn rehearse(&self, context: &Context) -> Result<Rehearsed, ToolError> {
        let seen = self.before.as_ref().map(AsSeen::of).transpose()?;
        let taken = match &self.operation {
            Operation::Apply {
                manifest,
                force: true,
            } => {
                let gently = Operation::Apply {
                    manifest: manifest.clone(),
                    force: false,
                };
                let wire = gently.wire(&self.target, seen, true);
                match self.cluster.rehearse(&wire).await {
                    Err(ApiError::Refused {
                        code: 409, message, ..
                    }) => Some(message),
                    _ => None,
                }
            }
            _ => None,
        };
        let wire = self.operation.wire(&self.target, seen, true);
        let done = self.cluster.rehearse(&wire).await;
        let Done { object, warnings, .. } = done.map_err(|error| self.failed(error))?;
        let after = match (&self.operation, &self.before) {
            (Operation::Scale { replicas }, Some(before)) => {
                let mut after = before.clone();
                if let Some(spec) = after["spec"].as_object_mut() {
                    spec.insert("replicas".to_owned(), (*replicas).into());
                }
                after
            }
            (Operation::Delete { .. }, _) => Value::Null,
            _ => object,
        };
        let harm = match &self.before {
            Some(before) if self.harm.is_none() => Harm::between(before, &after),
            _ => self.harm,
        };
        context.guard.allow(harm).map_err(ApiError::from)?;
        Ok(Rehearsed {
            after,
            warnings,
            harm,
            taken,
        })
    }

    /// Before and after.
    pub(super) fn diff(&self, after: &Value) -> Diff {
        let mut set = BTreeSet::new();
        match &self.operation {
            Operation::Create { manifest } | Operation::Apply { manifest, .. } => {
                Diff::paths(manifest, "", &mut set);
            }
            Operation::Patch {
                form: PatchForm::Json,
                patch,
            } => {
                for operation in patch.as_array().into_iter().flatten() {
                    let path = path(text(operation, "/path"), self.before.as_ref());
                    Diff::paths(&operation["value"], &path, &mut set);
                }
            }
            Operation::Patch { patch, .. } => Diff::paths(patch, "", &mut set),
            _ => {}
        }
        // A Secret's `stringData` becomes its `data`.
        let moved: Vec<String> = set
            .iter()
            .filter_map(|path| {
                path.strip_prefix(".stringData")
                    .map(|rest| format!(".data{rest}"))
            })
            .collect();
        set.extend(moved);
        Diff {
            before: self.before.clone().unwrap_or_default(),
            after: after.clone(),
            set,
        }
    }

    /// What a refusal means, without a secret that it may quote.
    pub(super) fn failed(&self, error: ApiError) -> ToolError {
        match error {
            ApiError::Refused {
                code,
                reason,
                message,
            } => {
                let message = self.hush(message);
                let is_apply = matches!(self.operation, Operation::Apply { .. });
                if code == 409 && is_apply && message.contains("conflict with") {
                    let ours = "others manage fields that the manifest sets differently. Don't delete the object, and don't send it \
                                again: leave those fields out, take their values, or ask your user whether they want \"force\"";
                    return ToolError::Rejected(ours.to_owned(), message);
                }
                if code == 409 || message.contains("testing path /metadata/") {
                    let ours = "the object isn't as it was planned for: plan it again";
                    return ToolError::Rejected(ours.to_owned(), message);
                }
                ApiError::Refused {
                    code,
                    reason,
                    message,
                }
                .into()
            }
            error => error.into(),
        }
    }

    /// The text without what a Secret has or shall have.
    fn hush(&self, message: String) -> String {
        if self.target.kind != "Secret" {
            return message;
        }
        let mut values = BTreeSet::new();
        let mut collect = |object: &Value| {
            for key in ["/data", "/stringData"] {
                if let Some(part) = object.pointer(key) {
                    texts(part, &mut values);
                }
            }
        };
        self.before.iter().for_each(&mut collect);
        match &self.operation {
            Operation::Create { manifest } | Operation::Apply { manifest, .. } => collect(manifest),
            Operation::Patch { patch, .. } => texts(patch, &mut values),
            _ => {}
        }
        // The longest first: one may be part of another.
        let mut values: Vec<String> = values.into_iter().filter(|value| value.len() > 2).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.iter().fold(message, |message, value| {
            message.replace(value.as_str(), "<redacted>")
        })
    }
}

/// All texts within, and what they are in base64.
fn texts(value: &Value, found: &mut BTreeSet<String>) {
    use base64::Engine as _;
    match value {
        Value::String(text) => {
            let decoded = base64::engine::general_purpose::STANDARD.decode(text);
            found.extend(decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()));
            found.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(map) => map.values().for_each(|value| texts(value, found)),
        _ => {}
    }
}

/// The resource of a manifest, in the version that it is written in.
fn kind_of<'a>(object: &Value, mut all: impl Iterator<Item = &'a Resource>) -> Result<Resource, ToolError> {
    let (api_version, kind) = (text(object, "/apiVersion"), text(object, "/kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let found = all.find(|resource| resource.group == group && resource.kind == kind);
    let Some(found) = found else {
        return Err(ToolError::Arguments(format!(
            "the cluster has no kind {kind:?} in {api_version:?}: the tool \"api_resources\" lists what there is"
        )));
    };
    let mut resource = found.clone();
    resource.version = check_name(version)?.to_owned();
    Ok(resource)
}

/// Where the object is.
fn target(
    cluster: &Cluster,
    resource: &Resource,
    object: &Value,
    namespace: Option<&str>,
) -> Result<Target, ToolError> {
    let name = check_name(text(object, "/metadata/name"))?;
    let written = object.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = match (namespace, written) {
        (Some(given), Some(written)) if given != written => {
            return Err(ToolError::arguments(
                "the manifest is for another namespace than \"namespace\": give one of them",
            ));
        }
        (given, written) => given.or(written),
    };
    let namespace = match (resource.is_namespaced, namespace) {
        (true, Some(namespace)) => Some(check_namespace(namespace)?.to_owned()),
        (true, None) => {
            return Err(ToolError::Arguments(format!(
                "{resource} are in namespaces: give \"namespace\""
            )));
        }
        (false, Some(_)) => {
            return Err(ToolError::Arguments(format!(
                "{resource} are in no namespace: leave it out"
            )));
        }
        (false, None) => None,
    };
    Ok(Target {
        cluster: cluster.name().clone(),
        group: resource.group.clone(),
        plural: resource.plural.clone(),
        kind: resource.kind.clone(),
        collection: resource.path(namespace.as_deref(), None)?,
        namespace,
        name: name.to_owned(),
    })
}

/// The object as it is now; None if it isn't there.
pub(super) async fn now(cluster: &Cluster, target: &Target) -> Result<Option<Value>, ToolError> {
    match cluster
        .get(&format!("{}/{}", target.collection, target.name))
        .await
    {
        Ok(object) => Ok(Some(object)),
        Err(ApiError::Refused { code: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the user may: asked first, so that a missing right is named before anything else goes wrong.
async fn may(cluster: &Cluster, target: &Target, word: Word) -> Result<(), ToolError> {
    let (verbs, part): (&[&str], _) = match word {
        Word::Create => (&["create"], ""),
        Word::Delete => (&["delete"], ""),
        Word::Scale => (&["patch"], "scale"),
        _ => (&["patch"], ""),
    };
    let asked = [("get", "")]
        .into_iter()
        .chain(verbs.iter().map(|verb| (*verb, part)));
    let reviews = asked.map(|(verb, part)| async move {
        let object = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": target.group, "resource": target.plural, "subresource": part,
                "namespace": target.namespace.as_deref().unwrap_or_default(),
                "name": if verb == "create" { "" } else { &target.name },
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let review = cluster.create(path, &object).await?;
        let is_allowed = review.pointer("/status/allowed") == Some(&Value::Bool(true));
        Ok::<_, ApiError>((verb, part, is_allowed))
    });
    for review in futures_util::future::join_all(reviews).await {
        let (verb, part, is_allowed) = review?;
        if !is_allowed {
            let part = if part.is_empty() {
                String::new()
            } else {
                format!("/{part} of")
            };
            return Err(ToolError::Denied(format!(
                "you may not: the verb \"{verb}\" on {part}{}{target} is missing from your rights; whoever grants them can add it",
                if part.is_empty() { "" } else { " " },
            )));
        }
    }
    Ok(())
}

fn absent(target: &Target) -> ToolError {
    ToolError::Denied(format!("{target} isn't there"))
}

/// A patch of the agent's, if it finds out nothing that is hidden.
fn patched(
    resource: &Resource,
    arguments: &Arguments,
    patch: Value,
    before: Option<&Value>,
) -> Result<Operation, ToolError> {
    // What isn't built in has no strategic merge.
    let is_built_in = !resource.group.contains('.') || resource.group.ends_with(".k8s.io");
    let form = match (arguments.patch_type, &patch) {
        (Some(form), _) => form.into(),
        (None, Value::Array(_)) => PatchForm::Json,
        (None, _) if is_built_in => PatchForm::Strategic,
        (None, _) => PatchForm::Merge,
    };
    match (form, &patch) {
        (PatchForm::Json, Value::Array(operations)) => {
            for operation in operations {
                check_operation(operation, before)?;
            }
        }
        (PatchForm::Json, _) => {
            return Err(ToolError::arguments(
                "a JSON patch is an array: [{\"op\": \"replace\", \"path\": \"/spec/x\", \"value\": 1}]",
            ));
        }
        (_, Value::Object(map)) => {
            if map.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
                return Err(ToolError::arguments("metadata in a patch is an object"));
            }
        }
        _ => {
            return Err(ToolError::arguments(
                "this patch is an object; of an array, patchType is json",
            ));
        }
    }
    Ok(Operation::Patch { form, patch })
}

/// Some operations of RFC 6902 would tell what is hidden: `copy` and `move` bring it where nobody knows that it is a secret, `test`
/// says whether a guess is right.
fn check_operation(operation: &Value, before: Option<&Value>) -> Result<(), ToolError> {
    match text(operation, "/op") {
        "add" | "replace" if operation.get("value").is_some() => Ok(()),
        "remove" => Ok(()),
        "test" => {
            let path = text(operation, "/path");
            let mut told = before.cloned().unwrap_or_default();
            Redactor::new(EnvPolicy::default()).object(&mut told);
            let is_told = before.is_some_and(|before| before.pointer(path) == told.pointer(path));
            let is_secret = text(&told, "/kind") == "Secret" && !path.starts_with("/metadata/");
            if is_told && !is_secret {
                Ok(())
            } else {
                Err(ToolError::arguments(
                    "\"test\" isn't taken on what is hidden: leave it out, a plan holds for the object as it is",
                ))
            }
        }
        "copy" | "move" => Err(ToolError::arguments(
            "\"copy\" and \"move\" aren't taken: write the value with \"add\", and \"remove\" the old one",
        )),
        _ => Err(ToolError::arguments(
            "an operation of a JSON patch has op (add, replace, remove, test), path and value",
        )),
    }
}

/// A JSON pointer as a path of a diff.
fn path(pointer: &str, before: Option<&Value>) -> String {
    let (mut path, mut at) = (String::new(), before);
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        match (at, key.parse::<usize>()) {
            (Some(Value::Array(items)), Ok(number)) => {
                at = items.get(number);
                let called = at.map_or_else(|| number.to_string(), |item| item_name(item, number));
                path.push_str(&format!("[{called}]"));
            }
            _ => {
                at = at.and_then(|at| at.get(&key));
                path.push_str(&step(&key));
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_paths_of_diffs() {
        let before = json!({"spec": {"containers": [{"name": "main", "args": ["a"]}]}});
        for (pointer, told) in [
            ("/spec/containers/0/image", ".spec.containers[main].image"),
            ("/spec/containers/0/args/0", ".spec.containers[main].args[0]"),
            ("/metadata/annotations/a~1b", ".metadata.annotations[\"a/b\"]"),
            ("/x/0", ".x.0"),
            ("", ""),
        ] {
            assert_eq!(path(pointer, Some(&before)), told);
        }
    }

    #[test]
    fn operations_that_would_tell_what_is_hidden_are_refused() {
        let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "data": {"p": "YWFhYWFh"}});
        let map = json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"p": "plain"}});
        for (operation, before) in [
            (
                json!({"op": "copy", "from": "/data/p", "path": "/metadata/annotations/x"}),
                &secret,
            ),
            (
                json!({"op": "move", "from": "/data/p", "path": "/metadata/annotations/x"}),
                &map,
            ),
            (
                json!({"op": "test", "path": "/data/p", "value": "YWFhYWFh"}),
                &secret,
            ),
            (json!({"op": "test", "path": "/data", "value": {}}), &secret),
            (json!({"op": "test", "path": "", "value": {}}), &secret),
            (json!({"op": "add", "path": "/data/p"}), &map),
            (json!({"op": "ADD", "path": "/data/p", "value": 1}), &map),
            (json!("add"), &map),
        ] {
            assert!(check_operation(&operation, Some(before)).is_err(), "{operation}");
        }
        for (operation, before) in [
            (json!({"op": "test", "path": "/data/p", "value": "plain"}), &map),
            (json!({"op": "replace", "path": "/data/p", "value": "x"}), &secret),
            (json!({"op": "remove", "path": "/data/p"}), &secret),
        ] {
            assert!(check_operation(&operation, Some(before)).is_ok(), "{operation}");
        }
    }
}
