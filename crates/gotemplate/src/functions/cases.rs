//! Upper and lower case, and names in the styles of programs.

use super::{Arguments, Function, Type::Text};
use crate::{
    error::Outcome,
    run::Run,
    unicode::{
        chars, is_digit, is_letter, is_lower, is_number, is_punctuation, is_title, is_upper, mapped, push,
        to_lower, to_title, to_upper,
    },
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("upper", &[Text], |run, a| run.text(mapped(a.text(0), to_upper))),
    Function::new("lower", &[Text], |run, a| run.text(mapped(a.text(0), to_lower))),
    Function::new("title", &[Text], title),
    Function::new("untitle", &[Text], untitle),
    Function::new("swapcase", &[Text], swapcase),
    Function::new("snakecase", &[Text], |run, a| {
        let text: Vec<char> = chars(a.text(0)).map(|(c, _)| c).collect();
        run.text(words(&text, '_'))
    }),
    Function::new("kebabcase", &[Text], |run, a| {
        let text: Vec<char> = chars(a.text(0)).map(|(c, _)| c).collect();
        run.text(words(&text, '-'))
    }),
    Function::new("camelcase", &[Text], |run, a| {
        let text: Vec<char> = chars(a.text(0)).map(|(c, _)| c).collect();
        run.text(camelcase(&text))
    }),
];

fn title(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut before = ' ';
    run.text(mapped(a.text(0), |c| {
        let separated = match before {
            '_' => false,
            b if b.is_ascii() => !b.is_ascii_alphanumeric(),
            b => !is_letter(b) && !is_digit(b) && b.is_whitespace(),
        };
        before = c;
        if separated { to_title(c) } else { c }
    }))
}

fn untitle(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut first = true;
    run.text(mapped(a.text(0), |c| {
        if c.is_whitespace() {
            first = true;
            c
        } else if std::mem::take(&mut first) {
            to_lower(c)
        } else {
            c
        }
    }))
}

fn swapcase(run: &mut Run, a: Arguments<'_>) -> Outcome<Value> {
    let mut after_space = true;
    run.text(mapped(a.text(0), |c| {
        if is_upper(c) || is_title(c) {
            after_space = false;
            to_lower(c)
        } else if is_lower(c) {
            match std::mem::take(&mut after_space) {
                true => to_title(c),
                false => to_upper(c),
            }
        } else {
            after_space = c.is_whitespace();
            c
        }
    }))
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// Words are joined without connectors, each with a capital.
fn camelcase(text: &[char]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = text
        .iter()
        .position(|&c| !is_connector(c))
        .unwrap_or(text.len().saturating_sub(1));
    let (leading, rest) = text.split_at(start);
    leading.iter().for_each(|&c| push(&mut out, c));
    let Some((&first, rest)) = rest.split_first() else {
        return out;
    };
    if is_connector(first) {
        // Nothing but connectors: the last one is there twice, in the library below Sprig.
        push(&mut out, first);
        push(&mut out, first);
        return out;
    }
    let mut capital = is_upper(first);
    let mut current = to_upper(first);
    for &next in rest {
        let before = std::mem::replace(&mut current, next);
        if is_connector(next) && is_connector(before) {
            push(&mut out, before);
            continue;
        }
        if is_connector(before) {
            capital = is_upper(next);
            current = to_upper(next);
        } else {
            if capital {
                match is_upper(next) {
                    true => current = to_lower(next),
                    false => capital = false,
                }
            }
            push(&mut out, before);
        }
    }
    push(&mut out, current);
    out
}

/// What a run of characters is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Nothing,
    Number,
    Upper,
    Letters,
    Connector,
    Punctuation,
    Other,
}

/// A letter, but for Chinese characters.
fn is_alphabetic(c: char) -> bool {
    is_letter(c)
        && !matches!(c, '\u{3400}'..='\u{4d85}' | '\u{4e00}'..='\u{9fcc}' | '\u{20000}'..='\u{2b81d}')
}

fn is_small_letter(c: char) -> bool {
    !is_upper(c) && is_alphabetic(c)
}

