//! Go's literals: numbers, characters, strings.

/// A number as it was written: what it can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Number {
    /// Its value, if it is a whole one within 64 bits.
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f64>,
    /// What it is where nothing else is asked for.
    pub(crate) ideal: Ideal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ideal {
    Int,
    Float,
    /// Whole, but more than an int holds.
    TooLarge,
}

/// Reads a number.
pub(crate) fn number(text: &str) -> Result<Number, &'static str> {
    let unsigned = parse_unsigned(text, 0);
    let mut int = parse_int(text, 0);
    let mut float = int.map(|i| i as f64).or(unsigned.map(|u| u as f64));
    let mut fits = int.is_some();
    let has_point = text.contains(['.', 'e', 'E', 'p', 'P']);
    let hex_int =
        text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    if float.is_none() {
        let value = parse_float(text).ok_or("this isn't a number: put strings in quotes")?;
        if !has_point {
            return Err("this number is too large: use at most 64 bits, or write it with a decimal point");
        }
        float = Some(value);
        int = (value.abs() < 9.3e18 && value as i64 as f64 == value).then_some(value as i64);
        fits = true;
    }
    let ideal = match () {
        () if has_point && !hex_int => Ideal::Float,
        () if fits => Ideal::Int,
        () => Ideal::TooLarge,
    };
    Ok(Number { int, float, ideal })
}

/// Reads a character in single quotes, which is a number.
pub(crate) fn character(text: &str) -> Result<Number, &'static str> {
    const BAD: &str = "this isn't one character: strings are in \" or `";
    let inside = text
        .strip_prefix('\'')
        .and_then(|t| t.strip_suffix('\''))
        .ok_or(BAD)?;
    let mut rest = inside.chars();
    let value = match unescape(&mut rest, '\'').ok_or(BAD)? {
        Unit::Char(c) => i64::from(u32::from(c)),
        Unit::Byte(b) => i64::from(b),
    };
    if rest.next().is_some() || inside.is_empty() {
        return Err(BAD);
    }
    Ok(Number {
        int: Some(value),
        float: Some(value as f64),
        ideal: Ideal::Int,
    })
}

/// Reads a string in double quotes or backquotes.
pub(crate) fn string(text: &str) -> Result<Vec<u8>, &'static str> {
    const BAD: &str = "this string has an escape that isn't one: double the backslash, or use backquotes";
    if let Some(raw) = text.strip_prefix('`').and_then(|t| t.strip_suffix('`')) {
        return Ok(raw.replace('\r', "").into_bytes());
    }
    let inside = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .ok_or(BAD)?;
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    while !rest.as_str().is_empty() {
        match unescape(&mut rest, '"').ok_or(BAD)? {
            Unit::Char(c) => crate::unicode::push(&mut out, c),
            Unit::Byte(b) => out.push(b),
        }
    }
    Ok(out)
}

enum Unit {
    Char(char),
    Byte(u8),
}

/// The next character or byte of a quoted text.
fn unescape(rest: &mut std::str::Chars<'_>, quote: char) -> Option<Unit> {
    let c = rest.next()?;
    if c == quote || c == '\n' {
        return None;
    }
    if c != '\\' {
        return Some(Unit::Char(c));
    }
    let plain = match rest.next()? {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        c @ ('\'' | '"') if c == quote => c,
        'x' => return Some(Unit::Byte(u8::try_from(digits(rest, 2, 16)?).ok()?)),
        'u' => char::from_u32(digits(rest, 4, 16)?)?,
        'U' => char::from_u32(digits(rest, 8, 16)?)?,
        first @ '0'..='7' => {
            let head = first.to_digit(8)?;
            let value = head * 64 + digits(rest, 2, 8)?;
            return Some(Unit::Byte(u8::try_from(value).ok()?));
        }
        _ => return None,
    };
    Some(Unit::Char(plain))
}

fn digits(rest: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0_u32, |value, _| {
        value
            .checked_mul(radix)?
            .checked_add(rest.next()?.to_digit(radix)?)
    })
}

/// A whole number with its sign. Base 0 goes by the prefix, and allows `_` between digits.
pub(crate) fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = i128::from(parse_unsigned(digits, base)?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// A decimal number with its sign; out of range, the nearest that isn't.
pub(crate) fn parse_saturating(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(match text.starts_with('-') {
        true => i64::MIN,
        false => i64::MAX,
    }))
}

