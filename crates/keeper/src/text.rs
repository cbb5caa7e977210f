//! Text from elsewhere, made fit for a line of a log.

/// The longest text of the server's that is passed on, in characters.
const LONGEST: usize = 200;

/// One line without control or invisible characters, cut where it gets long.
pub(crate) fn plain(text: &str) -> String {
    let is_visible = |c: char| !c.is_control() && !is_format(c);
    let visible: String = text
        .chars()
        .map(|c| if is_visible(c) { c } else { ' ' })
        .take(4 * LONGEST)
        .collect();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

/// Characters that change how others are shown: directions, joiners, separators of lines.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_lines_become_one() {
        assert_eq!(
            plain("a\r\nlevel=error\tb\u{1b}[31m\u{202e}c"),
            "a level=error b [31m c"
        );
    }

    #[test]
    fn long_text_is_cut() {
        let cut = plain(&"ä".repeat(100_000));
        assert_eq!(cut.chars().count(), LONGEST + 1);
        assert!(cut.ends_with('…'));
        assert_eq!(plain(&"x".repeat(LONGEST)).len(), LONGEST);
    }
}
