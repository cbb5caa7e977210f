//! Content as pieces that can be left out one by one: what a budget chooses from.

use serde_json::Value;

use super::fold::Folder;
use super::format::health::Health;
use super::redact::{Redactor, Stream};
use super::{Settings, clean, tokens};
use crate::answer::{Content, Keep, Lines, Rank, Section, Table};

/// A cell of a table is no longer than this.
const CELL: usize = 400;

/// Something under one heading, within one fence.
#[derive(Debug)]
pub(crate) struct Block {
    /// Our own words.
    pub(crate) heading: Option<String>,
    pub(crate) rank: Rank,
    /// Whether its text is somebody else's.
    pub(crate) fenced: bool,
    /// What stands above the pieces, e.g. the columns.
    pub(crate) top: Vec<String>,
    pub(crate) body: Body,
    /// What is left out first.
    pub(crate) order: Order,
    /// What the pieces are, one and many.
    pub(crate) noun: (String, String),
    /// How to get what was left out.
    pub(crate) hint: &'static str,
    /// What is said in any case, e.g. how many more there are.
    pub(crate) note: Option<String>,
    /// What was left out already, because it could never be shown.
    pub(crate) dropped: usize,
    /// Whether something was shortened already.
    pub(crate) shortened: bool,
}

#[derive(Debug)]
pub(crate) enum Body {
    Pieces(Vec<Piece>),
    /// One object, which is written in as much detail as there is room for.
    Tree(Value),
}

/// What is shown or left out as a whole.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) tokens: usize,
    pub(crate) health: Health,
    /// How many lines or objects it stands for.
    pub(crate) weight: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// What is healthy goes first, then what comes last.
    Health,
    /// The last goes first.
    Head,
    /// The first goes first.
    Tail,
}

impl Piece {
    pub(super) fn new(text: String, health: Health, weight: usize) -> Self {
        Self {
            tokens: tokens::estimate(&text) + 1,
            text,
            health,
            weight,
        }
    }
}

impl Block {
    pub(super) fn new(
        section: &Part<'_>,
        body: Body,
        order: Order,
        noun: (&str, &str),
        hint: &'static str,
    ) -> Self {
        Self {
            heading: section.heading.clone(),
            rank: section.rank,
            fenced: true,
            top: Vec::new(),
            body,
            order,
            noun: (noun.0.to_owned(), noun.1.to_owned()),
            hint,
            note: None,
            dropped: 0,
            shortened: false,
        }
    }
}

/// Makes blocks of sections, redacted.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    settings: &'a Settings,
    pub(super) redactor: Redactor,
    /// Hits of streams, which count for themselves.
    hits: u32,
}

