//! Whatever comes, nothing panics.

use std::sync::LazyLock;

use mk8s_gotemplate::{Limits, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

const LIMITS: Limits = Limits {
    steps: 20_000,
    output_bytes: 100_000,
    value_bytes: 1_000_000,
    depth: 50,
};

/// The corpus' templates, to begin from.
static SOURCES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let text = include_str!("../corpus/cases.json");
    let corpus: Value = serde_json::from_str(text).expect("the corpus is JSON");
    let cases = corpus["cases"].as_array().expect("cases");
    cases
        .iter()
        .filter_map(|case| Some(case["template"].as_str()?.to_owned()))
        .collect()
});

/// Parses, and renders what parses; an error must be one line with a place.
fn exercise(source: &str) {
    let data = json!({
        "name": "wörld", "port": 8080, "list": ["a", "b"], "map": {"a": 1, "b": {"c": null}}, "null": null, "yes": true,
    });
    let said = match Template::parse("t", source) {
        Ok(template) => match template.render(&data, &LIMITS) {
            Ok(text) => {
                assert!(text.len() <= LIMITS.output_bytes);
                return;
            }
            Err(error) => (error.line, error.column),
        },
        Err(error) => (error.line, error.column),
    };
    assert!(said.0 >= 1 && said.1 >= 1, "{source}: {said:?}");
}

fn pieces() -> impl Strategy<Value = String> {
    let words = "{{|}}|{{-| -}}|if|else|end|range|with|define|template|block|break|continue|nil|true|.|.map|.list|.name|$|$x|:=|=|\
                 ,|(|)|\"a\"|`b`|'c'|1|-1|1.5|0x|upper|printf|\"%d%v\"|index|len|list|dict|set|until|trunc|substr|regexFind|\
                 \"[a\"|toJson|quote|and|or|eq|lt|merge|slice|seq|wrap|abbrev|chunk|splitList|round|/*|*/|é|\n| | | | ";
    let words: Vec<String> = words
        .split('|')
        .map(str::to_owned)
        .chain(["|".to_owned()])
        .collect();
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_parses_or_not(source in ".{0,80}") {
        exercise(&source);
        exercise(&format!("{{{{{source}}}}}"));
    }

    #[test]
    fn any_words_parse_or_not(source in pieces()) {
        exercise(&source);
        exercise(&format!("{{{{ {source} }}}}"));
    }

    #[test]
    fn mutated_templates_parse_or_not(
        which in 0_usize..10_000,
        other in 0_usize..10_000,
        cut in 0_usize..200,
        end in 0_usize..200,
        inserted in "[{}()|.$\"`'\\\\%0-9a-z é-]{0,6}",
    ) {
        let at = |source: &str, place: usize| source.char_indices().map(|(i, _)| i).nth(place).unwrap_or(source.len());
        let source = &SOURCES[which % SOURCES.len()];
        let other = &SOURCES[other % SOURCES.len()];
        let (head, tail) = (&source[..at(source, cut)], &other[at(other, end)..]);
        exercise(&format!("{head}{inserted}{tail}"));
        exercise(&format!("{head}{inserted}{}", &source[at(source, cut + 1).max(head.len())..]));
    }

    #[test]
    fn any_numbers_are_fine_for_functions(a in any::<i64>(), b in any::<i64>(), text in ".{0,12}") {
        let text = serde_json::to_string(&text).unwrap_or_default();
        for call in [
            format!("substr {a} {b} {text}"), format!("trunc {a} {text}"), format!("abbrevboth {a} {b} {text}"),
            format!("abbrev {a} {text}"), format!("wrap {a} {text}"), format!("slice .list {a} {b}"),
            format!("untilStep {a} {b} 7"), format!("seq {a} {b}"), format!("round 1.5 {a}"), format!("splitn \",\" {a} {text}"),
            format!("add {a} {b} | mul {a} | sub {b}"), format!("div {a} {b}"), format!("mod {a} {b}"), format!("chunk {a} .list"),
            format!("regexFindAll \"a*\" {text} {a}"), format!("regexSplit \"\" {text} {a}"), format!("printf \"%*d|%.*f\" {a} {b} {a} 1.5"),
            format!("printf {text} {a} {b}"), format!("index .list {a}"), format!("repeat {a} {text}"), format!("printf \"%c%q%U\" {a} {b} {a}"),
            format!("regexReplaceAll {text} {text} {text}"), format!("b32dec {text}"), format!("b64dec {text}"), format!("snakecase {text} | camelcase"),
        ] {
            exercise(&format!("{{{{ {call} }}}}"));
        }
    }
}
