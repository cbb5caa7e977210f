//! How the server is made to misbehave, and the limit that the real one has.

use std::{
    collections::HashMap,
    fmt,
    time::{Duration, Instant},
};

use http::StatusCode;

/// What can be asked of the server. The names are those in the URL; files have URLs of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the protocol's own names")]
pub enum Endpoint {
    GetSecret,
    GetFolders,
    CreateSecret,
    UpdateSecret,
    FinalizeSecretUpdate,
    RollbackSecretUpdate,
    DeleteSecret,
    AddFile,
    CreateFolder,
    UpdateFolder,
    DeleteFolder,
    Upload,
    Download,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::GetSecret,
        Self::GetFolders,
        Self::CreateSecret,
        Self::UpdateSecret,
        Self::FinalizeSecretUpdate,
        Self::RollbackSecretUpdate,
        Self::DeleteSecret,
        Self::AddFile,
        Self::CreateFolder,
        Self::UpdateFolder,
        Self::DeleteFolder,
        Self::Upload,
        Self::Download,
    ];

    /// As it stands in the URL: `get_secret`.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetSecret => "get_secret",
            Self::GetFolders => "get_folders",
            Self::CreateSecret => "create_secret",
            Self::UpdateSecret => "update_secret",
            Self::FinalizeSecretUpdate => "finalize_secret_update",
            Self::RollbackSecretUpdate => "rollback_secret_update",
            Self::DeleteSecret => "delete_secret",
            Self::AddFile => "add_file",
            Self::CreateFolder => "create_folder",
            Self::UpdateFolder => "update_folder",
            Self::DeleteFolder => "delete_folder",
            Self::Upload => "upload",
            Self::Download => "download",
        }
    }

    /// A client may bring its token here.
    pub(super) fn may_bind(self) -> bool {
        matches!(self, Self::GetSecret | Self::GetFolders)
    }

    pub(super) fn of_path(path: &str, is_get: bool) -> Option<Self> {
        if let Some(name) = path.strip_prefix("/api/rest/sm/v1/") {
            let of_api = |endpoint: &Self| !matches!(endpoint, Self::Upload | Self::Download);
            return Self::ALL
                .into_iter()
                .filter(of_api)
                .find(|endpoint| endpoint.name() == name && !is_get);
        }
        match path {
            "/files" if !is_get => Some(Self::Upload),
            _ if path.starts_with("/files/") && is_get => Some(Self::Download),
            _ => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 403 `throttled`, with so many seconds in `retry_after` if any.
    Throttled(Option<u64>),
    /// 403 `access_denied`.
    AccessDenied,
    /// The error `key`: use this key of the server's.
    OtherKey(u32),
    /// This status, with a page that isn't JSON.
    Status(StatusCode),
    /// Never an answer, until the client goes or the server ends.
    Hang,
    /// The proper answer, so much later.
    Delay(Duration),
    /// The first half of the proper answer; then the connection ends.
    Truncated,
    /// 200 and so many bytes. With `declared`, a header says so before.
    Huge {
        /// How many.
        bytes: u64,
        /// Whether Content-Length is there.
        declared: bool,
    },
    /// 200 and nothing.
    Empty,
    /// 200 and bytes that decrypt to nothing.
    Garbled,
    /// 200 and what decrypts to something that isn't JSON.
    NotJson,
    /// The proper reply without `records`.
    WithoutRecords,
    /// The proper reply without `folders`.
    WithoutFolders,
}

/// A fault, where, and how often. Requests that it is for are counted and logged as others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behaviour {
    pub(super) fault: Fault,
    endpoint: Option<Endpoint>,
    /// None: for ever.
    left: Option<u32>,
}

impl Behaviour {
    /// For every request, until [`KsmServer::behave_well`](super::KsmServer::behave_well).
    pub fn always(fault: Fault) -> Self {
        Self {
            fault,
            endpoint: None,
            left: None,
        }
    }

    /// For the next requests.
    pub fn times(fault: Fault, times: u32) -> Self {
        Self {
            left: Some(times),
            ..Self::always(fault)
        }
    }

    /// For the next request.
    pub fn once(fault: Fault) -> Self {
        Self::times(fault, 1)
    }

    /// For this endpoint alone.
    #[must_use]
    pub fn at(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }
}

/// What was asked for, oldest first.
#[derive(Debug, Default)]
pub(super) struct Behaviours {
    queue: Vec<Behaviour>,
}

