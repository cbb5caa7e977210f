//! Templates that mean harm.

use mk8s_gotemplate::{Limits, RenderErrorKind, Template};
use serde_json::{Value, json};

use crate::render;

/// What the limit that stops the template says.
fn stopped(source: &str) -> String {
    let limits = Limits {
        steps: 200_000,
        value_bytes: 4 << 20,
        ..Limits::default()
    };
    let template = Template::parse("t", source).unwrap_or_else(|error| panic!("{error}"));
    let error = template
        .render(&json!({"list": [1, 2, 3]}), &limits)
        .expect_err("a limit is reached");
    assert_eq!(error.kind, RenderErrorKind::Limit, "{error}");
    error.problem
}

#[test]
fn endless_loops_run_out_of_steps() {
    let said = stopped("{{range 1000000000000}}{{end}}");
    assert!(said.contains("more than 200000 steps"), "{said}");
    stopped("{{range until 3000}}{{range until 3000}}{{end}}{{end}}");
}

#[test]
fn endless_output_is_stopped() {
    let limits = Limits {
        output_bytes: 10,
        ..Limits::default()
    };
    let template = Template::parse("t", "{{range 100}}ab{{end}}").expect("a template");
    let error = template.render(&Value::Null, &limits).expect_err("too much");
    assert_eq!(error.kind, RenderErrorKind::Limit);
    assert!(error.problem.contains("more than 10 bytes of output"), "{error}");
}

#[test]
fn templates_that_call_themselves_are_stopped() {
    let said = stopped("{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}");
    assert!(said.contains("more than 500 deep"), "{said}");
    stopped(
        "{{define \"a\"}}{{template \"b\"}}{{end}}{{define \"b\"}}{{with 1}}{{template \"a\"}}{{end}}{{end}}{{template \"a\"}}",
    );
}

#[test]
fn a_recursion_within_the_limit_needs_no_stack_of_the_thread() {
    let limits = Limits {
        depth: 100_000,
        ..Limits::default()
    };
    let source = "{{define \"a\"}}{{if gt . 0}}{{template \"a\" (int (sub . 1))}}{{else}}end{{end}}{{end}}{{template \"a\" 50000}}";
    let template = Template::parse("t", source).expect("a template");
    assert_eq!(template.render(&Value::Null, &limits).as_deref(), Ok("end"));
}

#[test]
fn values_that_are_too_large_are_never_made() {
    for source in [
        "{{repeat 999999999999 \"a\"}}",
        "{{repeat 9223372036854775807 \"ab\"}}",
        "{{until 9223372036854775807}}",
        "{{until 999999}}{{until 999999}}",
        "{{untilStep -9223372036854775808 9223372036854775807 1}}",
        "{{seq 9000000000}}",
        "{{indent 9223372036854775807 \"a\\nb\"}}",
        "{{nindent 99999999999 \"\"}}",
        "{{range 100}}{{$_ := printf \"%1000000d\" 1}}{{end}}",
        "{{printf \"%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d\" 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1}}",
        "{{$x := \"a\"}}{{range 64}}{{$x = print $x $x}}{{end}}",
        "{{$x := \"aa\"}}{{range 64}}{{$x = replace \"a\" \"aaaa\" $x}}{{end}}",
        "{{$x := list 1}}{{range 64}}{{$x = concat $x $x}}{{end}}",
        "{{$x := \"ab\"}}{{range 64}}{{$x = regexReplaceAll \"a|b\" $x \"$0$0$0\"}}{{end}}",
        "{{$x := \"a\"}}{{range 64}}{{$x = quote $x}}{{end}}",
        "{{$x := \"a\"}}{{range 64}}{{$x = join $x (list $x $x $x)}}{{end}}",
    ] {
        stopped(source);
    }
}

#[test]
fn numbers_of_many_digits_are_stopped() {
    let said = stopped(&format!("{{{{mulf {}}}}}", "1.123456789012345 ".repeat(5000)));
    assert!(said.contains("more than 4000 digits"), "{said}");
}

#[test]
fn reading_much_again_and_again_is_stopped() {
    for call in [
        "contains \"b\" $x",
        "sha256sum $x",
        "eq $x $y",
        "atoi $x",
        "fromJson $x",
        "b64dec $x",
        "regexMatch \"b\" $x",
        "toJson (list $x (float64 \"nan\"))",
    ] {
        stopped(&format!(
            "{{{{$x := repeat 100000 \"a\"}}}}{{{{$y := repeat 100000 \"a\"}}}}{{{{range 100000}}}}{{{{$_ := {call}}}}}{{{{end}}}}"
        ));
    }
}

