//! Resources, as each revision has them: read, listed, and told of when they change.
//!
//! In 2026-07-28 a client asks to be told by one request that lasts (`subscriptions/listen`); its end is the end of what it asked
//! for. Before, it subscribes to one URI after the other, for as long as its connection lasts, so there must be one: over HTTP
//! without sessions there isn't.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use mk8s_model::Identity;
use rmcp::{
    ErrorData, RoleServer, ServerHandler as _,
    model::{
        CacheScope, InitializeRequestParams, InitializeResult, ListResourceTemplatesResult,
        ListResourcesResult, PaginatedRequestParams, ReadResourceResult, Resource as Listed,
        ResourceContents, ResourceTemplate, ResourceUpdatedNotificationParam, SubscriptionFilter,
    },
    service::{RequestContext, SubscriptionContext},
};
use serde_json::{Value, json};
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use super::{Inner, Server, calls, client};
use crate::{
    cluster::{ApiError, KnownCluster},
    error::ToolError,
    guard::Warrant,
    plan::Wire,
    principal::{Call, Principal},
    record::{CallOutcome, Recording},
    render::Rendered,
    resources::{
        InvalidUri, Left, OVERVIEWS, Part, ResourceUri, Slot, Slots, TEMPLATES, Watch, follow, read,
    },
};

/// Clusters of one page of the list.
const CLUSTERS: usize = 25;
/// How long the list may be taken for the same: clusters come and go.
const LIST_FRESH: Duration = Duration::from_secs(60);
/// Templates change with the program.
const TEMPLATES_FRESH: Duration = Duration::from_secs(3_600);

/// What is subscribed to by `resources/subscribe`, and all that anybody has of subscriptions.
#[derive(Default)]
pub(super) struct Subscribed {
    open: Arc<Mutex<HashMap<Key, Open>>>,
    slots: Slots,
}

/// Whose, by which proof of identity, and to what.
type Key = (Identity, Option<[u8; 32]>, String);

/// A subscription, which ends when this is dropped.
struct Open {
    id: Uuid,
    _slot: Slot,
    _ends: DropGuard,
}

/// A subscription that was let in.
struct Begun {
    watch: Watch,
    slot: Slot,
    recording: Recording,
    call: Arc<Call>,
}

pub(super) fn templates() -> ListResourceTemplatesResult {
    let template = |template: &crate::resources::Template| {
        ResourceTemplate::new(template.uri, template.name)
            .with_description(template.description)
            .with_mime_type("text/plain")
    };
    ListResourceTemplatesResult {
        ttl_ms: Some(milliseconds(TEMPLATES_FRESH)),
        cache_scope: Some(CacheScope::Private),
        ..ListResourceTemplatesResult::with_all_items(TEMPLATES.iter().map(template).collect())
    }
}

impl Server {
    /// Says who we are; and that one can't subscribe, to whom can't be told.
    pub(super) fn introduce(
        &self,
        request: InitializeRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        let mut us = self.negotiate_initialize(&request)?;
        if is_over_http(context)
            && let Some(resources) = &mut us.capabilities.resources
        {
            resources.subscribe = None;
        }
        Ok(us)
    }

