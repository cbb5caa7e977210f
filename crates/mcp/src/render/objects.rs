//! Objects as pieces: names, rows, fields, or everything.

use serde_json::Value;

use super::EnvPolicy;
use super::block::{Block, Blocks, Body, Order, Part, Piece, joined, one_line};
use super::format::health::{Health, health};
use super::format::{list, slim, table, text, yaml};
use super::redact::Redactor;
use crate::answer::{FieldPath, Objects, Shape, name};

impl Blocks<'_> {
    pub(super) fn objects(&mut self, part: &Part<'_>, objects: Objects, blocks: &mut Vec<Block>) {
        let mut items = Vec::new();
        for mut item in objects.items {
            self.redactor.object(&mut item);
            flatten(item, &mut items);
        }
        let first = blocks.len();
        if items.is_empty() {
            let pieces = vec![Piece::new("(none)".to_owned(), Health::Fine, 1)];
            let block = Block::new(part, Body::Pieces(pieces), Order::Head, ("object", "objects"), "");
            blocks.push(Block {
                fenced: false,
                ..block
            });
        } else if !objects.fields.is_empty() {
            blocks.push(fields(part, items, &objects.fields));
        } else if objects.shape == Shape::Names {
            blocks.push(names(part, &items));
        } else if objects.shape == Shape::Full {
            blocks.push(full(part, items));
        } else {
            for group in groups(items) {
                blocks.push(slim_group(part, group));
            }
        }
        // One heading for all, and one line on what is still on the server.
        for block in blocks.iter_mut().skip(first + 1) {
            block.heading = None;
        }
        if let (Some(remaining), Some(last)) = (
            objects.remaining.filter(|remaining| *remaining > 0),
            blocks.last_mut(),
        ) {
            last.note = Some(format!("({remaining} more on the server.)"));
        }
    }
}

/// A list's items, a watch event's object, or the object itself.
fn flatten(mut item: Value, items: &mut Vec<Value>) {
    let kind = text(&item, &["kind"]).unwrap_or_default().to_owned();
    if let Some(of) = kind
        .strip_suffix("List")
        .filter(|_| item.get("items").is_some_and(Value::is_array))
    {
        let version = item.get("apiVersion").cloned();
        if let Some(Value::Array(list)) = item.get_mut("items").map(Value::take) {
            for mut inner in list {
                if let Value::Object(map) = &mut inner
                    && !of.is_empty()
                {
                    map.entry("kind").or_insert_with(|| Value::String(of.to_owned()));
                    if let Some(version) = &version {
                        map.entry("apiVersion").or_insert_with(|| version.clone());
                    }
                }
                items.push(inner);
            }
        }
        return;
    }
    let event = kind.is_empty() && item.get("object").is_some_and(Value::is_object);
    if event && let Some(change) = text(&item, &["type"]).map(str::to_owned) {
        let mut object = item.get_mut("object").map(Value::take).unwrap_or_default();
        if let Value::Object(map) = &mut object {
            map.insert(CHANGE.to_owned(), Value::String(change));
        }
        items.push(object);
        return;
    }
    items.push(item);
}

/// What a watch said of an object, kept with it.
const CHANGE: &str = "(watch)";

fn kind(object: &Value) -> &str {
    text(object, &["kind"]).unwrap_or("object")
}

/// `namespace/name`, or the name, or what else tells which one it is.
fn title(object: &Value, namespace: bool) -> String {
    let own = text(object, &["metadata", "name"])
        .or_else(|| text(object, &["metadata", "generateName"]))
        .unwrap_or("(no name)");
    let mut title = match text(object, &["metadata", "namespace"]).filter(|_| namespace) {
        Some(namespace) => format!("{namespace}/{own}"),
        None => own.to_owned(),
    };
    if let Some(change) = text(object, &[CHANGE]) {
        title = format!("{change} {title}");
    }
    title
}

/// The one namespace that all are in.
fn shared_namespace(items: &[Value]) -> Option<&str> {
    let first = text(items.first()?, &["metadata", "namespace"])?;
    (items.len() > 1
        && items
            .iter()
            .all(|item| text(item, &["metadata", "namespace"]) == Some(first)))
    .then_some(first)
}

fn noun(kind: &str) -> (String, String) {
    // Kinds are validated by Kubernetes; what isn't one gets no say.
    if kind.len() > 40 || name(kind) != kind || kind == "object" {
        return ("object".to_owned(), "objects".to_owned());
    }
    (kind.to_owned(), format!("{kind} objects"))
}

const NARROW: &str = "narrow by selector, or ask for fields";

