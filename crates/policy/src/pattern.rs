//! Patterns: `*` stands for any run of characters.

/// A pattern, taken apart once so that matching takes time linear in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// `*`
    Any,
    /// No `*` in it.
    Exact(Box<str>),
    /// `head*…*middle*…*tail`.
    Parts {
        /// What the text begins with.
        head: Box<str>,
        /// What follows somewhere, in this order.
        middle: Box<[Box<str>]>,
        /// What the text ends with.
        tail: Box<str>,
    },
}

impl Pattern {
    /// Takes a pattern apart. Every text is one.
    pub fn new(text: &str) -> Self {
        let Some((head, rest)) = text.split_once('*') else {
            return Self::Exact(text.into());
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        let middle: Box<[Box<str>]> = middle
            .split('*')
            .filter(|p| !p.is_empty())
            .map(Box::from)
            .collect();
        if head.is_empty() && tail.is_empty() && middle.is_empty() {
            return Self::Any;
        }
        Self::Parts {
            head: head.into(),
            middle,
            tail: tail.into(),
        }
    }

    /// Whether it is a pattern for that text, from beginning to end.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Parts { head, middle, tail } => {
                let Some(text) = text.strip_prefix(&**head) else {
                    return false;
                };
                let Some(mut text) = text.strip_suffix(&**tail) else {
                    return false;
                };
                // The leftmost place for each part leaves the most room for the next.
                for part in middle {
                    let Some(at) = text.find(&**part) else {
                        return false;
                    };
                    text = &text[at + part.len()..];
                }
                true
            }
        }
    }

    /// Whether it is one name, written out.
    pub(crate) fn is_exactly(&self, name: &str) -> bool {
        matches!(self, Self::Exact(exact) if **exact == *name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters() {
        let rows = [
            ("*", "", true),
            ("*", "anything", true),
            ("**", "anything", true),
            ("", "", true),
            ("", "x", false),
            ("dev-*", "dev-", true),
            ("dev-*", "dev-eu-1", true),
            ("dev-*", "xdev-eu", false),
            ("dev-*", "dev", false),
            ("*-prod", "eu-prod", true),
            ("*-prod", "prod", false),
            ("*-prod", "eu-prod-1", false),
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "a", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*bc*bc*d", "abcbcd", true),
            ("a*bc*bc*d", "abcd", false),
            ("*é*", "café au lait", true),
            ("a.b", "axb", false),
            ("a?", "ab", false),
            ("[ab]", "a", false),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    /// The definition, in exponential time.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            ([p, pattern @ ..], [t, text @ ..]) if p == t => naive(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matches_as_defined(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn takes_any_text(pattern in ".{0,12}", text in ".{0,12}") {
            Pattern::new(&pattern).matches(&text);
            prop_assert!(Pattern::new(&text.replace('*', "")).matches(&text.replace('*', "")));
        }
    }
}
