//! Walking a template.
//!
//! What is open (lists of nodes, ranges, calls) is on a stack of our own, so that templates that call each other need
//! none of the thread's.

use std::{rc::Rc, sync::Arc};

use serde_json::Value as Json;

use crate::{
    ast::{Branch, Node, Pipe, Range},
    error::{Fault, Outcome},
    eval::Eval,
    format::{self, Out},
    limits::Limits,
    parse::Templates,
    run::Run,
    value::Value,
};

/// Renders the template of a name.
pub(crate) fn render(name: &str, templates: &Templates, data: &Json, limits: &Limits) -> Outcome<String> {
    let mut run = Run::new(limits);
    let data = run.json(data, 0)?.unwrapped();
    let mut walk = Walk {
        templates,
        eval: Eval::new(run),
        out: Out::new(limits.output_bytes),
        open: Vec::new(),
        calls: 0,
    };
    walk.call(name, data, 0)?;
    while let Some(open) = walk.open.pop() {
        walk.go_on(open)?;
    }
    let Some(bytes) = walk.out.finish() else {
        return Err(too_much_output(limits));
    };
    String::from_utf8(bytes).map_err(|_| {
        Fault::new(
            "the output isn't UTF-8: a character was cut in two, or binary data decoded; cut elsewhere",
        )
    })
}

/// What isn't finished.
enum Open<'t> {
    Nodes {
        nodes: &'t [Node],
        dot: Value,
    },
    /// Variables beyond the mark go out of scope here.
    Scope {
        mark: usize,
        /// Is it a range's, which a break ends?
        range: bool,
    },
    Range(Box<Loop<'t>>),
    /// The caller's variables are visible again.
    Called {
        base: usize,
    },
}

struct Loop<'t> {
    range: &'t Range,
    rounds: Rounds,
    next: usize,
    /// How many variables there were before the range, and before its body.
    outer: usize,
    inner: usize,
}

/// What a range goes over.
enum Rounds {
    Pairs(Rc<[(Value, Value)]>),
    /// So many numbers; are they `int64`?
    Numbers(usize, bool),
}

impl Rounds {
    fn len(&self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs.len(),
            Self::Numbers(count, _) => *count,
        }
    }

    /// The index or key, and the element.
    fn get(&self, round: usize) -> (Value, Value) {
        match self {
            Self::Pairs(pairs) => pairs.get(round).cloned().unwrap_or((Value::Nil, Value::Nil)),
            Self::Numbers(_, false) => (Value::Nil, Value::Int(round as i64)),
            Self::Numbers(_, true) => (Value::Nil, Value::Int64(round as i64)),
        }
    }
}

struct Walk<'t> {
    templates: &'t Templates,
    eval: Eval,
    out: Out,
    open: Vec<Open<'t>>,
    calls: usize,
}

impl<'t> Walk<'t> {
    fn go_on(&mut self, open: Open<'t>) -> Outcome<()> {
        match open {
            Open::Nodes { nodes, dot } => {
                let Some((node, rest)) = nodes.split_first() else {
                    return Ok(());
                };
                if !rest.is_empty() {
                    self.open.push(Open::Nodes {
                        nodes: rest,
                        dot: dot.clone(),
                    });
                }
                self.node(node, dot)
            }
            Open::Scope { mark, .. } => {
                self.eval.variables.truncate(mark);
                Ok(())
            }
            Open::Range(open) => self.round(open),
            Open::Called { base } => {
                self.eval.variables.truncate(self.eval.base);
                self.eval.base = base;
                self.calls -= 1;
                Ok(())
            }
        }
    }

    fn nodes(&mut self, nodes: &'t [Node], dot: Value) {
        self.open.push(Open::Nodes { nodes, dot });
    }

    fn node(&mut self, node: &'t Node, dot: Value) -> Outcome<()> {
        self.eval.run.step(1)?;
        match node {
            Node::Text(text) => {
                self.out.push(text.as_bytes());
                self.check_output(None)
            }
            Node::Action(pipe) => {
                let value = self.eval.pipe(&dot, pipe)?;
                if pipe.variables.is_empty() {
                    match value {
                        Value::Nil => self.out.push(b"<no value>"),
                        value => format::print(&mut self.out, &[value]),
                    }
                }
                self.check_output(Some(pipe.at))
            }
            Node::Choice {
                branches,
                otherwise,
                with,
            } => self.choice(branches, otherwise, *with, dot),
            Node::Range(range) => self.range(range, dot),
            Node::Call { at, name, argument } => {
                let argument = match argument {
                    Some(pipe) => self.eval.pipe(&dot, pipe)?,
                    None => Value::Nil,
                };
                self.call(name, argument, *at)
            }
            Node::Break => {
                self.leave_body(true);
                Ok(())
            }
            Node::Continue => {
                self.leave_body(false);
                Ok(())
            }
        }
    }

