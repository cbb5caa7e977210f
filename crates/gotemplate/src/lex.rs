//! A source's tokens.
//!
//! White space within actions is a token, as in Go: it separates arguments, and `.a .b` isn't `.a.b`.

use crate::unicode::is_word;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Open,
    Close,
    Space,
    Assign,
    Declare,
    Pipe,
    LeftParen,
    RightParen,
    /// Any other printable ASCII character.
    Char,
    Bool,
    CharConstant,
    Complex,
    Number,
    String,
    RawString,
    Field,
    Identifier,
    Variable,
    Dot,
    Nil,
    Block,
    Break,
    Continue,
    Define,
    Else,
    End,
    If,
    Range,
    Template,
    With,
    Eof,
    /// What can't be read; nothing follows.
    Error(&'static str),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s str,
    pub(crate) at: usize,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// All tokens. The last one is `Eof` or `Error`.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer {
        source,
        position: 0,
        tokens: Vec::new(),
    };
    let end = match lexer.run() {
        Ok(()) => Kind::Eof,
        Err(problem) => Kind::Error(problem),
    };
    let at = lexer.position;
    lexer.tokens.push(Token {
        kind: end,
        text: "",
        at,
    });
    lexer.tokens
}

struct Lexer<'s> {
    source: &'s str,
    position: usize,
    tokens: Vec<Token<'s>>,
}

