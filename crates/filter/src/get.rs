//! One object by its name, if it may be seen.

use std::sync::Arc;

use http::{Request, Response};
use mk8s_lists::{Failure, List, Malformed, Object};
use mk8s_model::Verb;
use mk8s_net::{Body, status::Status};

use crate::{
    Ask, Scope, Scoped,
    asked::Asked,
    place::Place,
    upstream::{Upstream, answer, unreadable},
};

/// Gets one object. The request is a GET of the object's own path. What the caller may not see is answered as if it didn't
/// exist. Whether labels allow it is asked right before the object is: of labels that change in between, either is seen.
pub async fn get(ask: Arc<dyn Ask>, scoped: &Scoped, request: Request<Body>) -> Response<Body> {
    match begin(ask, scoped, request).await {
        Ok(response) => response,
        Err(why) => why.into_response(),
    }
}

async fn begin(
    ask: Arc<dyn Ask>,
    scoped: &Scoped,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    let asked = Asked::read(request, Verb::Get)?;
    let upstream = Upstream::new(ask, asked.kind());
    let can_be_seen = match &scoped.scope {
        Scope::All => true,
        Scope::Nothing => false,
        Scope::Namespaces(set) => is_in(&asked, |namespace| set.contains(namespace)),
        Scope::Selector(_) => is_selected(&upstream, &asked, &scoped.scope).await?,
    };
    if !can_be_seen {
        return Err(not_found(&asked).into());
    }
    let (headers, body) = upstream.ask("get", asked.object()?).await?;
    Ok(answer(&headers, body))
}

/// Whether the path's namespace is one of these. A namespace itself is in none, whatever the path looks like; so says the list
/// of namespaces, too.
fn is_in(asked: &Asked, contains: impl Fn(&str) -> bool) -> bool {
    asked.resource != "namespaces" && asked.namespace.as_deref().is_some_and(contains)
}

/// Whether the object has the labels of a scope.
async fn is_selected(upstream: &Upstream, asked: &Asked, scope: &Scope) -> Result<bool, Failure> {
    let name = asked.name.as_deref().unwrap_or_default();
    let (path, _) = asked
        .path
        .trim_end_matches('/')
        .rsplit_once('/')
        .unwrap_or_default();
    let selector = scope.selector().map(|selector| selector.as_str().to_owned());
    let changes = [
        ("allowWatchBookmarks", None),
        ("continue", None),
        ("fieldSelector", Some(format!("metadata.name={}", escaped(name)))),
        ("includeObject", None),
        ("labelSelector", selector),
        ("limit", None),
        ("pretty", None),
        ("resourceVersion", None),
        ("resourceVersionMatch", None),
        ("sendInitialEvents", None),
        ("timeoutSeconds", None),
        ("watch", None),
    ];
    let (_, body) = upstream.ask("list", asked.metadata(path, &changes)?).await?;
    let mut list = List::open(body).await.map_err(|why| unreadable(&why))?;
    while let Some(item) = list.next().await.map_err(|why| unreadable(&why))? {
        if is_named(&item, name).map_err(|why| unreadable(&why))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_named(item: &[u8], name: &str) -> Result<bool, Malformed> {
    let object = Object::parse(std::str::from_utf8(item)?)?;
    Ok(Place::of(&object)?.name == name)
}

/// A value in a field selector.
/// Source: `k8s.io/apimachinery/pkg/fields/selector.go`, `EscapeValue`.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '\\' | ',' | '=') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// In the API server's own words.
/// Source: `k8s.io/apimachinery/pkg/api/errors/errors.go`, `NewNotFound`.
fn not_found(asked: &Asked) -> Status {
    let name = asked.name.as_deref().unwrap_or_default();
    Status::not_found(format!("{} {name:?} not found", asked.kind())).about(
        &asked.resource,
        &asked.group,
        Some(name),
    )
}
