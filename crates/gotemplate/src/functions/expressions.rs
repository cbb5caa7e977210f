//! Regular expressions: from Go's syntax to the `regex` crate's.
//!
//! Both are RE2's children, but they differ: Go's `\d`, `\w`, `\s` and `\b` are ASCII's; its classes have no operators
//! and no classes in them; it takes a `{` that repeats nothing as it is; it has `\Q…\E` and octal escapes; and it
//! refuses what the crate has on top.

/// The expression in the crate's syntax, or why it isn't one.
pub(super) fn translate(expression: &str) -> Result<String, &'static str> {
    let mut translator = Translator {
        rest: expression,
        out: String::with_capacity(expression.len() * 2),
        repeatable: false,
        repeated: false,
        names: Vec::new(),
    };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'s> {
    rest: &'s str,
    out: String,
    /// Is there something that a repetition can be of?
    repeatable: bool,
    /// Was there a repetition just now? Go doesn't repeat those.
    repeated: bool,
    /// The groups' names so far.
    names: Vec<String>,
}

const LARGEST_REPEAT: u32 = 1000;
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];
const BAD_ESCAPE: &str =
    "the regular expression has an escape that Go doesn't know: double the backslash, or remove it";
const BAD_REPEAT: &str =
    "the regular expression repeats nothing, or what repeats already: remove one of * + ? {}";

