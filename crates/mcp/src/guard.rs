//! What no tool may do, whoever asks. Every request to a cluster passes here, so a tool can't forget to ask.
//!
//! Reading passes. What writes, or enters a container, passes with a proof: that it is a rehearsal, which an API server only pretends
//! to do, or that somebody approved of exactly this request ([`Approved`]).

use http::{Method, Uri};
use mk8s_model::{ClusterName, GroupResource, Interactive, KubeRequest, ResourceRequest, Verb, query};
use serde_json::Value;

use crate::{
    plan::{Approved, Harm, Wire},
    settings::{Mode, Settings},
};

/// Reviews of one's own rights are created, and change nothing (`authorization.k8s.io`).
const REVIEWS: &[&str] = &["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
/// Groups whose objects are questions about who somebody is, and what they may: their answers are credentials, or others' rights.
const QUESTIONS: &[&str] = &["authentication.k8s.io", "authorization.k8s.io"];
/// Parts of objects that may be written. Others are controllers' (`status`), or ways around what is refused here: `token` makes a
/// credential, `eviction` and `binding` act on pods, `ephemeralcontainers` runs a program, `approval` signs a certificate.
const PARTS: &[&str] = &["scale"];

/// What no tool may do.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    denied: Vec<GroupResource>,
    mode: Mode,
    dry_run: bool,
}

/// Why a request may be more than reading.
#[derive(Clone, Copy, Debug)]
pub enum Warrant<'a> {
    /// It isn't.
    Reading,
    /// The API server is asked what would happen (`dryRun=All`).
    Rehearsal,
    /// Somebody approved of it.
    Approved(&'a Approved),
}

/// What is refused, and by what.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It isn't reading.
    #[error("this server only reads")]
    ReadOnly,
    /// The resource is on the list.
    #[error("this server doesn't touch {0} (deniedResources)")]
    Resource(String),
    /// Plans are only shown.
    #[error("this server only shows plans (dryRun): whoever wants it done does it themselves")]
    DryRun,
    /// It would destroy something.
    #[error(
        "this server does nothing that {0} (mode non-destructive): your user can do it, or start it with --mode full"
    )]
    Destructive(String),
    /// It is done in no mode.
    #[error("this server never does that, in any mode")]
    Never,
    /// Nobody approved of this request.
    #[error("nobody approved of this request")]
    Unapproved,
    /// It isn't what Kubernetes would take it for.
    #[error("no such request is sent: {0}")]
    Odd(String),
}

impl Guard {
    /// What the settings say.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            denied: settings
                .denied_resources
                .iter()
                .map(|denied| denied.0.clone())
                .collect(),
            mode: settings.mode,
            dry_run: settings.dry_run,
        }
    }

    /// Whether a request may be sent to a cluster.
    ///
    /// # Errors
    /// [`Refusal`], if not.
    pub(crate) fn check(
        &self,
        cluster: &ClusterName,
        wire: &Wire,
        uri: &Uri,
        warrant: Warrant<'_>,
    ) -> Result<(), Refusal> {
        let method = &wire.method;
        let request = KubeRequest::classify(method, uri).map_err(|why| Refusal::Odd(why.to_string()))?;
        let resource = match &request {
            KubeRequest::Resource(resource) => resource,
            _ if method == Method::GET => return Ok(()),
            _ => return Err(Refusal::ReadOnly),
        };
        match warrant {
            Warrant::Reading => is_reading(method, resource)?,
            Warrant::Rehearsal => self.rehearsal(wire, uri, resource)?,
            Warrant::Approved(approved) => self.approved(cluster, wire, resource, approved)?,
        }
        self.touch(&GroupResource {
            group: resource.group.to_string(),
            resource: resource.resource.to_string(),
        })
    }

    /// Whether a resource may be asked for, or be in what is sent.
    ///
    /// # Errors
    /// If it is denied.
    pub(crate) fn touch(&self, resource: &GroupResource) -> Result<(), Refusal> {
        if self.denied.contains(resource) {
            return Err(Refusal::Resource(resource.to_string()));
        }
        Ok(())
    }

    /// Whether something of that kind may be done at all.
    ///
    /// # Errors
    /// If the mode doesn't let it happen.
    pub(crate) fn allow(&self, harm: Option<Harm>) -> Result<(), Refusal> {
        match (self.mode, harm) {
            (Mode::ReadOnly, _) => Err(Refusal::ReadOnly),
            (Mode::NonDestructive, Some(harm)) => Err(Refusal::Destructive(harm.to_string())),
            _ => Ok(()),
        }
    }

    /// Whether anything is done, and not only shown.
    ///
    /// # Errors
    /// If not.
    pub(crate) fn act(&self) -> Result<(), Refusal> {
        if self.dry_run {
            return Err(Refusal::DryRun);
        }
        Ok(())
    }

    fn rehearsal(&self, wire: &Wire, uri: &Uri, resource: &ResourceRequest<'_>) -> Result<(), Refusal> {
        self.allow(harm_of(&wire.method, uri))?;
        is_change(resource)?;
        let said = query::value(uri.query(), "dryRun").is_some_and(|value| value == b"All");
        // With a body, it is the body that counts.
        let options: Value = wire
            .body
            .as_deref()
            .filter(|_| wire.method == Method::DELETE)
            .and_then(|body| serde_json::from_str(body).ok())
            .unwrap_or_default();
        let is_rehearsed =
            said && (wire.method != Method::DELETE || options["dryRun"] == serde_json::json!(["All"]));
        if is_rehearsed {
            Ok(())
        } else {
            Err(Refusal::Unapproved)
        }
    }

    fn approved(
        &self,
        cluster: &ClusterName,
        wire: &Wire,
        resource: &ResourceRequest<'_>,
        approved: &Approved,
    ) -> Result<(), Refusal> {
        self.allow(approved.harm())?;
        self.act()?;
        if approved.cluster() != cluster || approved.wire() != wire {
            return Err(Refusal::Unapproved);
        }
        match resource.interactive() {
            None => {
                let uri: Uri = wire.path.parse().map_err(|_| Refusal::Unapproved)?;
                self.allow(harm_of(&wire.method, &uri))?;
                is_change(resource)
            }
            // With a WebSocket, they are a GET.
            Some(Interactive::Exec | Interactive::PortForward)
                if wire.method == Method::GET
                    && resource.group.is_empty()
                    && resource.resource == "pods"
                    && resource.subresource.as_deref() != Some("ephemeralcontainers") =>
            {
                self.allow(Some(Harm::Enters))
            }
            Some(_) => Err(Refusal::Never),
        }
    }
}

