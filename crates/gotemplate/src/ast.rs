//! A parsed template. Positions are bytes of the source.

use std::sync::Arc;

use crate::{functions::Function, literal::Number};

/// What a template's text is made of.
#[derive(Debug)]
pub(crate) enum Node {
    Text(Box<str>),
    Action(Pipe),
    /// `if`, with its `else if`s, or `with`, with its `else with`s.
    Choice {
        branches: Vec<Branch>,
        otherwise: Vec<Node>,
        /// Is the dot what the condition gave?
        with: bool,
    },
    Range(Box<Range>),
    Call {
        at: usize,
        name: String,
        argument: Option<Pipe>,
    },
    Break,
    Continue,
}

#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) condition: Pipe,
    pub(crate) body: Vec<Node>,
}

#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) over: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) otherwise: Vec<Node>,
}

/// Commands, each of which gets what the one before it gave.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) at: usize,
    /// The variables that get the result; with their `$`.
    pub(crate) variables: Vec<Arc<str>>,
    /// Do they exist already?
    pub(crate) assign: bool,
    pub(crate) commands: Vec<Command>,
}

/// A word and its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) word: Expr,
    pub(crate) arguments: Vec<Expr>,
}

#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Arc<[u8]>),
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(Arc<str>, Vec<String>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    /// `(…).a.b`
    Chain(Box<Expr>, Vec<String>),
}
