//! Every answer is within its budget, and says what it left out.

use mk8s_mcp_core::answer::{Answer, Content, Keep, Lines, Objects, Rank, Section, Shape, Table};
use mk8s_mcp_core::render::{LEAST_TOKENS, Nonce, estimate, render};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::planted::settings;

fn pod(number: usize, phase: &str) -> Value {
    let ready = phase == "Running";
    let state = if ready {
        json!({"running": {}})
    } else {
        json!({"waiting": {"reason": "CrashLoopBackOff"}})
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("web-{number}"), "namespace": "shop", "creationTimestamp": "2026-11-20T12:00:00Z"},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "app", "ready": ready, "restartCount": 0, "state": state}]},
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,80}".prop_map(Value::from),
        "[a-z \n]{0,600}".prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z./]{1,20}", inner, 0..8).prop_map(|map| json!(map)),
        ]
    })
}

fn content() -> impl Strategy<Value = Content> {
    let shape = prop::sample::select(vec![Shape::Names, Shape::Slim, Shape::Full]);
    let fields = prop::sample::select(vec![vec![], vec!["$..*"], vec![".metadata.name", ".spec"]]);
    let objects = (
        prop::collection::vec(any_value(), 0..12),
        shape,
        fields,
        any::<Option<u64>>(),
    )
        .prop_map(|(values, shape, fields, remaining)| {
            let items = values
                .into_iter()
                .map(|value| json!({"kind": "Widget", "metadata": {"name": "x"}, "spec": value}))
                .collect();
            let mut objects = Objects::new(items, shape);
            objects.fields = fields.into_iter().map(|field| field.parse().unwrap()).collect();
            objects.remaining = remaining;
            Content::Objects(objects)
        });
    let keep = prop::sample::select(vec![Keep::Head, Keep::Tail]);
    let lines = (prop::collection::vec("\\PC{0,300}", 0..80), keep).prop_map(|(text, keep)| {
        Content::Lines(Lines {
            from: "logs".to_owned(),
            text,
            keep,
        })
    });
    let table = prop::collection::vec(prop::collection::vec("\\PC{0,60}", 3), 0..60).prop_map(|rows| {
        Content::Table(Table {
            columns: vec!["a".into(), "b".into(), "c".into()],
            rows,
        })
    });
    prop_oneof![objects, lines, table, "\\PC{0,400}".prop_map(Content::Note)]
}

fn answer() -> impl Strategy<Value = Answer> {
    let rank = prop::sample::select(vec![Rank::Essential, Rank::Useful, Rank::Detail]);
    let section =
        (content(), rank, prop::option::of("\\PC{0,200}")).prop_map(|(content, rank, heading)| Section {
            heading,
            content,
            rank,
        });
    (
        prop::collection::vec(section, 0..8),
        "\\PC{0,600}",
        prop::option::of("\\PC{0,600}"),
        any::<bool>(),
    )
        .prop_map(|(sections, title, more, is_error)| Answer {
            title,
            sections,
            more,
            is_error,
        })
}

proptest! {
    #![proptest_config(crate::planted::cases(100))]

    #[test]
    fn every_answer_is_within_its_budget(answer in answer(), tokens in 0_usize..5000, number in any::<u64>()) {
        let rendered = render(answer, &settings(tokens), Nonce(number));
        prop_assert!(rendered.tokens <= tokens.max(LEAST_TOKENS), "{} of {tokens}:\n{}", rendered.tokens, rendered.text);
        prop_assert_eq!(rendered.tokens, estimate(&rendered.text));
    }
}

fn shown(answer: Answer, tokens: usize) -> String {
    let rendered = render(answer, &settings(tokens), Nonce(1));
    assert!(rendered.tokens <= tokens);
    rendered.text
}

