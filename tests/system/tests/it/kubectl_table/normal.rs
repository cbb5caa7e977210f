//! Taking out of a transcript what differs from one time to the next.

use std::sync::LazyLock;

use regex::Regex;

/// The text with what is never twice the same put in general words.
pub(super) fn normal(text: &str, namespace: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
            (
                r"\b(Sun|Mon|Tue|Wed|Thu|Fri|Sat), \d\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}",
                "TIME",
            ),
            (
                r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",
                "UID",
            ),
            (r"\b[0-9a-f]{64}\b", "DIGEST"),
            // What kubectl logs about itself, which depends on what comes first.
            (r"(?m)^[EIW]\d{4} \d\d:\d\d:\d\d\.\d+ .*\n?", ""),
            (r#"("?resourceVersion"?: ?)"?\d+"?"#, "${1}VERSION"),
            (r#"(k8s\.io/initial-events-end"?: ?)"#, "$1"),
            (r"\b10\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", "ADDRESS"),
            (r"\b127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            // Ages, alone in a column or behind "Age:".
            (r"(^|\s)(\d+d)?(\d+h)?(\d+m)?\d+(\.\d+)?s\b", "${1}AGE"),
            (r"(^|\s)\d+m(\d+s)?(\s|$)", "${1}AGE$3"),
            // The random ends of names that controllers give.
            (
                r"\b(web|deployment)-[0-9a-f]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}\b",
                "$1-POD",
            ),
            (r"\b(web|deployment)-[0-9a-f]{8,10}\b", "$1-SET"),
            (r"\b(generated|debugger)-[a-z0-9]{5}\b", "$1-NAME"),
            (r#"(pod-template-hash"?[:=] ?"?)[0-9a-f]+"#, "${1}HASH"),
            (r"(kube-api-access-)[a-z0-9]{5}", "${1}NAME"),
            (r"\.[0-9a-f]{16}\b", ".EVENT"),
            // Columns are as wide as what is in them.
            (r" {2,}", "  "),
            (r"(?m)\s+$", ""),
        ];
        let compiled = rules.map(|(pattern, with)| (Regex::new(pattern).expect("a pattern"), with));
        compiled.into()
    });
    let mut text = text.replace(namespace, "NAMESPACE");
    for (pattern, with) in RULES.iter() {
        text = pattern.replace_all(&text, *with).into_owned();
    }
    text
}

#[test]
fn what_differs_by_chance_is_taken_out_and_nothing_else() {
    let rows = [
        (
            "pod/x   1/1   Running   0   12s   10.192.3.4",
            "pod/x  1/1  Running  0  AGE  ADDRESS",
        ),
        (r#""resourceVersion": "4711","#, r#""resourceVersion": VERSION,"#),
        ("in t-1-2 at 2026-01-02T03:04:05Z", "in NAMESPACE at TIME"),
        ("web-6d4cf56db6-x2j4k and web-6d4cf56db6", "web-POD and web-SET"),
        ("42 lines in 3 files", "42 lines in 3 files"),
    ];
    for (text, expected) in rows {
        assert_eq!(normal(text, "t-1-2"), expected);
    }
}
