//! The leader's work: the Secret's content, and the caBundle.
//!
//! Every write names the version that was read, and the caBundle is read before the Secret. So a replica that takes itself
//! for the leader too long can't undo what the next one did: a caBundle read before the other's is refused as outdated,
//! and with one read after it comes a Secret that has the other's authorities in it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher::watch_object},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::{info, warn};

use crate::{
    bundle::{Bundles, Stand},
    kept::{Kept, Step},
    settings::{BundlesIn, Place, SelfMade},
};

/// How often everything is looked at though nothing seems to have changed.
const LOOK: Duration = Duration::from_secs(60);
/// After a first failure, or when somebody was faster.
const RETRY: Duration = Duration::from_secs(2);
/// Between two rounds at least, so that a quarrel with somebody who writes the same field costs little.
const BREATH: Duration = Duration::from_millis(100);
/// One round of work; a dozen calls at most.
const ROUND_LIMIT: Duration = Duration::from_secs(60);
const LATE: &str = "the API server doesn't answer in time";

/// Whoever leads does this.
pub(crate) struct Keeper {
    secrets: Api<Secret>,
    bundles: Bundles,
    settings: SelfMade,
    names: Vec<String>,
    /// The bundle that was last seen to stand, and since when.
    standing: Option<(String, Instant)>,
}

impl Keeper {
    pub(crate) fn new(client: Client, settings: SelfMade) -> Self {
        let Place {
            namespace, service, ..
        } = &settings.place;
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            bundles: Bundles::new(client, settings.place.clone()),
            names: [
                format!("{service}.{namespace}.svc"),
                format!("{service}.{namespace}.svc.cluster.local"),
                format!("{service}.{namespace}"),
            ]
            .to_vec(),
            settings,
            standing: None,
        }
    }

    /// Works whenever this replica leads.
    pub(crate) async fn run(mut self, client: Client, mut leading: watch::Receiver<bool>) {
        loop {
            if leading.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            // What another saw to stand is not what we saw.
            self.standing = None;
            let changes = changes(&client, &self.settings.place, Some(&self.settings.secret));
            tokio::select! {
                () = self.work(changes) => {}
                _ = leading.wait_for(|leads| !*leads) => {}
            }
        }
    }

    async fn work(&mut self, mut changes: Changes) {
        let mut trouble = Trouble::default();
        loop {
            let done = tokio::time::timeout(ROUND_LIMIT, self.round()).await;
            let pause = match done.unwrap_or_else(|_| Err(anyhow::anyhow!(LATE))) {
                // A step alone is no sign that what was wrong is over.
                Ok(pause) if pause.is_zero() => pause,
                Ok(pause) => {
                    trouble = Trouble::default();
                    pause
                }
                Err(error) => trouble.pause(&error),
            };
            tokio::time::sleep(BREATH).await;
            changes.wait(pause).await;
        }
    }

    /// One look at everything, and one step. Says when to look again.
    async fn round(&mut self) -> anyhow::Result<Duration> {
        let lifetimes = self.settings.lifetimes;
        let now = Timestamp::now();
        let read = self.bundles.read().await?;
        let found = self.secrets.get_opt(&self.settings.secret).await?;
        let (mut kept, version) = self.content(found);
        let is_new =
            kept.forget(now) | kept.adopt(read.iter().flat_map(crate::bundle::Read::authorities), now);
        let step = kept.due(now, &lifetimes, &self.names);
        match step {
            Step::Prepare => {
                kept.prepare(self.settings.place.program, now, &lifetimes)?;
                info!("made a new authority; it goes into the caBundle before it is used");
            }
            // Of an authority that is believed already, whatever the caBundle's state is at the moment.
            Step::Renew => {
                kept.renew(now, &lifetimes, &self.names)?;
                info!("issued a new certificate");
            }
            Step::Promote | Step::Rest(_) => {}
        }
        if is_new || matches!(step, Step::Prepare | Step::Renew) {
            // Before the caBundle: an authority that is believed must not be forgotten.
            self.write(&kept, version).await?;
            return Ok(Duration::ZERO);
        }
        let bundle = kept.bundle();
        match self.bundles.put(&read, &bundle).await? {
            Stand::Stands => {}
            Stand::Changed => return Ok(Duration::ZERO),
            Stand::Missing(why) => anyhow::bail!(why),
        }
        if let Step::Rest(pause) = step {
            return Ok(pause.clamp(BREATH, LOOK));
        }
        let since = match &self.standing {
            Some((standing, since)) if *standing == bundle => *since,
            _ => self.standing.insert((bundle, Instant::now())).1,
        };
        let left = lifetimes.settle.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Ok(left);
        }
        kept.promote(now, &lifetimes, &self.names)?;
        self.write(&kept, version).await?;
        info!("the new authority is in the caBundle; from now on its certificate is served");
        Ok(Duration::ZERO)
    }

    fn content(&self, found: Option<Secret>) -> (Kept, Option<String>) {
        let Some(secret) = found else {
            return (Kept::default(), None);
        };
        let (kept, complaints) = Kept::read(&secret.data.unwrap_or_default());
        for complaint in complaints {
            warn!(secret = %self.settings.secret, "can't be read, and is made anew: {complaint}");
        }
        (kept, secret.metadata.resource_version)
    }

    /// Writes the Secret, unless it changed since it was read; that is an error, and all is read again. One that wasn't
    /// there has no version to name; what another made meanwhile is then found in the caBundle, and adopted.
    async fn write(&self, kept: &Kept, version: Option<String>) -> anyhow::Result<()> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.settings.secret.clone()),
                namespace: Some(self.settings.place.namespace.clone()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            data: Some(kept.to_data()),
            ..Secret::default()
        };
        let apply = PatchParams::apply(self.settings.place.program).force();
        self.secrets
            .patch(&self.settings.secret, &apply, &Patch::Apply(&secret))
            .await?;
        Ok(())
    }
}