impl Behaviours {
    pub(super) fn add(&mut self, behaviour: Behaviour) {
        self.queue.push(behaviour);
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// The fault for a request that has just come.
    pub(super) fn next(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let fits = |behaviour: &Behaviour| {
            behaviour.left != Some(0) && behaviour.endpoint.is_none_or(|only| only == endpoint)
        };
        let behaviour = self.queue.iter_mut().find(|behaviour| fits(behaviour))?;
        if let Some(left) = &mut behaviour.left {
            *left -= 1;
        }
        let fault = behaviour.fault;
        self.queue.retain(|behaviour| behaviour.left != Some(0));
        Some(fault)
    }
}

/// How many requests a client may send to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So many pass.
    pub requests: u32,
    /// Counting begins anew after so long without a single request: each one, refused or not, prolongs it.
    pub window: Duration,
}

impl RateLimit {
    /// What the real service has.
    pub const REAL: Self = Self {
        requests: 100,
        window: Duration::from_secs(10),
    };
}

/// Who has asked how often.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    pub(super) limit: Option<RateLimit>,
    seen: HashMap<(String, Endpoint), (u32, Instant)>,
}

impl Limiter {
    /// Whether one more passes.
    pub(super) fn passes(&mut self, client_id: &str, endpoint: Endpoint, now: Instant) -> bool {
        let Some(limit) = self.limit else { return true };
        let (count, last) = self
            .seen
            .entry((client_id.to_owned(), endpoint))
            .or_insert((0, now));
        if now.duration_since(*last) >= limit.window {
            *count = 0;
        }
        *last = now;
        *count += 1;
        *count <= limit.requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_comes_as_often_as_it_should_and_where_it_should() {
        let mut behaviours = Behaviours::default();
        behaviours.add(Behaviour::times(Fault::Hang, 2).at(Endpoint::GetFolders));
        behaviours.add(Behaviour::once(Fault::Empty));
        behaviours.add(Behaviour::once(Fault::Garbled));
        let mut next = |endpoint| behaviours.next(endpoint);
        assert_eq!(next(Endpoint::GetFolders), Some(Fault::Hang));
        assert_eq!(next(Endpoint::GetSecret), Some(Fault::Empty));
        assert_eq!(next(Endpoint::GetFolders), Some(Fault::Hang));
        assert_eq!(next(Endpoint::GetFolders), Some(Fault::Garbled));
        assert_eq!(next(Endpoint::GetSecret), None);
        behaviours.add(Behaviour::times(Fault::Hang, 0));
        assert_eq!(behaviours.next(Endpoint::GetSecret), None);
    }

    #[test]
    fn what_lasts_ends_with_clear() {
        let mut behaviours = Behaviours::default();
        behaviours.add(Behaviour::always(Fault::AccessDenied));
        for _ in 0..3 {
            assert_eq!(behaviours.next(Endpoint::GetSecret), Some(Fault::AccessDenied));
        }
        behaviours.clear();
        assert_eq!(behaviours.next(Endpoint::GetSecret), None);
    }

    #[test]
    fn the_limit_is_for_each_client_and_endpoint_and_only_silence_ends_it() {
        let mut limiter = Limiter {
            limit: Some(RateLimit {
                requests: 2,
                window: Duration::from_secs(10),
            }),
            ..Limiter::default()
        };
        let start = Instant::now();
        let mut passes = |client, endpoint, seconds| {
            limiter.passes(client, endpoint, start + Duration::from_secs(seconds))
        };
        assert!(passes("a", Endpoint::GetSecret, 0));
        assert!(passes("a", Endpoint::GetSecret, 1));
        assert!(!passes("a", Endpoint::GetSecret, 2));
        assert!(passes("a", Endpoint::GetFolders, 2));
        assert!(passes("b", Endpoint::GetSecret, 2));
        assert!(
            !passes("a", Endpoint::GetSecret, 11),
            "the window begins anew with each"
        );
        assert!(passes("a", Endpoint::GetSecret, 21));
    }

    #[test]
    fn paths_lead_to_endpoints_by_their_method() {
        for endpoint in Endpoint::ALL {
            let path = format!("/api/rest/sm/v1/{endpoint}");
            let of_api = !matches!(endpoint, Endpoint::Upload | Endpoint::Download);
            assert_eq!(Endpoint::of_path(&path, false), of_api.then_some(endpoint));
            assert_eq!(Endpoint::of_path(&path, true), None);
        }
        assert_eq!(Endpoint::of_path("/files", false), Some(Endpoint::Upload));
        assert_eq!(Endpoint::of_path("/files/x", true), Some(Endpoint::Download));
        assert_eq!(Endpoint::of_path("/", true), None);
    }
}
