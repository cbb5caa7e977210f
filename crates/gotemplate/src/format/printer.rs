//! One value after one verb.

use super::{
    Out, Style,
    float::{binary, format_float, hexadecimal},
    quote::{can_backquote, quote, quote_ascii, quote_char},
};
use crate::{
    limits::NESTING,
    unicode::{chars, is_print, push},
    value::Value,
};

/// What is between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%#v`: as Go's source has it.
    pub(super) go_syntax: bool,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

pub(super) struct Printer<'o> {
    pub(super) out: &'o mut Out,
    pub(super) flags: Flags,
}

impl<'o> Printer<'o> {
    pub(super) fn new(out: &'o mut Out) -> Self {
        Self {
            out,
            flags: Flags::default(),
        }
    }

    /// An operand.
    pub(super) fn argument(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil | Value::NilInterface, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil | Value::NilInterface, _) => self.bad_verb(value, verb),
            (_, 'T') => self.string(value.type_name().as_bytes(), 's', value),
            // An address would tell nothing and differ each time, and there are no errors to wrap.
            (_, 'p' | 'w') => self.bad_verb(value, verb),
            _ => self.value(value, verb, 0),
        }
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if self.out.is_full() {
            return;
        }
        if depth > NESTING {
            // The value is in itself. Nobody reads what there'd be of it, so it's as with too much output.
            return self.out.fill(b' ', usize::MAX);
        }
        match value {
            Value::Nil | Value::NilInterface => match self.flags.go_syntax {
                true => self.out.push(b"interface {}(nil)"),
                false => self.out.push(b"<nil>"),
            },
            Value::Bool(b) => match verb {
                't' | 'v' => self.pad(if *b { b"true" } else { b"false" }),
                _ => self.bad_verb(value, verb),
            },
            Value::Int(i) | Value::Int64(i) => self.integer(*i < 0, i.unsigned_abs(), verb, value),
            Value::Byte(b) if self.flags.go_syntax => self.pad(format!("{b:#x}").as_bytes()),
            Value::Byte(b) => self.integer(false, u64::from(*b), verb, value),
            Value::Float(f) => self.float(*f, verb, value),
            Value::Text(text) => self.string(text, verb, value),
            Value::List(list) => {
                if self.flags.go_syntax {
                    self.out.push(value.type_name().as_bytes());
                    if list.nil {
                        return self.out.push(b"(nil)");
                    }
                }
                let (open, between, close) = self.brackets(b"[");
                self.out.push(open);
                for (i, item) in list.to_vec().iter().enumerate() {
                    if i > 0 {
                        self.out.push(between);
                    }
                    self.value(item, verb, depth + 1);
                }
                self.out.push(close);
            }
            Value::Map(map) => {
                if self.flags.go_syntax {
                    self.out.push(value.type_name().as_bytes());
                }
                let (open, between, close) = self.brackets(b"map[");
                self.out.push(open);
                for (i, (key, item)) in map.to_vec().into_iter().enumerate() {
                    if i > 0 {
                        self.out.push(between);
                    }
                    self.value(&Value::Text(key), verb, depth + 1);
                    self.out.push(b":");
                    self.value(&item, verb, depth + 1);
                }
                self.out.push(close);
            }
        }
    }

    fn brackets(&self, open: &'static [u8]) -> (&'static [u8], &'static [u8], &'static [u8]) {
        match self.flags.go_syntax {
            true => (b"{", b", ", b"}"),
            false => (open, b" ", b"]"),
        }
    }

    /// `%!d(string=x)`
    fn bad_verb(&mut self, value: &Value, verb: char) {
        let mut start = b"%!".to_vec();
        push(&mut start, verb);
        start.push(b'(');
        self.out.push(&start);
        self.out.push(value.type_name().as_bytes());
        if !value.is_nil() {
            self.out.push(b"=");
            self.value(value, 'v', 0);
        }
        self.out.push(b")");
    }

    fn string(&mut self, text: &[u8], verb: char, value: &Value) {
        match verb {
            'v' if self.flags.go_syntax => self.quoted(text),
            'v' | 's' => {
                let text = self.truncated(text);
                self.pad(text);
            }
            'q' => self.quoted(text),
            'x' => self.hex_bytes(text, b"0123456789abcdefx"),
            'X' => self.hex_bytes(text, b"0123456789ABCDEFX"),
            _ => self.bad_verb(value, verb),
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        if self.flags.sharp && can_backquote(text) {
            self.pad(&[b"`", text, b"`"].concat());
        } else if self.flags.plus {
            self.pad(&quote_ascii(text));
        } else {
            self.pad(&quote(text));
        }
    }

    /// As many characters as the precision tells.
    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.flags.precision {
            None => text,
            Some(precision) => {
                let length = chars(text).take(precision).map(|(_, bytes)| bytes.len()).sum();
                &text[..length]
            }
        }
    }

    fn hex_bytes(&mut self, text: &[u8], digits: &[u8; 17]) {
        let text = &text[..text.len().min(self.flags.precision.unwrap_or(usize::MAX))];
        let mut hex = Vec::with_capacity(2 * text.len());
        for (i, byte) in text.iter().enumerate() {
            if self.flags.space && i > 0 {
                hex.push(b' ');
            }
            if self.flags.sharp && (i == 0 || self.flags.space) {
                hex.extend([b'0', digits[16]]);
            }
            hex.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
        self.pad(&hex);
    }

    fn integer(&mut self, negative: bool, value: u64, verb: char, whole: &Value) {
        let digits = match verb {
            'v' | 'd' => value.to_string(),
            'b' => format!("{value:b}"),
            'o' | 'O' => format!("{value:o}"),
            'x' => format!("{value:x}"),
            'X' => format!("{value:X}"),
            'c' | 'q' | 'U' => return self.character(negative, value, verb),
            _ => return self.bad_verb(whole, verb),
        };
        let Flags {
            plus,
            minus,
            sharp,
            space,
            zero,
            width,
            precision,
            ..
        } = self.flags;
        if precision == Some(0) && value == 0 {
            return self.out.fill(b' ', width.unwrap_or(0));
        }
        let least = match (precision, width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if zero && !minus => {
                width - usize::from(width > 0 && (negative || plus || space))
            }
            _ => 0,
        };
        let mut text = String::new();
        match () {
            () if negative => text.push('-'),
            () if plus => text.push('+'),
            () if space => text.push(' '),
            () => {}
        }
        let zeros = least.saturating_sub(digits.len());
        match verb {
            'O' => text.push_str("0o"),
            'b' if sharp => text.push_str("0b"),
            'o' if sharp && zeros == 0 && !digits.starts_with('0') => text.push('0'),
            'x' if sharp => text.push_str("0x"),
            'X' if sharp => text.push_str("0X"),
            _ => {}
        }
        if verb == 'O' && sharp && zeros == 0 && !digits.starts_with('0') {
            text.push('0');
        }
        text.extend(std::iter::repeat_n('0', zeros));
        text.push_str(&digits);
        self.pad_spaces(text.as_bytes());
    }

    fn character(&mut self, negative: bool, value: u64, verb: char) {
        let value = if negative { value.wrapping_neg() } else { value };
        let known = u32::try_from(value).ok().and_then(char::from_u32);
        let c = known.unwrap_or(char::REPLACEMENT_CHARACTER);
        match verb {
            'c' => self.pad(c.encode_utf8(&mut [0; 4]).as_bytes()),
            'q' => {
                let quoted = quote_char(c, self.flags.plus);
                self.pad(&quoted);
            }
            _ => {
                let digits = self.flags.precision.unwrap_or(4).max(4);
                let mut text = format!("U+{value:0digits$X}");
                if self.flags.sharp && known.is_some_and(is_print) {
                    text.push_str(&format!(" '{c}'"));
                }
                self.pad_spaces(text.as_bytes());
            }
        }
    }

    fn float(&mut self, value: f64, verb: char, whole: &Value) {
        let precision = self.flags.precision;
        let mut text = match verb {
            'v' | 'g' | 'G' => format_float(value, Style::General, precision),
            'f' | 'F' => format_float(value, Style::Fixed, precision.or(Some(6))),
            'e' | 'E' => format_float(value, Style::Exponent, precision.or(Some(6))),
            'x' | 'X' => hexadecimal(value, precision),
            'b' => binary(value),
            _ => return self.bad_verb(whole, verb),
        };
        if !value.is_finite() {
            let (bare, negative) = (text.trim_start_matches(['+', '-']), value < 0.0);
            let sign = match self.flags {
                _ if negative => "-",
                Flags { plus: true, .. } => "+",
                Flags { space: true, .. } => " ",
                _ if value.is_nan() => "",
                _ => "+",
            };
            return self.pad_spaces(format!("{sign}{bare}").as_bytes());
        }
        if matches!(verb, 'G' | 'E' | 'X') {
            text = text.to_uppercase();
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits.to_owned()),
            None if self.flags.plus => ("+", text),
            None if self.flags.space => (" ", text),
            None => ("", text),
        };
        let digits = match self.flags.sharp && verb != 'b' {
            true => with_point(&digits, verb, precision),
            false => digits,
        };
        let length = sign.len() + digits.len();
        let width = self.flags.width.unwrap_or(0);
        let zeros = match self.flags.zero && !self.flags.minus && width > length {
            true => "0".repeat(width - length),
            false => String::new(),
        };
        self.pad_spaces(format!("{sign}{zeros}{digits}").as_bytes());
    }

    /// In the width, with zeros if those are asked for.
    pub(super) fn pad(&mut self, text: &[u8]) {
        let zero = self.flags.zero && !self.flags.minus;
        self.pad_with(text, if zero { b'0' } else { b' ' });
    }

    fn pad_spaces(&mut self, text: &[u8]) {
        self.pad_with(text, b' ');
    }

    fn pad_with(&mut self, text: &[u8], byte: u8) {
        let missing = match self.flags.width {
            None | Some(0) => 0,
            Some(width) => width.saturating_sub(chars(text).count()),
        };
        if !self.flags.minus {
            self.out.fill(byte, missing);
        }
        self.out.push(text);
        if self.flags.minus {
            self.out.fill(b' ', missing);
        }
    }
}

/// `%#g`: always with a point, and with zeros up to the precision.
fn with_point(digits: &str, verb: char, precision: Option<usize>) -> String {
    let marks: &[char] = match verb {
        'x' | 'X' => &['p', 'P'],
        _ => &['e', 'E', 'p', 'P'],
    };
    let cut = digits.find(marks).unwrap_or(digits.len());
    let (number, tail) = digits.split_at(cut);
    let mut wanted = match verb {
        'v' | 'g' | 'G' | 'x' => precision.unwrap_or(6) as i64,
        _ => 0,
    };
    let mut seen = false;
    for c in number.chars().filter(|&c| c != '.') {
        seen |= c != '0';
        wanted -= i64::from(seen);
    }
    let mut text = number.to_owned();
    if !number.contains('.') {
        if number == "0" {
            wanted -= 1;
        }
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', usize::try_from(wanted).unwrap_or(0)));
    text + tail
}
