//! What of an answer is told when there is too much of it.
//!
//! Sections of the highest rank share what there is; those below get what is left. Within a section what is healthy, late or early
//! goes first, and what went is counted. The result is measured as a whole: no estimate of parts can break the promise.

use super::block::{Block, Body, Order, Piece};
use super::fence::Fence;
use super::format::health::Health;
use super::format::yaml;
use super::tokens::{self, estimate};
use crate::answer::Rank;

/// What is kept for a sentence on what was left out.
const NOTE: usize = 70;
/// A section with less room than this for what it has isn't worth its heading.
const LEAST: usize = 40;

/// The text around the sections.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) more: Option<String>,
}

/// Text within a number of tokens.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) text: String,
    pub(crate) truncated: bool,
}

/// Writes an answer within the budget.
pub(crate) fn fit(frame: Frame, blocks: &[Block], budget: usize, fence: &Fence) -> Fitted {
    let mut truncated = false;
    let title = within(&frame.title, budget / 6, &mut truncated);
    let more = frame.more.map(|more| {
        if estimate(&more) <= budget / 3 {
            more
        } else {
            truncated = true;
            "What leads to the rest is too long to be told: ask for less at once.".to_owned()
        }
    });
    // Lines of their own for each; the preface only if there is something to fence.
    let mut head = title.clone();
    if blocks.iter().any(|block| block.fenced) {
        head.push('\n');
        head.push_str(&fence.preface());
    }
    let tail = more.map(|more| format!("\n{more}")).unwrap_or_default();
    let fixed = estimate(&head) + estimate(&tail) + 1;
    let costs: Vec<Cost> = blocks
        .iter()
        .map(|block| Cost::of(block, budget, fence))
        .collect();
    let mut room = budget.saturating_sub(fixed);
    for _ in 0..8 {
        let fitted = write(blocks, &costs, room, fence);
        let text = format!("{head}{}{tail}", fitted.text);
        let tokens = estimate(&text);
        if tokens <= budget {
            return Fitted {
                text,
                truncated: truncated || fitted.truncated,
            };
        }
        room = room.saturating_sub(tokens - budget + 8);
    }
    let text = format!("{title}\n(Nothing of it fits in {budget} tokens: ask for less at once.){tail}");
    Fitted {
        text: tokens::head(&text, budget).to_owned(),
        truncated: true,
    }
}

/// What a block takes.
struct Cost {
    /// Heading, fence, columns, notes.
    frame: usize,
    /// All that it has.
    body: usize,
}

impl Cost {
    fn of(block: &Block, budget: usize, fence: &Fence) -> Self {
        let lines = |lines: &[String]| lines.iter().map(|line| estimate(line) + 1).sum::<usize>();
        let fences = if block.fenced {
            estimate(&fence.open()) + estimate(&fence.close()) + 2
        } else {
            0
        };
        let frame = 1
            + fences
            + block
                .heading
                .as_deref()
                .map_or(0, |heading| estimate(heading) + 1)
            + lines(&block.top)
            + block.note.as_deref().map_or(0, |note| estimate(note) + 1)
            + if block.dropped > 0 || block.shortened {
                NOTE
            } else {
                0
            };
        let body = match &block.body {
            Body::Pieces(pieces) => pieces
                .iter()
                .fold(0_usize, |sum, piece| sum.saturating_add(piece.tokens)),
            Body::Tree(tree) => {
                let (written, cut) = yaml::fit(tree, budget);
                if cut {
                    budget.saturating_mul(2)
                } else {
                    lines(&written)
                }
            }
        };
        Self { frame, body }
    }

    fn whole(&self) -> usize {
        self.frame.saturating_add(self.body)
    }
}

fn write(blocks: &[Block], costs: &[Cost], room: usize, fence: &Fence) -> Fitted {
    let everything = costs
        .iter()
        .fold(0_usize, |sum, cost| sum.saturating_add(cost.whole()));
    let shares = if everything <= room {
        costs.iter().map(|cost| Some(cost.body)).collect()
    } else {
        shares(blocks, costs, room.saturating_sub(NOTE))
    };
    let (mut text, mut truncated) = (String::new(), false);
    let mut missing = Vec::new();
    for ((block, share), cost) in blocks.iter().zip(&shares).zip(costs) {
        match share {
            Some(share) => truncated |= self::block(block, *share, *share >= cost.body, fence, &mut text),
            None => missing.push(block),
        }
    }
    if !missing.is_empty() {
        truncated = true;
        text.push('\n');
        text.push_str(&fence.defuse(&left_out(&missing)));
    }
    Fitted { text, truncated }
}

