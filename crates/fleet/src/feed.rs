//! One cluster's watch, event by event.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http::{HeaderValue, Request};
use mk8s_lists::{Broken, Failure, Watch};
use mk8s_model::ClusterName;
use mk8s_net::Body;
use tokio::time::Instant;

use crate::{Ask, answer::succeeded};

/// How long a watch lives at least, if it is to be taken up again: one that ends at once would be asked for without a pause.
const SHORT: Duration = Duration::from_secs(1);

/// What comes out of a cluster's watch. After anything but an event, nothing comes any more.
#[derive(Debug)]
pub(crate) enum Step {
    Event(Bytes),
    /// It ended in the ordinary way.
    Ended {
        /// Whether so soon that asking again would make no sense.
        at_once: bool,
    },
    /// It broke off.
    Broken(Broken),
    /// It wasn't taken up again.
    Refused(Failure),
}

/// A cluster's watch that has begun.
#[derive(Debug)]
pub(crate) struct Feed {
    watch: Watch,
    began: Instant,
    pub(crate) warnings: Vec<HeaderValue>,
}

impl Feed {
    /// Begins one.
    ///
    /// # Errors
    /// What the cluster said instead.
    pub(crate) async fn begin(
        ask: &dyn Ask,
        cluster: &ClusterName,
        request: Request<Body>,
    ) -> Result<Self, Failure> {
        let (warnings, body) = succeeded(cluster, ask.ask(cluster, request).await).await?;
        Ok(Self {
            watch: Watch::new(body),
            began: Instant::now(),
            warnings,
        })
    }

    /// What comes out of it.
    pub(crate) fn steps(self) -> impl Stream<Item = Step> + Send {
        stream::unfold(Some(self), async |feed| {
            let mut feed = feed?;
            match feed.watch.next().await {
                Ok(Some(event)) => Some((Step::Event(event), Some(feed))),
                Ok(None) => {
                    let at_once = feed.began.elapsed() < SHORT;
                    Some((Step::Ended { at_once }, None))
                }
                Err(why) => Some((Step::Broken(why), None)),
            }
        })
    }

    /// What comes out of one that is yet to begin.
    pub(crate) fn steps_of(
        ask: Arc<dyn Ask>,
        cluster: ClusterName,
        request: Request<Body>,
    ) -> impl Stream<Item = Step> + Send {
        use futures_util::{StreamExt as _, future::Either};

        stream::once(async move { Self::begin(&*ask, &cluster, request).await }).flat_map(|begun| match begun
        {
            Ok(feed) => Either::Left(feed.steps()),
            Err(why) => Either::Right(stream::once(std::future::ready(Step::Refused(why)))),
        })
    }
}
