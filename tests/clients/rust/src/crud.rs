//! A ConfigMap's life.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::report;

pub(crate) async fn run(client: Client) -> anyhow::Result<Value> {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    let new = ConfigMap {
        metadata: ObjectMeta {
            generate_name: Some("crud-".to_owned()),
            labels: Some(BTreeMap::from([("made-by".to_owned(), "crud".to_owned())])),
            ..ObjectMeta::default()
        },
        data: data(&[("step", "create")]),
        ..ConfigMap::default()
    };
    let created = maps
        .create(&PostParams::default(), &new)
        .await
        .context("create")?;
    let name = created.metadata.name.clone().context("create: no name")?;
    ensure!(
        name.starts_with("crud-") && created.data == new.data,
        "create: {created:?}"
    );
    step("create");

    let mut got = maps.get(&name).await.context("get")?;
    ensure!(got == created, "get: {got:?} isn't what was created");
    step("get");

    let listed = maps
        .list(&ListParams::default().labels("made-by=crud"))
        .await
        .context("list")?;
    ensure!(
        listed
            .items
            .iter()
            .any(|map| map.metadata.name.as_ref() == Some(&name) && map.data == new.data),
        "list: {name} isn't in it"
    );
    step("list");

    got.data = data(&[("step", "update")]);
    let updated = maps
        .replace(&name, &PostParams::default(), &got)
        .await
        .context("update")?;
    ensure!(
        updated.data == got.data && updated.metadata.resource_version != created.metadata.resource_version,
        "update: {updated:?}"
    );
    step("update");

    let patch = Patch::Merge(json!({ "data": { "patched": "yes" } }));
    let patched = maps
        .patch(&name, &PatchParams::default(), &patch)
        .await
        .context("patch")?;
    ensure!(
        patched.data == data(&[("patched", "yes"), ("step", "update")]),
        "patch: {patched:?}"
    );
    step("patch");

    maps.delete(&name, &DeleteParams::default())
        .await
        .context("delete")?;
    let gone = maps.get_opt(&name).await.context("get after delete")?;
    ensure!(gone.is_none(), "delete: {name} is still there");
    step("delete");
    Ok(json!({ "steps": 6 }))
}

fn step(name: &str) {
    report::line(json!({ "step": name }));
}

fn data(entries: &[(&str, &str)]) -> Option<BTreeMap<String, String>> {
    let entries = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Some(entries.collect())
}
