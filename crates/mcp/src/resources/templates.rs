//! What is listed: templates for everything, and of each cluster what one looks at first.

/// A URI's form.
pub(crate) struct Template {
    pub(crate) uri: &'static str,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

const fn template(uri: &'static str, name: &'static str, description: &'static str) -> Template {
    Template {
        uri,
        name,
        description,
    }
}

/// Every form that a URI may have, as RFC 6570 has it.
pub(crate) const TEMPLATES: &[Template] = &[
    template(
        "k8s://{cluster}/api/v1/{resource}{?labelSelector,fieldSelector}",
        "core-list",
        "Objects of the core group in all namespaces, or without one: pods, nodes",
    ),
    template(
        "k8s://{cluster}/api/v1/{resource}/{name}",
        "core-object",
        "An object of the core group without a namespace: a node, a namespace",
    ),
    template(
        "k8s://{cluster}/api/v1/namespaces/{namespace}/{resource}{?labelSelector,fieldSelector}",
        "core-list-in-namespace",
        "Objects of the core group in a namespace: pods, services, events",
    ),
    template(
        "k8s://{cluster}/api/v1/namespaces/{namespace}/{resource}/{name}",
        "core-object-in-namespace",
        "An object of the core group in a namespace: a pod, a service",
    ),
    template(
        "k8s://{cluster}/api/v1/namespaces/{namespace}/pods/{name}/log{?container,previous}",
        "log",
        "The end of a pod's log. It can be read, and not subscribed to",
    ),
    template(
        "k8s://{cluster}/apis/{group}/{version}/{resource}{?labelSelector,fieldSelector}",
        "list",
        "Objects of a group in all namespaces, or without one: apps/v1/deployments",
    ),
    template(
        "k8s://{cluster}/apis/{group}/{version}/{resource}/{name}",
        "object",
        "An object of a group without a namespace",
    ),
    template(
        "k8s://{cluster}/apis/{group}/{version}/namespaces/{namespace}/{resource}{?labelSelector,fieldSelector}",
        "list-in-namespace",
        "Objects of a group in a namespace",
    ),
    template(
        "k8s://{cluster}/apis/{group}/{version}/namespaces/{namespace}/{resource}/{name}",
        "object-in-namespace",
        "An object of a group in a namespace: a deployment",
    ),
];

/// A list that tells how a cluster is.
pub(crate) struct Overview {
    pub(crate) plural: &'static str,
    pub(crate) fields: Option<&'static str>,
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
}

/// What one looks at first, of each cluster.
pub(crate) const OVERVIEWS: &[Overview] = &[
    Overview {
        plural: "nodes",
        fields: None,
        name: "nodes",
        description: "The cluster's nodes, unhealthy ones first",
    },
    Overview {
        plural: "namespaces",
        fields: None,
        name: "namespaces",
        description: "The cluster's namespaces",
    },
    Overview {
        plural: "pods",
        fields: None,
        name: "pods",
        description: "The cluster's pods, unhealthy ones first",
    },
    Overview {
        plural: "events",
        fields: Some("type=Warning"),
        name: "warnings",
        description: "What went wrong lately",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::ResourceUri;

    #[test]
    fn each_template_filled_in_is_a_uri() {
        for template in TEMPLATES {
            let uri = template
                .uri
                .replace(
                    "{?labelSelector,fieldSelector}",
                    "?labelSelector=a%3Db&fieldSelector=c%3Dd",
                )
                .replace("{?container,previous}", "?container=main&previous=true");
            let uri = [
                ("{cluster}", "home"),
                ("{group}", "apps"),
                ("{version}", "v1"),
                ("{resource}", "things"),
                ("{namespace}", "shop"),
                ("{name}", "web-0"),
            ]
            .iter()
            .fold(uri, |uri, (variable, value)| uri.replace(variable, value));
            let parsed: ResourceUri = uri.parse().unwrap_or_else(|why| panic!("{uri}: {why}"));
            assert_eq!(parsed.to_string(), uri);
        }
    }
}