/// A section's own words and rank.
pub(super) struct Part<'a> {
    pub(super) heading: Option<String>,
    pub(super) rank: Rank,
    pub(super) settings: &'a Settings,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            redactor: Redactor::new(settings.env),
            hits: 0,
        }
    }

    /// How many secrets were hidden until now.
    pub(crate) fn hits(&self) -> u32 {
        self.redactor.hits().saturating_add(self.hits)
    }

    /// Our own words: on one line, and without secrets nonetheless.
    pub(crate) fn own(&mut self, text: &str) -> String {
        let line = clean::one_line(text);
        clean::one_line(&self.redactor.text(&line))
    }

    /// The blocks of a section.
    pub(crate) fn section(&mut self, section: Section, blocks: &mut Vec<Block>) {
        let heading = section.heading.map(|heading| self.own(&heading));
        let mut part = Part {
            heading,
            rank: section.rank,
            settings: self.settings,
        };
        match section.content {
            Content::Note(text) => {
                let pieces = vec![Piece::new(self.own(&text), Health::Fine, 1)];
                let block = Block::new(&part, Body::Pieces(pieces), Order::Head, ("note", "notes"), "");
                blocks.push(Block {
                    fenced: false,
                    ..block
                });
            }
            Content::Lines(lines) => {
                let from = self.own(&lines.from);
                part.heading = Some(match part.heading.take() {
                    Some(heading) => format!("{heading}: {from}"),
                    None => from,
                });
                blocks.push(self.lines(&part, lines));
            }
            Content::Table(table) => blocks.push(self.table(&part, table)),
            Content::Objects(objects) => self.objects(&part, objects, blocks),
            Content::Diff(diff) => blocks.push(self.diff(&part, *diff)),
        }
    }

    fn lines(&mut self, part: &Part<'_>, lines: Lines) -> Block {
        let mut folder = Folder::new(lines.keep, part.settings.tokens.max(super::LEAST_TOKENS));
        let mut stream = Stream::new(part.settings.env);
        let mut push = |text: String| text.split_terminator('\n').for_each(|line| folder.push(line));
        for text in lines.text {
            push(stream.feed(text.as_bytes()));
            push(stream.feed(b"\n"));
        }
        push(stream.finish());
        self.hits = self.hits.saturating_add(stream.hits());
        let dropped = folder.dropped;
        let pieces = folder.into_lines().into_iter().map(|line| {
            let text = if line.times > 1 {
                format!("{} (\u{d7} {})", line.text, line.times)
            } else {
                line.text
            };
            Piece::new(text, Health::Fine, line.times)
        });
        let order = if lines.keep == Keep::Tail {
            Order::Tail
        } else {
            Order::Head
        };
        let hint = "narrow by grep, time or number of lines";
        Block {
            dropped,
            ..Block::new(
                part,
                Body::Pieces(pieces.collect()),
                order,
                ("line", "lines"),
                hint,
            )
        }
    }

    fn table(&mut self, part: &Part<'_>, table: Table) -> Block {
        // Cells are redacted down their column, as a token or a key may go over rows; and by the column's title.
        let mut shortened = false;
        let mut rows = table.rows;
        let widest = rows.iter().map(Vec::len).max().unwrap_or_default();
        for column in 0..widest {
            let mut cells: Vec<Value> = rows
                .iter_mut()
                .map(|row| row.get_mut(column).map(std::mem::take).unwrap_or_default())
                .map(Value::String)
                .collect();
            let mut column_of = Value::Array(std::mem::take(&mut cells));
            self.redactor.object(&mut column_of);
            if let Value::Array(cells) = column_of {
                for (row, cell) in rows.iter_mut().zip(cells) {
                    if let (Some(place), Value::String(cell)) = (row.get_mut(column), cell) {
                        *place = cell;
                    }
                }
            }
        }
        for row in &mut rows {
            for (column, cell) in row.iter_mut().enumerate() {
                let mut pair = serde_json::Map::new();
                let title = table.columns.get(column).map_or("cell", String::as_str);
                pair.insert(title.to_owned(), Value::String(std::mem::take(cell)));
                let mut pair = Value::Object(pair);
                self.redactor.object(&mut pair);
                let redacted = pair
                    .as_object()
                    .and_then(|pair| pair.values().next())
                    .and_then(Value::as_str);
                *cell = redacted.unwrap_or(super::redact::REDACTED).to_owned();
            }
        }
        let pieces = rows
            .iter()
            .map(|row| Piece::new(joined(row, &mut shortened), Health::Fine, 1))
            .collect();
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|column| self.redactor.text(column))
            .collect();
        let top = vec![joined(&columns, &mut shortened)];
        Block {
            top,
            shortened,
            ..Block::new(
                part,
                Body::Pieces(pieces),
                Order::Head,
                ("row", "rows"),
                "ask for less at once",
            )
        }
    }
}

/// Cells as a row on one line; notes whether one was cut.
pub(super) fn joined(cells: &[String], shortened: &mut bool) -> String {
    let mut row = String::new();
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            row.push_str(" | ");
        }
        let cell = one_line(cell).replace(" | ", " \u{a6} ");
        if cell.is_empty() {
            row.push('-');
        } else if cell.len() > CELL {
            *shortened = true;
            row.extend(cell.chars().take(CELL / 2));
            row.push_str(&format!(
                "… ({} more characters)",
                cell.chars().count().saturating_sub(CELL / 2)
            ));
        } else {
            row.push_str(&cell);
        }
    }
    row
}

/// Text that is clean already, on one line.
pub(super) fn one_line(text: &str) -> String {
    if text.contains(['\n', '\t']) {
        clean::one_line(text)
    } else {
        text.to_owned()
    }
}
