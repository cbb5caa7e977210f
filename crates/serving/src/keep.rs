//! What runs beside the door: in each of the modes, what keeps the certificate and who is told to believe it.

use std::sync::Arc;

use kube::Client;
use mk8s_net::drain;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    election::Candidate,
    files, keeper,
    served::ServedCertificate,
    settings::{Place, Tls},
};

/// What was begun.
#[derive(Debug)]
pub struct Keeping {
    /// End when they are dropped.
    pub tasks: JoinSet<()>,
    /// Ends by itself when the program stops, and lets go of the Lease. Absent where no leader is needed.
    pub candidate: Option<JoinHandle<()>>,
    /// Whether this replica leads.
    pub leading: Option<watch::Receiver<bool>>,
}

/// Begins to keep the certificate, and the caBundle where that is ours to do. `connect` is asked for a client if something is
/// kept in the cluster ([`Tls::place`]). `leader` is 1 while this replica leads. With `stop` the Lease is let go.
///
/// # Errors
/// What `connect` says.
pub async fn keep<C: Future<Output = anyhow::Result<Client>>>(
    tls: &Tls,
    served: Arc<ServedCertificate>,
    connect: impl FnOnce() -> C,
    leader: Gauge,
    stop: drain::Watch,
) -> anyhow::Result<Keeping> {
    let mut tasks = JoinSet::new();
    if let Tls::Files { .. } = tls {
        tasks.spawn(files::follow(served.certificate().clone()));
    }
    let elect = |client: &Client, place: &Place| {
        let (candidate, leading) = Candidate::new(client.clone(), place, leader);
        (tokio::spawn(candidate.run(stop)), leading)
    };
    let (candidate, leading) = match tls {
        Tls::Files { bundle: None, .. } => {
            return Ok(Keeping {
                tasks,
                candidate: None,
                leading: None,
            });
        }
        Tls::Files {
            bundle: Some((ca_file, place)),
            ..
        } => {
            let client = connect().await?;
            let (candidate, leading) = elect(&client, place);
            let kept = keeper::keep_bundle(client, place.clone(), ca_file.clone(), leading.clone());
            tasks.spawn(kept);
            (candidate, leading)
        }
        Tls::SelfMade(own) => {
            let client = connect().await?;
            let (candidate, leading) = elect(&client, &own.place);
            let keeper = keeper::Keeper::new(client.clone(), own.clone());
            tasks.spawn(keeper.run(client.clone(), leading.clone()));
            let secret = own.secret.clone();
            let follow = keeper::follow(client, own.clone(), move |data| served.take(&secret, data));
            tasks.spawn(follow);
            (candidate, leading)
        }
    };
    Ok(Keeping {
        tasks,
        candidate: Some(candidate),
        leading: Some(leading),
    })
}