type Read = Result<(), &'static str>;

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        &self.source[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn emit(&mut self, kind: Kind, from: usize) {
        self.tokens.push(Token {
            kind,
            text: &self.source[from..self.position],
            at: from,
        });
    }

    /// Text, then an action, until the end.
    fn run(&mut self) -> Read {
        loop {
            let rest = self.rest();
            let Some(length) = rest.find(OPEN) else {
                let from = self.position;
                self.position = self.source.len();
                if !rest.is_empty() {
                    self.emit(Kind::Text, from);
                }
                return Ok(());
            };
            let trims = left_trim(&rest[length + OPEN.len()..]);
            let from = self.position;
            let kept = match trims {
                true => rest[..length].trim_end_matches(SPACES).len(),
                false => length,
            };
            self.position = from + kept;
            if kept > 0 {
                self.emit(Kind::Text, from);
            }
            self.position = from + length;
            let open = self.position;
            self.position += OPEN.len();
            let marker = if trims { 2 } else { 0 };
            if self.source[self.position + marker..].starts_with("/*") {
                self.position += marker;
                self.comment()?;
            } else {
                self.emit(Kind::Open, open);
                self.position += marker;
                self.action()?;
            }
        }
    }

    fn comment(&mut self) -> Read {
        let Some(end) = self.rest()[2..].find("*/") else {
            return Err("this comment has no end: close it with */}}");
        };
        self.position += 2 + end + 2;
        match right_delimiter(self.rest()) {
            Some(width) => {
                self.close(width);
                Ok(())
            }
            None => Err("a comment must be the whole action: write }} right after */"),
        }
    }

    /// Passes the closing delimiter, and the white space that it trims.
    fn close(&mut self, width: usize) {
        self.position += width;
        if width > CLOSE.len() {
            let rest = self.rest();
            self.position += rest.len() - rest.trim_start_matches(SPACES).len();
        }
    }

    fn action(&mut self) -> Read {
        let mut parens = 0_usize;
        loop {
            if let Some(width) = right_delimiter(self.rest()) {
                if parens > 0 {
                    return Err("a left parenthesis isn't closed: add )");
                }
                let from = self.position;
                self.position += width;
                self.emit(Kind::Close, from);
                self.position = from;
                self.close(width);
                return Ok(());
            }
            let from = self.position;
            let Some(c) = self.peek() else {
                return Err("this action isn't closed: add }}");
            };
            self.position += c.len_utf8();
            let kind = match c {
                ' ' | '\t' | '\r' | '\n' => {
                    let run = self.rest().len() - self.rest().trim_start_matches(SPACES).len();
                    self.position += run;
                    if right_delimiter(&self.source[self.position - 1..]).is_some_and(|w| w > CLOSE.len()) {
                        self.position -= 1;
                        if run == 0 {
                            continue;
                        }
                    }
                    Kind::Space
                }
                '=' => Kind::Assign,
                ':' => {
                    if self.peek() != Some('=') {
                        return Err("a colon must be part of :=");
                    }
                    self.position += 1;
                    Kind::Declare
                }
                '|' => Kind::Pipe,
                '"' => {
                    self.quoted('"')
                        .ok_or("this string isn't closed in its line: add \"")?;
                    Kind::String
                }
                '\'' => {
                    self.quoted('\'')
                        .ok_or("this character isn't closed in its line: add ' (strings are in \" or `)")?;
                    Kind::CharConstant
                }
                '`' => {
                    let end = self
                        .rest()
                        .find('`')
                        .ok_or("this raw string isn't closed: add `")?;
                    self.position += end + 1;
                    Kind::RawString
                }
                '$' => {
                    self.name()?;
                    Kind::Variable
                }
                '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                    // At the very end a dot begins a number, in Go; either way that is an error.
                    self.name()?;
                    match self.position - from {
                        1 => Kind::Dot,
                        _ => Kind::Field,
                    }
                }
                '.' | '+' | '-' | '0'..='9' => {
                    self.position = from;
                    self.number()?
                }
                c if is_word(c) => {
                    self.name()?;
                    keyword(&self.source[from..self.position])
                }
                '(' => {
                    parens += 1;
                    Kind::LeftParen
                }
                ')' => {
                    parens = parens
                        .checked_sub(1)
                        .ok_or("this right parenthesis has no left one: remove it")?;
                    Kind::RightParen
                }
                ' '..='~' => Kind::Char,
                _ => return Err("this character can't be in an action outside of strings: remove it"),
            };
            self.emit(kind, from);
        }
    }

    /// The rest of a word, after which something must come that ends it.
    fn name(&mut self) -> Read {
        let rest = self.rest();
        let run = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.position += run;
        let rest = &rest[run..];
        let ends = rest.is_empty()
            || rest.starts_with([' ', '\t', '\r', '\n', '.', ',', '|', ':', ')', '('])
            || rest.starts_with(CLOSE);
        match ends {
            true => Ok(()),
            false => {
                Err("this character can't follow a name: put a space or an operator's function between them")
            }
        }
    }

    /// The rest of a string or character in quotes.
    fn quoted(&mut self, quote: char) -> Option<()> {
        loop {
            let c = self.peek()?;
            self.position += c.len_utf8();
            match c {
                '\\' => {
                    let escaped = self.peek().filter(|&c| c != '\n')?;
                    self.position += escaped.len_utf8();
                }
                '\n' => return None,
                c if c == quote => return Some(()),
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Result<Kind, &'static str> {
        const BAD: &str = "this isn't a number: put strings in quotes";
        if !self.scan_number() {
            return Err(BAD);
        }
        if !matches!(self.peek(), Some('+' | '-')) {
            return Ok(Kind::Number);
        }
        match self.scan_number() && self.source[..self.position].ends_with('i') {
            true => Ok(Kind::Complex),
            false => Err(BAD),
        }
    }

    /// Takes what may be a number; whether it is one is seen when it's read.
    fn scan_number(&mut self) -> bool {
        self.accept(&['+', '-']);
        let mut digits = "0123456789_";
        if self.accept(&['0']) {
            if self.accept(&['x', 'X']) {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept(&['o', 'O']) {
                digits = "01234567_";
            } else if self.accept(&['b', 'B']) {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(&['.']) {
            self.accept_run(digits);
        }
        if (digits.len() == 11 && self.accept(&['e', 'E']))
            || (digits.len() == 23 && self.accept(&['p', 'P']))
        {
            self.accept(&['+', '-']);
            self.accept_run("0123456789_");
        }
        self.accept(&['i']);
        !self.peek().is_some_and(is_word)
    }

    fn accept(&mut self, valid: &[char]) -> bool {
        let found = self.rest().starts_with(valid);
        self.position += usize::from(found);
        found
    }

    fn accept_run(&mut self, valid: &str) {
        let rest = self.rest();
        self.position += rest.len() - rest.trim_start_matches(|c| valid.contains(c)).len();
    }
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Does an action that begins like this trim the text before it?
fn left_trim(inside: &str) -> bool {
    inside
        .strip_prefix('-')
        .is_some_and(|rest| rest.starts_with(SPACES))
}

/// The width of the closing delimiter here, with its trim marker.
fn right_delimiter(rest: &str) -> Option<usize> {
    if rest.starts_with(CLOSE) {
        return Some(CLOSE.len());
    }
    let marked = rest.strip_prefix(SPACES)?.strip_prefix('-')?;
    marked.starts_with(CLOSE).then_some(2 + CLOSE.len())
}

fn keyword(word: &str) -> Kind {
    match word {
        "block" => Kind::Block,
        "break" => Kind::Break,
        "continue" => Kind::Continue,
        "define" => Kind::Define,
        "else" => Kind::Else,
        "end" => Kind::End,
        "false" | "true" => Kind::Bool,
        "if" => Kind::If,
        "nil" => Kind::Nil,
        "range" => Kind::Range,
        "template" => Kind::Template,
        "with" => Kind::With,
        _ => Kind::Identifier,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<Kind> {
        tokens(source).iter().map(|t| t.kind).collect()
    }

    #[test]
    fn a_field_after_a_space_is_another_argument() {
        assert_eq!(
            kinds("{{.a.b .c}}"),
            [
                Kind::Open,
                Kind::Field,
                Kind::Field,
                Kind::Space,
                Kind::Field,
                Kind::Close,
                Kind::Eof
            ]
        );
    }

    #[test]
    fn trim_markers_take_the_space_outside() {
        let texts: Vec<_> = tokens("a \n {{- 1 -}} \t b")
            .into_iter()
            .filter(|t| t.kind == Kind::Text)
            .map(|t| t.text)
            .collect();
        assert_eq!(texts, ["a", "b"]);
    }

    #[test]
    fn a_minus_without_a_space_is_a_sign() {
        assert_eq!(
            kinds("{{-3}}"),
            [Kind::Open, Kind::Number, Kind::Close, Kind::Eof]
        );
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for source in [
            "{{", "{{\"a}}", "{{`a}}", "{{'a}}", "{{/* a", "{{(1}}", "{{1)}}", "{{:}}", "{{a$}}", "{{é§}}",
        ] {
            let last = tokens(source).pop().map(|t| t.kind);
            assert!(matches!(last, Some(Kind::Error(_))), "{source}: {last:?}");
        }
    }
}