    /// What there is to look at first, of each cluster.
    pub(super) async fn resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let after = request.and_then(|request| request.cursor);
        let call = calls::begin(self.vouched(context)?, "resources/list", client(context));
        let recording = Recording::begin(self.0.log.clone(), &call, &json!({"cursor": after}));
        let known = self.0.bounded(call, &context.ct, |tools| async move {
            let mut known = tools.clusters.list(&tools.call.principal).await?;
            known.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(known)
        });
        let known = self.0.ended(known.await, recording, None)?;
        // A cursor is the name of the last cluster that was told.
        let rest: Vec<KnownCluster> = known
            .into_iter()
            .filter(|known| after.as_deref().is_none_or(|after| known.name.as_str() > after))
            .collect();
        let next = (rest.len() > CLUSTERS).then(|| rest[CLUSTERS - 1].name.to_string());
        let listed = rest.iter().take(CLUSTERS).flat_map(|known| {
            OVERVIEWS.iter().map(|overview| {
                let uri = ResourceUri::list(known.name.clone(), overview.plural, overview.fields);
                Listed::new(uri.to_string(), format!("{}/{}", known.name, overview.name))
                    .with_description(overview.description)
                    .with_mime_type("text/plain")
            })
        });
        Ok(ListResourcesResult {
            next_cursor: next,
            ttl_ms: Some(milliseconds(LIST_FRESH)),
            cache_scope: Some(CacheScope::Private),
            ..ListResourcesResult::with_all_items(listed.collect())
        })
    }

    /// What is there now.
    pub(super) async fn resource(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<ReadResourceResult, ErrorData> {
        let call = calls::begin(self.vouched(context)?, "resources/read", client(context));
        let (recording, parsed) = self.0.named(&call, uri);
        let made = self.0.make(call, recording, &context.ct, |tools| async move {
            let parsed = parsed?;
            read(&tools, &parsed).await
        });
        let made = made.await;
        if let Some(error) = &made.error {
            return Err(refusal(error, &made.rendered, Some(uri)));
        }
        let contents = ResourceContents::text(made.rendered.text, uri);
        Ok(ReadResourceResult::new(vec![contents])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private))
    }

    /// What of it can be meant; who may see it is found out when it is listened to.
    pub(super) fn acceptable(&self, requested: &SubscriptionFilter) -> SubscriptionFilter {
        let uris = requested.resource_subscriptions.iter().flatten();
        let acceptable = uris.filter(|uri| self.0.watchable(uri).is_ok()).cloned();
        // One more than anybody may have is enough to refuse them.
        let most = self.0.settings.subscriptions.saturating_add(1);
        SubscriptionFilter::builder()
            .resource_subscriptions(acceptable.take(most))
            .build()
    }

    /// Tells of changes until the request ends.
    pub(super) async fn tell_of_changes(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let accepted = context.accepted().resource_subscriptions.iter().flatten();
        let uris: BTreeSet<&str> = accepted.map(String::as_str).collect();
        let requested = context.requested().resource_subscriptions.iter().flatten();
        if uris.is_empty()
            && let Some(Err(error)) = requested.map(|uri| self.0.watchable(uri)).next()
        {
            let rendered = self.0.text(error.clone().into_answer());
            return Err(refusal(&error, &rendered, None));
        }
        let gone = self.0.gone.token();
        let told = async {
            if uris.is_empty() {
                return std::future::pending().await;
            }
            try_join_all(uris.iter().map(|uri| self.tell_of(uri, &context)))
                .await
                .map(|_| ())
        };
        tokio::select! {
            biased;
            () = context.cancelled() => Ok(()),
            () = gone.cancelled() => Ok(()),
            told = told => told,
        }
    }

    async fn tell_of(&self, uri: &str, context: &SubscriptionContext) -> Result<(), ErrorData> {
        let begun = self.begin(uri, "subscriptions/listen", context.request_context());
        let Begun {
            watch,
            slot: _slot,
            recording,
            call,
        } = begun.await?;
        let sink = context.sink();
        // It was told that it is listened to before it was: what it read since may be old.
        let followed = follow(watch, true, || sink.notify_resource_updated(uri));
        tokio::select! {
            biased;
            () = until(call.principal.until) => {
                recording.end(CallOutcome::Ended, 0, 0);
                Err(ErrorData::invalid_request("your sign-in ended: sign in again, and listen again", None))
            }
            left = followed => match left {
                // The request ended: nobody hears this.
                Left::Unheard => Ok(()),
                Left::Watch(error) => {
                    let rendered = self.0.text(error.clone().into_answer());
                    recording.end(error.outcome(), rendered.redactions, rendered.tokens);
                    Err(refusal(&error, &rendered, Some(uri)))
                }
            },
        }
    }

    /// Subscribes, for as long as the connection lasts.
    pub(super) async fn begin_subscription(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if is_over_http(context) {
            return Err(ErrorData::invalid_request(
                "nobody can be told without a session: use subscriptions/listen (2026-07-28), or standard input and output",
                None,
            ));
        }
        let key = key(&self.vouched(context)?, uri);
        if self.0.subscribed.lock().contains_key(&key) {
            return Ok(());
        }
        let Begun {
            watch,
            slot,
            recording,
            call,
        } = self.begin(uri, "resources/subscribe", context).await?;
        let ends = self.0.gone.token();
        let open = Open {
            id: call.id,
            _slot: slot,
            _ends: ends.clone().drop_guard(),
        };
        self.0.subscribed.lock().insert(key.clone(), open);
        let (all, peer, uri) = (
            self.0.subscribed.open.clone(),
            context.peer.clone(),
            uri.to_owned(),
        );
        tokio::spawn(async move {
            let tell = || peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri.clone()));
            let outcome = tokio::select! {
                biased;
                () = ends.cancelled() => CallOutcome::Cancelled,
                () = until(call.principal.until) => {
                    // Whoever reads then learns why. If nobody hears it, nobody reads.
                    let _ = tell().await;
                    CallOutcome::Ended
                }
                left = follow(watch, false, tell) => match left {
                    Left::Unheard => CallOutcome::Cancelled,
                    Left::Watch(error) => error.outcome(),
                },
            };
            recording.end(outcome, 0, 0);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            // There may be another one by now.
            if all.get(&key).is_some_and(|open| open.id == call.id) {
                all.remove(&key);
            }
        });
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub(super) fn end_subscription(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let key = key(&self.vouched(context)?, uri);
        self.0.subscribed.lock().remove(&key);
        Ok(())
    }

    /// Lets a subscription in: it counts as a call, and takes as long as one at most.
    async fn begin(
        &self,
        uri: &str,
        how: &'static str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Begun, ErrorData> {
        let call = calls::begin(self.vouched(context)?, how, client(context));
        let (recording, parsed) = self.0.named(&call, uri);
        let (inner, who) = (&self.0, call.principal.identity.clone());
        let begun = inner.bounded(call.clone(), &context.ct, |tools| async move {
            let parsed = parsed?;
            let slot = inner.subscribed.slots.take(&who, inner.settings.subscriptions)?;
            let cluster = tools.cluster(Some(parsed.cluster.as_str())).await?;
            let patience = Duration::from_secs(inner.settings.call_seconds);
            Ok((slot, Watch::begin(cluster, &parsed, patience).await?))
        });
        match begun.await {
            Some(Ok((slot, watch))) => {
                recording.begun();
                Ok(Begun {
                    watch,
                    slot,
                    recording,
                    call,
                })
            }
            other => Err(inner.failed(other.and_then(Result::err), recording, Some(uri))),
        }
    }

    fn vouched(&self, context: &RequestContext<RoleServer>) -> Result<Principal, ErrorData> {
        let principal = self.0.door.principal(&context.extensions);
        principal.ok_or_else(|| ErrorData::invalid_request("nobody vouches for this request", None))
    }
}

