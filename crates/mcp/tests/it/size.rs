//! What is huge costs no more than reading it once.

use mk8s_mcp_core::answer::{Answer, Content, Keep, Lines, Objects, Rank, Section, Shape};
use mk8s_mcp_core::render::{Nonce, TOKENS, render};
use serde_json::{Value, json};

use crate::planted::settings;

/// Without optimization everything takes twenty times as long.
const MEGABYTES: usize = if cfg!(debug_assertions) { 2 } else { 50 };

fn bounded(content: Content) -> String {
    let answer = Answer::new("huge").with(Section::new(Rank::Essential, content));
    let rendered = render(answer, &settings(TOKENS), Nonce(1));
    assert!(rendered.truncated && rendered.tokens <= TOKENS && rendered.text.len() < 100_000);
    rendered.text
}

#[test]
fn a_huge_log_is_bounded() {
    let line = "2026-11-22T10:00:00Z GET /api/v1/namespaces/shop/pods?limit=500 200 in 12ms by somebody who asks a lot";
    let text = (0..MEGABYTES * 1_000_000 / line.len())
        .map(|number| format!("{line} {number}"))
        .collect();
    bounded(Content::Lines(Lines {
        from: "logs".to_owned(),
        text,
        keep: Keep::Tail,
    }));
}

#[test]
fn a_huge_line_is_bounded() {
    let text = vec!["abc def ".repeat(MEGABYTES * 1_000_000 / 8)];
    bounded(Content::Lines(Lines {
        from: "output".to_owned(),
        text,
        keep: Keep::Head,
    }));
}

#[test]
fn a_huge_object_is_bounded() {
    let object = json!({"kind": "ConfigMap", "metadata": {"name": "huge"}, "data": {"text": "some text\n".repeat(MEGABYTES * 50_000), "word": "x".repeat(MEGABYTES * 500_000)}});
    bounded(Content::Objects(Objects::new(vec![object], Shape::Full)));
}

#[test]
fn a_huge_list_is_bounded() {
    let item = |number: usize| json!({"kind": "Widget", "metadata": {"name": format!("w{number}")}, "spec": {"text": "x y ".repeat(120)}});
    let items: Vec<Value> = (0..MEGABYTES * 1000).map(item).collect();
    let text = bounded(Content::Objects(Objects::new(items.clone(), Shape::Slim)));
    assert!(
        text.contains(&format!("of {MEGABYTES}000 Widget objects")),
        "{text}"
    );
    let text = bounded(Content::Objects(Objects::new(items, Shape::Full)));
    assert!(
        text.contains(&format!("of {MEGABYTES}000 Widget objects")),
        "{text}"
    );
}