#[test]
fn too_many_variables_are_refused() {
    let source: String = (0..2000).map(|i| format!("{{{{$v{i} := 1}}}}")).collect();
    let error = Template::parse("t", &source).expect_err("too many");
    assert!(error.problem.contains("more than 1000 variables"), "{error}");
    let source = format!("{{{{$x := 1}}}}{}", "{{$x = 2}}".repeat(5000));
    assert!(Template::parse("t", &source).is_ok());
}

#[test]
fn values_that_print_huge_are_stopped() {
    // Each list holds the one before twice: little memory, but much to print, to compare or to copy.
    let twice = "{{$x := list 1}}{{range 60}}{{$x = list $x $x}}{{end}}";
    let again = "{{$y := list 1}}{{range 60}}{{$y = list $y $y}}{{end}}";
    for using in [
        "{{$x}}",
        "{{toJson $x}}",
        "{{toPrettyJson $x}}",
        "{{print $x}}",
        "{{printf \"%#v\" $x}}",
        "{{$x | html}}",
        "{{deepCopy $x}}",
        "{{join \",\" $x}}",
        "{{$d := deepEqual $x $y}}",
        "{{$d := has $x (list $y)}}",
    ] {
        stopped(&format!("{twice}{again}{using}"));
    }
}

#[test]
fn values_that_nest_too_deep_are_stopped() {
    stopped("{{$x := list}}{{range 100000}}{{$x = list $x}}{{end}}");
    for using in [
        "{{$d}}",
        "{{toJson $d}}",
        "{{$c := deepCopy $d}}",
        "{{deepEqual $d $e}}",
        "{{merge $d $e}}",
    ] {
        stopped(&format!(
            "{{{{$d := dict}}}}{{{{$e := dict}}}}{{{{$_ := set $d \"x\" $d}}}}{{{{$_ := set $e \"x\" $e}}}}{using}"
        ));
    }
    // A long chain of dicts is fine as long as nobody prints it, and goes away without the thread's stack.
    let chain = "{{$d := dict}}{{$top := $d}}{{range 50000}}{{$n := dict}}{{$_ := set $d \"n\" $n}}{{$d = $n}}{{end}}ok";
    assert_eq!(render(chain, &json!({})).as_deref(), Ok("ok"));
}

#[test]
fn expressions_that_take_long_are_stopped() {
    stopped("{{mustRegexMatch \"((a{100}){100}){100}\" \"a\"}}");
    stopped("{{$t := repeat 400000 \"a\"}}{{regexFindAll \".*[^a]|a\" $t -1 | len}}");
    stopped("{{range $i := 100000}}{{$_ := regexMatch (print \"a\" $i) \"a\"}}{{end}}");
    stopped("{{$l := until 30000}}{{uniq $l | len}}");
}

#[test]
fn expressions_that_nest_deep_are_errors() {
    let source = format!(
        "{{{{mustRegexMatch \"{}a{}\" \"a\"}}}}",
        "(".repeat(50_000),
        ")".repeat(50_000)
    );
    let error = render(&source, &json!({})).expect_err("too deep");
    assert!(error.problem.contains("regular expression"), "{error}");
}

#[test]
fn sources_that_nest_too_deep_are_refused() {
    for (open, close) in [
        ("(", ")"),
        ("{{if 1}}", "{{end}}"),
        ("{{range 1}}", "{{end}}"),
        ("{{with 1}}", "{{end}}"),
        ("{{block \"a\" .}}", "{{end}}"),
    ] {
        let inside = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let source = if open == "(" {
            format!("{{{{{inside}}}}}")
        } else {
            inside
        };
        let error = Template::parse("t", &source[..source.len().min(1_000_000)]).expect_err("too deep");
        assert!(error.problem.contains("nested more than 64 deep"), "{error}");
    }
}

#[test]
fn a_long_chain_of_else_if_is_no_depth() {
    let source = format!(
        "{{{{if 0}}}}{}{{{{else}}}}end{{{{end}}}}",
        "{{else if 0}}".repeat(10_000)
    );
    assert_eq!(render(&source, &json!({})).as_deref(), Ok("end"));
}

#[test]
fn a_source_that_is_too_long_is_refused() {
    let error = Template::parse("t", &" ".repeat((1 << 20) + 1)).expect_err("too long");
    assert!(error.problem.contains("at most 1048576 bytes"), "{error}");
}

#[test]
fn data_that_nest_too_deep_are_refused() {
    let mut data = json!(1);
    for _ in 0..1000 {
        data = json!([data]);
    }
    let error = render("x", &data).expect_err("too deep");
    assert_eq!(error.kind, RenderErrorKind::Limit);
}

#[test]
fn data_count_against_the_memory() {
    let limits = Limits {
        value_bytes: 1000,
        ..Limits::default()
    };
    let data = json!(vec![1; 1000]);
    let template = Template::parse("t", "x").expect("a template");
    let error = template.render(&data, &limits).expect_err("too many");
    assert_eq!(error.kind, RenderErrorKind::Limit);
}
