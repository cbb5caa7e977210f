//! Sets of verbs.

use mk8s_model::{Interactive, Verb};

use crate::Problem;

/// A set of verbs: Kubernetes' own, those that stand for a subresource, and HTTP's for paths that are no resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verbs(u32);

/// Name and bit. HTTP's last three are for non-resource paths only.
const NAMES: [(&str, Verbs); 16] = [
    ("get", Verbs::GET),
    ("list", Verbs::LIST),
    ("watch", Verbs::WATCH),
    ("create", Verbs::CREATE),
    ("update", Verbs::UPDATE),
    ("patch", Verbs::PATCH),
    ("delete", Verbs::DELETE),
    ("deletecollection", Verbs::DELETE_COLLECTION),
    ("logs", Verbs::LOGS),
    ("exec", Verbs::EXEC),
    ("attach", Verbs::ATTACH),
    ("portforward", Verbs::PORT_FORWARD),
    ("proxy", Verbs::PROXY),
    ("post", Verbs::POST),
    ("put", Verbs::PUT),
    ("options", Verbs::OPTIONS),
];

/// Verbs of RBAC that stand for no request.
const FOREIGN: [&str; 9] = [
    "escalate",
    "bind",
    "impersonate",
    "use",
    "approve",
    "sign",
    "attest",
    "nominate",
    "mark",
];

impl Verbs {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(u32::MAX);
    pub(crate) const GET: Self = Self(1);
    pub(crate) const LIST: Self = Self(1 << 1);
    pub(crate) const WATCH: Self = Self(1 << 2);
    pub(crate) const CREATE: Self = Self(1 << 3);
    pub(crate) const UPDATE: Self = Self(1 << 4);
    pub(crate) const PATCH: Self = Self(1 << 5);
    pub(crate) const DELETE: Self = Self(1 << 6);
    pub(crate) const DELETE_COLLECTION: Self = Self(1 << 7);
    pub(crate) const LOGS: Self = Self(1 << 8);
    pub(crate) const EXEC: Self = Self(1 << 9);
    pub(crate) const ATTACH: Self = Self(1 << 10);
    pub(crate) const PORT_FORWARD: Self = Self(1 << 11);
    pub(crate) const PROXY: Self = Self(1 << 12);
    pub(crate) const POST: Self = Self(1 << 13);
    pub(crate) const PUT: Self = Self(1 << 14);
    pub(crate) const OPTIONS: Self = Self(1 << 15);
    /// A verb that only `*` means.
    const OTHER: Self = Self(1 << 31);

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "*" => return Ok(Self::ALL),
            "port-forward" => return Ok(Self::PORT_FORWARD),
            // HEAD is GET without the body, here as with resources.
            "head" => return Ok(Self::GET),
            _ => {}
        }
        if FOREIGN.contains(&text) {
            return Err(Problem::ForeignVerb(text.to_owned()));
        }
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, verb)| *verb)
            .ok_or_else(|| Problem::UnknownVerb(text.to_owned()))
    }

    pub(crate) fn of(verb: Verb) -> Self {
        match verb {
            Verb::Get => Self::GET,
            Verb::List => Self::LIST,
            Verb::Watch => Self::WATCH,
            Verb::Create => Self::CREATE,
            Verb::Update => Self::UPDATE,
            Verb::Patch => Self::PATCH,
            Verb::Delete => Self::DELETE,
            Verb::DeleteCollection => Self::DELETE_COLLECTION,
            Verb::Proxy => Self::PROXY,
        }
    }

    pub(crate) fn of_interactive(way: Interactive) -> Self {
        match way {
            Interactive::Exec => Self::EXEC,
            Interactive::Attach => Self::ATTACH,
            Interactive::PortForward => Self::PORT_FORWARD,
            Interactive::Proxy => Self::PROXY,
        }
    }

    /// An HTTP method in lower case, on a path that is no resource.
    pub(crate) fn of_method(method: &str) -> Self {
        match method {
            "get" | "head" => Self::GET,
            "post" => Self::POST,
            "put" => Self::PUT,
            "patch" => Self::PATCH,
            "delete" => Self::DELETE,
            "options" => Self::OPTIONS,
            _ => Self::OTHER,
        }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the others are in it.
    pub(crate) fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What a role may name, for people.
pub(crate) fn known() -> String {
    NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