    fn check_output(&self, at: Option<usize>) -> Outcome<()> {
        if !self.out.is_full() {
            return Ok(());
        }
        let fault = too_much_output(self.eval.run.limits());
        Err(match at {
            Some(at) => fault.at(at),
            None => fault,
        })
    }

    fn choice(
        &mut self,
        branches: &'t [Branch],
        otherwise: &'t [Node],
        with: bool,
        dot: Value,
    ) -> Outcome<()> {
        let mark = self.eval.variables.len();
        self.open.push(Open::Scope { mark, range: false });
        for branch in branches {
            let value = self.eval.pipe(&dot, &branch.condition)?;
            if value.truth() {
                self.nodes(&branch.body, if with { value } else { dot });
                return Ok(());
            }
        }
        self.nodes(otherwise, dot);
        Ok(())
    }

    fn range(&mut self, range: &'t Range, dot: Value) -> Outcome<()> {
        let outer = self.eval.variables.len();
        let over = self.eval.pipe(&dot, &range.over)?;
        let at = range.over.at;
        let run = &mut self.eval.run;
        let rounds = match over {
            Value::Nil | Value::NilInterface => Rounds::Numbers(0, false),
            Value::Int(count) | Value::Int64(count) => {
                if range.over.variables.len() > 1 {
                    return Err(
                        Fault::new("a range over a number has one variable: remove the other").at(at),
                    );
                }
                Rounds::Numbers(
                    usize::try_from(count).unwrap_or(0),
                    matches!(over, Value::Int64(_)),
                )
            }
            Value::List(list) => {
                run.step(list.len())?;
                let items = list.items.borrow();
                Rounds::Pairs(
                    items
                        .iter()
                        .enumerate()
                        .map(|(i, item)| (Value::Int(i as i64), item.clone()))
                        .collect(),
                )
            }
            Value::Map(map) => {
                run.step(map.len())?;
                Rounds::Pairs(
                    map.to_vec()
                        .into_iter()
                        .map(|(key, item)| (Value::Text(key), item))
                        .collect(),
                )
            }
            other => {
                return Err(Fault::new(format!(
                    "range can't go over type {}: give it a list, a map or an int",
                    other.type_name()
                ))
                .at(at));
            }
        };
        if rounds.len() == 0 {
            self.open.push(Open::Scope {
                mark: outer,
                range: true,
            });
            self.nodes(&range.otherwise, dot);
            return Ok(());
        }
        let inner = self.eval.variables.len();
        self.round(Box::new(Loop {
            range,
            rounds,
            next: 0,
            outer,
            inner,
        }))
    }

    /// The next round of a range, or its end.
    fn round(&mut self, mut open: Box<Loop<'t>>) -> Outcome<()> {
        if open.next == open.rounds.len() {
            self.eval.variables.truncate(open.outer);
            return Ok(());
        }
        self.eval.run.step(1)?;
        self.eval.variables.truncate(open.inner);
        let (index, element) = open.rounds.get(open.next);
        open.next += 1;
        let pipe: &Pipe = &open.range.over;
        let mut values = match &*pipe.variables {
            [] => vec![],
            [_] => vec![element.clone()],
            _ => vec![index, element.clone()],
        };
        for (i, value) in values.drain(..).enumerate() {
            match pipe.assign {
                true => self
                    .eval
                    .assign(&pipe.variables[i], value)
                    .map_err(|f| f.at(pipe.at))?,
                false => self.eval.variables[open.inner - pipe.variables.len() + i].1 = value,
            }
        }
        let body = &open.range.body;
        self.open.push(Open::Range(open));
        self.nodes(body, element);
        Ok(())
    }

    /// Leaves what is open within the innermost range, and the range itself too.
    fn leave_body(&mut self, range_too: bool) {
        while let Some(open) = self.open.pop() {
            match open {
                Open::Range(open) if range_too => return self.eval.variables.truncate(open.outer),
                Open::Range(open) => return self.open.push(Open::Range(open)),
                // A break in a range's else is that range's; a continue is for the next one out.
                Open::Scope { mark, range: true } if range_too => return self.eval.variables.truncate(mark),
                _ => {}
            }
        }
    }

    fn call(&mut self, name: &str, dot: Value, at: usize) -> Outcome<()> {
        let Some(nodes) = self.templates.get(name) else {
            return Err(Fault::new(format!("there is no template {name:?}: define it")).at(at));
        };
        let depth = self.eval.run.limits().depth;
        if self.calls > depth {
            return Err(Fault::limit(format!(
                "templates call each other more than {depth} deep: end the recursion, or raise the limit"
            ))
            .at(at));
        }
        self.calls += 1;
        self.open.push(Open::Called { base: self.eval.base });
        self.eval.base = self.eval.variables.len();
        self.eval.variables.push((Arc::from("$"), dot.clone()));
        self.nodes(nodes, dot);
        Ok(())
    }
}

fn too_much_output(limits: &Limits) -> Fault {
    Fault::limit(format!(
        "more than {} bytes of output: write less, or raise the limit",
        limits.output_bytes
    ))
}
