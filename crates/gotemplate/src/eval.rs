//! What pipelines give.

use std::sync::Arc;

use crate::{
    ast::{Command, Expr, ExprKind, Pipe},
    error::{Fault, Outcome, RenderErrorKind},
    functions::{Arguments, Body, Function, Type},
    literal::{Ideal, Number},
    run::Run,
    value::{Element, Entries, Value},
};

/// So many bytes of arguments that a function reads are one step.
const READ_BYTES: usize = 256;

/// The variables, and what the rendering may use.
pub(crate) struct Eval {
    pub(crate) run: Run,
    /// The innermost last.
    pub(crate) variables: Vec<(Arc<str>, Value)>,
    /// Where those of this template begin.
    pub(crate) base: usize,
}

impl Eval {
    pub(crate) fn new(run: Run) -> Self {
        Self {
            run,
            variables: Vec::new(),
            base: 0,
        }
    }

    /// Gives a variable that exists another value.
    pub(crate) fn assign(&mut self, name: &str, value: Value) -> Outcome<()> {
        let found = self.variables[self.base..]
            .iter_mut()
            .rev()
            .find(|(known, _)| **known == *name);
        match found {
            Some((_, old)) => {
                *old = value;
                Ok(())
            }
            None => Err(no_variable(name)),
        }
    }

    fn variable(&mut self, name: &str) -> Outcome<Value> {
        let visible = &self.variables[self.base..];
        let found = visible.iter().rposition(|(known, _)| **known == *name);
        let at = found.ok_or_else(|| no_variable(name))?;
        self.run.step((visible.len() - at) / 32)?;
        Ok(visible[at].1.clone())
    }

