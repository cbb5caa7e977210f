//! A list, read piece by piece.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use mk8s_net::Body;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    Broken,
    json::Malformed,
    splitter::{ListSplitter, Piece},
};

/// The most that a list has beside what it lists, in bytes: it is all kept.
const MAX_MEMBERS: usize = 1 << 20;

/// A list whose beginning was read.
#[derive(Debug)]
pub struct List {
    reader: Reader,
    /// What the list has beside what it lists, as far as it was read, in order.
    pub members: Vec<Member>,
    /// How what is listed is called: `items` or `rows`.
    pub listed: String,
    size: usize,
}

/// One member of a list.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// JSON.
    pub value: String,
}

/// What a list says of itself.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ListMeta {
    /// Of the whole list.
    pub resource_version: Option<String>,
    /// Where the next page begins; absent or empty on the last one.
    pub r#continue: Option<String>,
    /// How many objects come after this page, if that is known.
    pub remaining_item_count: Option<i64>,
}

#[derive(Debug)]
struct Reader {
    body: Body,
    splitter: ListSplitter,
    is_over: bool,
}

impl List {
    /// Reads a list up to the first object in it.
    ///
    /// # Errors
    /// [`Broken`] if it is no list, or breaks off before.
    pub async fn open(body: Body) -> Result<Self, Broken> {
        let mut list = Self {
            reader: Reader {
                body,
                splitter: ListSplitter::default(),
                is_over: false,
            },
            members: Vec::new(),
            listed: String::new(),
            size: 0,
        };
        list.begin().await?;
        Ok(list)
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
        Ok(())
    }

    /// The next object, as JSON; `None` at the answer's end, when all members are known.
    ///
    /// # Errors
    /// [`Broken`] if it breaks off or can't be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
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
    ///
    /// # Errors
    /// [`Broken`], as [`Self::next`].
    pub async fn skip_rest(&mut self) -> Result<(), Broken> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// A member's JSON, if it was there already.
    pub fn member(&self, name: &str) -> Option<&str> {
        let found = self.members.iter().find(|member| member.name == name);
        found.map(|member| member.value.as_str())
    }

    /// What the list says of itself, if that was there already.
    ///
    /// # Errors
    /// [`Malformed`] if it is not what lists have.
    pub fn meta(&self) -> Result<Option<ListMeta>, Malformed> {
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
