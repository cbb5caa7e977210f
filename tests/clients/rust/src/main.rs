//! The ordinary in-cluster program that a user would write with kube-rs. `tests/clients/README.md` says what it is asked to do.

mod crud;
mod exec;
mod report;
mod watch;

use std::{fs, process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, core::v1::ConfigMap};
use kube::{Api, Client, Config, api::PostParams};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::{self, Instant, MissedTickBehavior};

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// An ordinary in-cluster client.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create, get, list, update, patch and delete a ConfigMap.
    Crud,
    /// Follow the namespace's ConfigMaps.
    Watch {
        #[arg(long)]
        seconds: u64,
    },
    /// Run commands in another pod.
    Exec {
        #[arg(long)]
        pod: String,
    },
    /// Ask the API server who this is.
    Whoami,
    /// Get a ConfigMap every 100 ms.
    Loop {
        #[arg(long)]
        seconds: u64,
    },
    /// Can the service account's token be read?
    ReadToken,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse().command).await {
        Ok(answer) => {
            report::line(report::with(answer, json!({ "ok": true })));
            ExitCode::SUCCESS
        }
        Err(error) => {
            report::line(json!({ "ok": false, "error": format!("{error:#}") }));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<Value> {
    if matches!(command, Command::ReadToken) {
        return Ok(read_token());
    }
    let client = Client::try_from(Config::incluster()?)?;
    match command {
        Command::Crud => crud::run(client).await,
        Command::Watch { seconds } => watch::run(client, Duration::from_secs(seconds)).await,
        Command::Exec { pod } => exec::run(client, &pod).await,
        Command::Whoami => who_am_i(client).await,
        Command::Loop { seconds } => get_repeatedly(client, Duration::from_secs(seconds)).await,
        Command::ReadToken => Ok(read_token()),
    }
}

async fn who_am_i(client: Client) -> anyhow::Result<Value> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await?;
    let user = review.status.and_then(|status| status.user_info);
    let user = user.context("the review has no status")?;
    Ok(json!({ "username": user.username, "groups": user.groups }))
}

async fn get_repeatedly(client: Client, duration: Duration) -> anyhow::Result<Value> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let end = Instant::now() + duration;
    let pause = Duration::from_millis(100);
    let mut ticks = time::interval_at(Instant::now() + pause, pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut requests, mut failures) = (0, 0);
    let mut last_error = None;
    let mut last = Ok(());
    while Instant::now() < end {
        ticks.tick().await;
        requests += 1;
        last = maps.get("kube-root-ca.crt").await.map(drop);
        if let Err(error) = &last {
            failures += 1;
            last_error = Some(error.to_string());
        }
    }
    report::line(json!({ "requests": requests, "failures": failures, "last_error": last_error }));
    last.context("the last request failed")?;
    Ok(json!({ "requests": requests, "failures": failures, "last_error": last_error }))
}

fn read_token() -> Value {
    let hex = |bytes: &[u8]| -> String {
        let digest = Sha256::digest(bytes);
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    match fs::read(TOKEN) {
        Ok(token) => json!({
            "readable": true,
            "prefix_sha256": hex(&token[..token.len().min(12)]),
            "fingerprint": &hex(&token)[..12],
        }),
        Err(error) => json!({ "readable": false, "reason": error.to_string() }),
    }
}
