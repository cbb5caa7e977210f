//! Whoever calls one of our own endpoints, and what they must be to go on.

use std::net::IpAddr;

use http::StatusCode;
use mk8s_net::problem::Problem;

use crate::people::{NotAdmitted, People, Person, failure::Failure};

/// Whoever asks, as the door found out.
#[derive(Clone)]
pub(crate) struct Asker {
    person: Option<Result<Person, String>>,
    pub(crate) source: IpAddr,
}

impl Asker {
    /// Whoever the door let in or turned away; none where nobody asks.
    pub(super) fn new(person: Option<Result<Person, NotAdmitted>>, source: IpAddr) -> Self {
        Self {
            person: person.map(|p| p.map_err(|why| why.to_string())),
            source,
        }
    }

    /// The person, if one is signed in.
    pub(crate) fn person(&self) -> Result<&Person, Failure> {
        match &self.person {
            Some(Ok(person)) => Ok(person),
            Some(Err(why)) => Err(Problem::new(StatusCode::UNAUTHORIZED, why.clone())
                .hint("run `mk8s login`")
                .into()),
            None => Err(Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in").into()),
        }
    }

    /// The person, if they administer the gateway.
    pub(crate) fn admin(&self, people: &People) -> Result<&Person, Failure> {
        let person = self.person()?;
        if people.access.is_admin(person.token.user_id) {
            return Ok(person);
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "only those with the role \"admin\" may do this",
        )
        .into())
    }
}
