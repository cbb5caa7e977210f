//! Lists with a limit: one cluster after the other.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{
    Clusters, Store, get, items, json_answer, list, name, names, object, refused, status, unreachable,
};

const ABC: &[&str] = &["a", "b", "c"];

fn stores() -> [Store; 3] {
    [
        Store::new(100, &["a1", "a2", "a3", "a4"]),
        Store::new(7, &["b1"]),
        Store::new(31, &["c1", "c2", "c3"]).custom(),
    ]
}

fn clusters(stores: &[Store; 3]) -> Arc<Clusters> {
    let [a, b, c] = stores;
    let clusters = Clusters::default()
        .with("a", a.answers())
        .with("b", b.answers())
        .with("c", c.answers());
    Arc::new(clusters)
}

/// All pages, as a client asks for them.
async fn pages(clusters: &Arc<Clusters>, limit: usize) -> Vec<Value> {
    let mut uri = format!("/api/v1/pods?limit={limit}");
    let mut pages = Vec::new();
    loop {
        let page = list(clusters, ABC, &uri).await;
        let token = page["metadata"]["continue"].as_str().map(str::to_owned);
        pages.push(page);
        match token {
            Some(token) => uri = format!("/api/v1/pods?limit={limit}&continue={token}"),
            None => return pages,
        }
        assert!(pages.len() < 50, "pages without end");
    }
}

#[tokio::test]
async fn pages_have_everything_once_in_the_order_of_the_clusters() {
    let stores = stores();
    for limit in 1..10 {
        let pages = pages(&clusters(&stores), limit).await;
        let sizes: Vec<usize> = pages.iter().map(|page| items(page).len()).collect();
        let found: Vec<String> = pages.iter().flat_map(items).collect();
        let expected = ["a1@a", "a2@a", "a3@a", "a4@a", "b1@b", "c1@c", "c2@c", "c3@c"];
        assert_eq!(found, expected, "limit {limit}");
        assert!(
            sizes.iter().all(|size| *size <= limit),
            "limit {limit}: {sizes:?}"
        );
        assert_eq!(
            sizes.len(),
            expected.len().div_ceil(limit),
            "limit {limit}: {sizes:?}"
        );
        for page in &pages {
            assert_eq!(page["kind"], "PodList");
            assert_eq!(page["metadata"]["resourceVersion"], "mca1.a~100~b~7~c~31");
        }
    }
}

