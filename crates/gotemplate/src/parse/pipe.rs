//! Pipelines: variables, commands, operands.

use std::sync::Arc;

use super::{Parsed, Parser, Problem, unexpected};
use crate::{
    ast::{Command, Expr, ExprKind, Pipe},
    functions,
    lex::{Kind, Token},
    limits::VARIABLES,
    literal,
};

impl<'s> Parser<'s> {
    /// Variables, if any, and commands, up to what ends them.
    pub(super) fn pipe(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let mut pipe = Pipe {
            at: self.peek_solid().at,
            variables: Vec::new(),
            assign: false,
            commands: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.peek_solid();
            match token.kind {
                kind if kind == end => {
                    self.next += 1;
                    break;
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => pipe.commands.push(self.command()?),
                _ => return Err(unexpected(token, context)),
            }
        }
        if pipe.commands.is_empty() {
            return Err(Problem::new(
                pipe.at,
                format!("a value is missing in {context}: write one before the closing delimiter"),
            ));
        }
        for command in &pipe.commands[1..] {
            use ExprKind::{Bool, Dot, Nil, Number, Text};
            if let Bool(_) | Dot | Nil | Number(_) | Text(_) = command.word.kind {
                return Err(Problem::new(
                    command.word.at,
                    "a value can't follow |: put a function there, or the value before it",
                ));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, or in a range `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<()> {
        loop {
            let start = self.next;
            let variable = self.peek_solid();
            if variable.kind != Kind::Variable {
                return Ok(());
            }
            self.next += 1;
            let follows = self.peek_solid();
            match follows.kind {
                Kind::Assign | Kind::Declare => {
                    self.next += 1;
                    pipe.assign = follows.kind == Kind::Assign;
                    return self.declare(pipe, variable);
                }
                Kind::Char if follows.text == "," => {
                    self.next += 1;
                    self.declare(pipe, variable)?;
                    let more = matches!(
                        self.peek_solid().kind,
                        Kind::Variable | Kind::Close | Kind::RightParen
                    );
                    if context != "range" || pipe.variables.len() > 1 || !more {
                        return Err(Problem::new(
                            follows.at,
                            "only a range has two variables, and none more: write {{range $index, $element := …}}",
                        ));
                    }
                }
                _ => {
                    self.next = start;
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, variable: Token<'s>) -> Parsed<()> {
        if self.scope.variables.len() > VARIABLES {
            return Err(Problem::new(
                variable.at,
                format!("more than {VARIABLES} variables at once: reuse some with =, or use a dict"),
            ));
        }
        let name: Arc<str> = variable.text.into();
        pipe.variables.push(name.clone());
        // An assignment needs the name to be known from here on, but only once.
        if !pipe.assign || !self.scope.variables.contains(&name) {
            self.scope.variables.push(name);
        }
        Ok(())
    }

    /// Operands up to `|`, which is taken, or the end, which isn't.
    fn command(&mut self) -> Parsed<Command> {
        let mut operands = Vec::new();
        let at = self.peek_solid().at;
        loop {
            self.skip_space();
            operands.extend(self.operand()?);
            let token = self.take();
            match token.kind {
                Kind::Space => {}
                Kind::Close | Kind::RightParen => {
                    self.next -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return Err(unexpected(token, "an operand")),
            }
        }
        let mut operands = operands.into_iter();
        let Some(word) = operands.next() else {
            return Err(Problem::new(
                at,
                "a command is missing: remove the |, or write one",
            ));
        };
        Ok(Command {
            word,
            arguments: operands.collect(),
        })
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Parsed<Option<Expr>> {
        let Some(mut term) = self.term()? else {
            return Ok(None);
        };
        let mut fields = Vec::new();
        let dot = self.peek().at;
        while self.peek().kind == Kind::Field {
            fields.push(self.take().text[1..].to_owned());
        }
        if fields.is_empty() {
            return Ok(Some(term));
        }
        match &mut term.kind {
            ExprKind::Field(own) | ExprKind::Variable(_, own) => own.append(&mut fields),
            ExprKind::Function(_) | ExprKind::Pipe(_) => {
                let at = term.at;
                term = Expr {
                    at,
                    kind: ExprKind::Chain(Box::new(term), fields),
                };
            }
            _ => {
                return Err(Problem::new(
                    dot,
                    "this value has no fields: put a space before the dot if it's another argument",
                ));
            }
        }
        Ok(Some(term))
    }

    fn term(&mut self) -> Parsed<Option<Expr>> {
        let token = self.peek_solid();
        let at = token.at;
        let bad = |problem: &str| Problem::new(at, problem);
        self.next += 1;
        let kind = match token.kind {
            Kind::Identifier => {
                ExprKind::Function(functions::find(token.text).map_err(|problem| bad(&problem))?)
            }
            Kind::Dot => ExprKind::Dot,
            Kind::Nil => ExprKind::Nil,
            Kind::Bool => ExprKind::Bool(token.text == "true"),
            Kind::Field => ExprKind::Field(vec![token.text[1..].to_owned()]),
            Kind::Variable => {
                let Some(known) = self.scope.variables.iter().find(|v| &***v == token.text) else {
                    return Err(bad(&format!(
                        "there is no variable {} here: declare it with :=",
                        token.text
                    )));
                };
                ExprKind::Variable(known.clone(), Vec::new())
            }
            Kind::CharConstant => ExprKind::Number(literal::character(token.text).map_err(bad)?),
            Kind::Number if !token.text.ends_with('i') || token.text.starts_with("0x") => {
                ExprKind::Number(literal::number(token.text).map_err(bad)?)
            }
            Kind::Number | Kind::Complex => {
                return Err(bad("complex numbers aren't supported: use real ones"));
            }
            Kind::String | Kind::RawString => {
                ExprKind::Text(literal::string(token.text).map_err(bad)?.into())
            }
            Kind::LeftParen => ExprKind::Pipe(Box::new(
                self.deeper(at, |p| p.pipe("parentheses", Kind::RightParen))?,
            )),
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        };
        Ok(Some(Expr { at, kind }))
    }
}
