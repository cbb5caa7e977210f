//! A file cut into its documents, each with the text as it was written.

use crate::{
    error::{Failure, Result},
    manifest::{Node, Source},
    output::plain,
};

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Yaml,
    Json,
}

/// A document, with what stands around it.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Every byte, document markers and comments included.
    pub(crate) text: String,
    /// The line of the file where the document's content begins.
    pub(crate) line: usize,
    pub(crate) format: Format,
    /// What it says; nothing if there are only comments.
    pub(crate) content: Option<Node>,
}

/// Cuts a file into its documents and reads them.
pub(crate) fn split(source: &Source) -> Result<Vec<Chunk>> {
    let looks_like_json = source.text.trim_start().starts_with('{');
    let json = looks_like_json.then(|| json(source));
    match json {
        Some(Ok(chunks)) => Ok(chunks),
        // YAML's flow mappings begin so too.
        Some(Err(failure)) => yaml(source).map_err(|_| failure),
        None => yaml(source),
    }
}

fn json(source: &Source) -> Result<Vec<Chunk>> {
    let text = &source.text;
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Node>();
    let mut chunks = Vec::new();
    let mut start = 0;
    while let Some(document) = documents.next() {
        let content = document.map_err(|error| {
            let number = chunks.len() + 1;
            let why = error.to_string();
            let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
            Failure::new(format!(
                "{}:{}: document {number}: {}",
                source.name,
                error.line(),
                plain(why)
            ))
        })?;
        let end = documents.byte_offset();
        let line = line_at(
            text,
            start + text[start..end].len() - text[start..end].trim_start().len(),
        );
        chunks.push(Chunk {
            text: text[start..end].trim().to_owned() + "\n",
            line,
            format: Format::Json,
            content: Some(content),
        });
        start = end;
    }
    Ok(chunks)
}

/// The number of the line at this byte.
fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn yaml(source: &Source) -> Result<Vec<Chunk>> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for (line, text) in cut(&source.text) {
        let content_line = text.lines().position(is_content);
        let content = match content_line {
            None => None,
            Some(_) => Some(parse(text).map_err(|(at, why)| {
                let number = chunks.iter().filter(|chunk| chunk.content.is_some()).count() + 1;
                let at = line - 1 + at.clamp(1, text.lines().count().max(1));
                Failure::new(format!(
                    "{}:{at}: document {number}: {}",
                    source.name,
                    plain(&why)
                ))
            })?),
        };
        let line = line + content_line.unwrap_or(0);
        chunks.push(Chunk {
            text: text.to_owned(),
            line,
            format: Format::Yaml,
            content,
        });
    }
    Ok(chunks)
}

/// Reads one YAML document; an error has the line within it.
pub(super) fn parse(text: &str) -> Result<Node, (usize, String)> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        // The file's size is bound; this bounds what aliases make of it. A List of a whole cluster's pods has many nodes.
        budget: serde_saphyr::budget! { max_events: 20_000_000, max_nodes: 20_000_000, max_depth: 128 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error
            .location()
            .map_or(1, |location| usize::try_from(location.line()).unwrap_or(1));
        let why = error.without_snippet().to_string();
        let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
        (line, why.to_owned())
    })
}

/// The documents' texts with the lines where they begin. A line of `---` begins one, whatever is around it (YAML 1.2, 9.1.2);
/// what only comments stand before belongs to it.
fn cut(text: &str) -> Vec<(usize, &str)> {
    let mut cuts = vec![(1, 0)];
    let (mut has_begun, mut has_ended, mut at) = (false, false, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let begins = is_marker(line, "---");
        if (begins && has_begun) || (has_ended && (begins || is_content(line))) {
            cuts.push((index + 1, at));
            has_ended = false;
            has_begun = false;
        }
        has_begun |= begins || is_content(line);
        has_ended |= is_marker(line, "...");
        at += line.len();
    }
    let ends = cuts.iter().skip(1).map(|&(_, at)| at).chain([text.len()]);
    cuts.iter()
        .zip(ends)
        .map(|(&(line, start), end)| (line, &text[start..end]))
        .collect()
}

/// Whether a line is this marker, alone or with something behind it.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line says something, behind a marker or without one.
fn is_content(line: &str) -> bool {
    if is_marker(line, "...") || line.starts_with('%') {
        return false;
    }
    let line = if is_marker(line, "---") { &line[3..] } else { line };
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(usize, &str)> {
        cut(text)
    }

    #[test]
    fn documents_are_cut_at_their_markers() {
        assert_eq!(texts("a: 1\n"), [(1, "a: 1\n")]);
        assert_eq!(
            texts("# x\n---\na: 1\n---\nb: 2"),
            [(1, "# x\n---\na: 1\n"), (4, "---\nb: 2")]
        );
        assert_eq!(texts("%YAML 1.2\n---\na: 1\n"), [(1, "%YAML 1.2\n---\na: 1\n")]);
        assert_eq!(
            texts("---\n# x\n---\na: 1\n"),
            [(1, "---\n# x\n"), (3, "---\na: 1\n")]
        );
        assert_eq!(
            texts("--- {a: 1}\n--- # b\nb: 2\n"),
            [(1, "--- {a: 1}\n"), (2, "--- # b\nb: 2\n")]
        );
        assert_eq!(
            texts("a: 1\n...\n# x\nb: 2\n"),
            [(1, "a: 1\n...\n# x\n"), (4, "b: 2\n")]
        );
        assert_eq!(
            texts("a: |\n  ---\n  x\n----\n"),
            [(1, "a: |\n  ---\n  x\n----\n")]
        );
        assert_eq!(
            texts("a: 1\r\n---\r\nb: 2\r\n"),
            [(1, "a: 1\r\n"), (2, "---\r\nb: 2\r\n")]
        );
    }
}
