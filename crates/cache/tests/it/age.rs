//! Nothing is given out past its age, which counts from when it was asked for.

use std::{sync::Mutex, time::Duration};

use bytes::Bytes;
use http::Method;
use http_body::Frame;
use mk8s_net::BoxError;

use crate::support::{Answer, Client, MAX_AGE, SETTINGS, object, pass, settle, streamed};

const POD: &str = "/api/v1/namespaces/x/pods/p";
const SECOND: Duration = Duration::from_secs(1);

fn client_without_watches() -> Client {
    let client = Client::new(SETTINGS);
    client.api.refuse_watches(http::StatusCode::FORBIDDEN);
    client
}

#[tokio::test(start_paused = true)]
async fn a_kept_answer_is_given_out_before_its_age_and_never_after() {
    let client = client_without_watches();
    let first = client.get(POD).await;
    assert_eq!((first.age(), first.is_hit()), (None, false));
    client.api.change();
    pass(MAX_AGE - Duration::from_millis(1)).await;
    let again = client.get(POD).await;
    assert_eq!((again.age(), again.is_hit()), (Some("9"), true));
    assert_eq!(again.body, Ok(object(0)));
    pass(Duration::from_millis(1)).await;
    let anew = client.get(POD).await;
    assert_eq!((anew.age(), anew.is_hit()), (None, false));
    assert_eq!(anew.body, Ok(object(1)));
}

#[tokio::test(start_paused = true)]
async fn the_time_that_an_answer_takes_is_age() {
    let client = client_without_watches();
    client.api.hold();
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.get(POD).await }
    });
    settle().await;
    pass(6 * SECOND).await;
    client.api.release();
    asking.await.expect("answered");
    assert_eq!(client.get(POD).await.age(), Some("6"));
    pass(4 * SECOND).await;
    assert!(!client.hits(POD).await);
}

#[tokio::test(start_paused = true)]
async fn the_time_that_a_body_takes_is_age_too() {
    for (takes, is_kept) in [(9, true), (10, false), (1000, false)] {
        let client = client_without_watches();
        let (pieces, response) = streamed();
        let response = Mutex::new(Some(response));
        client
            .api
            .answer_with(move |_| response.lock().expect("lock").take().expect("asked once"));
        let streaming = client.ask(Method::GET, POD).await;
        let piece = |text: &'static str| Ok::<_, BoxError>(Frame::data(Bytes::from_static(text.as_bytes())));
        pieces.send(piece("{")).expect("read");
        pass(SECOND * takes).await;
        pieces.send(piece("}")).expect("read");
        drop(pieces);
        assert_eq!(Answer::read(streaming).await.body, Ok("{}".into()));
        assert_eq!(client.is_kept(POD).await, is_kept, "{takes} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_leaves_memory() {
    let client = client_without_watches();
    client.get(POD).await;
    assert!(client.cache.counters().bytes > 0);
    pass(2 * MAX_AGE).await;
    let counters = client.cache.counters();
    assert_eq!(
        (counters.entries, counters.bytes, counters.invalidated),
        (0, 0, 0)
    );
}
