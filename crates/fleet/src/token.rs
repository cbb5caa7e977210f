//! What a client sends back to get the next page: how far each cluster is.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mk8s_model::ClusterName;
use serde::{Deserialize, Serialize};

use crate::version::PREFIX;

/// The longest that we read, in bytes; longer ones don't fit into a URI anyway.
const MAX_TOKEN: usize = 64 * 1024;

/// How far one cluster's list was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Progress {
    /// Up to where its own `continue` goes on.
    #[serde(rename = "c")]
    After(String),
    /// As many objects of the list as it was at the resource version. This is how a cluster waits whose turn hasn't come, and
    /// how a page ends in the middle of an answer.
    #[serde(rename = "s")]
    At(u64),
    /// To its end.
    #[serde(rename = "d")]
    Done,
}

/// One cluster in a `continue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    #[serde(rename = "n")]
    pub(crate) cluster: ClusterName,
    /// That of the list, which is the same on all its pages; empty if what is listed has none.
    #[serde(rename = "v")]
    pub(crate) resource_version: String,
    #[serde(rename = "p")]
    pub(crate) progress: Progress,
}

/// The `continue` of these positions, in the clusters' order.
pub(crate) fn encode(positions: &[Position]) -> String {
    // Strings and numbers alone: there is nothing in it that serialization could fail on.
    let json = serde_json::to_vec(positions).unwrap_or_default();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json))
}

/// The positions of a `continue` that a client sent to these clusters; `None` if it isn't one of theirs.
pub(crate) fn decode(token: &str, clusters: &[ClusterName]) -> Option<Vec<Position>> {
    let text = token
        .strip_prefix(PREFIX)
        .filter(|text| text.len() <= MAX_TOKEN)?;
    let positions: Vec<Position> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let are_all = positions.len() == clusters.len()
        && clusters
            .iter()
            .all(|cluster| positions.iter().any(|position| position.cluster == *cluster));
    let goes_on = positions
        .iter()
        .any(|position| position.progress != Progress::Done);
    (are_all && goes_on).then_some(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_for_its_own_clusters_alone() {
        let [a, b, c] = ["a", "b", "c"].map(|name| name.parse::<ClusterName>().expect("name"));
        let position = |cluster: &ClusterName, progress| Position {
            cluster: cluster.clone(),
            resource_version: "7".to_owned(),
            progress,
        };
        let positions = [
            position(&a, Progress::Done),
            position(&b, Progress::After("x/y+z".to_owned())),
            position(&c, Progress::At(3)),
        ];
        let token = encode(&positions);
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        );
        let clusters = [c, a.clone(), b.clone()];
        assert_eq!(decode(&token, &clusters).as_deref(), Some(&positions[..]));
        assert_eq!(decode(&token, &clusters[..2]), None);
        assert_eq!(
            decode(&token, &[a.clone(), b.clone(), "d".parse().expect("name")]),
            None
        );
        assert_eq!(decode(&token[..token.len() - 3], &clusters), None);
        assert_eq!(decode("eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", &clusters), None);
        let twice = encode(&[position(&a, Progress::At(0)), position(&a, Progress::At(0))]);
        assert_eq!(decode(&twice, &[a.clone(), b]), None);
        assert_eq!(decode(&encode(&[position(&a, Progress::Done)]), &[a]), None);
    }
}
