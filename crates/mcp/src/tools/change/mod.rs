//! `change`: a plan first; and with the plan, after somebody approved, the change.

mod apply;
mod arguments;
mod draft;
mod manifest;
mod rollout;
mod tell;

use super::{Context, Tool, read, schema};
use crate::{answer::Answer, error::ToolError, plan::Plan};
use arguments::Arguments;
use draft::Draft;

pub(super) fn tool() -> Tool {
    Tool {
        name: "change",
        title: "Change an object",
        description: "Plan a change of one object: shows what would happen, and gives a plan. Then call it with that plan: your user is \
                      asked, and it is done.",
        arguments: schema::<Arguments>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, mut arguments: Arguments) -> Result<Answer, ToolError> {
    match arguments.plan.take() {
        Some(plan) => apply::apply(&context, &plan, arguments).await,
        None => plan(&context, arguments).await,
    }
}

/// Finds out what would happen, and seals it.
async fn plan(context: &Context, arguments: Arguments) -> Result<Answer, ToolError> {
    let draft = Draft::of(context, arguments).await?;
    let mut plan = Plan::new(draft.target.clone(), draft.seen()?, None);
    context.approver.note(draft.operation.word(), Some(plan.nonce));
    let rehearsed = draft.rehearse(context).await?;
    plan.harm = rehearsed.harm;
    let mut answer = tell::plan(&draft, &rehearsed);
    if context.settings.dry_run {
        return Ok(answer.with_more("this server only shows plans (dryRun): nothing can be done with it"));
    }
    let seconds = context.settings.plan_seconds;
    let who = &context.call.principal.identity;
    let told = context.plans.tell(who, plan, draft.operation, seconds)?;
    let again = if told.is_digest {
        " and the same arguments as now"
    } else {
        " alone"
    };
    answer = answer.with_more(format!(
        "to do it within {seconds} s, after your user approved: call \"change\" with \"plan\": \"{}\"{again}",
        told.text
    ));
    Ok(answer)
}
