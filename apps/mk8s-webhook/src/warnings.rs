//! Warnings in the size that Kubernetes passes on.

/// The longest single one that the API server passes on whole, in characters
/// (`k8s.io/apiserver/pkg/endpoints/filters/warning.go`).
const LONGEST: usize = 256;
/// All of an answer's together, as there.
const ALL: usize = 4096;
/// Where one that is too long goes on in the next.
const CONTINUED: &str = "… ";

/// Each on one line and short enough: longer ones are split between words, and what is beyond all bounds is left out,
/// which the last one says.
pub(crate) fn fitted(warnings: &[String]) -> Vec<String> {
    let mut pieces: Vec<String> = warnings.iter().flat_map(|warning| split(warning)).collect();
    let mut characters = 0;
    let fitting = pieces
        .iter()
        .take_while(|piece| {
            characters += piece.chars().count();
            characters <= ALL - LONGEST
        })
        .count();
    let left_out = pieces.len() - fitting;
    if left_out > 0 {
        pieces.truncate(fitting);
        pieces.push(format!(
            "… and {left_out} more warnings: `mk8s inject --check` shows all of them"
        ));
    }
    pieces
}

fn split(warning: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut length = 0;
    // A warning is an HTTP header's value: one line, and nothing that controls.
    let words = warning.split(|c: char| c.is_whitespace() || c.is_control());
    for word in words.filter(|word| !word.is_empty()) {
        for part in parts(word) {
            let more = part.chars().count();
            if length > 0 && length + 1 + more > LONGEST {
                pieces.push(std::mem::replace(&mut piece, CONTINUED.to_owned()));
                length = CONTINUED.chars().count();
            } else if length > 0 {
                piece.push(' ');
                length += 1;
            }
            piece.push_str(&part);
            length += more;
        }
    }
    if length > 0 {
        pieces.push(piece);
    }
    pieces
}

/// A word that fits on no line by itself is cut.
fn parts(word: &str) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    characters
        .chunks(LONGEST - CONTINUED.chars().count() - 1)
        .map(|part| part.iter().collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_warning_is_left_as_it_is() {
        assert_eq!(
            fitted(&["mind the gap".to_owned(), "and this".to_owned()]),
            ["mind the gap", "and this"]
        );
        assert_eq!(fitted(&["two\nlines\u{0}".to_owned()]), ["two lines"]);
        assert!(fitted(&[" \n".to_owned()]).is_empty());
    }

    #[test]
    fn a_long_one_is_split_between_words_and_nothing_is_lost() {
        let text = "wörter ".repeat(100);
        let pieces = fitted(std::slice::from_ref(&text));
        assert!(
            pieces.len() > 1 && pieces.iter().all(|p| p.chars().count() <= LONGEST),
            "{pieces:?}"
        );
        let joined = pieces.join(" ").replace("… ", "");
        let words: Vec<_> = joined.split_whitespace().collect();
        assert_eq!(words, text.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn a_word_without_end_is_cut() {
        let pieces = fitted(&["x".repeat(1000)]);
        assert!(pieces.iter().all(|p| p.chars().count() <= LONGEST), "{pieces:?}");
        assert_eq!(pieces.concat().matches('x').count(), 1000);
    }

    #[test]
    fn too_many_end_with_how_many_there_are_more() {
        let many = vec!["a warning of some length, to fill the room that there is".to_owned(); 200];
        let pieces = fitted(&many);
        let characters: usize = pieces.iter().map(|p| p.chars().count()).sum();
        assert!(characters <= ALL, "{characters}");
        let more = format!("{} more", 200 - (pieces.len() - 1));
        assert!(pieces.last().is_some_and(|last| last.contains(&more)));
    }
}
