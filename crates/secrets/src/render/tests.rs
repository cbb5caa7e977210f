//! What is written is read again as it was: by a parser of the format, and where there is one, by its real reader.

use std::{collections::BTreeMap, io::Write as _, process::Command};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::record::Value;

type Texts = BTreeMap<String, String>;

fn fields<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Fields {
    let entries = entries.into_iter();
    Fields(
        entries
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect(),
    )
}

fn of(texts: &Texts) -> Fields {
    fields(texts.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

fn text(fields: &Fields, format: Format) -> String {
    render(fields, format).unwrap().expose_text().unwrap().to_owned()
}

#[test]
fn each_format_looks_as_people_know_it() {
    let record = fields([("login", "admin"), ("password", "p w"), ("two words", "x")]);
    for (format, expected) in [
        (
            Format::Json,
            "{\n  \"login\": \"admin\",\n  \"password\": \"p w\",\n  \"two words\": \"x\"\n}",
        ),
        (Format::Env, "LOGIN=admin\nPASSWORD='p w'\nTWO_WORDS=x\n"),
        (Format::Properties, "login=admin\npassword=p w\ntwo\\ words=x\n"),
        (Format::Yaml, "login: 'admin'\npassword: 'p w'\ntwo words: 'x'\n"),
        (Format::Ini, "[secret]\nlogin=admin\npassword=p w\ntwo words=x\n"),
    ] {
        let written = text(&record, format);
        match format {
            Format::Yaml => assert_eq!(written.replace(['"', '\''], ""), expected.replace('\'', "")),
            _ => assert_eq!(written, expected),
        }
    }
    assert_eq!(text(&fields([("password", " a\nb")]), Format::Raw), " a\nb");
}

#[test]
fn raw_is_for_one_field() {
    let error = render(&fields([("a", "1"), ("b", "2")]), Format::Raw).unwrap_err();
    assert_eq!(error, RenderError::NotSingle { fields: 2 });
}

#[test]
fn objects_stay_objects_where_the_format_has_them() {
    let host = Fields(BTreeMap::from([(
        "host".to_owned(),
        Value::new(json!({"hostName": "db", "port": 5432})),
    )]));
    for format in [Format::Json, Format::Yaml] {
        let read: Fields = serde_saphyr::from_str(&text(&host, format)).unwrap();
        assert_eq!(read, host);
    }
    assert_eq!(
        text(&host, Format::Env),
        "HOST='{\"hostName\":\"db\",\"port\":5432}'\n"
    );
}

#[test]
fn yaml_keeps_text_that_looks_like_something_else() {
    for value in [
        "yes",
        "no",
        "on",
        "null",
        "~",
        "0123",
        "0x1f",
        "1e3",
        "1_000",
        "12:30",
        "true",
        "",
        "- a",
        "a: b",
        "# no comment",
        "&a",
        "*a",
        "!!str x",
        "%a",
        "@a",
        "`a`",
        "{a}",
        "[a]",
        "---",
        "...",
        "|",
        ">",
        "2001-01-01",
        ".nan",
        "=",
        "<<",
    ] {
        let record = fields([("value", value), (value, "key")]);
        let read: serde_json::Value = serde_saphyr::from_str(&text(&record, Format::Yaml)).unwrap();
        assert_eq!(read, serde_json::to_value(&record).unwrap(), "{value}");
    }
}

#[test]
fn a_line_break_in_a_value_makes_no_second_line() {
    let hostile = fields([("password", "x\nadmin=true\r\n[other]\nroot=1")]);
    assert_eq!(text(&hostile, Format::Properties).lines().count(), 1);
    assert!(text(&hostile, Format::Json).lines().count() == 3);
    for name in ["a\nb", "a\rb", "a=b", "[a", "#a", ";a", "a:b", " a", ""] {
        let named = fields([(name, "x")]);
        assert!(render(&named, Format::Ini).is_err(), "{name:?}");
        assert_eq!(text(&named, Format::Properties).lines().count(), 1, "{name:?}");
    }
    for value in ["a\nb", "a\rb", "a\u{2028}b", " a", "a ", "a\0", "\u{85}"] {
        let error = render(&fields([("password", value)]), Format::Ini)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("field \"password\": ini can't keep"), "{error}");
    }
}

#[test]
fn a_nul_is_refused_where_it_would_end_the_value() {
    let record = fields([("password", "secret\0rest")]);
    assert!(matches!(
        render(&record, Format::Env),
        Err(RenderError::Variable(VariableError::Nul { .. }))
    ));
    assert!(matches!(variables(&record, ""), Err(VariableError::Nul { .. })));
    assert!(render(&record, Format::Ini).is_err());
}

#[test]
fn two_fields_of_one_variable_are_refused() {
    let error = render(&fields([("api key", "1"), ("API-key", "2")]), Format::Env).unwrap_err();
    assert!(
        matches!(error, RenderError::Variable(VariableError::Twice { .. })),
        "{error}"
    );
}

#[test]
fn errors_show_no_value() {
    for value in ["hunter-two\n", "hunter-two\0"] {
        let record = fields([("password", value), ("Password", value)]);
        for format in [Format::Env, Format::Ini, Format::Raw] {
            let error = render(&record, format).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
        }
    }
}

#[test]
fn variables_are_values_to_the_byte() {
    let values = variables(&fields([("a b", "$(HOME) `id` 'x'\n")]), "APP_").unwrap();
    assert_eq!(values["APP_A_B"].expose_text(), Some("$(HOME) `id` 'x'\n"));
}

/// Values that a shell, a kubelet or a parser could take for something else.
const HOSTILE: [&str; 24] = [
    "plain",
    "",
    " ",
    "a b",
    "a'b",
    "a\"b",
    "a\\b",
    "a\\",
    "\\'",
    "$HOME",
    "$(touch /tmp/x)",
    "`touch /tmp/x`",
    "$$",
    "${X:-y}",
    "a\nb=c",
    "a\n",
    "~root",
    "!x",
    "#x",
    "ü€😀",
    "a;b&c|d>e",
    "a'`id`",
    "a'$HOME\\",
    "\\n",
];

#[test]
fn real_shells_read_the_values_that_were_written() {
    for shell in ["sh", "bash"] {
        let values: Vec<String> = HOSTILE.iter().map(|value| (*value).to_owned()).collect();
        assert_eq!(sourced(shell, &values), values, "{shell}");
    }
}

/// Writes values to a file, sources it in a shell, and says what the shell has then.
fn sourced(shell: &str, values: &[String]) -> Vec<String> {
    let named = values
        .iter()
        .enumerate()
        .map(|(n, value)| (format!("V{n}"), Value::from(value.as_str())));
    let file = render(&Fields(named.collect()), Format::Env).unwrap();
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.expose()).unwrap();
    let mut script = ". \"$1\"\n".to_owned();
    for n in 0..values.len() {
        script.push_str(&format!("printf '%s\\0' \"$V{n}\"\n"));
    }
    let output = Command::new(shell)
        .args(["-u", "-e", "-c", &script, shell])
        .arg(on_disk.path())
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}; install it"));
    assert!(
        output.status.success(),
        "{shell}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Reads `NAME=value` lines as Compose does: bare, 'literal', "with escapes".
fn dotenv(text: &str) -> Texts {
    let mut read = Texts::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = match after.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                chars.next();
                loop {
                    match chars.next().expect("a closing quote") {
                        (at, c) if c == quote => break at + 1,
                        (_, '\\') if quote == '"' => match chars.next().expect("an escaped character").1 {
                            '`' => value.push_str("\\`"),
                            c => value.push(c),
                        },
                        (_, c) => value.push(c),
                    }
                }
            }
            _ => {
                let end = after.find('\n').unwrap_or(after.len());
                value.push_str(&after[..end]);
                end
            }
        };
        read.insert(name.to_owned(), value);
        rest = after[end..].strip_prefix('\n').expect("a line's end");
    }
    assert_eq!(rest, "");
    read
}