/// What went wrong, said once, and ever longer pauses before it is tried again.
#[derive(Default)]
struct Trouble {
    said: String,
    pause: Duration,
}

impl Trouble {
    fn pause(&mut self, error: &anyhow::Error) -> Duration {
        let text = format!("{error:#}");
        if text != self.said {
            warn!(error = %text, "can't keep the certificate and the caBundle");
            self.said = text;
        }
        self.pause = (self.pause * 2).clamp(RETRY, LOOK);
        self.pause
    }
}

/// Wakes whoever waits when one of the objects changes.
pub(crate) struct Changes {
    heard: mpsc::Receiver<()>,
    /// Ends with this.
    _watching: JoinSet<()>,
}

/// Watches the objects with a caBundle, and the Secret if one is named.
pub(crate) fn changes(client: &Client, place: &Place, secret: Option<&str>) -> Changes {
    let (tell, heard) = mpsc::channel(1);
    let mut watching = JoinSet::new();
    for name in place.bundles.names() {
        let (name, tell) = (name.clone(), tell.clone());
        match place.bundles {
            BundlesIn::MutatingWebhookConfigurations(_) => {
                let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
                watching.spawn(watch_one(api, name, tell))
            }
            BundlesIn::ApiServices(_) => {
                watching.spawn(watch_one(Api::<APIService>::all(client.clone()), name, tell))
            }
        };
    }
    if let Some(secret) = secret {
        let api = Api::<Secret>::namespaced(client.clone(), &place.namespace);
        watching.spawn(watch_one(api, secret.to_owned(), tell));
    }
    Changes {
        heard,
        _watching: watching,
    }
}

impl Changes {
    /// Returns at the next change, or after the pause.
    pub(crate) async fn wait(&mut self, pause: Duration) {
        let over = tokio::time::sleep(pause);
        tokio::select! {
            () = over => {}
            Some(()) = self.heard.recv() => {}
        }
    }
}

async fn watch_one<K>(api: Api<K>, name: String, tell: mpsc::Sender<()>)
where
    K: kube::Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watch_object(api, &name).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            // A full channel says it already.
            Ok(_) => drop(tell.try_send(())),
            Err(error) => warn!(object = %name, %error, "can't watch"),
        }
    }
}

/// Follows the Secret: every replica serves what is in it, the leader as well.
pub(crate) async fn follow(
    client: Client,
    settings: SelfMade,
    use_it: impl Fn(&BTreeMap<String, ByteString>) + Send,
) {
    let api = Api::<Secret>::namespaced(client, &settings.place.namespace);
    let mut events = std::pin::pin!(watch_object(api, &settings.secret).default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(Some(secret)) => use_it(&secret.data.unwrap_or_default()),
            Ok(None) => info!(secret = %settings.secret, "there is no such Secret yet; the leader makes it"),
            Err(error) => warn!(secret = %settings.secret, %error, "can't watch the Secret"),
        }
    }
}

/// Keeps the caBundle alone, with the authorities of a file.
pub(crate) async fn keep_bundle(
    client: Client,
    place: Place,
    ca_file: std::path::PathBuf,
    mut leading: watch::Receiver<bool>,
) {
    let bundles = Bundles::new(client.clone(), place.clone());
    let round = || async {
        let authorities = std::fs::read(&ca_file)
            .map_err(|error| anyhow::anyhow!("tls.caFile {}: {error}", ca_file.display()))?;
        let chain = mk8s_tls::CertificateChain::from_pem(&authorities)
            .map_err(|error| anyhow::anyhow!("tls.caFile {}: {error}", ca_file.display()))?;
        let read = bundles.read().await?;
        match bundles.put(&read, &chain.pem()).await? {
            Stand::Stands => Ok(crate::files::LOOK),
            Stand::Changed => Ok(Duration::ZERO),
            Stand::Missing(why) => Err(anyhow::anyhow!(why)),
        }
    };
    loop {
        if leading.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        let mut changes = changes(&client, &place, None);
        let work = async {
            let mut trouble = Trouble::default();
            loop {
                let done = tokio::time::timeout(ROUND_LIMIT, round()).await;
                let pause = match done.unwrap_or_else(|_| Err(anyhow::anyhow!(LATE))) {
                    Ok(pause) => {
                        trouble = Trouble::default();
                        pause
                    }
                    Err(error) => trouble.pause(&error),
                };
                tokio::time::sleep(BREATH).await;
                changes.wait(pause).await;
            }
        };
        tokio::select! {
            () = work => {}
            _ = leading.wait_for(|leads| !*leads) => {}
        }
    }
}