/// How many tokens each block's body gets; none if it isn't worth its heading.
fn shares(blocks: &[Block], costs: &[Cost], mut room: usize) -> Vec<Option<usize>> {
    let mut shares = vec![None; blocks.len()];
    for rank in [Rank::Essential, Rank::Useful, Rank::Detail] {
        let mut open: Vec<usize> = (0..blocks.len()).filter(|at| blocks[*at].rank == rank).collect();
        // As many as have room for something; those in which something fails are the first of them.
        let least = |at: &usize| costs[*at].frame + costs[*at].body.min(LEAST + NOTE);
        open.sort_by_key(|at| (worst(&blocks[*at]), *at));
        let mut sum = 0;
        open.retain(|at| {
            let fits = sum + least(at) <= room;
            if fits {
                sum += least(at);
            }
            fits
        });
        // Who wants less than an equal share gets it, and leaves the rest to the others.
        open.sort_by_key(|at| costs[*at].whole());
        let mut left = open.len();
        for at in open {
            let share = (room / left).max(least(&at).min(room));
            let taken = costs[at].whole().min(share);
            shares[at] = taken.checked_sub(costs[at].frame);
            room = room.saturating_sub(taken);
            left -= 1;
        }
    }
    shares
}

fn worst(block: &Block) -> Health {
    match &block.body {
        Body::Pieces(pieces) => pieces
            .iter()
            .map(|piece| piece.health)
            .min()
            .unwrap_or(Health::Fine),
        Body::Tree(tree) => super::format::health::health(tree),
    }
}

/// Writes a block; tells whether something of it is missing.
fn block(block: &Block, room: usize, whole: bool, fence: &Fence, out: &mut String) -> bool {
    let mut chosen = Chosen {
        shortened: block.shortened,
        missing: block.dropped,
        ..Chosen::default()
    };
    match &block.body {
        Body::Pieces(pieces) if whole => {
            chosen.lines = pieces.iter().map(|piece| piece.text.clone()).collect();
        }
        Body::Pieces(pieces) => choose(pieces, block.order, room.saturating_sub(NOTE), &mut chosen),
        Body::Tree(tree) => {
            let room = if whole { room } else { room.saturating_sub(NOTE) };
            let (lines, cut) = yaml::fit(tree, room);
            chosen.shortened |= cut;
            let pieces: Vec<Piece> = lines
                .into_iter()
                .map(|text| Piece {
                    tokens: estimate(&text) + 1,
                    text,
                    health: Health::Fine,
                    weight: 1,
                })
                .collect();
            choose(&pieces, Order::Head, room, &mut chosen);
        }
    }
    // One fence is enough where nothing of ours stands between two blocks.
    let close = format!("\n{}", fence.close());
    let goes_on = block.fenced && block.heading.is_none() && out.ends_with(&close);
    if goes_on {
        out.truncate(out.len() - close.len());
    }
    let mut line = |text: &str| {
        out.push('\n');
        out.push_str(text);
    };
    if let Some(heading) = &block.heading {
        line(&fence.defuse(heading));
    }
    if block.fenced && !goes_on {
        line(&fence.open());
    }
    for text in block.top.iter().chain(&chosen.lines) {
        line(&fence.defuse(text));
    }
    if block.fenced {
        line(&fence.close());
    }
    if let Some(note) = &block.note {
        line(note);
    }
    let truncated = chosen.missing > 0 || chosen.shortened;
    if truncated {
        line(&explained(block, &chosen));
    }
    truncated
}

/// What of a block is shown.
#[derive(Default)]
struct Chosen {
    lines: Vec<String>,
    missing: usize,
    /// How many of those missing fail or are in doubt.
    unhealthy: usize,
    shortened: bool,
}

