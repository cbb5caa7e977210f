//! Commands in another pod.

use anyhow::{Context as _, ensure};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Status};
use kube::{Api, Client, api::AttachParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::report;

pub(crate) async fn run(client: Client, pod: &str) -> anyhow::Result<Value> {
    let pods: Api<Pod> = Api::default_namespaced(client);

    let (output, code) = execute(&pods, pod, &["echo", "hello"], None)
        .await
        .context("echo")?;
    ensure!(
        (output.as_str(), code) == ("hello\n", 0),
        "echo: {output:?}, exit code {code}"
    );
    report::line(json!({ "step": "echo" }));

    let text: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    let (output, code) = execute(&pods, pod, &["cat"], Some(&text)).await.context("cat")?;
    ensure!(
        output == text && code == 0,
        "cat: {} of {} bytes, exit code {code}",
        output.len(),
        text.len()
    );
    report::line(json!({ "step": "cat" }));

    let (_, code) = execute(&pods, pod, &["sh", "-c", "exit 3"], None)
        .await
        .context("exit")?;
    ensure!(code == 3, "exit: exit code {code} in place of 3");
    report::line(json!({ "step": "exit" }));
    Ok(json!({ "steps": 3 }))
}

/// What the command prints, and its exit code.
async fn execute(
    pods: &Api<Pod>,
    pod: &str,
    command: &[&str],
    stdin: Option<&str>,
) -> anyhow::Result<(String, i32)> {
    let parameters = AttachParams::default().stdin(stdin.is_some()).stderr(false);
    let mut process = pods.exec(pod, command.iter().copied(), &parameters).await?;
    let status = process.take_status().context("no status")?;
    let mut stdout = process.stdout().context("no stdout")?;
    let input = process.stdin();
    let write = async move {
        if let (Some(mut input), Some(text)) = (input, stdin) {
            input.write_all(text.as_bytes()).await?;
            input.shutdown().await?;
        }
        anyhow::Ok(())
    };
    let mut output = String::new();
    let (written, read) = tokio::join!(write, stdout.read_to_string(&mut output));
    written.context("stdin")?;
    read.context("stdout")?;
    let status = status.await.context("it ended without a status")?;
    process.join().await?;
    Ok((output, exit_code(&status)?))
}

fn exit_code(status: &Status) -> anyhow::Result<i32> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status
        .details
        .as_ref()
        .and_then(|details| details.causes.as_ref());
    let code = causes.and_then(|causes| {
        let cause = causes
            .iter()
            .find(|cause| cause.reason.as_deref() == Some("ExitCode"));
        cause?.message.as_deref()?.parse().ok()
    });
    code.with_context(|| format!("no exit code in {status:?}"))
}