#[test]
fn what_fails_is_shown_when_there_is_no_room_for_all() {
    let mut items: Vec<Value> = (0..1000).map(|number| pod(number, "Running")).collect();
    for number in [3, 500, 999] {
        items[number] = pod(number, "Crashing");
    }
    let mut objects = Objects::new(items, Shape::Slim);
    objects.remaining = Some(27);
    let text = shown(
        Answer::new("pods").with(Section::new(Rank::Essential, Content::Objects(objects))),
        1000,
    );
    for name in ["web-3 ", "web-500 ", "web-999 "] {
        assert!(text.contains(name), "{text}");
    }
    let kept = text.lines().filter(|line| line.starts_with("web-")).count();
    assert!(
        text.contains(&format!(
            "(Left out: {} of 1000 Pod objects, none of them known to be unhealthy",
            1000 - kept
        )),
        "{text}"
    );
    assert!(text.contains("(27 more on the server.)"), "{text}");
}

#[test]
fn a_log_keeps_its_end_folds_what_repeats_and_counts_the_rest() {
    let mut text: Vec<String> = (0..5000)
        .map(|number| format!("2026-11-22T10:00:00Z request {number} took long"))
        .collect();
    text.extend((0..312).map(|second| format!("2026-11-22T11:00:{:02}Z connection refused", second % 60)));
    text.push("2026-11-22T12:00:00Z giving up".to_owned());
    let lines = Lines {
        from: "logs of pod web".to_owned(),
        text,
        keep: Keep::Tail,
    };
    let text = shown(
        Answer::new("logs").with(Section::new(Rank::Essential, Content::Lines(lines))),
        800,
    );
    assert!(
        text.contains("connection refused (× 312)")
            && text.contains("giving up")
            && text.contains("request 4999"),
        "{text}"
    );
    assert!(!text.contains("request 100 "), "{text}");
    let requests = text.lines().filter(|line| line.contains("request")).count();
    assert!(
        text.contains(&format!("(Left out: {} of 5313 earlier lines", 5000 - requests)),
        "{text}"
    );
}

#[test]
fn sections_of_a_lower_rank_go_first() {
    let lines = |from: &str, word: &str| {
        let text = (0..300)
            .map(|number| format!("{word} {}", "x".repeat(number % 40)))
            .collect();
        Content::Lines(Lines {
            from: from.to_owned(),
            text,
            keep: Keep::Head,
        })
    };
    let answer = Answer::new("three")
        .with(Section::new(Rank::Detail, lines("detail", "detailword")))
        .with(Section::new(Rank::Essential, lines("essential", "essentialword")))
        .with_more("ask with continue=abc");
    let text = shown(answer, 1500);
    assert!(
        text.contains("essentialword") && !text.contains("detailword"),
        "{text}"
    );
    assert!(
        text.contains("Left out for want of room: 1 section (detail)")
            && text.ends_with("ask with continue=abc"),
        "{text}"
    );
}

#[test]
fn clusters_share_what_there_is() {
    let mut answer = Answer::new("pods of 5 clusters");
    for cluster in 0..5 {
        let count = if cluster == 0 { 2 } else { 400 };
        let items = (0..count).map(|number| pod(number, "Running")).collect();
        let section = Section::new(
            Rank::Essential,
            Content::Objects(Objects::new(items, Shape::Slim)),
        );
        answer = answer.with(section.under(format!("cluster c{cluster}")));
    }
    let text = shown(answer, 3000);
    for cluster in 0..5 {
        assert!(text.contains(&format!("cluster c{cluster}")), "{text}");
    }
    assert_eq!(text.matches("of 400 Pod objects").count(), 4, "{text}");
}

#[test]
fn one_long_line_shows_both_ends() {
    let line = format!("begins {} ends", "middle ".repeat(100_000));
    let lines = Lines {
        from: "output".to_owned(),
        text: vec![line],
        keep: Keep::Tail,
    };
    let text = shown(
        Answer::new("x").with(Section::new(Rank::Essential, Content::Lines(lines))),
        500,
    );
    assert!(
        text.contains("begins middle") && text.contains("ends") && text.contains("more characters"),
        "{text}"
    );
}