type Done = Result<(), &'static str>;

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn accept(&mut self, start: &str) -> bool {
        match self.rest.strip_prefix(start) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Something that may be repeated.
    fn atom(&mut self, written: &str) {
        self.out.push_str(written);
        self.repeatable = true;
        self.repeated = false;
    }

    fn literal(&mut self, c: char) {
        let escaped = regex::escape(c.encode_utf8(&mut [0; 4]));
        self.atom(&escaped);
    }

    fn run(&mut self) -> Done {
        while let Some(c) = self.next() {
            match c {
                '*' | '+' | '?' => {
                    self.repeat(c.encode_utf8(&mut [0; 4]))?;
                }
                '{' => match self.counts() {
                    Some(counts) => self.repeat(&counts?)?,
                    None => self.literal('{'),
                },
                '(' => self.group()?,
                '|' => {
                    self.out.push('|');
                    (self.repeatable, self.repeated) = (false, false);
                }
                ')' | '.' | '^' | '$' => {
                    self.atom(c.encode_utf8(&mut [0; 4]));
                }
                '[' => {
                    let class = self.class()?;
                    self.atom(&class);
                }
                '\\' => self.escape()?,
                c => self.literal(c),
            }
        }
        Ok(())
    }

    fn repeat(&mut self, written: &str) -> Done {
        if !self.repeatable || self.repeated {
            return Err(BAD_REPEAT);
        }
        self.out.push_str(written);
        if self.accept("?") {
            self.out.push('?');
        }
        self.repeated = true;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`, after the brace; anything else is text.
    fn counts(&mut self) -> Option<Result<String, &'static str>> {
        let (inside, rest) = self.rest.split_once('}')?;
        let (least, most) = match inside.split_once(',') {
            None => (inside, Some(inside)),
            Some((least, "")) => (least, None),
            Some((least, most)) => (least, Some(most)),
        };
        let number = |text: &str| {
            let fine = text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
            let leading = text.len() > 1 && text.starts_with('0');
            (fine && !leading).then(|| text.parse::<u32>().unwrap_or(u32::MAX))
        };
        let least = number(least)?;
        let most = match most {
            Some(most) => Some(number(most)?),
            None => None,
        };
        self.rest = rest;
        if least.max(most.unwrap_or(0)) > LARGEST_REPEAT || most.is_some_and(|most| most < least) {
            return Some(Err(
                "the regular expression repeats more than 1000 times, or the wrong way round",
            ));
        }
        Some(Ok(format!("{{{inside}}}")))
    }

    /// After a left parenthesis.
    fn group(&mut self) -> Done {
        (self.repeatable, self.repeated) = (false, false);
        if !self.rest.starts_with('?') {
            self.out.push('(');
            return Ok(());
        }
        const BAD: &str = "the regular expression has a group that Go doesn't know: groups are (…), (?:…), (?P<name>…) and (?flags)";
        if let Some(named) = self
            .rest
            .strip_prefix("?P<")
            .or_else(|| self.rest.strip_prefix("?<"))
        {
            let (name, rest) = named.split_once('>').ok_or(BAD)?;
            let fine = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(fine) {
                return Err(BAD);
            }
            // The crate's names don't begin with digits; Go's do.
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("the regular expression names a group with a digit first: put a letter there");
            }
            match self.names.iter().any(|known| known == name) {
                // Go's groups may share a name; the first one has it here.
                true => self.out.push('('),
                false => self.out.push_str(&format!("(?P<{name}>")),
            }
            self.names.push(name.to_owned());
            self.rest = rest;
            return Ok(());
        }
        let end = self.rest.find([':', ')']).ok_or(BAD)?;
        let (flags, rest) = self.rest[1..].split_at(end - 1);
        let colon = rest.starts_with(':');
        let (on, off) = flags.split_once('-').unwrap_or((flags, ""));
        let known = |flags: &str| flags.chars().all(|c| "imsU".contains(c));
        let needs_off = flags.contains('-') && off.is_empty();
        if !known(on) || !known(off) || needs_off || flags.is_empty() && !colon {
            return Err(BAD);
        }
        self.rest = &rest[1..];
        let mut on: Vec<char> = on.chars().collect();
        on.sort_unstable();
        on.dedup();
        let off: String = {
            let mut off: Vec<char> = off.chars().collect();
            off.sort_unstable();
            off.dedup();
            off.into_iter().collect()
        };
        // What is switched off is off, even if it's switched on before that.
        let on: String = on.into_iter().filter(|c| !off.contains(*c)).collect();
        self.out.push_str("(?");
        self.out.push_str(&on);
        if !off.is_empty() {
            self.out.push('-');
            self.out.push_str(&off);
        }
        self.out.push_str(&rest[..1]);
        Ok(())
    }

    /// After a backslash, outside of classes.
    fn escape(&mut self) -> Done {
        if self.accept("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            quoted.chars().for_each(|c| self.literal(c));
            return Ok(());
        }
        if let Some(class) = self.perl_class() {
            self.atom(&format!("[{class}]"));
            return Ok(());
        }
        match self.rest.chars().next() {
            Some('A') => self.atom("\\A"),
            Some('z') => self.atom("\\z"),
            Some('b') => self.atom("(?-u:\\b)"),
            Some('B') => self.atom("(?-u:\\B)"),
            Some('p' | 'P') => {
                let class = self.property()?;
                self.atom(&class);
                return Ok(());
            }
            _ => {
                let c = self.character()?;
                self.literal(c);
                return Ok(());
            }
        }
        self.next();
        Ok(())
    }

    /// `\d` and the like, after the backslash: what is within brackets.
    fn perl_class(&mut self) -> Option<&'static str> {
        let class = match self.rest.chars().next()? {
            'd' => "0-9",
            'D' => "^0-9",
            's' => "\\t\\n\\x0C\\r\\x20",
            'S' => "^\\t\\n\\x0C\\r\\x20",
            'w' => "0-9A-Za-z_",
            'W' => "^0-9A-Za-z_",
            _ => return None,
        };
        self.next();
        Some(class)
    }

    /// `pL`, `p{Greek}` or `P…`, after the backslash.
    fn property(&mut self) -> Result<String, &'static str> {
        const BAD: &str =
            "the regular expression has a class of characters that isn't known: check what is after \\p";
        let mut negated = self.next() == Some('P');
        let name = match self.next().ok_or(BAD)? {
            '{' => {
                let (name, rest) = self.rest.split_once('}').ok_or(BAD)?;
                self.rest = rest;
                name.to_owned()
            }
            c => c.to_string(),
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => &name,
        };
        if name == "Any" {
            return Ok(if negated { "\\P{any}" } else { "\\p{any}" }.to_owned());
        }
        let known = |c: char| c == '_' || c.is_ascii_alphabetic();
        if name.is_empty() || !name.chars().all(known) || !name.starts_with(|c: char| c.is_ascii_uppercase())
        {
            return Err(BAD);
        }
        let letter = if negated { 'P' } else { 'p' };
        Ok(format!("\\{letter}{{{name}}}"))
    }

    /// One character that is escaped, after the backslash.
    fn character(&mut self) -> Result<char, &'static str> {
        let c = self.next().ok_or(BAD_ESCAPE)?;
        Ok(match c {
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'x' => {
                let digits = if self.accept("{") {
                    let (digits, rest) = self.rest.split_once('}').ok_or(BAD_ESCAPE)?;
                    self.rest = rest;
                    digits
                } else {
                    let (digits, rest) = self.rest.split_at_checked(2).ok_or(BAD_ESCAPE)?;
                    self.rest = rest;
                    digits
                };
                let code = u32::from_str_radix(digits, 16).map_err(|_| BAD_ESCAPE)?;
                char::from_u32(code).ok_or(BAD_ESCAPE)?
            }
            '0'..='7' => {
                // One digit but 0 alone would refer to a group.
                let more = self.rest.starts_with(|c: char| ('0'..='7').contains(&c));
                if c != '0' && !more {
                    return Err("the regular expression refers back to a group, which Go can't: remove it");
                }
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    match self.rest.chars().next().and_then(|c| c.to_digit(8)) {
                        Some(digit) => {
                            code = code * 8 + digit;
                            self.next();
                        }
                        None => break,
                    }
                }
                char::from_u32(code).ok_or(BAD_ESCAPE)?
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            _ => return Err(BAD_ESCAPE),
        })
    }

    /// A class, after its left bracket.
    fn class(&mut self) -> Result<String, &'static str> {
        const BAD: &str =
            "the regular expression has a class that isn't closed, or a range the wrong way round";
        let mut class = String::from("[");
        if self.accept("^") {
            class.push('^');
        }
        let mut first = true;
        loop {
            if !first && self.accept("]") {
                class.push(']');
                return Ok(class);
            }
            first = false;
            if self.rest.starts_with("[:")
                && let Some(end) = self.rest.find(":]")
            {
                let (name, rest) = self.rest.split_at(end + 2);
                let bare = name[2..end].trim_start_matches('^');
                if !POSIX.contains(&bare) || name.len() - bare.len() > 5 {
                    return Err(
                        "the regular expression has a class in [: :] that isn't known: check its name",
                    );
                }
                class.push_str(name);
                self.rest = rest;
                continue;
            }
            if self.rest.starts_with("\\p") || self.rest.starts_with("\\P") {
                self.next();
                class.push_str(&self.property()?);
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('\\') {
                let before = std::mem::replace(&mut self.rest, rest);
                if let Some(perl) = self.perl_class() {
                    class.push_str(&format!("[{perl}]"));
                    continue;
                }
                self.rest = before;
            }
            let low = self.class_character().ok_or(BAD)??;
            let mut high = low;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
                self.next();
                high = self.class_character().ok_or(BAD)??;
            }
            if high < low {
                return Err(BAD);
            }
            class.push_str(&format!(
                "\\x{{{:X}}}-\\x{{{:X}}}",
                u32::from(low),
                u32::from(high)
            ));
        }
    }

    fn class_character(&mut self) -> Option<Result<char, &'static str>> {
        match self.next()? {
            '\\' => Some(self.character()),
            c => Some(Ok(c)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ascii() {
        assert_eq!(translate(r"\d"), Ok("[0-9]".to_owned()));
        assert_eq!(translate(r"[\W]"), Ok("[[^0-9A-Za-z_]]".to_owned()));
    }

    #[test]
    fn operators_of_classes_are_characters() {
        assert_eq!(
            translate("[a&&b]"),
            Ok(r"[\x{61}-\x{61}\x{26}-\x{26}\x{26}-\x{26}\x{62}-\x{62}]".to_owned())
        );
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for expression in [
            "a**",
            "*",
            "(*)",
            "a{2}{3}",
            "a{1001}",
            "a{2,1}",
            r"\1",
            r"\y",
            "[z-a]",
            "[a",
            "(?x)a",
            "(?=a)",
            r"\p{greek}",
            "(?P<>a)",
            "\\",
            "a|*",
            r"\xZZ",
            "(?-)",
            "(?",
        ] {
            assert!(translate(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn what_repeats_nothing_is_text() {
        assert_eq!(translate("a{,2}"), Ok(r"a\{,2\}".to_owned()));
        assert_eq!(translate("{"), Ok(r"\{".to_owned()));
    }
}
