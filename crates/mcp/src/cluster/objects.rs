//! Lists, a page at a time.

use serde_json::Value;

use super::{ApiError, Cluster, Resource, query};
use crate::error::ToolError;

/// Which objects of a resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Where; all namespaces if none.
    pub(crate) namespace: Option<String>,
    pub(crate) labels: Option<String>,
    pub(crate) fields: Option<String>,
    /// Where the page before ended.
    pub(crate) after: Option<String>,
    pub(crate) limit: u32,
}

/// Some of the objects.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Each with `apiVersion` and `kind`, which lists leave out.
    pub(crate) items: Vec<Value>,
    /// Where the next page begins.
    pub(crate) next: Option<String>,
    /// How many come after this page, where the server says so: with selectors it doesn't.
    pub(crate) remaining: Option<u64>,
}

impl Cluster {
    /// One page.
    pub(crate) async fn page(&self, resource: &Resource, selection: &Selection) -> Result<Page, ToolError> {
        let path = resource.path(selection.namespace.as_deref(), None)?;
        let query = query([
            (
                "limit",
                (selection.limit > 0).then(|| selection.limit.to_string()),
            ),
            ("labelSelector", selection.labels.clone()),
            ("fieldSelector", selection.fields.clone()),
            ("continue", selection.after.clone()),
        ]);
        Ok(Page::read(self.get(&format!("{path}{query}")).await?, resource)?)
    }

    /// One object.
    pub(crate) async fn object(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, ToolError> {
        Ok(self.get(&resource.path(namespace, Some(name))?).await?)
    }
}

impl Page {
    fn read(mut list: Value, resource: &Resource) -> Result<Self, ApiError> {
        let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else {
            return Err(ApiError::Unreadable("it is no list".to_owned()));
        };
        let api_version = if resource.group.is_empty() {
            resource.version.clone()
        } else {
            format!("{}/{}", resource.group, resource.version)
        };
        // Who asks by a path alone doesn't know what the kind is called: the list does.
        let kind = if resource.kind.is_empty() {
            list["kind"]
                .as_str()
                .and_then(|kind| kind.strip_suffix("List"))
                .unwrap_or_default()
        } else {
            &resource.kind
        };
        let named = |mut item: Value| {
            if let Some(object) = item.as_object_mut() {
                object
                    .entry("apiVersion")
                    .or_insert_with(|| api_version.clone().into());
                if !kind.is_empty() {
                    object.entry("kind").or_insert_with(|| kind.into());
                }
            }
            item
        };
        let metadata = &list["metadata"];
        let next = metadata["continue"].as_str().unwrap_or_default();
        // It is told outside the fence. API servers' own are base64.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/=-_.".contains(&b);
        if !next.bytes().all(plain) {
            return Err(ApiError::Unreadable("its continuation is no token".to_owned()));
        }
        Ok(Self {
            items: items.into_iter().map(named).collect(),
            next: (!next.is_empty()).then(|| next.to_owned()),
            remaining: metadata["remainingItemCount"].as_u64(),
        })
    }
}