fn is_reading(method: &Method, resource: &ResourceRequest<'_>) -> Result<(), Refusal> {
    let is_review = resource.group == "authorization.k8s.io"
        && REVIEWS.contains(&&*resource.resource)
        && method == Method::POST;
    // What a workload answers, and what runs in it, isn't reading, whatever the method says.
    let is_interactive = resource.interactive().is_some();
    if !is_review && (method != Method::GET || is_interactive) {
        return Err(Refusal::ReadOnly);
    }
    Ok(())
}

/// One object, or the scale of one, is changed.
fn is_change(resource: &ResourceRequest<'_>) -> Result<(), Refusal> {
    let is_named = match resource.verb {
        Verb::Create => resource.name.is_none(),
        Verb::Patch | Verb::Delete => resource.name.is_some(),
        _ => false,
    };
    let is_part = resource
        .subresource
        .as_deref()
        .is_none_or(|part| resource.verb == Verb::Patch && PARTS.contains(&part));
    if is_named && is_part && !QUESTIONS.contains(&&*resource.group) && resource.interactive().is_none() {
        Ok(())
    } else {
        Err(Refusal::Never)
    }
}

/// What a request itself says that it destroys.
fn harm_of(method: &Method, uri: &Uri) -> Option<Harm> {
    if method == Method::DELETE {
        return Some(Harm::Deletes);
    }
    query::flag(uri.query(), "force").then_some(Harm::Forces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::DeniedResource;

    fn wire(method: &str, uri: &str, body: Option<&str>) -> Wire {
        Wire {
            method: method.parse().expect("a method"),
            path: uri.to_owned(),
            content_type: None,
            body: body.map(str::to_owned),
            of: None,
        }
    }

    fn sent(guard: &Guard, wire: &Wire, warrant: Warrant<'_>) -> Result<(), Refusal> {
        let home = "home".parse().expect("a name");
        guard.check(&home, wire, &wire.path.parse().expect("a URI"), warrant)
    }

    fn check(guard: &Guard, method: &str, uri: &str) -> Result<(), Refusal> {
        sent(guard, &wire(method, uri, None), Warrant::Reading)
    }

    fn of(mode: Mode, dry_run: bool) -> Guard {
        Guard::new(&Settings {
            mode,
            dry_run,
            ..Settings::default()
        })
    }

    /// What somebody approved of, whatever it is.
    fn approval(wire: &Wire, harm: Option<Harm>) -> Approved {
        let home: ClusterName = "home".parse().expect("a name");
        let consent = crate::server::Consent::given(wire.digest(&home));
        Approved::of(home, wire.clone(), harm, &consent).expect("approved")
    }

    #[test]
    fn only_reading_passes() {
        let guard = Guard::default();
        for (method, uri) in [
            ("GET", "/api/v1/namespaces/a/pods?limit=5"),
            ("GET", "/api/v1/namespaces/a/pods/p/log"),
            ("GET", "/version"),
            ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ] {
            assert_eq!(check(&guard, method, uri), Ok(()), "{method} {uri}");
        }
        for (method, uri) in [
            ("POST", "/api/v1/namespaces/a/pods"),
            ("PUT", "/api/v1/namespaces/a/pods/p"),
            ("PATCH", "/api/v1/namespaces/a/pods/p"),
            ("DELETE", "/api/v1/namespaces/a/pods/p"),
            ("POST", "/api/v1/namespaces/a/serviceaccounts/s/token"),
            ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
            ("GET", "/api/v1/namespaces/a/pods/p/exec?command=sh"),
            ("GET", "/api/v1/namespaces/a/pods/p/attach"),
            ("GET", "/api/v1/namespaces/a/pods/p/portforward"),
            ("GET", "/api/v1/namespaces/a/pods/p/proxy/admin"),
            ("GET", "/api/v1/nodes/n/proxy/run"),
            ("POST", "/version"),
        ] {
            assert_eq!(
                check(&guard, method, uri),
                Err(Refusal::ReadOnly),
                "{method} {uri}"
            );
        }
    }

    #[test]
    fn a_denied_resource_is_denied_in_every_version_and_part() {
        let settings = Settings {
            denied_resources: ["secrets", "deployments.apps"]
                .map(|text| DeniedResource(text.parse().expect("a resource")))
                .into(),
            ..Settings::default()
        };
        let guard = Guard::new(&settings);
        for uri in [
            "/api/v1/secrets",
            "/api/v1/namespaces/a/secrets/s",
            "/apis/apps/v1/namespaces/a/deployments/d",
            "/apis/apps/v1beta9/deployments",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
        ] {
            assert!(
                matches!(check(&guard, "GET", uri), Err(Refusal::Resource(_))),
                "{uri}"
            );
        }
        assert_eq!(check(&guard, "GET", "/apis/extra.example.com/v1/secrets"), Ok(()));
    }

    const WRITES: &[(&str, &str)] = &[
        ("POST", "/api/v1/namespaces/a/configmaps"),
        ("PATCH", "/api/v1/namespaces/a/configmaps/c"),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/d/scale"),
    ];

    #[test]
    fn what_writes_passes_with_an_approval_of_it_alone() {
        for (method, uri) in WRITES {
            let asked = wire(method, uri, Some("{}"));
            let approved = approval(&asked, None);
            for mode in [Mode::NonDestructive, Mode::Full] {
                let guard = of(mode, false);
                assert_eq!(sent(&guard, &asked, Warrant::Reading), Err(Refusal::ReadOnly));
                assert_eq!(sent(&guard, &asked, Warrant::Rehearsal), Err(Refusal::Unapproved));
                assert_eq!(
                    sent(&guard, &asked, Warrant::Approved(&approved)),
                    Ok(()),
                    "{method} {uri}"
                );
                let other = wire(method, uri, Some("{\"spec\":{}}"));
                assert_eq!(
                    sent(&guard, &other, Warrant::Approved(&approved)),
                    Err(Refusal::Unapproved)
                );
                let away: ClusterName = "away".parse().expect("a name");
                let uri = uri.parse().expect("a URI");
                assert_eq!(
                    guard.check(&away, &asked, &uri, Warrant::Approved(&approved)),
                    Err(Refusal::Unapproved)
                );
            }
            assert_eq!(
                sent(&of(Mode::ReadOnly, false), &asked, Warrant::Approved(&approved)),
                Err(Refusal::ReadOnly)
            );
            assert_eq!(
                sent(&of(Mode::Full, true), &asked, Warrant::Approved(&approved)),
                Err(Refusal::DryRun)
            );
        }
    }

    #[test]
    fn a_rehearsal_says_that_it_is_one_where_the_server_reads_it() {
        let guard = of(Mode::Full, true);
        for (method, uri) in WRITES {
            let rehearsed = format!("{uri}?dryRun=All&fieldManager=x");
            assert_eq!(
                sent(&guard, &wire(method, &rehearsed, Some("{}")), Warrant::Rehearsal),
                Ok(())
            );
            for odd in ["dryRun=", "dryrun=All", "dryRun=None", "dryRun=None&dryRun=All"] {
                let uri = format!("{uri}?{odd}");
                assert_eq!(
                    sent(&guard, &wire(method, &uri, Some("{}")), Warrant::Rehearsal),
                    Err(Refusal::Unapproved),
                    "{odd}"
                );
            }
        }
        let uri = "/api/v1/namespaces/a/configmaps/c?dryRun=All";
        let delete = |body| sent(&guard, &wire("DELETE", uri, body), Warrant::Rehearsal);
        assert_eq!(delete(Some(r#"{"dryRun":["All"]}"#)), Ok(()));
        for body in [None, Some("{}"), Some(r#"{"dryRun":[]}"#), Some("dryRun")] {
            assert_eq!(delete(body), Err(Refusal::Unapproved), "{body:?}");
        }
    }

    #[test]
    fn what_destroys_passes_in_full_mode_alone() {
        let delete = wire("DELETE", "/api/v1/namespaces/a/pods/p", Some("{}"));
        let force = wire(
            "PATCH",
            "/api/v1/namespaces/a/configmaps/c?force=true",
            Some("{}"),
        );
        let exec = wire("GET", "/api/v1/namespaces/a/pods/p/exec?command=sh", None);
        let forward = wire("GET", "/api/v1/namespaces/a/pods/p/portforward?ports=1", None);
        let scale = wire(
            "PATCH",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            Some("{}"),
        );
        for (asked, harm) in [
            (&delete, None),
            (&force, None),
            (&exec, None),
            (&forward, None),
            (&scale, Some(Harm::Fewer)),
            (&scale, Some(Harm::Undoes)),
        ] {
            let approved = approval(asked, harm);
            let full = sent(&of(Mode::Full, false), asked, Warrant::Approved(&approved));
            assert_eq!(full, Ok(()), "{asked:?}");
            let refused = sent(
                &of(Mode::NonDestructive, false),
                asked,
                Warrant::Approved(&approved),
            );
            assert!(matches!(refused, Err(Refusal::Destructive(_))), "{asked:?}");
        }
    }

    #[test]
    fn some_things_are_done_in_no_mode_whoever_approves() {
        let guard = of(Mode::Full, false);
        for (method, uri) in [
            ("POST", "/api/v1/namespaces/a/serviceaccounts/s/token"),
            ("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
            ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
            ("POST", "/api/v1/namespaces/a/pods/p/eviction"),
            ("POST", "/api/v1/namespaces/a/pods/p/binding"),
            ("POST", "/api/v1/namespaces/a/pods/p/exec?command=sh"),
            ("PATCH", "/api/v1/namespaces/a/pods/p/ephemeralcontainers"),
            ("PATCH", "/api/v1/namespaces/a/pods/p/status"),
            (
                "PATCH",
                "/apis/certificates.k8s.io/v1/certificatesigningrequests/c/approval",
            ),
            ("PUT", "/api/v1/namespaces/a/configmaps/c"),
            ("PUT", "/api/v1/namespaces/a/finalize"),
            ("DELETE", "/api/v1/namespaces/a/pods"),
            ("GET", "/api/v1/namespaces/a/pods/p/attach"),
            ("GET", "/api/v1/namespaces/a/pods/p/proxy/admin"),
            ("GET", "/api/v1/nodes/n/proxy/run"),
            ("GET", "/api/v1/namespaces/a/services/s/proxy"),
            ("GET", "/api/v1/proxy/namespaces/a/pods/p"),
            ("GET", "/apis/x.example.com/v1/namespaces/a/pods/p/exec"),
            ("POST", "/version"),
        ] {
            let asked = wire(method, uri, None);
            let refused = sent(&guard, &asked, Warrant::Approved(&approval(&asked, None)));
            assert!(
                matches!(refused, Err(Refusal::Never | Refusal::ReadOnly)),
                "{method} {uri}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_denied_resource_is_denied_to_whoever_approves() {
        let settings = Settings {
            denied_resources: vec![DeniedResource("secrets".parse().expect("a resource"))],
            mode: Mode::Full,
            ..Settings::default()
        };
        let guard = Guard::new(&settings);
        for (method, uri) in [
            ("POST", "/api/v1/namespaces/a/secrets?dryRun=All"),
            ("PATCH", "/api/v1/namespaces/a/secrets/s?dryRun=All"),
        ] {
            let asked = wire(method, uri, Some("{}"));
            for warrant in [Warrant::Rehearsal, Warrant::Approved(&approval(&asked, None))] {
                assert!(matches!(sent(&guard, &asked, warrant), Err(Refusal::Resource(_))));
            }
        }
    }
}