#[tokio::test]
async fn a_few_objects_take_one_request_to_each_cluster() {
    let clusters = clusters(&stores());
    let found = list(&clusters, ABC, "/api/v1/pods?limit=500").await;
    assert_eq!(items(&found).len(), 8);
    assert_eq!(found["metadata"]["continue"], Value::Null);
    let expected = ABC.iter().map(|c| ((*c).to_owned(), "limit=500".to_owned()));
    assert_eq!(clusters.asked(), expected.collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_are_of_the_moment_of_the_first_one() {
    let stores = stores();
    let clusters = clusters(&stores);
    let first = list(&clusters, ABC, "/api/v1/pods?limit=2").await;
    stores[0].update(101, &["a0", "a3"]);
    stores[1].update(8, &["b1", "b2"]);
    stores[2].update(32, &[]);
    let token = first["metadata"]["continue"].as_str().expect("more");
    let rest = list(
        &clusters,
        ABC,
        &format!("/api/v1/pods?limit=500&continue={token}"),
    )
    .await;
    assert_eq!(items(&first), ["a1@a", "a2@a"]);
    assert_eq!(items(&rest), ["a3@a", "a4@a", "b1@b", "c1@c", "c2@c", "c3@c"]);
    assert_eq!(
        first["metadata"]["resourceVersion"],
        rest["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn a_page_whose_moment_is_forgotten_has_expired() {
    let stores = stores();
    let clusters = clusters(&stores);
    let first = list(&clusters, ABC, "/api/v1/pods?limit=4").await;
    stores[1].update(8, &["b2"]);
    stores[1].compact();
    let token = first["metadata"]["continue"].as_str().expect("more");
    let request = get(&format!("/api/v1/pods?limit=4&continue={token}"));
    let (code, status) = refused(mk8s_fleet::list(clusters, names(ABC), request).await).await;
    assert_eq!((code, &status["reason"]), (410, &json!("Expired")));
    assert_eq!(status["message"], "cluster b: the version is too old");
    // The cluster's own token is none of ours.
    assert_eq!(status["metadata"], json!({}));
}

#[tokio::test]
async fn a_token_that_is_not_ours_has_expired() {
    let clusters = clusters(&stores());
    let first = list(&clusters, ABC, "/api/v1/pods?limit=2").await;
    let token = first["metadata"]["continue"].as_str().expect("more");
    let asked = clusters.asked().len();
    for (of, token) in [
        (ABC, "100/2"),
        (ABC, "mca1.x"),
        (&["a", "b"], token),
        (&["a", "b", "d"], token),
    ] {
        let request = get(&format!("/api/v1/pods?limit=2&continue={token}"));
        let (code, status) = refused(mk8s_fleet::list(clusters.clone(), names(of), request).await).await;
        assert_eq!((code, &status["reason"]), (410, &json!("Expired")), "{token}");
    }
    let both = format!("/api/v1/pods?limit=2&continue={token}&resourceVersion=5");
    let (code, _) = refused(mk8s_fleet::list(clusters.clone(), names(ABC), get(&both)).await).await;
    assert_eq!(code, 400);
    assert_eq!(clusters.asked().len(), asked);
}

#[tokio::test]
async fn what_is_left_is_said_where_it_is_known() {
    let clusters = clusters(&stores());
    let first = list(&clusters, &["a"], "/api/v1/pods?limit=3").await;
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let first = list(&clusters, &["a", "b"], "/api/v1/pods?limit=3").await;
    assert_eq!(first["metadata"]["remainingItemCount"], Value::Null);
    let empty = Store::new(1, &[]);
    let clusters = Clusters::default()
        .with("a", stores()[0].answers())
        .with("b", empty.answers());
    let first = list(&Arc::new(clusters), &["a", "b"], "/api/v1/pods?limit=3").await;
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
}

#[tokio::test]
async fn any_version_lists_everything_whatever_the_limit() {
    let clusters = clusters(&stores());
    let found = list(&clusters, ABC, "/api/v1/pods?limit=2&resourceVersion=0").await;
    assert_eq!(items(&found).len(), 8);
    assert_eq!(found["metadata"]["continue"], Value::Null);
}

#[tokio::test]
async fn what_has_no_version_is_not_cut() {
    let metrics = |cluster: &str| {
        let items = [
            object(&format!("{cluster}1"), ""),
            object(&format!("{cluster}2"), ""),
        ]
        .join(",");
        let text = format!(r#"{{"kind":"L","metadata":{{}},"items":[{items}]}}"#);
        move |_: &http::Request<mk8s_net::Body>| json_answer(mk8s_net::Body::full(text.clone()))
    };
    let clusters = Clusters::default()
        .with("a", metrics("a"))
        .with("b", metrics("b"));
    let found = list(
        &Arc::new(clusters),
        &["a", "b"],
        "/apis/metrics.k8s.io/v1beta1/pods?limit=1",
    )
    .await;
    assert_eq!(items(&found), ["a1@a", "a2@a", "b1@b", "b2@b"]);
}

#[tokio::test]
async fn a_page_ends_before_a_cluster_that_doesn_t_answer_and_the_next_one_says_why() {
    let [a, _, c] = stores();
    let b = Store::new(7, &["b1"]);
    let answers = b.answers();
    let is_down = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let down = is_down.clone();
    let clusters = Clusters::default()
        .with("a", a.answers())
        .with("b", move |request| {
            if down.load(std::sync::atomic::Ordering::Relaxed) {
                unreachable("b")
            } else {
                answers(request)
            }
        })
        .with("c", c.answers());
    let clusters = Arc::new(clusters);
    let first = list(&clusters, ABC, "/api/v1/pods?limit=2").await;
    is_down.store(true, std::sync::atomic::Ordering::Relaxed);
    let next = |page: &Value| {
        let token = page["metadata"]["continue"].as_str().expect("more");
        format!("/api/v1/pods?limit=5&continue={token}")
    };
    let second = list(&clusters, ABC, &next(&first)).await;
    assert_eq!(items(&second), ["a3@a", "a4@a"]);
    let request = get(&next(&second));
    let (code, status) = refused(mk8s_fleet::list(clusters.clone(), names(ABC), request).await).await;
    assert_eq!(
        (code, &status["message"]),
        (503, &json!("cluster b is disconnected"))
    );
    is_down.store(false, std::sync::atomic::Ordering::Relaxed);
    let third = list(&clusters, ABC, &next(&second)).await;
    assert_eq!(items(&third), ["b1@b", "c1@c", "c2@c", "c3@c"]);
}

#[tokio::test]
async fn a_cluster_that_is_down_fails_the_first_page() {
    let [a, ..] = stores();
    let clusters = Clusters::default()
        .with("a", a.answers())
        .with("b", |_| status(403, "Forbidden", "pods is forbidden", &json!({})));
    let request = get("/api/v1/pods?limit=1");
    let (code, status) =
        refused(mk8s_fleet::list(Arc::new(clusters), names(&["a", "b"]), request).await).await;
    assert_eq!(
        (code, &status["message"]),
        (403, &json!("cluster b: pods is forbidden"))
    );
}

#[tokio::test]
async fn a_cluster_that_minds_no_limit_is_cut_all_the_same() {
    let everything = |_: &http::Request<mk8s_net::Body>| {
        let items = ["1", "2", "3"].map(|name| object(name, "7")).join(",");
        let text = format!(r#"{{"items":[{items}],"kind":"L","metadata":{{"resourceVersion":"7"}}}}"#);
        json_answer(mk8s_net::Body::full(text))
    };
    let clusters = Clusters::default().with("a", everything).with("b", everything);
    let clusters = Arc::new(clusters);
    let mut found = Vec::new();
    let mut token = String::new();
    for _ in 0..6 {
        let uri = format!("/apis/x.example/v1/things?limit=1&continue={token}");
        let page = list(&clusters, &["a", "b"], &uri).await;
        assert_eq!(page["kind"], "L");
        assert_eq!(page["metadata"]["resourceVersion"], "mca1.a~7~b~7");
        found.extend(items(&page));
        token = page["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    }
    assert_eq!(found, ["1@a", "2@a", "3@a", "1@b", "2@b", "3@b"]);
    assert_eq!(token, "");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_page_size_loses_or_repeats_anything(
        counts in prop::collection::vec((0_usize..6, any::<bool>()), 1..5),
        limits in prop::collection::vec(1_usize..7, 1..6),
        chunk in 1_usize..50,
    ) {
        let mut clusters = Clusters::default();
        let mut of = Vec::new();
        let mut expected = Vec::new();
        for (at, (count, is_custom)) in counts.iter().enumerate() {
            let cluster = format!("c{at}");
            let objects: Vec<String> = (0..*count).map(|n| format!("o{n}")).collect();
            expected.extend(objects.iter().map(|object| format!("{object}@{cluster}")));
            let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
            let store = Store::new(5, &objects).chunked(chunk);
            let store = if *is_custom { store.custom() } else { store };
            clusters = clusters.with(&cluster, store.answers());
            of.push(name(&cluster));
        }
        let clusters = Arc::new(clusters);
        let of: Vec<&str> = of.iter().map(mk8s_model::ClusterName::as_str).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let found = runtime.block_on(async {
            let mut found = Vec::new();
            let mut token = String::new();
            for limit in limits.iter().cycle().take(100) {
                let uri = format!("/api/v1/pods?limit={limit}&continue={token}");
                let page = list(&clusters, &of, &uri).await;
                assert!(items(&page).len() <= *limit);
                found.extend(items(&page));
                match page["metadata"]["continue"].as_str() {
                    Some(more) => more.clone_into(&mut token),
                    None => break,
                }
            }
            found
        });
        prop_assert_eq!(found, expected);
    }
}
