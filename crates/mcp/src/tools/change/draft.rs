//! A change before anybody approved of it: what is meant, whether the user may, how it is now, and what would happen.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    arguments::{Arguments, Word},
    manifest, patch, rollout, secrets,
};
use crate::{
    answer::Diff,
    cluster::{ApiError, Cluster, Done, Resource, check_name, check_namespace},
    error::ToolError,
    plan::{Harm, Operation, PatchForm, Seen, Target},
    tools::{Context, can_i, text},
};

/// What is said of others' fields.
const OWNED: &str = "others manage fields that the manifest sets. Don't delete the object, and don't send it again: leave those fields out, \
                     take their values, or ask your user whether they want \"force\"";

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
            Word::Patch => {
                patch::operation(&resource, &arguments, patch.unwrap_or_default(), before.as_ref())?
            }
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
        // Whatever version it has by now: a plan is held to what it saw when it is applied.
        let taken = match &self.operation {
            Operation::Apply { manifest, force } if self.target.kind == "Secret" => {
                match secrets::owned(manifest, self.before.as_ref()) {
                    Some(owned) if !force => return Err(ToolError::Rejected(OWNED.to_owned(), owned)),
                    owned => owned,
                }
            }
            Operation::Apply {
                manifest,
                force: true,
            } => {
                let gently = Operation::Apply {
                    manifest: manifest.clone(),
                    force: false,
                };
                let wire = gently.wire(&self.target, None, true);
                match self.cluster.rehearse(&wire).await {
                    Err(ApiError::Refused {
                        code: 409, message, ..
                    }) => Some(message),
                    _ => None,
                }
            }
            _ => None,
        };
        let wire = self.operation.wire(&self.target, None, true);
        let done = self.cluster.rehearse(&wire).await;
        let Done { object, warnings, .. } = done.map_err(|error| self.failed(error))?;
        // A patch may put together of parts what none of them is.
        manifest::check(&object, &context.guard, &*self.cluster.discovery().await?)?;
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
                    let path = patch::path(text(operation, "/path"), self.before.as_ref());
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

    /// Whether the object had another version than the write was for.
    pub(super) fn is_stale(&self, error: &ApiError) -> bool {
        match error {
            ApiError::Refused {
                code: 409, message, ..
            } => !self.is_owned(message),
            // The test of a JSON patch.
            ApiError::Refused { message, .. } => message.contains("/metadata/resourceVersion"),
            _ => false,
        }
    }

    /// The text without what a Secret has or shall have.
    fn hush(&self, message: String) -> String {
        if self.target.kind != "Secret" {
            return message;
        }
        secrets::hush(message, &self.operation, self.before.as_ref())
    }

    /// Whether it is fields that others manage.
    fn is_owned(&self, message: &str) -> bool {
        matches!(self.operation, Operation::Apply { .. }) && message.contains("conflict with")
    }

    /// What a refusal means, without a secret that it may quote.
    pub(super) fn failed(&self, error: ApiError) -> ToolError {
        let is_stale = self.is_stale(&error);
        match error {
            ApiError::Refused {
                code,
                reason,
                message,
            } => {
                let message = self.hush(message);
                if code == 409 && self.is_owned(&message) {
                    return ToolError::Rejected(OWNED.to_owned(), message);
                }
                if is_stale {
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
        let attributes = json!({
            "verb": verb, "group": target.group, "resource": target.plural, "subresource": part,
            "namespace": target.namespace.as_deref().unwrap_or_default(),
            "name": if verb == "create" { "" } else { &target.name },
        });
        let (is_allowed, _) = can_i::access(cluster, &attributes).await?;
        Ok::<_, ToolError>((verb, part, is_allowed))
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
