//! What the API server is asked about people: who holds this token (TokenReview), may they do that (SubjectAccessReview).
//! Answers count for some seconds, and whoever asks the same meanwhile waits for the same answer, so that a thousand clients
//! of one person make one call.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use mk8s_model::GroupResource;
use moka::future::Cache;
use prometheus_client::metrics::counter::Counter;
use sha2::{Digest as _, Sha256};

use crate::requester::{Key, Requester};

/// How long one review may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Answers that are kept at most.
const MOST: u64 = 20_000;

/// Asks, and remembers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reviews {
    client: Client,
    access: Cache<Question, bool>,
    tokens: Cache<[u8; 32], Option<Arc<Requester>>>,
    calls: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    who: Key,
    verb: &'static str,
    resource: GroupResource,
    /// Of the namespace, if it is about one.
    name: Option<String>,
}

/// The API server gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the API server can't be asked for a {review}: {why}")]
pub(crate) struct NoAnswer {
    review: &'static str,
    why: Arc<str>,
}

impl Reviews {
    pub(crate) fn new(client: Client, kept: Duration, calls: Counter) -> Self {
        Self {
            client,
            access: Cache::builder().time_to_live(kept).max_capacity(MOST).build(),
            tokens: Cache::builder().time_to_live(kept).max_capacity(MOST).build(),
            calls,
        }
    }

    /// Whether they may do this to a resource in all namespaces, or to one that has none.
    pub(crate) async fn may(
        &self,
        requester: &Requester,
        verb: &'static str,
        resource: &GroupResource,
    ) -> Result<bool, NoAnswer> {
        self.asked(requester, verb, resource, None).await
    }

    /// Whether they may get this one namespace, as the API server itself asks: a role in it is enough.
    pub(crate) async fn may_get_namespace(
        &self,
        requester: &Requester,
        namespaces: &GroupResource,
        name: &str,
    ) -> Result<bool, NoAnswer> {
        self.asked(requester, "get", namespaces, Some(name)).await
    }

    async fn asked(
        &self,
        requester: &Requester,
        verb: &'static str,
        resource: &GroupResource,
        name: Option<&str>,
    ) -> Result<bool, NoAnswer> {
        let question = Question {
            who: requester.key(),
            verb,
            resource: resource.clone(),
            name: name.map(str::to_owned),
        };
        let asked = self
            .access
            .try_get_with(question, self.ask(requester, verb, resource, name));
        asked.await.map_err(|why| NoAnswer::clone(&why))
    }

    /// Forgets what is remembered of what people may do: somebody's rights changed.
    pub(crate) fn forget_access(&self) {
        self.access.invalidate_all();
    }

