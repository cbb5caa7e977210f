//! The estimate against a real vocabulary.

use mk8s_mcp_core::render::estimate;

use crate::planted::bytes;

fn samples() -> Vec<(&'static str, String)> {
    let random = bytes(5, 3000);
    let pods: String = (0..60)
        .map(|n| {
            format!(
                "shop/web-{:x}-{} | 1/1 | Running | {n} | {n}d | ip-10-0-3-{n}.eu-west-1.compute.internal\n",
                0x7d9c_8b6f_u32.wrapping_mul(n + 3),
                "x2x7k"
            )
        })
        .collect();
    let yaml = "kind: Pod\nmetadata:\n  name: web-7d9c8b6f5d-x2x7k\n  labels: {app.kubernetes.io/name: web, app.kubernetes.io/part-of: shop}\nspec:\n  containers:\n    - name: app\n      image: registry.example.com/team/web:v1.2.3\n      resources:\n        limits: {cpu: 500m, memory: 256Mi}\n".repeat(10);
    let logs: String = (0..60).map(|n| format!("2026-11-22T10:{n:02}:00.123456789Z level=error msg=\"dial tcp 10.0.0.{n}:5432: connect: connection refused\" attempt={n}\n")).collect();
    let json = "{\"level\":\"info\",\"ts\":1763779560.123,\"logger\":\"controller\",\"msg\":\"Reconciling\",\"object\":{\"name\":\"web\",\"namespace\":\"shop\"}}\n".repeat(30);
    let prose = "The pod can't be scheduled because no node has enough memory; ask for less of it, or add another node to the cluster. ".repeat(20);
    use base64::Engine as _;
    vec![
        ("pods", pods),
        ("yaml", yaml),
        ("logs", logs),
        ("json", json),
        ("prose", prose),
        (
            "hexadecimal",
            random.iter().map(|byte| format!("{byte:02x}")).collect(),
        ),
        (
            "base64",
            base64::engine::general_purpose::STANDARD.encode(&random),
        ),
        (
            "chinese",
            "集群中的节点没有足够的内存,无法调度该容器组。请减少请求或添加节点。".repeat(20),
        ),
        (
            "russian",
            "Под не может быть запланирован, потому что ни на одном узле недостаточно памяти. ".repeat(20),
        ),
        ("emoji", "🚀✅❌🔥👩\u{200d}💻".repeat(40)),
        (
            "signs",
            random
                .iter()
                .map(|byte| char::from(b"!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"[usize::from(byte % 31)]))
                .collect(),
        ),
        (
            "letters",
            random.iter().map(|byte| char::from(b'a' + byte % 26)).collect(),
        ),
        (
            "upper",
            random.iter().map(|byte| char::from(b'A' + byte % 26)).collect(),
        ),
        ("blanks", "a\n        b\n\t\tc\n\n\n".repeat(50)),
    ]
}

#[test]
fn the_estimate_is_never_below_what_a_vocabulary_counts_and_not_far_above() {
    let vocabulary = tiktoken_rs::o200k_base().unwrap();
    let mut report = String::new();
    for (name, text) in samples() {
        let (real, estimated) = (vocabulary.encode_ordinary(&text).len(), estimate(&text));
        report.push_str(&format!(
            "{name}: {real} real, {estimated} estimated ({:.2})\n",
            estimated as f64 / real as f64
        ));
    }
    println!("{report}");
    for line in report.lines() {
        let ratio: f64 = line
            .rsplit('(')
            .next()
            .unwrap()
            .trim_end_matches(')')
            .parse()
            .unwrap();
        assert!((1.0..2.8).contains(&ratio), "{report}");
    }
}

#[test]
fn lines_add_up() {
    for (_, text) in samples() {
        let sum: usize = text.split('\n').map(|line| estimate(line) + 1).sum();
        assert!(estimate(&text) <= sum);
    }
}