    /// A pipeline's value; its variables get it too.
    pub(crate) fn pipe(&mut self, dot: &Value, pipe: &Pipe) -> Outcome<Value> {
        self.run.step(1).map_err(|f| f.at(pipe.at))?;
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(dot, command, last)?.unwrapped());
        }
        let value = last.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            match pipe.assign {
                true => self.assign(name, value.clone()).map_err(|f| f.at(pipe.at))?,
                false => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Outcome<Value> {
        let word = &command.word;
        if let ExprKind::Function(function) = word.kind {
            return self.call(dot, function, &command.arguments, last, word.at);
        }
        if !command.arguments.is_empty() || last.is_some() {
            return Err(Fault::new(
                "this isn't a function, so it takes no arguments: put a function before them",
            )
            .at(word.at));
        }
        match &word.kind {
            ExprKind::Nil => Err(Fault::new("nil is no command: use it as an argument").at(word.at)),
            _ => self.expression(dot, word),
        }
    }

    /// What an expression is on its own.
    fn expression(&mut self, dot: &Value, expr: &Expr) -> Outcome<Value> {
        let value = match &expr.kind {
            ExprKind::Dot => Ok(dot.clone()),
            ExprKind::Nil => Ok(Value::Nil),
            ExprKind::Bool(b) => Ok(Value::Bool(*b)),
            ExprKind::Number(number) => ideal(number),
            ExprKind::Text(text) => Ok(Value::Text(text.clone())),
            ExprKind::Field(fields) => self.fields(dot.clone(), fields),
            ExprKind::Variable(name, fields) => {
                let value = self.variable(name).map_err(|f| f.at(expr.at))?;
                self.fields(value, fields)
            }
            ExprKind::Function(function) => self.call(dot, function, &[], None, expr.at),
            ExprKind::Pipe(pipe) => self.pipe(dot, pipe),
            ExprKind::Chain(inner, fields) => {
                let value = self.expression(dot, inner)?;
                self.fields(value, fields)
            }
        };
        value.map_err(|f| f.at(expr.at))
    }

    fn fields(&mut self, mut value: Value, fields: &[String]) -> Outcome<Value> {
        for name in fields {
            self.run.step(1)?;
            value = match &value {
                Value::Map(map) => map.get(name.as_bytes()).ok_or_else(|| missing(name))?,
                Value::Nil | Value::NilInterface => {
                    return Err(Fault::new(format!(
                        "there is no field {name:?} in nil: test with if before it"
                    )));
                }
                other => {
                    return Err(Fault::new(format!(
                        "there is no field {name:?} in type {}: only maps have fields",
                        other.type_name()
                    )));
                }
            };
        }
        Ok(value)
    }

    /// Calls a function; `last`, from the command before, is its last argument.
    fn call(
        &mut self,
        dot: &Value,
        function: &'static Function,
        arguments: &[Expr],
        last: Option<Value>,
        at: usize,
    ) -> Outcome<Value> {
        self.run.step(1).map_err(|f| f.at(at))?;
        let count = arguments.len() + usize::from(last.is_some());
        let fixed = function.parameters.len();
        if count < fixed || count > fixed && function.rest.is_none() {
            let least = if function.rest.is_some() { "at least " } else { "" };
            return Err(Fault::new(format!(
                "{} takes {least}{fixed} arguments, not {count}: give it those",
                function.name
            ))
            .at(at));
        }
        let parameter = |i: usize| {
            let rest = function.rest.unwrap_or(Type::Any);
            function.parameters.get(i).copied().unwrap_or(rest)
        };
        let body = match function.body {
            Body::Choice(truth) => return self.choose(dot, truth, arguments, last),
            Body::Call(body) => body,
        };
        let mut values = Vec::with_capacity(count);
        for (i, argument) in arguments.iter().enumerate() {
            values.push(self.argument(dot, argument, parameter(i), function)?);
        }
        if let Some(value) = last {
            let i = values.len();
            values.push(
                self.assignable(value, parameter(i), function)
                    .map_err(|f| f.at(at))?,
            );
        }
        // Reading costs, too, even where nothing comes of it.
        let read: usize = values
            .iter()
            .map(|value| {
                if let Value::Text(text) = value {
                    text.len()
                } else {
                    0
                }
            })
            .sum();
        self.run.step(read / READ_BYTES).map_err(|f| f.at(at))?;
        body(&mut self.run, Arguments(&values)).map_err(|f| f.calling(function.name).at(at))
    }

    /// `and` and `or`, which evaluate no more than they need.
    fn choose(
        &mut self,
        dot: &Value,
        truth: bool,
        arguments: &[Expr],
        last: Option<Value>,
    ) -> Outcome<Value> {
        let mut value = Value::Nil;
        for argument in arguments {
            value = self.expression(dot, argument)?;
            if value.truth() == truth {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn argument(&mut self, dot: &Value, expr: &Expr, wanted: Type, function: &Function) -> Outcome<Value> {
        let literal = match &expr.kind {
            ExprKind::Nil => match wanted {
                Type::Any | Type::Map => Some(Value::Nil),
                _ => None,
            },
            ExprKind::Bool(b) if wanted == Type::Bool => Some(Value::Bool(*b)),
            ExprKind::Number(number) if wanted == Type::Int => number.int.map(Value::Int),
            ExprKind::Number(number) if wanted == Type::Float => number.float.map(Value::Float),
            ExprKind::Text(text) if wanted == Type::Text => Some(Value::Text(text.clone())),
            ExprKind::Bool(_) | ExprKind::Number(_) | ExprKind::Text(_) if wanted != Type::Any => None,
            _ => {
                let value = self.expression(dot, expr)?;
                return self
                    .assignable(value, wanted, function)
                    .map_err(|f| f.at(expr.at));
            }
        };
        match literal {
            Some(Value::Nil) => self.assignable(Value::Nil, wanted, function),
            Some(value) => Ok(value),
            None => Err(wrong_type(function, wanted, "another literal")),
        }
        .map_err(|f| f.at(expr.at))
    }

    /// The value, if it may be an argument of that type.
    fn assignable(&mut self, value: Value, wanted: Type, function: &Function) -> Outcome<Value> {
        let fits = match (wanted, &value) {
            (Type::Any, _)
            | (Type::Text, Value::Text(_))
            | (Type::Int, Value::Int(_))
            | (Type::Bool, Value::Bool(_))
            | (Type::Float, Value::Float(_)) => true,
            (Type::Map, Value::Map(map)) => map.element == Element::Any,
            (Type::Map, Value::Nil) => return Ok(Value::Map(self.run.map(Element::Any, Entries::new())?)),
            _ => false,
        };
        match fits {
            true => Ok(value.unwrapped()),
            false => Err(wrong_type(function, wanted, value.type_name())),
        }
    }
}

fn ideal(number: &Number) -> Outcome<Value> {
    match (number.ideal, number.int, number.float) {
        (Ideal::Int, Some(int), _) => Ok(Value::Int(int)),
        (Ideal::Float, _, Some(float)) => Ok(Value::Float(float)),
        _ => Err(Fault::new(
            "this number is more than an int holds: write it with a decimal point",
        )),
    }
}

fn no_variable(name: &str) -> Fault {
    Fault::new(format!("there is no variable {name}: declare it with := first"))
}

fn missing(key: &str) -> Fault {
    Fault {
        kind: RenderErrorKind::MissingKey(key.to_owned()),
        ..Fault::new(format!(
            "the data has no key {key:?}: give it, or test with hasKey before"
        ))
    }
}

fn wrong_type(function: &Function, wanted: Type, got: &str) -> Fault {
    let convert = match wanted {
        Type::Any => "",
        Type::Text => ": convert it with toString",
        Type::Int => ": convert it with int",
        Type::Float => ": convert it with float64",
        Type::Bool => ": compare with eq, or use not (empty …)",
        Type::Map => ": give it a dict",
    };
    Fault::new(format!(
        "{} needs {}, not {got}{convert}",
        function.name,
        wanted.name()
    ))
}