/// Reads properties as `java.util.Properties.load` is documented to.
fn load_properties(text: &str) -> Texts {
    let mut read = Texts::new();
    for line in text.lines() {
        let mut parts = [Vec::<u16>::new(), Vec::new()];
        let mut part = 0;
        let mut chars = line.trim_start().chars().peekable();
        while let Some(c) = chars.next() {
            let unit = |c: char| u16::try_from(u32::from(c)).expect("ASCII");
            match c {
                '\\' => match chars.next().expect("an escape") {
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        parts[part].push(u16::from_str_radix(&digits, 16).expect("four digits"));
                    }
                    't' => parts[part].push(9),
                    'n' => parts[part].push(10),
                    'r' => parts[part].push(13),
                    'f' => parts[part].push(12),
                    c => parts[part].push(unit(c)),
                },
                '=' | ':' | ' ' if part == 0 => {
                    part = 1;
                    while chars.next_if(|c| *c == ' ').is_some() {}
                }
                c => parts[part].push(unit(c)),
            }
        }
        let [name, value] = parts.map(|units| String::from_utf16(&units).expect("UTF-16"));
        assert!(read.insert(name, value).is_none(), "a name twice");
    }
    read
}

fn values() -> impl Strategy<Value = String> {
    let hostile = prop::collection::vec(
        prop::sample::select(vec![
            "a", " ", "\n", "\r", "\t", "'", "\"", "\\", "$", "`", "$(X)", "=", ":", "#", "!", "ü", "😀",
            "\u{85}", "\u{2028}", "\u{feff}", "\u{1}", "-", "yes", "0",
        ]),
        0..12,
    );
    prop_oneof![hostile.prop_map(|parts| parts.concat()), ".*"]
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        values().prop_filter("a name", |name| !name.is_empty()),
        "[A-Za-z0-9 _.-]{1,10}"
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn json_is_read_as_it_was_written(texts in prop::collection::btree_map(names(), values(), 0..6)) {
        let read: Texts = serde_json::from_str(&text(&of(&texts), Format::Json)).unwrap();
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn yaml_is_read_as_it_was_written(texts in prop::collection::btree_map(names(), values(), 0..6)) {
        let read: Texts = serde_saphyr::from_str(&text(&of(&texts), Format::Yaml)).unwrap();
        prop_assert_eq!(read, texts);
    }

    #[test]
    fn properties_are_read_as_they_were_written(texts in prop::collection::btree_map(names(), values(), 0..6)) {
        let written = text(&of(&texts), Format::Properties);
        prop_assert!(written.is_ascii());
        prop_assert_eq!(load_properties(&written), texts);
    }

    #[test]
    fn env_is_read_as_it_was_written(value in values()) {
        prop_assume!(!value.contains('\0'));
        // Compose has no way to say it.
        prop_assume!(!(value.contains('`') && value.contains(['\'', '\\'])));
        let texts = Texts::from([("A".to_owned(), value), ("B".to_owned(), "end".to_owned())]);
        prop_assert_eq!(dotenv(&text(&of(&texts), Format::Env)), texts);
    }

    #[test]
    fn ini_keeps_its_lines_or_refuses(texts in prop::collection::btree_map(names(), values(), 0..6)) {
        if let Ok(written) = render(&of(&texts), Format::Ini) {
            let written = written.expose_text().unwrap().to_owned();
            let mut lines = written.lines();
            prop_assert_eq!(lines.next(), Some("[secret]"));
            let read: Texts = lines.map(|line| line.split_once('=').unwrap())
                .map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            prop_assert_eq!(read, texts);
        }
    }

    #[test]
    fn no_fields_make_it_panic(texts in prop::collection::btree_map(".*", ".*", 0..6)) {
        for format in Format::ALL {
            let _ = render(&of(&texts), format);
        }
        let _ = variables(&of(&texts), "");
        let _ = kubernetes_data(&of(&texts));
    }
}

proptest! {
    // Each is a process.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_shell_reads_whatever_was_written(values in prop::collection::vec(values(), 1..20)) {
        let values: Vec<String> = values.iter().map(|value| value.replace('\0', "")).collect();
        prop_assert_eq!(sourced("sh", &values), values);
    }
}