/// Chooses what matters most, and keeps the order in which it stood.
fn choose(pieces: &[Piece], order: Order, room: usize, chosen: &mut Chosen) {
    let mut candidates: Vec<usize> = (0..pieces.len()).collect();
    match order {
        Order::Head => {}
        Order::Tail => candidates.reverse(),
        Order::Health => candidates.sort_by_key(|at| pieces[*at].health),
    }
    // One that is too long takes a part; alone, it takes all.
    let most = if pieces.len() == 1 {
        room
    } else {
        (room / 4).max(60).min(room)
    };
    let (mut spent, mut kept) = (0, Vec::new());
    let mut rest = candidates.into_iter();
    for at in rest.by_ref() {
        let piece = &pieces[at];
        let half = room >= 1000 && piece.tokens <= room / 2 && spent + piece.tokens <= room;
        let text = if piece.tokens <= most || half {
            piece.text.clone()
        } else {
            chosen.shortened = true;
            shortened(&piece.text, most, order == Order::Tail)
        };
        let tokens = estimate(&text) + 1;
        if spent + tokens > room {
            chosen.missing += piece.weight;
            chosen.unhealthy += usize::from(piece.health != Health::Fine);
            break;
        }
        spent += tokens;
        kept.push((at, text));
    }
    for at in rest {
        chosen.missing += pieces[at].weight;
        chosen.unhealthy += usize::from(pieces[at].health != Health::Fine);
    }
    kept.sort_unstable_by_key(|(at, _)| *at);
    chosen.lines = kept.into_iter().map(|(_, text)| text).collect();
}

/// Both ends of a long text, as far as they fit; of a log's line the beginning says when, and the end what.
fn shortened(text: &str, room: usize, both: bool) -> String {
    let room = room.saturating_sub(16);
    let head = tokens::head(text, if both { room / 2 } else { room });
    let tail = if both {
        tokens::tail(&text[head.len()..], room / 2)
    } else {
        ""
    };
    let missing = text[head.len()..text.len() - tail.len()].chars().count();
    format!("{head} (… {missing} more characters) {tail}")
        .trim_end()
        .to_owned()
}

fn explained(block: &Block, chosen: &Chosen) -> String {
    let all = match &block.body {
        Body::Pieces(pieces) => pieces.iter().map(|piece| piece.weight).sum::<usize>() + block.dropped,
        Body::Tree(_) => 0,
    };
    let mut text = String::from("(");
    if chosen.missing > 0 {
        let noun = if all == 1 { &block.noun.0 } else { &block.noun.1 };
        let which = if block.order == Order::Tail {
            "earlier "
        } else {
            ""
        };
        match all {
            0 => text.push_str(&format!("Left out: the last {} lines", chosen.missing)),
            _ => text.push_str(&format!("Left out: {} of {all} {which}{noun}", chosen.missing)),
        }
        if chosen.unhealthy > 0 {
            text.push_str(&format!(", {} of them not healthy", chosen.unhealthy));
        } else if block.order == Order::Health {
            text.push_str(", none of them known to be unhealthy");
        }
    }
    if chosen.shortened {
        text.push_str(if chosen.missing > 0 {
            "; long values are cut"
        } else {
            "Long values are cut"
        });
    }
    if block.hint.is_empty() {
        text.push_str(".)");
    } else {
        text.push_str(&format!(": {}.)", block.hint));
    }
    text
}

fn left_out(missing: &[&Block]) -> String {
    let named: Vec<String> = missing
        .iter()
        .filter_map(|block| block.heading.as_deref())
        .take(3)
        .map(|heading| heading.chars().take(40).collect())
        .collect();
    let which = if named.is_empty() {
        String::new()
    } else {
        format!(
            " ({}{})",
            named.join("; "),
            if missing.len() > named.len() { "; …" } else { "" }
        )
    };
    let sections = if missing.len() == 1 { "section" } else { "sections" };
    format!(
        "(Left out for want of room: {} {sections}{which}; ask for them alone.)",
        missing.len()
    )
}

/// The text, or its beginning.
fn within(text: &str, tokens: usize, truncated: &mut bool) -> String {
    if tokens::estimate_within(text, tokens) {
        return text.to_owned();
    }
    *truncated = true;
    format!("{}…", tokens::head(text, tokens.saturating_sub(3)))
}
