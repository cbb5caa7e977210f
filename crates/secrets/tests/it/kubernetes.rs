//! Without a vault: Secrets of the pod's namespace are the records.

use mk8s_secrets::contract::{Auth, Request};

use crate::support::read;

fn asked(more: &[(&str, &str)]) -> Result<Request, String> {
    let usual = [("inject", "true"), ("auth-method", "kubernetes")];
    let annotations: Vec<_> = usual.into_iter().chain(more.iter().copied()).collect();
    let reading = read(&annotations).map_err(|error| error.to_string())?;
    Ok(reading.request.expect("a request"))
}

#[test]
fn the_secrets_that_are_records_are_named_once() {
    let request = asked(&[
        ("secrets", "db,cache"),
        ("secret-x", "db[password]:/app/password"),
    ])
    .expect("a request");
    assert_eq!(request.auth, Auth::Kubernetes {});
    assert_eq!(
        request.kubernetes_records().into_iter().collect::<Vec<_>>(),
        ["cache", "db"]
    );
    assert_eq!(Request::from_json(&request.to_json()), Ok(request));
}

#[test]
fn with_a_vault_there_are_none() {
    let reading = read(&[("inject", "true"), ("ksm-config", "k"), ("secret", "db")]).expect("read");
    assert!(
        reading
            .request
            .expect("a request")
            .kubernetes_records()
            .is_empty()
    );
}

#[test]
fn what_secrets_cant_be_is_refused() {
    for (more, says) in [
        (&[("secret", "Production Database")][..], "a record is a Secret"),
        (&[("folder", "Team")][..], "there are no folders"),
        (
            &[
                ("secret", "db"),
                ("inject-as-k8s-secret", "true"),
                ("k8s-secret-name", "db"),
            ][..],
            "made of itself",
        ),
    ] {
        let error = asked(more).expect_err(says);
        assert!(error.contains(says), "{error}");
    }
}
