//! `mk8s doctor`: looks at what may be wrong, a row each.

mod apiserver;
mod cluster;
mod front_proxy;
mod report;
mod review;
mod times;

use mk8s_model::ClusterName;

use self::{cluster::Cluster, report::Report};
use crate::{
    cli::doctor::{Doctor, Part},
    clock::Moment,
    context::Context,
    error::{Failure, Result},
};

/// Looks, tells, and fails if something is wrong.
pub(super) fn run(context: &Context<'_>, cluster: Option<&ClusterName>, args: &Doctor) -> Result<()> {
    if cluster.is_some() && args.context.is_some() {
        return Err(Failure::usage("--cluster and --context name two clusters")
            .hint("--cluster leads through central, --context is of your own kubeconfig"));
    }
    let cluster = Cluster::new(context, cluster, args.context.as_deref());
    let now = Moment::now().timestamp();
    let mut report = Report::default();
    if args.part != Some(Part::FrontProxy) {
        apiserver::look(&cluster, args, now, &mut report)?;
    }
    let also = args.part.is_none() && args.server.is_some();
    if also || args.part == Some(Part::FrontProxy) {
        front_proxy::look(context, &cluster, args, now, &mut report)?;
    }
    report.tell(args.output.format, context.environment.colour_on_stdout())
}