    async fn ask(
        &self,
        requester: &Requester,
        verb: &'static str,
        resource: &GroupResource,
        name: Option<&str>,
    ) -> Result<bool, NoAnswer> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(requester.name.clone()),
                uid: Some(requester.uid.clone()).filter(|uid| !uid.is_empty()),
                groups: Some(requester.groups.clone()),
                extra: Some(requester.extra.clone()),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some(verb.to_owned()),
                    group: Some(resource.group.clone()),
                    resource: Some(resource.resource.clone()),
                    version: Some("*".to_owned()),
                    // A namespace is in itself (requestinfo.go).
                    namespace: name.map(str::to_owned),
                    name: name.map(str::to_owned),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let parameters = PostParams::default();
        let answer = self.call("SubjectAccessReview", reviews.create(&parameters, &review));
        // "Denied" and "no opinion" are the same here: nobody else is asked.
        Ok(answer.await?.status.is_some_and(|status| status.allowed))
    }

    /// Who holds this token; nobody if it isn't good.
    pub(crate) async fn holder(&self, token: &str) -> Result<Option<Arc<Requester>>, NoAnswer> {
        // The token itself isn't kept.
        let key: [u8; 32] = Sha256::digest(token).into();
        let asked = self.tokens.try_get_with(key, self.ask_token(token));
        asked.await.map_err(|why| NoAnswer::clone(&why))
    }

    async fn ask_token(&self, token: &str) -> Result<Option<Arc<Requester>>, NoAnswer> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: None,
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let answer = self
            .call("TokenReview", reviews.create(&PostParams::default(), &review))
            .await?;
        let status = answer.status.unwrap_or_default();
        Ok(status
            .user
            .filter(|_| status.authenticated == Some(true))
            .map(|user| {
                Arc::new(Requester {
                    name: user.username.unwrap_or_default(),
                    uid: user.uid.unwrap_or_default(),
                    groups: user.groups.unwrap_or_default(),
                    extra: user.extra.unwrap_or_default(),
                })
            })
            .filter(|requester| !requester.name.is_empty()))
    }

    async fn call<T>(
        &self,
        review: &'static str,
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, NoAnswer> {
        self.calls.inc();
        match tokio::time::timeout(CALL_LIMIT, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(NoAnswer {
                review,
                why: status.message.as_str().into(),
            }),
            Ok(Err(error)) => Err(NoAnswer {
                review,
                why: error.to_string().into(),
            }),
            Err(_) => Err(NoAnswer {
                review,
                why: format!("no answer within {} s", CALL_LIMIT.as_secs()).into(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// Reviews whose API server answers like this, and how often it was asked.
    fn reviews<F, Fut>(answer: F) -> (Reviews, Arc<AtomicUsize>)
    where
        F: Fn(Value) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = (u16, Value)> + Send,
    {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            let answer = answer.clone();
            async move {
                let body = request.into_body().collect_bytes().await.expect("a body");
                let (status, body) = answer(serde_json::from_slice(&body).expect("JSON")).await;
                let response = Response::builder()
                    .status(status)
                    .body(Body::from(body.to_string().into_bytes()))
                    .expect("an answer");
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let client = Client::new(service, "default");
        (
            Reviews::new(client, Duration::from_secs(10), Counter::default()),
            asked,
        )
    }

    fn review(allowed: bool) -> Value {
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {},
            "status": {"allowed": allowed}})
    }

    fn anna() -> Requester {
        Requester {
            name: "anna".to_owned(),
            uid: "7".to_owned(),
            groups: vec!["team-a".to_owned()],
            extra: [("scopes".to_owned(), vec!["x".to_owned()])].into(),
        }
    }

    fn namespaces() -> GroupResource {
        "namespaces".parse().expect("a resource")
    }

    #[tokio::test]
    async fn the_whole_identity_is_asked_about() {
        let (reviews, _) = reviews(|asked| async move {
            let spec = &asked["spec"];
            let is_whole = spec["user"] == "anna"
                && spec["uid"] == "7"
                && spec["groups"] == json!(["team-a"])
                && spec["extra"] == json!({"scopes": ["x"]})
                && spec["resourceAttributes"]["resource"] == "namespaces"
                && spec["resourceAttributes"]["verb"] == "list";
            (201, review(is_whole))
        });
        assert!(
            reviews
                .may(&anna(), "list", &namespaces())
                .await
                .expect("an answer")
        );
    }

    #[tokio::test]
    async fn what_is_asked_at_once_is_asked_once() {
        let (reviews, asked) = reviews(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            (201, review(true))
        });
        let all = (0..100).map(|_| {
            let reviews = reviews.clone();
            async move { reviews.may(&anna(), "list", &namespaces()).await }
        });
        for answer in futures_util::future::join_all(all).await {
            assert!(answer.expect("an answer"));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        reviews.forget_access();
        reviews
            .may(&anna(), "list", &namespaces())
            .await
            .expect("an answer");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_review_that_is_denied_is_a_no_that_is_remembered() {
        let (reviews, asked) = reviews(|_| async { (201, review(false)) });
        for _ in 0..3 {
            assert!(
                !reviews
                    .may(&anna(), "list", &namespaces())
                    .await
                    .expect("an answer")
            );
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_review_that_fails_is_an_error_that_is_not_remembered() {
        let (reviews, asked) = reviews(|_| async {
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
                "reason": "Forbidden", "message": "mk8s-apiserver cannot create subjectaccessreviews"});
            (403, status)
        });
        for _ in 0..2 {
            let error = reviews
                .may(&anna(), "list", &namespaces())
                .await
                .expect_err("an error");
            assert!(
                error.to_string().contains("SubjectAccessReview")
                    && error.to_string().contains("cannot create")
            );
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_review_that_never_ends_is_an_error_in_time() {
        let (reviews, _) = reviews(|_| std::future::pending());
        let error = reviews
            .may(&anna(), "list", &namespaces())
            .await
            .expect_err("an error");
        assert!(error.to_string().contains("10 s"), "{error}");
    }

    #[tokio::test]
    async fn a_token_that_isnt_good_is_nobodys() {
        let (reviews, _) = reviews(|asked| async move {
            let is_good = asked["spec"]["token"] == "good";
            let user = json!({"username": "anna", "groups": ["team-a"]});
            let status = json!({"authenticated": is_good, "user": user});
            let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {},
                "spec": {"token": ""}, "status": status});
            (201, review)
        });
        let holder = reviews
            .holder("good")
            .await
            .expect("an answer")
            .expect("somebody");
        assert_eq!((holder.name.as_str(), holder.groups.len()), ("anna", 1));
        assert_eq!(reviews.holder("bad").await.expect("an answer"), None);
    }
}
