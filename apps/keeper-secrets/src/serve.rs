//! `init` and `run`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mk8s_net::drain::{self, Drain};
use mk8s_secrets::contract::Request;
use tracing::{error, info, warn};

use crate::{
    cli::Settings,
    cluster_secrets::When,
    configuration,
    cycle::{Cycle, Report},
    metrics::{self, Metrics},
    patience, provider, signal,
};

/// The longest that a starting pod waits because the vault says so; one that runs has its files, and waits for the next look.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long a running look has when the pod ends.
const FLUSH: Duration = Duration::from_secs(5);
/// After so long without a fetch, what is there is called old.
const OLD: Duration = Duration::from_secs(24 * 3600);

/// Fetches and writes once.
pub(crate) fn init(settings: &Settings) -> anyhow::Result<()> {
    let request = prepare(settings)?;
    runtime()?.block_on(async {
        let provider = provider::of(&request, settings)?;
        let mut cycle = Cycle::new(&request, settings, provider, Metrics::new())?;
        let looked = patience::patiently(LONGEST_WAIT, async || cycle.look(When::Start).await).await;
        let report = match looked {
            Ok(report) => report,
            Err(why) => Report {
                errors: vec![why.to_string()],
                ..Report::default()
            },
        };
        if report.errors.is_empty() {
            info!(written = report.changed.len(), "all secrets are there");
            return Ok(());
        }
        if request.fail_on_error {
            bail!("{}", report.errors.join("; "));
        }
        warn!(
            "going on without: {} (keeper.security/fail-on-error is false)",
            report.errors.join("; ")
        );
        Ok(())
    })
}

/// Fetches again and again.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let request = prepare(settings)?;
    runtime()?.block_on(async {
        let drain = Drain::new();
        let metrics = Metrics::new();
        let measuring = match settings.metrics_port {
            Some(port) => {
                let listener = metrics::bind(port.into())?;
                Some(tokio::spawn(metrics.clone().serve(listener, drain.watch())))
            }
            None => None,
        };
        let provider = provider::of(&request, settings)?;
        let mut cycle = Cycle::new(&request, settings, provider, metrics)?;
        info!(every = ?interval(&request), "keeping secrets up to date");
        let stopped = tokio::select! {
            never = keep(&request, &mut cycle) => never,
            stopped = drain::stop_signal() => stopped,
        };
        stopped?;
        // What is being written is written to its end: each file is there whole or not at all in any case.
        drop(cycle);
        if let Some(measuring) = measuring {
            measuring.abort();
        }
        drain.finish(FLUSH).await;
        info!("stopped; what was written stays until the pod is gone");
        Ok(())
    })
}

fn prepare(settings: &Settings) -> anyhow::Result<Request> {
    let request = Request::from_json(&settings.request).context("what is asked for")?;
    configuration::authorities::bring(&request, &settings.ca_dir)?;
    // A container of the same user, who is told of changes, mustn't find the configuration through us.
    mk8s_net::conceal::conceal().context("can't keep others from looking into this process")?;
    mk8s_telemetry::init_logging(settings.log_format, &configuration::without_sdks(&settings.log))?;
    Ok(request)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Looks at every interval, for ever. `init` has looked a moment ago.
async fn keep(request: &Request, cycle: &mut Cycle<'_>) -> std::io::Result<()> {
    let mut pause = jittered(interval(request));
    let mut last = Instant::now();
    let mut failures = 0_u32;
    loop {
        tokio::time::sleep(pause).await;
        pause = jittered(interval(request));
        match patience::patiently(Duration::ZERO, async || cycle.look(When::Later).await).await {
            Ok(report) => {
                if failures > 0 {
                    info!(failures, "secrets are up to date again");
                }
                (last, failures) = (Instant::now(), 0);
                if let Some(signal) = request.signal
                    && !report.changed.is_empty()
                {
                    signal::send(signal);
                }
            }
            Err(why) => {
                cycle.gave_up();
                failures = failures.saturating_add(1);
                if last.elapsed() > OLD {
                    error!(%why, failures, "secrets are more than a day old");
                } else {
                    warn!(%why, failures, "can't fetch secrets; the files stay as they are");
                }
                if let Some(after) = why.after {
                    pause = pause.max(after);
                }
            }
        }
    }
}

fn interval(request: &Request) -> Duration {
    Duration::from_secs(request.refresh_seconds)
}

/// Up to a tenth less, so that many pods don't ask at once, and a change still arrives within an interval.
fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.9..=1.0))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use clap::Parser as _;
    use mk8s_secrets::{
        Hidden, contract,
        outputs::{Fetched, FileToDownload},
    };

    use super::*;
    use crate::{
        cli::{Arguments, Command},
        provider::{FetchError, Provider},
    };

    /// Wants silence for a minute when it is asked first, and says when it was asked.
    #[derive(Clone, Default)]
    struct Busy(Arc<Mutex<Vec<tokio::time::Instant>>>);

    #[async_trait]
    impl Provider for Busy {
        async fn fetch(&mut self, _: &Request) -> Result<Fetched, FetchError> {
            let mut asked = self.0.lock().expect("no test panicked with it");
            asked.push(tokio::time::Instant::now());
            match asked.len() {
                1 => Err(FetchError {
                    why: "throttled".to_owned(),
                    is_passing: true,
                    after: Some(Duration::from_secs(60)),
                }),
                _ => Ok(Fetched::default()),
            }
        }

        async fn download(&mut self, _: &FileToDownload) -> Result<Hidden, FetchError> {
            Err(FetchError::lasting("there are no files"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_silence_for_a_minute_has_it_and_then_looks_go_on() {
        let directory = tempfile::tempdir().expect("a directory");
        let annotations = [
            ("inject", "true".to_owned()),
            ("ksm-config", "ksm".to_owned()),
            ("refresh-interval", "10s".to_owned()),
            ("secret-x", format!("db:{}/db.json", directory.path().display())),
        ];
        let annotations = annotations.map(|(name, value)| (format!("keeper.security/{name}"), value));
        let reading = contract::read(&annotations.into(), "ns").expect("what can be asked for");
        let request = reading.request.expect("a request");
        let arguments = Arguments::parse_from([
            "keeper-secrets",
            "run",
            "--request",
            "{}",
            "--hosts",
            "none.example",
        ]);
        let Command::Run(settings) = arguments.command else {
            panic!("run was said");
        };
        let busy = Busy::default();
        let mut cycle =
            Cycle::new(&request, &settings, Box::new(busy.clone()), Metrics::new()).expect("a cycle");
        let hundred = Duration::from_secs(100);
        assert!(
            tokio::time::timeout(hundred, keep(&request, &mut cycle))
                .await
                .is_err(),
            "it never ends"
        );
        let asked = busy.0.lock().expect("no test panicked with it").clone();
        let silence = asked[1] - asked[0];
        assert!((60..61).contains(&silence.as_secs()), "{silence:?}");
        let next = asked[2] - asked[1];
        assert!((8..=10).contains(&next.as_secs()), "{next:?}");
    }
}
