//! A resource in any version of its API.

use std::{fmt, str::FromStr};

/// A resource by its plural and its group, written as kubectl takes it: `pods`, `deployments.apps` (`schema.GroupResource`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupResource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural.
    pub resource: String,
}

/// The text names no resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no resource; write its plural, and its group behind a dot: pods, deployments.apps")]
pub struct InvalidGroupResource(String);

impl FromStr for GroupResource {
    type Err = InvalidGroupResource;

    fn from_str(text: &str) -> Result<Self, InvalidGroupResource> {
        if !text.split('.').all(is_name) {
            return Err(InvalidGroupResource(text.to_owned()));
        }
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self {
            group: group.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}

/// What names of resources, groups and versions are made of, between dots.
pub(crate) fn is_name(label: &str) -> bool {
    !label.is_empty()
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl GroupResource {
    /// Where all of its objects are, in a version: `/api/v1/pods`, `/apis/apps/v1/deployments`.
    pub fn path(&self, version: &str) -> String {
        if self.group.is_empty() {
            format!("/api/{version}/{}", self.resource)
        } else {
            format!("/apis/{}/{version}/{}", self.group, self.resource)
        }
    }

    /// Whether a path is one of these, of any resource in any version.
    pub fn is_path(path: &str) -> bool {
        let names = path
            .strip_prefix("/apis/")
            .map(|rest| (rest, 3))
            .or_else(|| path.strip_prefix("/api/").map(|rest| (rest, 2)));
        names.is_some_and(|(rest, count)| {
            rest.split('/').count() == count && rest.split(['/', '.']).all(is_name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["pods", "deployments.apps", "ingresses.networking.k8s.io"] {
            let read: GroupResource = text.parse().expect(text);
            assert_eq!(read.to_string(), text);
        }
        let ingresses: GroupResource = "ingresses.networking.k8s.io".parse().expect("valid");
        assert_eq!(ingresses.path("v1"), "/apis/networking.k8s.io/v1/ingresses");
        assert!(GroupResource::is_path(&ingresses.path("v1")));
    }

    #[test]
    fn what_names_no_resource_is_refused() {
        for text in [
            "",
            "pods/log",
            "Pods",
            "deployments.",
            ".apps",
            "a b",
            "a..b",
            "*",
        ] {
            let error = text.parse::<GroupResource>().expect_err(text).to_string();
            assert!(error.contains("plural"), "{error}");
        }
    }
}