/// The word that a text begins with, and its length.
fn next_word(text: &[char]) -> (Word, usize) {
    let Some(&first) = text.first() else {
        return (Word::Nothing, 0);
    };
    let run = |from: usize, belongs: &dyn Fn(char) -> bool| {
        from + text[from..].iter().take_while(|&&c| belongs(c)).count()
    };
    match first {
        char::REPLACEMENT_CHARACTER => (Word::Nothing, 1),
        c if is_connector(c) => (Word::Connector, run(1, &is_connector)),
        c if is_punctuation(c) => (Word::Punctuation, run(1, &is_punctuation)),
        c if is_upper(c) => match text.get(1) {
            Some(&second) if is_upper(second) => {
                let length = run(1, &is_upper);
                // The last capital begins the next word if small letters follow.
                let steps_back = text.get(length).is_some_and(|&c| is_alphabetic(c));
                (Word::Upper, length - usize::from(steps_back))
            }
            Some(&second) if is_alphabetic(second) => (Word::Upper, run(1, &is_small_letter)),
            _ => (Word::Upper, 1),
        },
        c if is_alphabetic(c) => (Word::Letters, run(1, &is_small_letter)),
        c if is_number(c) => (Word::Number, run(1, &is_number)),
        _ => {
            let other = |c: char| !(is_connector(c) || is_alphabetic(c) || is_number(c) || is_punctuation(c));
            (Word::Other, run(1, &other))
        }
    }
}

/// Reads a text word by word.
struct Words<'t> {
    kind: Word,
    word: &'t [char],
    rest: &'t [char],
}

impl Words<'_> {
    fn advance(&mut self) {
        let (kind, length) = next_word(self.rest);
        let (word, rest) = self.rest.split_at(length);
        (self.kind, self.word, self.rest) = (kind, word, rest);
    }

    /// Writes the word in small letters.
    fn write(&self, out: &mut Vec<u8>, connector: char) {
        write(out, self.kind, self.word, connector);
    }

    /// Writes what follows digits without a break.
    fn write_attached(&mut self, out: &mut Vec<u8>, connector: char) {
        while matches!(self.kind, Word::Letters | Word::Number) {
            self.write(out, connector);
            self.advance();
        }
    }

    fn separates(&self) -> bool {
        matches!(self.kind, Word::Connector | Word::Punctuation)
    }
}

fn write(out: &mut Vec<u8>, kind: Word, word: &[char], connector: char) {
    for &c in word {
        let c = match kind {
            Word::Upper | Word::Connector if is_connector(c) => connector,
            Word::Upper | Word::Connector if is_upper(c) => to_lower(c),
            _ => c,
        };
        push(out, c);
    }
}

/// Small words with a connector between them.
fn words(text: &[char], connector: char) -> Vec<u8> {
    let mut out = Vec::new();
    if text.is_empty() {
        return out;
    }
    let mut words = Words {
        kind: Word::Nothing,
        word: &[],
        rest: text,
    };
    words.advance();
    while !words.rest.is_empty() {
        let (before, last) = (words.kind, words.word);
        if before != Word::Connector {
            words.write(&mut out, connector);
        }
        words.advance();
        match before {
            Word::Number => {
                words.write_attached(&mut out, connector);
                if words.kind != Word::Nothing && !words.separates() {
                    push(&mut out, connector);
                }
            }
            Word::Connector => write(&mut out, before, last, connector),
            Word::Punctuation => {}
            _ if words.kind != Word::Number => {
                if !words.separates() {
                    push(&mut out, connector);
                }
            }
            _ if words.rest.is_empty() => {}
            _ => {
                let number = words.word;
                words.advance();
                if words.kind != Word::Letters {
                    write(&mut out, Word::Number, number, connector);
                    if !words.separates() {
                        push(&mut out, connector);
                    }
                    continue;
                }
                push(&mut out, connector);
                write(&mut out, Word::Number, number, connector);
                words.write_attached(&mut out, connector);
                if words.kind != Word::Nothing && !words.separates() {
                    push(&mut out, connector);
                }
            }
        }
    }
    words.write(&mut out, connector);
    out
}