impl Inner {
    /// What is written down of a call about a URI, and what the URI means.
    fn named(&self, call: &Call, uri: &str) -> (Recording, Result<ResourceUri, InvalidUri>) {
        let parsed = uri.parse::<ResourceUri>();
        let arguments = match &parsed {
            Ok(parsed) => json!({"uri": uri, "cluster": parsed.cluster}),
            Err(_) => json!({"uri": uri}),
        };
        (Recording::begin(self.log.clone(), call, &arguments), parsed)
    }

    /// Whether it is something that anybody could watch here.
    fn watchable(&self, uri: &str) -> Result<(), ToolError> {
        let uri: ResourceUri = uri.parse()?;
        if matches!(uri.part, Part::Log { .. }) {
            return Err(ToolError::Denied(Watch::NO_LOGS.to_owned()));
        }
        let wire = Wire::reading(uri.path()?);
        let path = wire.path.parse().map_err(|_| {
            ToolError::Denied(
                "a name in the URI can't be in a path: write it as it is in metadata.name".to_owned(),
            )
        })?;
        self.guard
            .check(&uri.cluster, &wire, &path, Warrant::Reading)
            .map_err(ApiError::NotAsked)?;
        Ok(())
    }

    /// What came of a call that isn't text.
    fn ended<T>(
        &self,
        made: Option<Result<T, ToolError>>,
        recording: Recording,
        uri: Option<&str>,
    ) -> Result<T, ErrorData> {
        match made {
            Some(Ok(made)) => {
                recording.end(CallOutcome::Answered, 0, 0);
                Ok(made)
            }
            other => Err(self.failed(other.and_then(Result::err), recording, uri)),
        }
    }

    /// Says and writes down why there is nothing; without an error it was cancelled.
    fn failed(&self, error: Option<ToolError>, recording: Recording, uri: Option<&str>) -> ErrorData {
        let Some(error) = error else {
            recording.end(CallOutcome::Cancelled, 0, 0);
            return ErrorData::invalid_request("the call was cancelled", None);
        };
        let rendered = self.text(error.clone().into_answer());
        recording.end(error.outcome(), rendered.redactions, rendered.tokens);
        refusal(&error, &rendered, uri)
    }
}

impl Subscribed {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(principal: &Principal, uri: &str) -> Key {
    (principal.identity.clone(), principal.proof, uri.to_owned())
}

/// Whether each request stands alone, without a connection that one could be told on later.
fn is_over_http(context: &RequestContext<RoleServer>) -> bool {
    context.extensions.get::<http::request::Parts>().is_some()
}

/// Resolves when a proof of identity ends.
async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// An error of the protocol: a line of ours, and in its data what the cluster said, as answers tell it.
fn refusal(error: &ToolError, rendered: &Rendered, uri: Option<&str>) -> ErrorData {
    let (line, said) = error.said();
    let mut data = json!({});
    if let Some(uri) = uri {
        data["uri"] = uri.into();
    }
    if said.is_some() {
        data["text"] = Value::from(&*rendered.text);
    }
    let data = Some(data);
    match error {
        // A cluster that isn't there, one that isn't for this user, and an object that isn't there.
        ToolError::NoCluster(_) | ToolError::Api(ApiError::Refused { code: 404, .. }) => {
            ErrorData::resource_not_found(line, data)
        }
        ToolError::Api(ApiError::Refused { code: 400..500, .. } | ApiError::NotAsked(_))
        | ToolError::Uri(_)
        | ToolError::Arguments(_) => ErrorData::invalid_params(line, data),
        ToolError::Denied(_) | ToolError::Rejected(..) | ToolError::TooMany { .. } => {
            ErrorData::invalid_request(line, data)
        }
        // Nothing that is read asks anybody.
        ToolError::Api(_) | ToolError::Ask(_) | ToolError::TimedOut { .. } => {
            ErrorData::internal_error(line, data)
        }
    }
}
