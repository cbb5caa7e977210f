//! A change, from what is asked to the one request that makes it: planned, approved of, made.
//!
//! A plan is what an agent is given to send back: sealed ([`seal`]), so that it says nothing and can't be changed, and has all in it,
//! so that any replica with the key can take it. It is for one user, one cluster and one state of one object, for minutes, once.
//!
//! What may be sent is decided twice. [`harm`] tells what a change destroys, and [`crate::guard::Guard`] lets no writing request
//! through without an [`Approved`], which nobody makes but [`Approved::of`]: of exactly the request that somebody approved of.

mod harm;
mod operation;
mod seal;
mod spent;

use std::{fmt, sync::Arc};

use http::Method;
use jiff::Timestamp;
use mk8s_model::{ClusterName, Identity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

pub use seal::PlanKey;
pub(crate) use {
    harm::Harm,
    operation::{Operation, PatchForm, Propagation, Step},
    seal::{Purpose, Seals},
    spent::Spent,
};

use crate::{error::ToolError, server::Consent};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What plans are made with.
pub(crate) struct Plans {
    pub(crate) seals: Seals,
    pub(crate) spent: Spent,
    clock: Clock,
}

/// A plan's sealed text is no longer than this in bytes, or the agent repeats the operation: long ones are copied with mistakes.
const LONGEST: usize = 1_200;

/// An object's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) cluster: ClusterName,
    /// API group; empty for the core group.
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) kind: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    /// Where the objects of its kind are.
    pub(crate) collection: String,
}

/// An object's state when a plan was made. Of its resourceVersion nothing is kept: controllers tell in `status` what they see, and a
/// workload that fails, which is when it is changed, has another one every few seconds. It is read again for the write itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    uid: String,
    /// SHA-256 of what people say of it.
    state: [u8; 32],
}

/// The one object in the one version that a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsSeen<'a> {
    uid: &'a str,
    version: &'a str,
}

/// What each write changes, and what controllers say.
const OTHERS: &[&str] = &["resourceVersion", "managedFields", "generation"];
const REVISION: &str = "deployment.kubernetes.io/revision";

impl Seen {
    /// By what an object's state is known.
    ///
    /// # Errors
    /// If it has no UID or resourceVersion.
    pub(crate) fn of(object: &Value) -> Result<Self, ToolError> {
        let mut said = object.clone();
        if let Some(said) = said.as_object_mut() {
            said.remove("status");
            if let Some(metadata) = said.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.retain(|key, _| !OTHERS.contains(&key.as_str()));
                if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                    annotations.remove(REVISION);
                }
                metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
            }
        }
        Ok(Self {
            uid: AsSeen::of(object)?.uid.to_owned(),
            // A map's keys are sorted.
            state: Sha256::digest(said.to_string()).into(),
        })
    }
}

impl<'a> AsSeen<'a> {
    /// The object as it is.
    ///
    /// # Errors
    /// If it has no UID or resourceVersion.
    pub(crate) fn of(object: &'a Value) -> Result<Self, ToolError> {
        let text = |key: &str| object["metadata"][key].as_str().filter(|text| !text.is_empty());
        match (text("uid"), text("resourceVersion")) {
            (Some(uid), Some(version)) => Ok(Self { uid, version }),
            _ => Err(ToolError::Denied(
                "the object has no uid and resourceVersion, so it can't be changed safely".to_owned(),
            )),
        }
    }
}

/// What shall be done with what, in which state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) nonce: Uuid,
    /// Seconds since 1970.
    expires: i64,
    pub(crate) target: Target,
    /// None: it wasn't there.
    pub(crate) seen: Option<Seen>,
    pub(crate) harm: Option<Harm>,
    carried: Carried,
}

/// What shall be done, or by what it is known when it is repeated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Carried {
    Whole(Operation),
    Digest([u8; 32]),
}

/// A plan as it is told.
pub(crate) struct Told {
    pub(crate) text: String,
    /// Whether the operation must be repeated with it.
    pub(crate) is_digest: bool,
}

/// A request, as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Option<String>,
    /// Which object it is, where the request itself can't say so: its UID.
    pub(crate) of: Option<String>,
}

impl Wire {
    /// One that reads.
    pub(crate) fn reading(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            content_type: None,
            body: None,
            of: None,
        }
    }

    /// What it would do, and where, in 32 bytes.
    pub(crate) fn digest(&self, cluster: &ClusterName) -> [u8; 32] {
        let mut digest = Sha256::new();
        let parts = [
            cluster.as_str(),
            self.method.as_str(),
            &self.path,
            self.content_type.unwrap_or_default(),
            self.body.as_deref().unwrap_or_default(),
            self.of.as_deref().unwrap_or_default(),
        ];
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// Proof that somebody approved of a request. It is of that request alone, on that cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    cluster: ClusterName,
    wire: Wire,
    harm: Option<Harm>,
}

impl Approved {
    /// Of a planned change, of the object as it is now.
    ///
    /// # Errors
    /// If it was another change that was approved of, or the object isn't as it was planned for.
    pub(crate) fn change(
        plan: &Plan,
        operation: &Operation,
        now: Option<&Value>,
        consent: &Consent,
    ) -> Result<Self, ToolError> {
        plan.check_state(now)?;
        if consent.digest() != plan.digest(operation) {
            return Err(ToolError::Denied(
                "what was approved of isn't what would be done: plan it again".to_owned(),
            ));
        }
        let seen = now.map(AsSeen::of).transpose()?;
        Ok(Self {
            cluster: plan.target.cluster.clone(),
            wire: operation.wire(&plan.target, seen, false),
            harm: plan.harm,
        })
    }

