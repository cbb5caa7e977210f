//! A workload cluster's kubeconfig, from the Secret that Cluster API keeps it in
//! (<https://cluster-api.sigs.k8s.io/developer/providers/contracts/control-plane#cluster-kubeconfig-management>).

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mk8s_connect::{Target, kubeconfig};
use mk8s_mcp_core::principal::Call;
use mk8s_proxy::credentials::Credentials;
use serde_json::Value;

use crate::{
    management::{Management, Refused},
    names::Place,
};

/// The largest Secret that is read, in bytes of JSON: more than etcd keeps.
const SECRET_BYTES: usize = 2 << 20;
/// The longest kubeconfig, in bytes.
const KUBECONFIG_BYTES: usize = 256 << 10;

/// A kubeconfig that can be used, and which state of its Secret it is from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) target: Target,
    pub(crate) version: Version,
}

/// Tells one state of a Secret from another, and from that of another Secret of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    uid: String,
    resource_version: String,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoKubeconfig {
    /// The management cluster gave no Secret.
    Refused(Refused),
    /// What it gave can't be used. Nothing of a credential is in the text.
    Unusable(String),
}

/// Reads the Secret of a cluster, with the rights of `reader`'s.
pub(crate) async fn read(
    reader: &Management,
    call: &Call,
    place: &Place,
    limit: Duration,
) -> Result<Found, NoKubeconfig> {
    let (namespace, name) = (place.namespace(), name(place));
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let object = reader.get(call, &path, SECRET_BYTES, limit).await;
    let object = object.map_err(NoKubeconfig::Refused)?;
    found(&object, place).map_err(NoKubeconfig::Unusable)
}

fn name(place: &Place) -> String {
    format!("{}-kubeconfig", place.name())
}

fn found(object: &Value, place: &Place) -> Result<Found, String> {
    let metadata = &object["metadata"];
    if metadata["namespace"] != place.namespace().as_str() || metadata["name"] != name(place) {
        return Err("another object was answered".to_owned());
    }
    let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    let version = Version {
        uid: text("uid"),
        resource_version: text("resourceVersion"),
    };
    let value = object["data"]["value"]
        .as_str()
        .ok_or("it has no key \"value\"")?;
    if value.len() / 4 * 3 > KUBECONFIG_BYTES {
        return Err(format!(
            "its kubeconfig has more than {} KiB",
            KUBECONFIG_BYTES >> 10
        ));
    }
    let bytes = BASE64_STANDARD
        .decode(value)
        .map_err(|_| "its value is no base64")?;
    let kubeconfig = String::from_utf8(bytes).map_err(|_| "its kubeconfig is no text")?;
    let origin = format!("of Secret {}/{}", place.namespace(), name(place));
    let target = kubeconfig::from_text(&kubeconfig, None, &origin).map_err(|error| error.to_string())?;
    if target.certificate.is_none() && matches!(target.credentials, Credentials::None) {
        return Err("its kubeconfig has no credentials, and nobody may impersonate without".to_owned());
    }
    Ok(Found { target, version })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn place() -> Place {
        Place::of("team-a", "prod").expect("a place")
    }

    fn kubeconfig(user: &str, cluster: &str) -> String {
        format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: \"https://c.example\"{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
        )
    }

    fn secret(value: &[u8]) -> Value {
        json!({"metadata": {"namespace": "team-a", "name": "prod-kubeconfig", "uid": "u", "resourceVersion": "7"},
            "data": {"value": BASE64_STANDARD.encode(value)}})
    }

    fn refused(object: &Value) -> String {
        found(object, &place()).expect_err("refused")
    }

    #[test]
    fn a_kubeconfig_with_a_token_is_taken() {
        let found = found(&secret(kubeconfig("token: abc", "").as_bytes()), &place()).expect("a target");
        assert_eq!(found.target.server, "https://c.example");
        assert_eq!(
            (&*found.version.uid, &*found.version.resource_version),
            ("u", "7")
        );
    }

    #[test]
    fn what_isnt_safe_or_isnt_one_is_refused_and_shows_no_secret() {
        for (text, said) in [
            (kubeconfig("exec: {command: hidden}", ""), "exec"),
            (kubeconfig("auth-provider: {name: hidden}", ""), "auth-provider"),
            (kubeconfig("username: a, password: hidden", ""), "a password"),
            (kubeconfig("token: abc, as: hidden", ""), "acts as somebody else"),
            (kubeconfig("tokenFile: /etc/passwd", ""), "names the file"),
            (
                kubeconfig("client-certificate: /a, client-key: /b", ""),
                "names the file",
            ),
            (
                kubeconfig("token: abc", ", certificate-authority: /etc/ca"),
                "names the file",
            ),
            (
                kubeconfig("token: abc", ", insecure-skip-tls-verify: true"),
                "insecure-skip-tls-verify",
            ),
            (kubeconfig("token: abc", ", proxy-url: \"http://p\""), "proxy-url"),
            (kubeconfig("", ""), "no credentials"),
            (
                "hidden: [".to_owned(),
                "kubeconfig of Secret team-a/prod-kubeconfig",
            ),
            (String::new(), ""),
            ("x".repeat(KUBECONFIG_BYTES + 3), "more than 256 KiB"),
        ] {
            let error = refused(&secret(text.as_bytes()));
            assert!(
                error.contains(said) && !error.contains("hidden"),
                "{said}: {error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(refused(&secret(&[0xff, 0xfe])).contains("no text"));
    }

    #[test]
    fn an_odd_object_is_refused() {
        let good = secret(kubeconfig("token: abc", "").as_bytes());
        let with = |pointer: &str, value: Value| {
            let mut object = good.clone();
            *object.pointer_mut(pointer).expect("there") = value;
            object
        };
        for (object, said) in [
            (with("/data", json!({})), "no key"),
            (with("/data/value", json!(5)), "no key"),
            (with("/data/value", json!("!")), "no base64"),
            (
                with("/metadata/name", json!("other-kubeconfig")),
                "another object",
            ),
            (with("/metadata/namespace", json!("team-b")), "another object"),
            (json!(null), "another object"),
        ] {
            assert!(refused(&object).contains(said), "{object}");
        }
    }
}
