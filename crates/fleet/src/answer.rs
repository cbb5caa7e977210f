//! One cluster's answer to a list, read piece by piece.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use mk8s_model::ClusterName;
use mk8s_net::{Body, BoxError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    accept::is_json,
    failure::Failure,
    json::Malformed,
    splitter::{ListSplitter, Piece},
    table::Columns,
};

/// The most that a list has beside what it lists, in bytes: it is all kept.
const MAX_MEMBERS: usize = 1 << 20;

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0}")]
    Body(BoxError),
    #[error("{0}")]
    Malformed(#[from] Malformed),
}

/// A list whose beginning was read.
#[derive(Debug)]
pub(crate) struct Answer {
    reader: Reader,
    /// What the list has beside what it lists, as far as it was read, in order.
    pub(crate) members: Vec<Member>,
    /// How what is listed is called: `items` or `rows`.
    pub(crate) listed: String,
    pub(crate) columns: Option<Columns>,
    pub(crate) warnings: Vec<HeaderValue>,
    size: usize,
}

/// One member of a list.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// JSON.
    pub(crate) value: String,
}

/// What a list says of itself.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ListMeta {
    pub(crate) resource_version: Option<String>,
    pub(crate) r#continue: Option<String>,
    pub(crate) remaining_item_count: Option<i64>,
}

#[derive(Debug)]
struct Reader {
    body: Body,
    splitter: ListSplitter,
    is_over: bool,
}

impl Answer {
    /// Reads an answer up to the first object in it.
    ///
    /// # Errors
    /// What the cluster said instead, or 502 if it is no list.
    pub(crate) async fn open(cluster: &ClusterName, response: Response<Body>) -> Result<Self, Failure> {
        let (warnings, body) = succeeded(cluster, response).await?;
        let mut answer = Self {
            reader: Reader {
                body,
                splitter: ListSplitter::default(),
                is_over: false,
            },
            members: Vec::new(),
            listed: String::new(),
            columns: None,
            warnings,
            size: 0,
        };
        answer
            .begin()
            .await
            .map_err(|why| Failure::unreadable(cluster, &why))?;
        Ok(answer)
    }

    async fn begin(&mut self) -> Result<(), Broken> {
        loop {
            match self.reader.next().await? {
                Some(Piece::Begin { name }) => {
                    self.listed = name;
                    break;
                }
                // A list of nothing at all.
                Some(Piece::Member { name, value })
                    if matches!(&*name, "items" | "rows") && &*value == b"null" =>
                {
                    self.listed = name;
                    break;
                }
                Some(Piece::Member { name, value }) => self.keep(name, &value)?,
                Some(Piece::Element(_) | Piece::End) => return Err(Malformed::Structure.into()),
                None => {
                    return Err(
                        Malformed::Nonsense("it lists nothing: it has neither items nor rows").into(),
                    );
                }
            }
        }
        self.columns = match self.member("columnDefinitions") {
            Some(text) => Columns::parse(text)?,
            None => None,
        };
        Ok(())
    }

    /// The next object, as JSON; `None` at the answer's end, when all members are known.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.reader.next().await? {
                Some(Piece::Element(element)) => return Ok(Some(element)),
                Some(Piece::Member { name, value }) => self.keep(name, &value)?,
                Some(Piece::End) => {}
                Some(Piece::Begin { .. }) => return Err(Malformed::Nonsense("it has two lists in it").into()),
                None => return Ok(None),
            }
        }
    }

    /// Reads to the end, and keeps nothing of what is listed.
    pub(crate) async fn skip_rest(&mut self) -> Result<(), Broken> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// A member's JSON, if it was there already.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        let found = self.members.iter().find(|member| member.name == name);
        found.map(|member| member.value.as_str())
    }

    /// What the list says of itself, if that was there already.
    pub(crate) fn meta(&self) -> Result<Option<ListMeta>, Malformed> {
        Ok(self
            .member("metadata")
            .map(serde_json::from_str::<Option<ListMeta>>)
            .transpose()?
            .map(Option::unwrap_or_default))
    }

    fn keep(&mut self, name: String, value: &[u8]) -> Result<(), Malformed> {
        self.size += name.len() + value.len();
        if self.size > MAX_MEMBERS {
            return Err(Malformed::Nonsense(
                "it has more beside what it lists than any list needs",
            ));
        }
        // Found to be JSON, because it goes out as it is.
        let value: &RawValue = serde_json::from_slice(value)?;
        self.members.push(Member {
            name,
            value: value.get().to_owned(),
        });
        Ok(())
    }
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Piece>, Broken> {
        loop {
            if let Some(piece) = self.splitter.next()? {
                return Ok(Some(piece));
            }
            if self.is_over {
                self.splitter.finish()?;
                return Ok(None);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.splitter.push(data);
                    }
                }
                Some(Err(why)) => return Err(Broken::Body(why)),
                None => self.is_over = true,
            }
        }
    }
}

/// The body of an answer that says yes, in JSON, with the warnings that came along.
///
/// # Errors
/// What the cluster said instead, or 502 if it isn't JSON.
pub(crate) async fn succeeded(
    cluster: &ClusterName,
    response: Response<Body>,
) -> Result<(Vec<HeaderValue>, Body), Failure> {
    if response.status() != StatusCode::OK {
        return Err(Failure::of(cluster, response).await);
    }
    let is_plain = response
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding == "identity");
    if !is_json(response.headers()) || !is_plain {
        return Err(Failure::unreadable(
            cluster,
            &"it is not plain JSON, which was asked for",
        ));
    }
    let (mut head, body) = response.into_parts();
    let warnings = match head.headers.entry(header::WARNING) {
        header::Entry::Occupied(warnings) => warnings.remove_entry_mult().1.collect(),
        header::Entry::Vacant(_) => Vec::new(),
    };
    Ok((warnings, body))
}