fn parse_unsigned(text: &str, base: u32) -> Option<u64> {
    let (digits, radix) = match base {
        0 => {
            let (digits, radix) = prefixed(text);
            if !underscores_are_fine(text) {
                return None;
            }
            (digits.replace('_', ""), radix)
        }
        radix => (text.to_owned(), radix),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()
}

fn prefixed(text: &str) -> (&str, u32) {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.get(1).map(u8::to_ascii_lowercase)) {
        (Some(b'0'), Some(b'x')) => (&text[2..], 16),
        (Some(b'0'), Some(b'o')) => (&text[2..], 8),
        (Some(b'0'), Some(b'b')) => (&text[2..], 2),
        (Some(b'0'), Some(_)) => (&text[1..], 8),
        _ => (text, 10),
    }
}

/// Each `_` must be between digits, or between a prefix and a digit.
fn underscores_are_fine(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (digits, radix) = prefixed(body);
    // A leading zero is a digit, and every other prefix counts as one.
    let mut before = if radix == 10 { '.' } else { '0' };
    for c in digits.chars() {
        let digit = c.is_ascii_digit() || radix == 16 && c.is_ascii_hexdigit();
        if c == '_' && before != '0' || !digit && before == '_' {
            return false;
        }
        before = match c {
            '_' => '_',
            _ if digit => '0',
            _ => '.',
        };
    }
    before != '_'
}

/// A number as Go's strconv.ParseFloat reads it; none if it isn't one or is out of range.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    if text.contains('_') {
        return match underscores_are_fine(text) {
            true => parse_float(&text.replace('_', "")),
            false => None,
        };
    }
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    if body.starts_with("0x") || body.starts_with("0X") {
        let value = hex_float(&body[2..])?;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    let value: f64 = text.parse().ok()?;
    // Out of range is an error, unless infinity itself was meant. With a sign, NaN isn't a number at all.
    let named = body.starts_with(['i', 'I']);
    let nan = value.is_nan() && body.len() != text.len();
    (!nan && (value.is_finite() || named || value.is_nan())).then_some(value)
}

/// `h.hhp±d`, after the prefix.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0_f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    let value = value * 2_f64.powi(shift);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_prefixes_and_underscores() {
        for (text, value) in [
            ("0x1F", 31),
            ("0b11", 3),
            ("0o17", 15),
            ("017", 15),
            ("1_000", 1000),
            ("0x_1f", 31),
            ("-5", -5),
            ("+5", 5),
            ("0", 0),
        ] {
            assert_eq!(parse_int(text, 0), Some(value), "{text}");
        }
        for text in [
            "",
            "_1",
            "1__0",
            "1_",
            "08",
            "0x",
            "a",
            "--1",
            "9223372036854775808",
        ] {
            assert_eq!(parse_int(text, 0), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_what_it_looks_like() {
        assert_eq!(number("3").map(|n| n.ideal), Ok(Ideal::Int));
        assert_eq!(
            number("3.0").map(|n| (n.ideal, n.int)),
            Ok((Ideal::Float, Some(3)))
        );
        assert_eq!(number("1e3").map(|n| n.ideal), Ok(Ideal::Float));
        assert_eq!(
            number("0xe").map(|n| (n.ideal, n.int)),
            Ok((Ideal::Int, Some(14)))
        );
        assert_eq!(number("0x1p4").map(|n| n.float), Ok(Some(16.0)));
        assert_eq!(
            number("18446744073709551615").map(|n| n.ideal),
            Ok(Ideal::TooLarge)
        );
        assert!(number("99999999999999999999").is_err());
        assert!(number("1e999").is_err());
    }

    #[test]
    fn strings_may_hold_any_bytes() {
        assert_eq!(
            string(r#""a\n\x41\101\u00e9\xff""#),
            Ok(b"a\nAA\xc3\xa9\xff".to_vec())
        );
        assert_eq!(string("`a\\n\r`"), Ok(b"a\\n".to_vec()));
        assert!(string(r#""\q""#).is_err());
        assert!(string(r#""\'""#).is_err());
    }

    #[test]
    fn characters_are_numbers() {
        assert_eq!(character("'a'").map(|n| n.int), Ok(Some(97)));
        assert_eq!(character(r"'\''").map(|n| n.int), Ok(Some(39)));
        assert!(character("'ab'").is_err());
        assert!(character("''").is_err());
    }
}
