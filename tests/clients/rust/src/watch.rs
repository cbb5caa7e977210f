//! Following ConfigMaps by kube-rs' watcher.

use std::{pin::pin, time::Duration};

use anyhow::ensure;
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::{Value, json};
use tokio::time::{self, Instant};

use crate::report;

pub(crate) async fn run(client: Client, duration: Duration) -> anyhow::Result<Value> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let mut stream = pin!(watcher(maps, watcher::Config::default()).default_backoff());
    let mut end = pin!(time::sleep(duration));
    let second = Duration::from_secs(1);
    let mut ticks = time::interval_at(Instant::now() + second, second);
    let (mut seconds, mut events, mut errors) = (0, 0, 0);
    let mut last_error = None;
    loop {
        tokio::select! {
            next = stream.next() => match next {
                Some(Ok(Event::Apply(map) | Event::InitApply(map))) => {
                    events += 1;
                    seen("applied", &map);
                }
                Some(Ok(Event::Delete(map))) => {
                    events += 1;
                    seen("deleted", &map);
                }
                Some(Ok(Event::Init | Event::InitDone)) => {}
                Some(Err(error)) if is_expired(&error) => {}
                Some(Err(error)) => {
                    errors += 1;
                    last_error = Some(error.to_string());
                }
                None => anyhow::bail!("the watcher ended"),
            },
            _ = ticks.tick() => {
                seconds += 1;
                report::line(json!({ "second": seconds, "events": events, "errors": errors }));
            }
            () = &mut end => break,
        }
    }
    ensure!(
        events > 0,
        "nothing was seen; {errors} errors, the last: {last_error:?}"
    );
    Ok(json!({ "events": events, "errors": errors, "last_error": last_error }))
}

fn seen(event: &str, map: &ConfigMap) {
    report::line(json!({
        "event": event,
        "name": map.metadata.name,
        "resource_version": map.metadata.resource_version,
    }));
}

/// The API server forgets old versions: the watcher lists anew.
fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            status.code == 410
        }
        _ => false,
    }
}
