//! The clusters of a kubeconfig: each context is one, reached in its own credentials by the one path.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use http::{Request, Response};
use mk8s_connect::kubeconfig;
use mk8s_mcp_core::{
    cluster::{Clusters, KnownCluster, Upgraded, again},
    error::ToolError,
    principal::{Call, Principal},
};
use mk8s_model::ClusterName;
use mk8s_net::{Body, status::Status};
use mk8s_proxy::{AuditLog, CredentialsRefused, Inbound, Proxy, decide::AllowAll};

use crate::{asking, config::Contexts, ways::FileWays};

/// The clusters of a kubeconfig.
pub(crate) struct Kubeconfig {
    known: Vec<KnownCluster>,
    ways: Arc<FileWays>,
    proxy: Proxy,
}

impl Kubeconfig {
    /// Those contexts of the file. Nothing is dialled yet.
    pub(crate) fn open(path: &Path, wanted: &Contexts, audit: Arc<dyn AuditLog>) -> anyhow::Result<Self> {
        let (all, current) = kubeconfig::contexts(path)?;
        let (names, default) = match wanted {
            Contexts::Current => {
                let current = current.with_context(|| {
                    format!(
                        "{} has no current-context: name one with --context ({})",
                        path.display(),
                        all.join(", ")
                    )
                })?;
                (vec![current.clone()], Some(current))
            }
            Contexts::Named(names) => (names.clone(), names.first().cloned()),
            Contexts::All => (all.clone(), current),
        };
        if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
            bail!(
                "{} has no context {unknown:?}, but {}",
                path.display(),
                all.join(", ")
            );
        }
        if names.is_empty() {
            bail!("{} has no contexts", path.display());
        }
        let mut contexts = BTreeMap::new();
        for context in names {
            let name = called(&context, |name| contexts.contains_key(name))?;
            contexts.insert(name, context);
        }
        let known = contexts
            .iter()
            .map(|(name, context)| KnownCluster {
                name: name.clone(),
                is_default: default.as_ref() == Some(context),
                about: (name.as_str() != context).then(|| format!("context {context}")),
            })
            .collect();
        let ways = Arc::new(FileWays::new(path.to_owned(), contexts));
        Ok(Self {
            known,
            proxy: Proxy::new(Arc::new(AllowAll::by("the cluster's own")), ways.clone(), audit),
            ways,
        })
    }
}

#[async_trait]
impl Clusters for Kubeconfig {
    async fn list(&self, _: &Principal) -> Result<Vec<KnownCluster>, ToolError> {
        Ok(self.known.clone())
    }

    async fn send(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        // Reading is asked again if a plugin has other credentials by now.
        let again = again(&request);
        let response = self.ask(call, cluster, request).await;
        let is_refused = response.extensions().get::<CredentialsRefused>().is_some();
        match again {
            Some(again) if is_refused && self.ways.forget(cluster) => self.ask(call, cluster, again).await,
            _ => response,
        }
    }

    async fn upgrade(
        &self,
        call: &Call,
        cluster: &ClusterName,
        request: Request<()>,
    ) -> Result<Upgraded, Response<Body>> {
        if let Err(why) = self.ways.prepare(cluster).await {
            return Err(Status::unavailable(why.to_string(), 1).into_response());
        }
        let switched = self
            .proxy
            .switch(asking::caller(&call.principal), cluster.clone(), request)
            .await?;
        Ok(asking::upgraded(switched))
    }
}

impl Kubeconfig {
    async fn ask(&self, call: &Call, cluster: &ClusterName, request: Request<Body>) -> Response<Body> {
        if let Err(why) = self.ways.prepare(cluster).await {
            return Status::unavailable(why.to_string(), 1).into_response();
        }
        let inbound = Inbound {
            caller: asking::caller(&call.principal),
            cluster: cluster.clone(),
            request,
            upgrade: None,
            audit_id: None,
        };
        self.proxy.handle(inbound).await
    }
}

/// What a context is called: its own name if that can be one, else what is left of it, numbered where two would be the same.
fn called(context: &str, is_taken: impl Fn(&ClusterName) -> bool) -> anyhow::Result<ClusterName> {
    let mut plain: String = context
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    while plain.contains("..") {
        plain = plain.replace("..", ".");
    }
    let plain: String = plain.trim_matches(['-', '.']).chars().take(200).collect();
    let plain = match plain.trim_end_matches(['-', '.']) {
        "" => "context",
        plain => plain,
    };
    for number in 1..=1_000 {
        let name = if number == 1 {
            plain.to_owned()
        } else {
            format!("{plain}-{number}")
        };
        let name: ClusterName = name.parse()?;
        if !is_taken(&name) {
            return Ok(name);
        }
    }
    bail!("more than a thousand contexts are called like {context:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_have_names_that_can_stand_anywhere() {
        for (context, name) in [
            ("staging", "staging"),
            ("kubernetes-admin@kubernetes", "kubernetes-admin-kubernetes"),
            (
                "arn:aws:eks:eu-1:12:cluster/Prod",
                "arn-aws-eks-eu-1-12-cluster-prod",
            ),
            ("@@", "context"),
            ("a..b", "a.b"),
            ("-x-", "x"),
        ] {
            assert_eq!(
                called(context, |_| false).expect("a name").as_str(),
                name,
                "{context}"
            );
        }
        assert!(called(&"y".repeat(500), |_| false).is_ok());
    }

    #[test]
    fn two_clusters_of_one_name_are_told_apart() {
        let taken: ClusterName = "a-b".parse().expect("a name");
        assert_eq!(
            called("a@b", |name| *name == taken).expect("a name").as_str(),
            "a-b-2"
        );
    }

    #[test]
    fn what_isnt_there_is_said_with_what_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("config");
        std::fs::write(
            &path,
            "contexts: [{name: a, context: {}}, {name: 'A', context: {}}]\n",
        )
        .expect("written");
        let audit = || Arc::new(mk8s_proxy::audit::LogOnly);
        let error = |wanted| match Kubeconfig::open(&path, &wanted, audit()) {
            Ok(_) => panic!("opened"),
            Err(error) => error.to_string(),
        };
        assert!(error(Contexts::Current).ends_with("has no current-context: name one with --context (a, A)"));
        assert!(error(Contexts::Named(vec!["b".to_owned()])).ends_with("has no context \"b\", but a, A"));
        let all = Kubeconfig::open(&path, &Contexts::All, audit()).expect("both");
        let names: Vec<_> = all.known.iter().map(|known| known.name.to_string()).collect();
        assert_eq!(names, ["a", "a-2"]);
    }
}