fn with_noun(mut block: Block, kinds: (String, String)) -> Block {
    block.noun = kinds;
    block
}

/// The noun of a mixture.
fn common_noun(items: &[Value]) -> (String, String) {
    let first = items.first().map_or("object", kind);
    if items.iter().all(|item| kind(item) == first) {
        noun(first)
    } else {
        noun("object")
    }
}

fn names(part: &Part<'_>, items: &[Value]) -> Block {
    let first = items.first().map_or("object", kind);
    let mixed = items.iter().any(|item| kind(item) != first);
    let shared = shared_namespace(items);
    let pieces = items.iter().map(|item| {
        let title = one_line(&title(item, shared.is_none()));
        Piece::new(
            if mixed {
                format!("{} {title}", kind(item))
            } else {
                title
            },
            health(item),
            1,
        )
    });
    let mut block = Block::new(
        part,
        Body::Pieces(pieces.collect()),
        Order::Health,
        ("", ""),
        NARROW,
    );
    block.top = shared
        .map(|namespace| format!("namespace: {}", one_line(namespace)))
        .into_iter()
        .collect();
    with_noun(block, common_noun(items))
}

/// The fields of one object as a tree, of several as a table.
fn fields(part: &Part<'_>, items: Vec<Value>, fields: &[FieldPath]) -> Block {
    let mut redactor = Redactor::new(EnvPolicy::Hidden);
    let titles: Vec<String> = fields
        .iter()
        .map(|field| one_line(&redactor.text(field.as_str())))
        .collect();
    if let [item] = items.as_slice() {
        let mut map = serde_json::Map::new();
        for (title, field) in titles.into_iter().zip(fields) {
            let selected = field.select(item);
            let all = selected.len();
            // Each takes a token at least: of more than there are tokens, the number is enough.
            let mut found: Vec<Value> = selected.into_iter().take(part.settings.tokens).cloned().collect();
            if all > found.len() {
                found.push(Value::String(format!("(… {} more of {all})", all - found.len())));
            }
            let value = if found.len() == 1 {
                found.pop().unwrap_or_default()
            } else {
                Value::Array(found)
            };
            map.insert(
                title,
                if value.as_array().is_some_and(Vec::is_empty) {
                    Value::String("(nothing)".to_owned())
                } else {
                    value
                },
            );
        }
        return Block::new(
            part,
            Body::Tree(Value::Object(map)),
            Order::Head,
            ("line", "lines"),
            "ask for fewer fields",
        );
    }
    let shared = shared_namespace(&items);
    let mut top: Vec<String> = shared
        .map(|namespace| format!("namespace: {}", one_line(namespace)))
        .into_iter()
        .collect();
    top.push(format!("name | {}", titles.join(" | ")));
    let pieces = items.iter().map(|item| {
        let mut row = title(item, shared.is_none());
        for field in fields {
            row.push_str(" | ");
            let found: Vec<String> = field.select(item).into_iter().map(cell_of).collect();
            row.push_str(&if found.is_empty() {
                "-".to_owned()
            } else {
                found.join(", ")
            });
        }
        Piece::new(one_line(&row), health(item), 1)
    });
    let block = Block {
        top,
        ..Block::new(
            part,
            Body::Pieces(pieces.collect()),
            Order::Health,
            ("", ""),
            "narrow by selector, or ask for fewer fields",
        )
    };
    let nouns = common_noun(&items);
    with_noun(block, nouns)
}

fn cell_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace(" | ", " \u{a6} "),
        other => other.to_string(),
    }
}

fn full(part: &Part<'_>, mut items: Vec<Value>) -> Block {
    if items.len() == 1 {
        let tree = items.pop().unwrap_or_default();
        return Block::new(
            part,
            Body::Tree(tree),
            Order::Head,
            ("line", "lines"),
            "ask for fields, or for the slim shape",
        );
    }
    // The worst first, and no more of them are written than could be shown.
    let nouns = common_noun(&items);
    let room = part.settings.tokens.max(super::LEAST_TOKENS);
    let mut order: Vec<(Health, usize)> = items
        .iter()
        .enumerate()
        .map(|(at, item)| (health(item), at))
        .collect();
    order.sort_unstable();
    let (mut pieces, mut spent, mut shortened) = (Vec::new(), 0_usize, false);
    for (health, at) in order.iter().copied() {
        if spent > room {
            break;
        }
        let (lines, cut) = yaml::fit(&items[at], room / 2);
        shortened |= cut;
        let piece = Piece::new(format!("---\n{}", lines.join("\n")), health, 1);
        spent += piece.tokens;
        pieces.push((at, piece));
    }
    let dropped = items.len() - pieces.len();
    pieces.sort_unstable_by_key(|(at, _)| *at);
    let pieces = pieces.into_iter().map(|(_, piece)| piece).collect();
    let block = Block {
        dropped,
        shortened,
        ..Block::new(
            part,
            Body::Pieces(pieces),
            Order::Health,
            ("", ""),
            "narrow by selector, ask for fields or the slim shape",
        )
    };
    with_noun(block, nouns)
}

