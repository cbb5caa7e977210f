//! From tokens to a template: its nodes. Their pipelines are in [`pipe`].

mod pipe;

use std::{collections::HashMap, sync::Arc};

use crate::{
    ast::{Branch, Node, Range},
    error::{ParseError, position},
    lex::{Kind, Token, tokens},
    limits::{SOURCE_BYTES, SYNTAX_NESTING},
    literal,
};

/// The templates of a source by their names: its own, and those that it defines.
pub(crate) type Templates = HashMap<String, Vec<Node>>;

/// Parses a source under a name.
pub(crate) fn parse(name: &str, source: &str) -> Result<Templates, ParseError> {
    let failed = |problem: Problem| {
        let (line, column) = position(source, problem.at);
        ParseError {
            template: name.to_owned(),
            line,
            column,
            problem: problem.text,
        }
    };
    if source.len() > SOURCE_BYTES {
        return Err(failed(Problem::new(
            0,
            format!("a template may have at most {SOURCE_BYTES} bytes: split it"),
        )));
    }
    let mut parser = Parser {
        tokens: tokens(source),
        next: 0,
        scope: Scope::default(),
        nesting: 0,
        templates: HashMap::new(),
    };
    let root = parser.file().map_err(failed)?;
    parser.add(name, root, 0).map_err(failed)?;
    Ok(parser.templates)
}

struct Problem {
    at: usize,
    text: String,
}

impl Problem {
    fn new(at: usize, text: impl Into<String>) -> Self {
        Self {
            at,
            text: text.into(),
        }
    }
}

type Parsed<T> = Result<T, Problem>;

/// What a template's text may refer to.
struct Scope {
    variables: Vec<Arc<str>>,
    ranges: usize,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            variables: vec!["$".into()],
            ranges: 0,
        }
    }
}

struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    next: usize,
    scope: Scope,
    nesting: usize,
    templates: Templates,
}

/// What ends a list of nodes.
enum Ending {
    End,
    /// The token after `else` is next: the delimiter has been read, or it is `if` or `with`.
    Else {
        at: usize,
    },
}

