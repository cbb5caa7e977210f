//! One look at the vault, and what follows from it: files, variables, Kubernetes Secrets, and whether anything changed.

use std::{collections::BTreeSet, time::Instant};

use mk8s_gotemplate::{Limits, Template};
use mk8s_secrets::{
    contract::Request,
    outputs::{self, Fetched, Outcome},
};
use tracing::{error, info, warn};

use crate::{
    cli::Settings,
    cluster_secrets::{ClusterSecrets, When},
    environment,
    files::Files,
    metrics::Metrics,
    provider::{FetchError, Provider},
};

/// Everything that a look needs, and what is remembered from one to the next.
pub(crate) struct Cycle<'a> {
    request: &'a Request,
    settings: &'a Settings,
    provider: Box<dyn Provider>,
    files: Files,
    cluster: Option<ClusterSecrets>,
    metrics: Metrics,
    /// What was said, so that it isn't said again every few minutes.
    said: BTreeSet<String>,
}

/// What came of a look.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// What changed: paths, names of Secrets, "variables".
    pub(crate) changed: Vec<String>,
    /// What can't be had, or written.
    pub(crate) errors: Vec<String>,
}

impl<'a> Cycle<'a> {
    /// Prepares; nothing is fetched yet.
    pub(crate) fn new(
        request: &'a Request,
        settings: &'a Settings,
        provider: Box<dyn Provider>,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let cluster = match request.has_kubernetes_secrets() {
            true => Some(ClusterSecrets::new(settings)?),
            false => None,
        };
        Ok(Self {
            request,
            settings,
            provider,
            files: Files::open(request.mounts(), settings.readers)?,
            cluster,
            metrics,
            said: BTreeSet::new(),
        })
    }

    /// Looks once. An error means that nothing came, and everything is as it was.
    pub(crate) async fn look(&mut self, when: When) -> Result<Report, FetchError> {
        let started = Instant::now();
        let fetched = self.fetch().await;
        self.metrics.fetched(fetched.is_ok(), started.elapsed());
        let outcome = fetched?;
        let mut report = Report::default();
        report
            .errors
            .extend(outcome.errors.iter().map(ToString::to_string));
        self.write_files(&outcome, &mut report);
        if self.request.has_env() && when == When::Start {
            // A program reads its variables once, when it starts.
            let written = environment::write(
                &self.settings.environment_dir,
                &self.settings.exec_program,
                &outcome,
                self.settings.readers,
            );
            match written {
                Ok(true) => report.changed.push("variables".to_owned()),
                Ok(false) => {}
                Err(error) => report.errors.push(format!("variables: {error:#}")),
            }
        }
        if let Some(cluster) = &self.cluster
            && (when == When::Start || self.request.kubernetes_secrets.rotation)
        {
            for secret in &outcome.kubernetes_secrets {
                match cluster.write(secret, when).await {
                    Ok(true) => report.changed.push(format!("Secret {}", secret.name)),
                    Ok(false) => {}
                    Err(error) => report.errors.push(format!("Secret {}: {error:#}", secret.name)),
                }
            }
        }
        self.say(&outcome.warnings, &report);
        self.metrics.looked(
            outcome.files.len() + outcome.kubernetes_secrets.len() + outcome.env.len(),
            &report,
        );
        Ok(report)
    }

    /// Everything that the request asks for, attached files too.
    async fn fetch(&mut self) -> Result<Outcome, FetchError> {
        let mut fetched = self.provider.fetch(self.request).await?;
        let mut outcome = self.produce(&fetched);
        let missing = std::mem::take(&mut outcome.files_to_download);
        if missing.is_empty() {
            return Ok(outcome);
        }
        for file in &missing {
            let content = self.provider.download(file).await?;
            fetched.files.insert(file.file.uid.clone(), content);
        }
        Ok(self.produce(&fetched))
    }

    fn produce(&self, fetched: &Fetched) -> Outcome {
        outputs::produce(self.request, fetched, &render)
    }

    fn write_files(&mut self, outcome: &Outcome, report: &mut Report) {
        for file in &outcome.files {
            match self.files.write(file) {
                Ok(true) => report.changed.push(file.path.clone()),
                Ok(false) => {}
                Err(error) => report.errors.push(error.to_string()),
            }
        }
        // What failed now stays as it was: a record that can't be read for once isn't gone.
        if outcome.errors.is_empty() {
            let wanted = outcome.files.iter().map(|file| file.path.as_str()).collect();
            report.changed.extend(self.files.keep_only(&wanted));
        }
    }

    /// A look that was tried again and again came to nothing.
    pub(crate) fn gave_up(&self) {
        self.metrics.looked_in_vain();
    }

    fn say(&mut self, warnings: &[String], report: &Report) {
        for text in warnings.iter().filter(|text| !self.said.contains(*text)) {
            warn!("{text}");
        }
        for text in report.errors.iter().filter(|text| !self.said.contains(*text)) {
            error!("{text}");
        }
        self.said = warnings.iter().chain(&report.errors).cloned().collect();
        for changed in &report.changed {
            info!("wrote {changed}");
        }
    }
}

/// Renders a template. What it says of an error shows no value.
fn render(source: &str, data: &serde_json::Value) -> Result<String, String> {
    let template = Template::parse("template", source).map_err(|error| error.to_string())?;
    template
        .render(data, &Limits::default())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
