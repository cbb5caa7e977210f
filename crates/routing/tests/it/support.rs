//! What both halves need.

use mk8s_model::{ClusterName, KubeRequest};
use mk8s_routing::{Asked, Choice, Labelled, RoutingError, Source, Table};

pub(crate) fn home() -> ClusterName {
    "local".parse().expect("a name")
}

pub(crate) fn read(text: &str) -> Result<Table, RoutingError> {
    let sources = [Source {
        name: "routes.yaml".to_owned(),
        text: text.to_owned(),
    }];
    Table::read(
        &sources,
        &home(),
        &["127.0.0.1:6443".to_owned(), "[::1]:6443".to_owned()],
    )
}

/// Where `METHOD path` goes, in words.
pub(crate) fn goes(
    table: &Table,
    request: &str,
    requested: Option<&str>,
    labelled: Option<&Labelled>,
) -> String {
    let (method, uri) = request.split_once(' ').expect("a method and a path");
    let (method, uri) = (method.parse().expect("method"), uri.parse().expect("uri"));
    let request = KubeRequest::classify(&method, &uri).expect("a request");
    let asked = Asked {
        request: &request,
        requested,
    };
    match table.choose(&asked, labelled) {
        Choice::Home => "home".to_owned(),
        Choice::Clusters(clusters) => {
            let names: Vec<&str> = clusters.iter().map(ClusterName::as_str).collect();
            names.join(" ")
        }
        Choice::Labels => "labels?".to_owned(),
        Choice::Unknown => "unknown".to_owned(),
    }
}
