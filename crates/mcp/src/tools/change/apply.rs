//! A plan that comes back: is it good, is the object as it was, does the user approve? Then it is done, once.

use super::{
    arguments::Arguments,
    draft::{self, Draft},
    tell,
};
use crate::{
    answer::Answer,
    cluster::ApiError,
    error::ToolError,
    plan::Approved,
    server::{self, Subject},
    tools::Context,
};

pub(super) async fn apply(
    context: &Context,
    sealed: &str,
    arguments: Arguments,
) -> Result<Answer, ToolError> {
    let plans = &context.plans;
    let plan = plans.read(&context.call.principal.identity, sealed)?;
    context.guard.act().map_err(ApiError::from)?;
    context.guard.allow(plan.harm).map_err(ApiError::from)?;
    plans.spent.check(plan.nonce)?;
    // Who was asked in time may answer later; a question has an end of its own.
    if !context.approver.was_asked() {
        plans.check(&plan)?;
    }
    let repeated = if arguments.is_empty() {
        None
    } else {
        Some(Draft::of(context, arguments).await?)
    };
    let (target, repeated) = match repeated {
        Some(draft) => (Some(draft.target), Some(draft.operation)),
        None => (None, None),
    };
    if target.is_some_and(|target| target != plan.target) {
        return Err(ToolError::arguments(
            "the plan is for another object: repeat exactly the arguments of the plan",
        ));
    }
    let operation = plan.operation(repeated)?;
    context.approver.note(operation.word(), Some(plan.nonce));
    let cluster = context.cluster(Some(plan.target.cluster.as_str())).await?;
    let before = draft::now(&cluster, &plan.target).await?;
    plan.check_state(before.as_ref())?;
    let draft = Draft::again(cluster, plan.target.clone(), operation, before, plan.harm);
    let subject = Subject {
        nonce: Some(plan.nonce),
        digest: plan.digest(&draft.operation),
    };
    let question = async || {
        let rehearsed = draft.rehearse(context).await?;
        let question = tell::question(&draft, &rehearsed);
        Ok(server::text(question, &context.settings).text)
    };
    let consent = context.approver.ask(subject, question).await?;
    // They may have thought about it for minutes.
    let now = draft::now(&draft.cluster, &draft.target).await?;
    let approved = Approved::change(&plan, &draft.operation, now.as_ref(), &consent)?;
    let done = draft.cluster.make(&approved).await;
    Ok(tell::done(&draft, done.map_err(|error| draft.failed(error))?))
}