/// Objects by kind, in the order in which kinds first appear.
fn groups(items: Vec<Value>) -> Vec<Vec<Value>> {
    let mut groups: Vec<(String, Vec<Value>)> = Vec::new();
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    for item in items {
        let key = format!(
            "{} {}",
            text(&item, &["apiVersion"]).unwrap_or_default(),
            kind(&item)
        );
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push(item);
    }
    groups.into_iter().map(|(_, items)| items).collect()
}

fn slim_group(part: &Part<'_>, mut items: Vec<Value>) -> Block {
    let kind = items.first().map_or("object", kind).to_owned();
    if kind == "Table" && items.len() == 1 {
        return server_table(part, &items[0]);
    }
    if items.len() == 1 {
        let mut tree = items.pop().unwrap_or_default();
        slim::slim(&mut tree);
        return Block::new(
            part,
            Body::Tree(tree),
            Order::Head,
            ("line", "lines"),
            "ask for fields",
        );
    }
    let shared = shared_namespace(&items);
    let mut top = vec![match shared {
        Some(namespace) => format!("{}, namespace {}", one_line(&kind), one_line(namespace)),
        None => one_line(&kind),
    }];
    let mut columns = vec!["name".to_owned()];
    columns.extend(table::columns(&kind).iter().map(|column| (*column).to_owned()));
    let mut shortened = false;
    top.push(joined(&columns, &mut shortened));
    let pieces = items.iter().map(|item| {
        // Who sees an event looks for what it is about.
        let mut row = if kind == "Event" {
            vec![
                text(item, &["metadata", "namespace"])
                    .filter(|_| shared.is_none())
                    .unwrap_or("-")
                    .to_owned(),
            ]
        } else {
            vec![title(item, shared.is_none())]
        };
        row.extend(table::cells(&kind, item, part.settings.now));
        if kind == "Event" && shared.is_some() {
            row.remove(0);
        }
        Piece::new(joined(&row, &mut shortened), health(item), 1)
    });
    let pieces: Vec<Piece> = pieces.collect();
    if kind == "Event" {
        top.pop();
        columns[0] = "namespace".to_owned();
        if shared.is_some() {
            columns.remove(0);
        }
        top.push(joined(&columns, &mut shortened));
    }
    with_noun(
        Block {
            top,
            shortened,
            ..Block::new(part, Body::Pieces(pieces), Order::Health, ("", ""), NARROW)
        },
        noun(&kind),
    )
}

/// A Table that the API server made: its columns, but those that only `-o wide` shows.
fn server_table(part: &Part<'_>, table: &Value) -> Block {
    let definitions = list(table, &["columnDefinitions"]);
    let shown: Vec<usize> = (0..definitions.len())
        .filter(|at| {
            definitions[*at]
                .get("priority")
                .and_then(Value::as_i64)
                .unwrap_or_default()
                == 0
        })
        .collect();
    let rows = list(table, &["rows"]);
    let namespaces = rows
        .iter()
        .any(|row| text(row, &["object", "metadata", "namespace"]).is_some());
    let mut shortened = false;
    let mut columns: Vec<String> = shown
        .iter()
        .map(|at| text(&definitions[*at], &["name"]).unwrap_or("?").to_lowercase())
        .collect();
    if namespaces {
        columns.insert(0, "namespace".to_owned());
    }
    let pieces = rows.iter().map(|row| {
        let cells = list(row, &["cells"]);
        let mut line: Vec<String> = shown
            .iter()
            .map(|at| cells.get(*at).map_or_else(|| "-".to_owned(), cell_of))
            .collect();
        if namespaces {
            line.insert(
                0,
                text(row, &["object", "metadata", "namespace"])
                    .unwrap_or("-")
                    .to_owned(),
            );
        }
        Piece::new(
            joined(&line, &mut shortened),
            row.get("object").map_or(Health::Fine, health),
            1,
        )
    });
    let pieces = pieces.collect();
    Block {
        top: vec![joined(&columns, &mut shortened)],
        shortened,
        ..Block::new(
            part,
            Body::Pieces(pieces),
            Order::Health,
            ("object", "objects"),
            NARROW,
        )
    }
}
