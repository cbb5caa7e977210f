//! Clusters and routes, then a line with `---body`, then an object: reading them never panics, an error names a source, and
//! what could be read chooses among the clusters that there are.
#![no_main]

use http::{Method, Uri};
use libfuzzer_sys::fuzz_target;
use mk8s_model::{ClusterName, KubeRequest};
use mk8s_routing::{Asked, Choice, HOME, Labelled, Source, Table};

const REQUESTS: [&str; 4] = [
    "/version",
    "/api/v1/namespaces/n/pods?labelSelector=a%3Db",
    "/apis/apps/v1/namespaces/team-a/deployments/d",
    "/api/v1/namespaces/n/pods?watch=1",
];

fuzz_target!(|text: &str| {
    let (text, body) = text.split_once("---body\n").unwrap_or((text, "{}"));
    let labelled = [
        Labelled::in_body(Some("application/json"), body.as_bytes()),
        Labelled::in_body(Some("application/yaml"), body.as_bytes()),
        Labelled::in_body(Some("application/vnd.kubernetes.protobuf"), body.as_bytes()),
        Labelled::by_selector(Some(body)),
    ];
    let home: ClusterName = HOME.parse().expect("a name");
    let source = Source {
        name: "fuzz.yaml".to_owned(),
        text: text.to_owned(),
    };
    let table = match Table::read(&[source], &home, &["127.0.0.1:6443".to_owned()]) {
        Ok(table) => table,
        Err(why) => {
            assert!(!why.0.is_empty());
            assert!(why.0.iter().all(|fault| fault.source == "fuzz.yaml" && !fault.problem.is_empty()));
            return;
        }
    };
    let known: Vec<&ClusterName> = table.known_names().collect();
    for target in REQUESTS {
        let uri: Uri = target.parse().expect("a URI");
        for method in [Method::GET, Method::POST] {
            let request = KubeRequest::classify(&method, &uri).expect("a request");
            for requested in [None, Some("west"), Some("")] {
                let asked = Asked {
                    request: &request,
                    requested,
                };
                for labelled in std::iter::once(None).chain(labelled.iter().map(Some)) {
                    match table.choose(&asked, labelled) {
                        Choice::Clusters(clusters) => {
                            assert!(!clusters.is_empty() && clusters.iter().all(|name| known.contains(&name)));
                        }
                        Choice::Labels => assert!(labelled.is_none()),
                        Choice::Home | Choice::Unknown => {}
                    }
                }
            }
        }
    }
});