enum Item {
    Node(Node),
    Ending(usize, Ending),
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Token<'s> {
        let last = self.tokens.len() - 1;
        self.tokens[self.next.min(last)]
    }

    fn take(&mut self) -> Token<'s> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_solid(&mut self) -> Token<'s> {
        self.skip_space();
        self.peek()
    }

    fn take_solid(&mut self) -> Token<'s> {
        self.skip_space();
        self.take()
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'s>> {
        let token = self.take_solid();
        match token.kind == kind {
            true => Ok(token),
            false => Err(unexpected(token, context)),
        }
    }

    /// Runs a part that is one level deeper.
    fn deeper<T>(&mut self, at: usize, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == SYNTAX_NESTING {
            return Err(Problem::new(
                at,
                format!(
                    "nested more than {SYNTAX_NESTING} deep: split the template with define, or use variables"
                ),
            ));
        }
        self.nesting += 1;
        let result = part(self);
        self.nesting -= 1;
        result
    }

    /// The whole source.
    fn file(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::Eof {
            let start = self.next;
            if self.take().kind == Kind::Open && self.take_solid().kind == Kind::Define {
                self.definition()?;
                continue;
            }
            self.next = start;
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(at, _) => {
                    return Err(Problem::new(
                        at,
                        "end or else without an if, range, with, block or define: remove it",
                    ));
                }
            }
        }
        Ok(nodes)
    }

    /// `define`, after its keyword.
    fn definition(&mut self) -> Parsed<()> {
        let token = self.take_solid();
        let name = template_name(token, "define")?;
        self.expect(Kind::Close, "define")?;
        let body = self.own_body(token.at, "define")?;
        self.add(&name, body, token.at)
    }

    /// The body of a template of its own, up to its end.
    fn own_body(&mut self, at: usize, context: &str) -> Parsed<Vec<Node>> {
        let outer = std::mem::take(&mut self.scope);
        let (body, end_at, ending) = self.deeper(at, |p| p.list(at, context))?;
        self.scope = outer;
        match ending {
            Ending::End => Ok(body),
            Ending::Else { .. } => Err(Problem::new(
                end_at,
                format!("a {context} has no else: remove it, or close what is inside with end"),
            )),
        }
    }

    /// Keeps a template, unless another of the name has content already.
    fn add(&mut self, name: &str, body: Vec<Node>, at: usize) -> Parsed<()> {
        let empty = is_empty(&body);
        match self.templates.get(name) {
            Some(old) if !is_empty(old) && !empty => Err(Problem::new(
                at,
                format!("template {name:?} is defined twice: rename or remove one"),
            )),
            Some(old) if !is_empty(old) => Ok(()),
            _ => {
                self.templates.insert(name.to_owned(), body);
                Ok(())
            }
        }
    }

    /// Nodes up to an `end` or `else`.
    fn list(&mut self, opened: usize, context: &str) -> Parsed<(Vec<Node>, usize, Ending)> {
        let mut nodes = Vec::new();
        while self.peek_solid().kind != Kind::Eof {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Ending(at, ending) => return Ok((nodes, at, ending)),
            }
        }
        Err(Problem::new(
            opened,
            format!("this {context} has no end: add {{{{end}}}}"),
        ))
    }

    fn item(&mut self) -> Parsed<Item> {
        let token = self.take_solid();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.into()))),
            Kind::Open => self.action(),
            _ => Err(unexpected(token, "the text")),
        }
    }

    /// What is between delimiters; the left one has been read.
    fn action(&mut self) -> Parsed<Item> {
        let token = self.peek_solid();
        let at = token.at;
        self.next += 1;
        let node = match token.kind {
            Kind::If => self.deeper(at, |p| p.choice(at, "if", Kind::If))?,
            Kind::With => self.deeper(at, |p| p.choice(at, "with", Kind::With))?,
            Kind::Range => self.deeper(at, |p| p.range(at))?,
            Kind::Block => self.block()?,
            Kind::Template => self.call()?,
            Kind::Break | Kind::Continue => {
                self.expect(Kind::Close, token.text)?;
                if self.scope.ranges == 0 {
                    return Err(Problem::new(
                        at,
                        format!("{} is only for inside a range: remove it", token.text),
                    ));
                }
                match token.kind {
                    Kind::Break => Node::Break,
                    _ => Node::Continue,
                }
            }
            Kind::End => {
                self.expect(Kind::Close, "end")?;
                return Ok(Item::Ending(at, Ending::End));
            }
            Kind::Else => {
                if !matches!(self.peek_solid().kind, Kind::If | Kind::With) {
                    self.expect(Kind::Close, "else")?;
                }
                return Ok(Item::Ending(at, Ending::Else { at }));
            }
            _ => {
                self.next -= 1;
                Node::Action(self.pipe("an action", Kind::Close)?)
            }
        };
        Ok(Item::Node(node))
    }

    /// `if` or `with`, after its keyword.
    fn choice(&mut self, at: usize, context: &str, keyword: Kind) -> Parsed<Node> {
        let known = self.scope.variables.len();
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let condition = self.pipe(context, Kind::Close)?;
            let (body, _, ending) = self.list(at, context)?;
            branches.push(Branch { condition, body });
            let Ending::Else { at: else_at } = ending else {
                break;
            };
            if self.peek().kind == keyword {
                self.next += 1;
                continue;
            }
            otherwise = self.last_list(else_at, context)?;
            break;
        }
        self.scope.variables.truncate(known);
        Ok(Node::Choice {
            branches,
            otherwise,
            with: keyword == Kind::With,
        })
    }

    /// What is after an `else`.
    fn last_list(&mut self, at: usize, context: &str) -> Parsed<Vec<Node>> {
        match self.list(at, context)? {
            (nodes, _, Ending::End) => Ok(nodes),
            (_, at, Ending::Else { .. }) => Err(Problem::new(
                at,
                format!("this {context} has an else already: remove one"),
            )),
        }
    }

    /// `range`, after its keyword.
    fn range(&mut self, at: usize) -> Parsed<Node> {
        let known = self.scope.variables.len();
        let over = self.pipe("range", Kind::Close)?;
        self.scope.ranges += 1;
        let (body, _, ending) = self.list(at, "range")?;
        self.scope.ranges -= 1;
        let otherwise = match ending {
            Ending::End => Vec::new(),
            Ending::Else { at } => self.last_list(at, "range")?,
        };
        self.scope.variables.truncate(known);
        Ok(Node::Range(Box::new(Range {
            over,
            body,
            otherwise,
        })))
    }

    /// `block`, after its keyword: a template that is called where it is defined.
    fn block(&mut self) -> Parsed<Node> {
        let token = self.take_solid();
        let name = template_name(token, "block")?;
        let argument = self.pipe("block", Kind::Close)?;
        let body = self.own_body(token.at, "block")?;
        self.add(&name, body, token.at)?;
        Ok(Node::Call {
            at: token.at,
            name,
            argument: Some(argument),
        })
    }

    /// `template`, after its keyword.
    fn call(&mut self) -> Parsed<Node> {
        let token = self.take_solid();
        let name = template_name(token, "template")?;
        let argument = match self.peek_solid().kind {
            Kind::Close => {
                self.next += 1;
                None
            }
            _ => Some(self.pipe("template", Kind::Close)?),
        };
        Ok(Node::Call {
            at: token.at,
            name,
            argument,
        })
    }
}

/// The name of a template, which must be written out.
fn template_name(token: Token<'_>, context: &str) -> Parsed<String> {
    if !matches!(token.kind, Kind::String | Kind::RawString) {
        return Err(unexpected(
            token,
            &format!("{context}, where a name in quotes must be"),
        ));
    }
    let name = literal::string(token.text).map_err(|problem| Problem::new(token.at, problem))?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn unexpected(token: Token<'_>, context: &str) -> Problem {
    let text = match token.kind {
        Kind::Error(problem) => problem.to_owned(),
        Kind::Eof => format!("the template ends within {context}: complete it"),
        Kind::Close => format!("{context} ends too early: complete it before }}}}"),
        _ => {
            let shown: String = token.text.chars().take(20).collect();
            format!("{shown:?} can't be in {context}: remove it")
        }
    };
    Problem::new(token.at, text)
}

/// Does nothing show: white space and comments alone?
fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(text) => text.trim().is_empty(),
        _ => false,
    })
}
