//! Where the values of a JSON text begin and end, found while it comes in, in pieces of any size. What is between two
//! ends is handed on as it is; whether it is JSON throughout is for whoever reads it to say.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::json::Malformed;

/// The longest single value, in bytes. etcd takes objects of 1.5 MiB; written as JSON, with each `<` as `\u003c`, one may
/// be six times that.
pub const MAX_VALUE: usize = 16 << 20;

/// What a list's text is made of.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A member of the list itself.
    Member {
        /// Its name.
        name: String,
        /// JSON, as far as where it ends was looked at.
        value: Bytes,
    },
    /// The beginning of `items` or `rows`.
    Begin {
        /// Which of the two.
        name: String,
    },
    /// One of them.
    Element(Bytes),
    /// Their end.
    End,
}

/// Takes a list apart: one JSON object, whose `items` or `rows` come one by one.
#[derive(Debug, Default)]
pub struct ListSplitter {
    input: BytesMut,
    scan: Scan,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    FirstKey,
    Key,
    Colon(String),
    Value(String),
    FirstElement,
    Element,
    AfterElement,
    AfterMember,
    Done,
}

impl ListSplitter {
    /// More of the text.
    pub fn push(&mut self, more: &[u8]) {
        self.input.extend_from_slice(more);
    }

    /// The next piece; `None` if more of the text is needed first, or there is no more.
    ///
    /// # Errors
    /// [`Malformed`] if it is no list, or a value in it is larger than [`MAX_VALUE`].
    #[expect(
        clippy::should_implement_trait,
        reason = "nothing now doesn't mean nothing ever"
    )]
    pub fn next(&mut self) -> Result<Option<Piece>, Malformed> {
        loop {
            skip_whitespace(&mut self.input);
            let Some(&byte) = self.input.first() else {
                return Ok(None);
            };
            match (&mut self.state, byte) {
                (State::Start, b'{') => self.pass(State::FirstKey),
                (State::FirstKey | State::AfterMember, b'}') => self.pass(State::Done),
                (State::FirstKey | State::Key, b'"') => {
                    let Some(key) = self.scan.take(&mut self.input)? else {
                        return Ok(None);
                    };
                    self.state = State::Colon(serde_json::from_slice(&key)?);
                }
                (State::Colon(name), b':') => {
                    let name = std::mem::take(name);
                    self.pass(State::Value(name));
                }
                (State::Value(name), b'[') if holds_objects(name) => {
                    let name = std::mem::take(name);
                    self.pass(State::FirstElement);
                    return Ok(Some(Piece::Begin { name }));
                }
                (State::Value(name), _) => {
                    let Some(value) = self.scan.take(&mut self.input)? else {
                        return Ok(None);
                    };
                    let name = std::mem::take(name);
                    self.state = State::AfterMember;
                    return Ok(Some(Piece::Member { name, value }));
                }
                (State::AfterMember, b',') => self.pass(State::Key),
                (State::FirstElement | State::AfterElement, b']') => {
                    self.pass(State::AfterMember);
                    return Ok(Some(Piece::End));
                }
                (State::AfterElement, b',') => self.pass(State::Element),
                (State::FirstElement | State::Element, _) => {
                    let Some(element) = self.scan.take(&mut self.input)? else {
                        return Ok(None);
                    };
                    self.state = State::AfterElement;
                    return Ok(Some(Piece::Element(element)));
                }
                _ => return Err(Malformed::Structure),
            }
        }
    }

    /// There is no more.
    ///
    /// # Errors
    /// [`Malformed::CutShort`] if there should be.
    pub fn finish(&self) -> Result<(), Malformed> {
        match self.state {
            State::Done if self.input.is_empty() => Ok(()),
            _ => Err(Malformed::CutShort),
        }
    }

    fn pass(&mut self, state: State) {
        self.input.advance(1);
        self.state = state;
    }
}

/// Takes a watch apart: JSON objects one after the other.
#[derive(Debug, Default)]
pub struct StreamSplitter {
    input: BytesMut,
    scan: Scan,
}

impl StreamSplitter {
    /// More of the text.
    pub fn push(&mut self, more: &[u8]) {
        self.input.extend_from_slice(more);
    }

    /// The next object; `None` if more of the text is needed first, or there is no more.
    ///
    /// # Errors
    /// [`Malformed`] if it is no object, or larger than [`MAX_VALUE`].
    #[expect(
        clippy::should_implement_trait,
        reason = "nothing now doesn't mean nothing ever"
    )]
    pub fn next(&mut self) -> Result<Option<Bytes>, Malformed> {
        skip_whitespace(&mut self.input);
        match self.input.first() {
            None => Ok(None),
            Some(b'{') => self.scan.take(&mut self.input),
            Some(_) => Err(Malformed::Structure),
        }
    }

    /// There is no more.
    ///
    /// # Errors
    /// [`Malformed::CutShort`] if there should be.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.input.is_empty() {
            Ok(())
        } else {
            Err(Malformed::CutShort)
        }
    }
}

/// The way through one value, which begins where the input begins. It goes on where it stopped when there is more.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    within: Within,
}

#[derive(Clone, Copy, Debug, Default)]
enum Within {
    #[default]
    Nothing,
    String,
    Escape,
    /// A number, `true`, `false` or `null` that is the whole value.
    Scalar,
}

