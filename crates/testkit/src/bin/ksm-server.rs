//! `ksm-server`: a Keeper Secrets Manager server for a demo, with a vault out of a file.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use mk8s_testkit::ksm::{KsmServer, NewRecord, RateLimit, Settings, Vault};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// A local Keeper Secrets Manager server, for demos and tests.
///
/// It speaks the real service's protocol over HTTPS, so that official SDKs and the mk8s sidecar work against it unchanged.
/// Everything is in memory: at each start there are new keys, a new certificate and new clients.
#[derive(Debug, Parser)]
#[command(
    version,
    after_long_help = "\
A vault file is YAML or JSON, and every part of it may be left out:

    records:                      # shared with the application itself
      - title: database
        fields:
          - {type: login, value: [app]}
          - {type: password, value: [made up]}
        custom:
          - {type: text, label: port, value: ['5432']}
        notes: what people should know
        files:
          - {name: ca.pem, content: the text of the file}
    folders:                      # shared folders; below them, the same again
      - name: team
        records: []
        folders: []

Examples:
  Serve this machine, with an empty vault:
    ksm-server --output /tmp/ksm
  Serve the pods of a local cluster, whose nodes know this machine by a name:
    ksm-server --listen 0.0.0.0:8443 --host host.example --vault vault.yaml --output /tmp/ksm
  Give a client its configuration:
    kubectl create secret generic ksm-config --from-file=config=/tmp/ksm/config.json
  Ask with the official Python SDK:
    REQUESTS_CA_BUNDLE=/tmp/ksm/ca.pem KSM_CONFIG=$(cat /tmp/ksm/config.base64) python3 -c \\
      'import keeper_secrets_manager_core as k; print(k.SecretsManager().get_secrets())'"
)]
struct Cli {
    /// Where to listen; port 0 takes one that is free. Pods can reach 0.0.0.0
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// What clients call this machine: stands in their configuration. By default the address it listens on
    #[arg(long, value_name = "NAME")]
    host: Option<String>,

    /// A further DNS name or IP address for the certificate; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// What is in the vault
    #[arg(long, value_name = "FILE")]
    vault: Option<PathBuf>,

    /// Where to put ca.pem, config.json, config.base64 (a client that is bound) and token (for one that isn't)
    #[arg(long, value_name = "DIRECTORY")]
    output: PathBuf,

    /// Refuse more than 100 requests in 10 seconds from one client to one endpoint, as the real service does
    #[arg(long)]
    limit_rate: bool,
}

/// The vault, as its file has it; or a folder in it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Contents {
    records: Vec<NewRecord>,
    folders: Vec<NewFolder>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFolder {
    name: String,
    #[serde(default)]
    records: Vec<NewRecord>,
    #[serde(default)]
    folders: Vec<NewFolder>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let contents = match &cli.vault {
        Some(path) => read(path)?,
        None => Contents::default(),
    };
    let server = KsmServer::start_with(Settings {
        listen: cli.listen,
        names: cli.names,
        host: cli.host,
    })
    .await?;
    fill(&server.vault(), contents)?;
    if cli.limit_rate {
        server.limit_rate(Some(RateLimit::REAL));
    }
    write(&server, &cli.output)
        .with_context(|| format!("can't write to {}; choose another --output", cli.output.display()))?;
    eprintln!(
        "serving {} with {} records; its clients' files are in {}; Ctrl-C ends it",
        server.url(),
        server.vault().records().len(),
        cli.output.display()
    );
    let mut terminated = signal(SignalKind::terminate()).context("can't wait for a signal")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("can't wait for Ctrl-C")?,
        _ = terminated.recv() => {}
    }
    server.stop().await;
    Ok(())
}

fn read(path: &Path) -> Result<Contents> {
    let text = fs::read_to_string(path).with_context(|| {
        format!(
            "can't read {}; see --help for what a vault file has",
            path.display()
        )
    })?;
    serde_saphyr::from_str(&text)
        .with_context(|| format!("{} isn't a vault file; see --help for one", path.display()))
}

fn fill(vault: &Vault, contents: Contents) -> Result<()> {
    for record in contents.records {
        check(vault, &record)?;
        vault.add(record);
    }
    for folder in contents.folders {
        let uid = vault.add_folder(&folder.name);
        fill_folder(vault, &uid, folder)?;
    }
    Ok(())
}

fn fill_folder(vault: &Vault, uid: &str, folder: NewFolder) -> Result<()> {
    for record in folder.records {
        check(vault, &record)?;
        vault.add_to(uid, record);
    }
    for inner in folder.folders {
        let inner_uid = vault.add_subfolder(uid, &inner.name);
        fill_folder(vault, &inner_uid, inner)?;
    }
    Ok(())
}

fn check(vault: &Vault, record: &NewRecord) -> Result<()> {
    if let Some(uid) = &record.uid {
        let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        anyhow::ensure!(
            uid.len() == 22 && uid.bytes().all(is_url_safe),
            "the uid {uid:?} in the vault file must have 22 characters of A-Z, a-z, 0-9, - and _; or leave it out"
        );
        anyhow::ensure!(
            vault.record(uid).is_none(),
            "two records of the vault file have the uid {uid}; give each its own"
        );
    }
    Ok(())
}

fn write(server: &KsmServer, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let config = server.app_config();
    for (name, text) in [
        ("ca.pem", server.ca_pem()),
        ("config.json", &config.json()),
        ("config.base64", &config.base64()),
        ("token", &server.one_time_token()),
    ] {
        // All but the first are credentials.
        let path = directory.join(name);
        if path.exists() {
            fs::remove_file(&path)?;
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(text.as_bytes())?;
    }
    Ok(())
}
