//! What clients are told of us before they have a token (RFC 9728).

use bytes::Bytes;
use serde::Serialize;

use crate::{
    Scope, Settings,
    url::{origin, path},
};

/// Where it is asked for, on a host with one resource.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The protected resource's metadata: a document, and the paths that it is served at.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    json: Bytes,
    paths: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes_supported: &'a [Scope],
    /// In the header alone.
    bearer_methods_supported: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<&'a str>,
}

impl ProtectedResource {
    /// Of the resource of the settings.
    pub fn new(settings: &Settings) -> Self {
        let document = Document {
            resource: &settings.resource.text,
            authorization_servers: [&settings.issuer.text],
            scopes_supported: &settings.supported_scopes,
            bearer_methods_supported: ["header"],
            resource_name: settings.resource_name.as_deref(),
            resource_documentation: settings.resource_documentation.as_ref().map(reqwest::Url::as_str),
        };
        let mut paths = vec![WELL_KNOWN.to_owned()];
        let own = path(&settings.resource.url);
        if !own.is_empty() {
            paths.push(format!("{WELL_KNOWN}{own}"));
        }
        Self {
            // Texts and lists of texts always have a JSON form.
            json: serde_json::to_vec(&document).unwrap_or_default().into(),
            paths,
        }
    }

    /// The document: `application/json`.
    pub fn json(&self) -> Bytes {
        self.json.clone()
    }

    /// The paths at which it is to be served, to everybody.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }
}

/// Where the metadata is: the well-known path inserted between host and path (RFC 9728 section 3.1).
pub(crate) fn url(settings: &Settings) -> String {
    let url = &settings.resource.url;
    format!("{}{WELL_KNOWN}{}", origin(url), path(url))
}