impl Scan {
    /// The value, taken off the input, once it is there.
    fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        let end = self.end(input)?;
        if end.unwrap_or(self.at) > MAX_VALUE {
            return Err(Malformed::TooLarge);
        }
        Ok(end.map(|end| {
            *self = Self::default();
            input.split_to(end).freeze()
        }))
    }

    fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Malformed> {
        while let Some(rest) = input.get(self.at..).filter(|rest| !rest.is_empty()) {
            match self.within {
                Within::String => {
                    let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                        self.at = input.len();
                        break;
                    };
                    self.at += found + 1;
                    if rest[found] == b'\\' {
                        self.within = Within::Escape;
                        continue;
                    }
                    self.within = Within::Nothing;
                    if self.depth == 0 {
                        return Ok(Some(self.at));
                    }
                }
                Within::Escape => {
                    self.at += 1;
                    self.within = Within::String;
                }
                Within::Scalar => {
                    let Some(found) = rest.iter().position(|b| b",]} \t\r\n".contains(b)) else {
                        self.at = input.len();
                        break;
                    };
                    self.at += found;
                    return Ok(Some(self.at));
                }
                Within::Nothing => {
                    let found = if self.at == 0 {
                        0
                    } else if let Some(found) = rest.iter().position(|b| b"\"{}[]".contains(b)) {
                        found
                    } else {
                        self.at = input.len();
                        break;
                    };
                    self.at += found + 1;
                    match rest[found] {
                        b'"' => self.within = Within::String,
                        b'{' | b'[' => self.depth += 1,
                        b'}' | b']' if self.depth > 0 => {
                            self.depth -= 1;
                            if self.depth == 0 {
                                return Ok(Some(self.at));
                            }
                        }
                        b'}' | b']' | b',' | b':' => return Err(Malformed::Structure),
                        _ => self.within = Within::Scalar,
                    }
                }
            }
        }
        Ok(None)
    }
}

/// The members of a list that hold what is listed: those of a `List`, and those of a `Table`.
fn holds_objects(name: &str) -> bool {
    matches!(name, "items" | "rows")
}

fn skip_whitespace(input: &mut BytesMut) {
    let spaces = input
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        .count();
    input.advance(spaces);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a text is made of when it comes in these pieces.
    fn split(text: &[u8], cuts: &[usize]) -> Result<Vec<Piece>, Malformed> {
        let mut splitter = ListSplitter::default();
        let mut pieces = Vec::new();
        let mut rest = text;
        for cut in cuts.iter().copied().chain([text.len()]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            splitter.push(now);
            while let Some(piece) = splitter.next()? {
                pieces.push(piece);
            }
        }
        splitter.finish()?;
        Ok(pieces)
    }

    fn member(name: &str, value: &'static str) -> Piece {
        Piece::Member {
            name: name.to_owned(),
            value: Bytes::from_static(value.as_bytes()),
        }
    }

    #[test]
    fn a_list_is_taken_apart_as_it_is() {
        let text = br#" {"kind" : "PodList","metadata":{"a":[1,{"b":"]}\\\""}]},
            "items":[ {"x":"]"} , {"y":"\\"},12345678901234567890 ,"s"],"t":true ,"u":null}  "#;
        let pieces = split(text, &[]).expect("well formed");
        let element = |text: &'static str| Piece::Element(Bytes::from_static(text.as_bytes()));
        assert_eq!(
            pieces,
            [
                member("kind", r#""PodList""#),
                member("metadata", r#"{"a":[1,{"b":"]}\\\""}]}"#),
                Piece::Begin {
                    name: "items".to_owned()
                },
                element(r#"{"x":"]"}"#),
                element(r#"{"y":"\\"}"#),
                element("12345678901234567890"),
                element(r#""s""#),
                Piece::End,
                member("t", "true"),
                member("u", "null"),
            ]
        );
    }

    #[test]
    fn an_empty_list_has_a_beginning_and_an_end() {
        let begin = Piece::Begin {
            name: "items".to_owned(),
        };
        assert_eq!(
            split(br#"{"items":[ ]}"#, &[]).expect("list"),
            [begin, Piece::End]
        );
        assert_eq!(
            split(br#"{"items":null}"#, &[]).expect("list"),
            [member("items", "null")]
        );
        assert_eq!(split(b"{}", &[]).expect("list"), []);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "[]",
            "{",
            "x",
            "",
            "{}{}",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"items":[,]}"#,
            r#"{"items":[1,]}"#,
            r#"{"items":[1 2]}"#,
            r#"{"items":[{"#,
            r#"{"items":[]"#,
            r#"{"a":1"#,
        ] {
            assert!(split(text.as_bytes(), &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_without_end_is_given_up() {
        let mut splitter = ListSplitter::default();
        splitter.push(br#"{"items":["#);
        assert!(matches!(splitter.next(), Ok(Some(Piece::Begin { .. }))));
        splitter.push(b"\"");
        let chunk = vec![b'x'; 1 << 20];
        let given_up = (0..20).any(|_| {
            splitter.push(&chunk);
            matches!(splitter.next(), Err(Malformed::TooLarge))
        });
        assert!(given_up);
    }

    proptest! {
        #[test]
        fn where_a_text_is_cut_changes_nothing(cuts in prop::collection::vec(0_usize..7, 0..60)) {
            let text = r#"{"kind":"L\"ist","metadata":{"resourceVersion":"1","ü":"\u00e9\\"},
                "items":[{"a":{"b":[[],{}]},"s":"\\\\\"]}"},{"n":1.0e400},[],null , 7],"z":-0.10}"#;
            prop_assert_eq!(split(text.as_bytes(), &cuts).expect("text"), split(text.as_bytes(), &[]).expect("text"));
        }

        #[test]
        fn any_bytes_are_taken_apart_or_refused(text in "[\\[\\]{}:,\"\\\\a1 items]{0,60}") {
            let at_once = split(text.as_bytes(), &[]);
            let one_by_one = split(text.as_bytes(), &vec![1; text.len()]);
            prop_assert_eq!(at_once.is_ok(), one_by_one.is_ok());
            if let (Ok(a), Ok(b)) = (at_once, one_by_one) {
                prop_assert_eq!(a, b);
            }
        }
    }
}