    /// Of a request as it is.
    ///
    /// # Errors
    /// If it was another request that was approved of.
    pub(crate) fn of(
        cluster: ClusterName,
        wire: Wire,
        harm: Option<Harm>,
        consent: &Consent,
    ) -> Result<Self, ToolError> {
        if consent.digest() != wire.digest(&cluster) {
            return Err(ToolError::Denied(
                "what was approved of isn't what would be done: plan it again".to_owned(),
            ));
        }
        Ok(Self { cluster, wire, harm })
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn cluster(&self) -> &ClusterName {
        &self.cluster
    }

    /// What it destroys.
    pub(crate) fn harm(&self) -> Option<Harm> {
        self.harm
    }
}

impl Plans {
    pub(crate) fn new(key: &PlanKey, clock: Clock) -> Self {
        Self {
            seals: Seals::new(key),
            spent: Spent::default(),
            clock,
        }
    }

    /// Now, in seconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        (self.clock)().as_second()
    }

    /// Seals a plan that holds for so many seconds.
    pub(crate) fn tell(
        &self,
        who: &Identity,
        mut plan: Plan,
        operation: Operation,
        seconds: u64,
    ) -> Result<Told, ToolError> {
        plan.expires = self.now().saturating_add_unsigned(seconds);
        plan.carried = Carried::Whole(operation);
        let text = self.seals.seal(Purpose::Plan, who, &plan)?;
        if text.len() <= LONGEST {
            return Ok(Told {
                text,
                is_digest: false,
            });
        }
        if let Carried::Whole(operation) = &plan.carried {
            plan.carried = Carried::Digest(operation.digest());
        }
        Ok(Told {
            text: self.seals.seal(Purpose::Plan, who, &plan)?,
            is_digest: true,
        })
    }

    /// The plan that was told to `who`. Whether it is still good is [`Plans::check`]'s.
    pub(crate) fn read(&self, who: &Identity, text: &str) -> Result<Plan, ToolError> {
        self.seals.open(Purpose::Plan, who, text).ok_or_else(|| {
            ToolError::Denied(
                "this is no plan of yours: plan the change again, and send its plan back unchanged"
                    .to_owned(),
            )
        })
    }

    /// Whether a plan may still be approved of.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), ToolError> {
        if self.now() >= plan.expires {
            return Err(ToolError::Denied(
                "the plan has expired: plan it again".to_owned(),
            ));
        }
        Ok(())
    }

    /// Takes a plan or an approval for good: a second time it is refused. It is remembered for so many seconds.
    pub(crate) fn spend(&self, nonce: Uuid, seconds: u64) -> Result<(), ToolError> {
        let now = self.now();
        self.spent.spend(nonce, now, now.saturating_add_unsigned(seconds))
    }
}

impl Plan {
    /// What was found out. Which operation it is for is said when it is told.
    pub(crate) fn new(target: Target, seen: Option<Seen>, harm: Option<Harm>) -> Self {
        Self {
            nonce: Uuid::new_v4(),
            expires: 0,
            target,
            seen,
            harm,
            carried: Carried::Digest([0; 32]),
        }
    }

    /// Whether the object is as it was.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn check_state(&self, now: Option<&Value>) -> Result<(), ToolError> {
        if now.map(Seen::of).transpose()? == self.seen {
            return Ok(());
        }
        Err(ToolError::Denied(
            "the object has changed since it was planned: plan it again".to_owned(),
        ))
    }

    /// What somebody is asked to approve of: this, of the object in this state.
    pub(crate) fn digest(&self, operation: &Operation) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(
            operation
                .wire(&self.target, None, false)
                .digest(&self.target.cluster),
        );
        if let Some(seen) = &self.seen {
            digest.update(seen.state);
            digest.update(&seen.uid);
        }
        digest.finalize().into()
    }

    /// What shall be done: what the plan holds, or what was repeated with it.
    pub(crate) fn operation(&self, repeated: Option<Operation>) -> Result<Operation, ToolError> {
        match (&self.carried, repeated) {
            (Carried::Whole(operation), None) => Ok(operation.clone()),
            (Carried::Whole(_), Some(_)) => Err(ToolError::arguments(
                "the plan has all that it needs: give \"plan\" alone",
            )),
            (Carried::Digest(digest), Some(operation)) if operation.digest() == *digest => Ok(operation),
            (Carried::Digest(_), Some(_)) => Err(ToolError::arguments(
                "this isn't what was planned: repeat exactly the arguments of the plan, or plan it again",
            )),
            (Carried::Digest(_), None) => Err(ToolError::arguments(
                "the plan is of a large change: give the same arguments again, with \"plan\"",
            )),
        }
    }
}

/// `deployments.apps web in namespace shop`: our own words.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::answer::name;
        f.write_str(name(&self.plural))?;
        if !self.group.is_empty() {
            write!(f, ".{}", name(&self.group))?;
        }
        write!(f, " {}", name(&self.name))?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {}", name(namespace))?;
        }
        write!(f, " of cluster {}", self.cluster)
    }
}
