//! Names of people, servers and Services as names of files and of objects in a cluster.

use crate::{
    error::{Failure, Result},
    output::plain,
};

/// The longest name of a file, without its ending.
const LONGEST_STEM: usize = 100;

/// A file name (without ending) for whoever has this name: letters, digits and a few signs stay.
pub(crate) fn file_stem(name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.@".contains(c) {
            c
        } else {
            '_'
        }
    };
    let stem: String = name.chars().take(LONGEST_STEM).map(kept).collect();
    // Neither hidden, nor an option of a command.
    match stem.strip_prefix(['.', '-']) {
        Some(rest) => format!("_{rest}"),
        None => stem,
    }
}

/// Whether this is a DNS-1123 label, as names of Services and namespaces are.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is labels with dots between, as names of Secrets are.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// All names that a Service (`NAME.NAMESPACE`) has within a cluster.
pub(crate) fn service_names(service: &str) -> Result<Vec<String>> {
    match service.split_once('.') {
        Some((name, namespace)) if is_label(name) && is_label(namespace) => Ok(vec![
            name.to_owned(),
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.cluster.local"),
        ]),
        _ => Err(Failure::usage(format!("{:?} is no Service", plain(service)))
            .hint("give its name and namespace, as in --service front-proxy.mk8s")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_the_directory_as_a_file() {
        for (name, stem) in [
            ("jane@example.com", "jane@example.com"),
            ("../../etc/passwd", "_./.._etc_passwd"),
            ("a/b c,d", "a_b_c_d"),
            (".ssh", "_ssh"),
            ("-rf", "_rf"),
            ("é", "_"),
        ] {
            let stem = stem.replace('/', "_");
            assert_eq!(file_stem(name), stem, "{name}");
        }
        assert_eq!(file_stem(&"x".repeat(500)).len(), LONGEST_STEM);
    }

    #[test]
    fn a_service_has_four_names() {
        let names = service_names("proxy.mk8s").expect("names");
        let all = [
            "proxy",
            "proxy.mk8s",
            "proxy.mk8s.svc",
            "proxy.mk8s.svc.cluster.local",
        ];
        assert_eq!(names, all);
        for bad in [
            "",
            "proxy",
            "proxy.",
            ".mk8s",
            "proxy.mk8s.svc",
            "Proxy.mk8s",
            "a_b.c",
        ] {
            assert!(service_names(bad).is_err(), "{bad}");
        }
    }
}
