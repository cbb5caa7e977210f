//! What errors say, and what they don't.

use mk8s_gotemplate::{Limits, RenderErrorKind, Template};
use serde_json::json;

use crate::render;

fn parse_error(source: &str) -> String {
    Template::parse("pod.tpl", source)
        .expect_err("it isn't a template")
        .to_string()
}

#[test]
fn a_parse_error_has_the_place_and_a_remedy_in_one_line() {
    assert_eq!(
        parse_error("a\nbé {{ .x"),
        "template pod.tpl:2:9: this action isn't closed: add }}"
    );
    assert_eq!(
        parse_error("{{if .x}}\n"),
        "template pod.tpl:1:3: this if has no end: add {{end}}"
    );
    assert_eq!(
        parse_error("{{$x}}"),
        "template pod.tpl:1:3: there is no variable $x here: declare it with :="
    );
    for source in [
        "{{",
        "{{end}}",
        "{{x}}",
        "{{`\n",
        "{{\"\n\"}}",
        "{{define}}",
        "{{1|2}}",
    ] {
        assert!(!parse_error(source).contains('\n'), "{source}");
    }
}

#[test]
fn functions_that_give_another_text_each_time_are_not_allowed() {
    for name in [
        "now",
        "date",
        "dateModify",
        "uuidv4",
        "randAlphaNum",
        "shuffle",
        "genCA",
        "derivePassword",
        "bcrypt",
        "env",
        "expandenv",
        "getHostByName",
        "osBase",
        "call",
    ] {
        let said = parse_error(&format!("{{{{ {name} }}}}"));
        assert!(
            said.contains(&format!("function {name:?} isn't allowed: ")),
            "{said}"
        );
    }
    assert!(parse_error("{{ nosuch }}").contains("there is no function \"nosuch\": check its name"));
}

#[test]
fn a_missing_key_is_named_with_its_place() {
    let error = render("x\n{{ .a.b }}", &json!({"a": {}})).expect_err("there is no b");
    assert_eq!(error.kind, RenderErrorKind::MissingKey("b".to_owned()));
    assert_eq!(
        error.to_string(),
        "template test:2:4: the data has no key \"b\": give it, or test with hasKey before"
    );
}

#[test]
fn what_fail_says_is_the_author_s() {
    let error = render("{{ fail \"set a port\" }}", &json!({})).expect_err("it fails");
    assert_eq!(error.kind, RenderErrorKind::Refused);
    assert_eq!(error.to_string(), "template test:1:4: set a port");
}

#[test]
fn a_type_that_does_not_fit_is_named_with_the_function() {
    let error = render("{{ repeat .n \"x\" }}", &json!({"n": 3})).expect_err("a float64");
    assert_eq!(
        error.to_string(),
        "template test:1:11: repeat needs an int, not float64: convert it with int"
    );
}

#[test]
fn output_that_is_cut_within_a_character_is_an_error() {
    let error = render("{{ trunc 1 \"é\" }}", &json!({})).expect_err("half a character");
    assert!(error.problem.contains("isn't UTF-8"), "{error}");
}

#[test]
fn no_error_holds_a_value_of_the_data() {
    let secret = "s3cr3t-value";
    let data = json!({
        "s": secret, "l": [secret], "m": {"k": secret}, "re": format!("[{secret}"), "n": 424_242.0, "json": format!("{{{secret}"),
    });
    let sources = [
        "{{.s.x}}",
        "{{.l.x}}",
        "{{.m.x}}",
        "{{index .l 5}}",
        "{{index .l .s}}",
        "{{index .m .n}}",
        "{{index .s .s}}",
        "{{len .n}}",
        "{{lt .s 1}}",
        "{{eq .s 1}}",
        "{{eq .l .l}}",
        "{{eq .m .m}}",
        "{{range .s}}{{end}}",
        "{{range .n}}{{end}}",
        "{{mustRegexMatch .re \"x\"}}",
        "{{regexFind .re .s}}",
        "{{regexReplaceAll .re .s .s}}",
        "{{mustRegexSplit .re .s -1}}",
        "{{mustFromJson .json}}",
        "{{mustFromJson .s}}",
        "{{first .s}}",
        "{{append .s .s}}",
        "{{concat .l .s}}",
        "{{chunk 0 .l}}",
        "{{slice .l 9}}",
        "{{substr 9999 3 .s}}",
        "{{repeat -1 .s}}",
        "{{indent -1 .s}}",
        "{{repeat 99999999 .s}}",
        "{{dig .s .s .s}}",
        "{{dig \"s\" \"k\" 1 .}}",
        "{{merge .m .s}}",
        "{{get .s .s}}",
        "{{set .s .s .s}}",
        "{{ternary .s .s .s}}",
        "{{upper .n}}",
        "{{.s 1}}",
        "{{.s | .s}}",
        "{{template \"t\" .s}}{{define \"t\"}}{{.x}}{{end}}",
        "{{div .n 0}}",
        "{{divf .n 0}}",
        "{{printf .n}}",
        "{{until .s}}",
        "{{round .s .s}}",
        "{{plural .s .s .s}}",
        "{{pick .m .l}}",
        "{{deepCopy nil}}",
        "{{mustToJson (float64 \"nan\")}}",
        "{{trunc 1 (b64dec \"/w==\")}}",
        "{{$x := .s}}{{$x.y}}",
        "{{range $a, $b := 3}}{{end}}",
    ];
    for source in sources {
        let said = render(source, &data).expect_err(source).to_string();
        assert!(
            !said.contains(secret) && !said.contains("424242"),
            "{source}: {said}"
        );
        assert!(!said.contains('\n'), "{source}: {said}");
    }
}

#[test]
fn a_template_renders_again_and_again_from_many_threads() {
    let template = Template::parse("t", "{{ $_ := set . \"x\" 1 }}{{ .x }}").expect("a template");
    let data = json!({});
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                assert_eq!(template.render(&data, &Limits::default()).as_deref(), Ok("1"));
            });
        }
    });
    assert_eq!(data, json!({}), "data stay as they were");
}
