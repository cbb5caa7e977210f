//! `describe`: an object with what happened to it.

use super::{
    Context, Found, Named, Tool, count,
    events::{self, Filter},
    read, schema, text, workload,
};
use crate::{
    answer::{Answer, Content, Objects, Rank, Section, Shape, name},
    error::ToolError,
};

pub(super) fn tool() -> Tool {
    Tool {
        name: "describe",
        title: "Describe an object",
        description: "One object, its owners, its events and, of a workload, its pods.",
        arguments: schema::<Named>(),
        run: |context, arguments| Box::pin(async move { call(context, read(arguments)?).await }),
    }
}

async fn call(context: Context, arguments: Named) -> Result<Answer, ToolError> {
    let Found {
        cluster,
        resource,
        object,
    } = arguments.find(&context).await?;
    let resource = &resource;
    let filter = Filter {
        namespace: resource
            .is_namespaced
            .then(|| text(&object, "/metadata/namespace").to_owned()),
        object: Some(arguments.name.clone()),
        kind: Some(resource.kind.clone()),
        ..Filter::default()
    };
    let (happened, pods, owners) = futures_util::join!(
        events::find(&cluster, &filter),
        workload::pods(&cluster, resource, &object),
        workload::owners(&cluster, &object),
    );
    let mut answer = Answer::new(format!(
        "{} {} in cluster {}",
        resource.kind,
        name(&arguments.name),
        cluster.name()
    ));
    let owners: Vec<String> = owners
        .unwrap_or_default()
        .into_iter()
        .map(|(owner, _)| owner)
        .collect();
    if !owners.is_empty() {
        answer = answer.with(Section::new(
            Rank::Useful,
            Content::Note(format!("owned by {}", owners.join(", of "))),
        ));
    }
    let objects = Objects::new(vec![object], Shape::Slim);
    answer = answer.with(Section::new(Rank::Essential, Content::Objects(objects)));
    // What the user may not see isn't there; the object is what was asked for.
    if let Ok((happened, _)) = happened {
        let heading = count(happened.len(), "event").into_owned();
        let section = if happened.is_empty() {
            Section::new(Rank::Useful, Content::Note("no events".to_owned()))
        } else {
            Section::new(Rank::Useful, events::table(&happened)).under(heading)
        };
        answer = answer.with(section);
    }
    if let Ok(page) = pods
        && resource.plural != "pods"
        && !page.items.is_empty()
    {
        let heading = count(page.items.len(), "pod").into_owned();
        let objects = Objects {
            remaining: page.remaining,
            ..Objects::new(page.items, Shape::Slim)
        };
        answer = answer.with(Section::new(Rank::Detail, Content::Objects(objects)).under(heading));
    }
    Ok(answer)
}
