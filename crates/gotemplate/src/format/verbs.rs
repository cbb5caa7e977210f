//! A format with its verbs.

use super::{
    Out,
    printer::{Flags, Printer},
};
use crate::{
    unicode::{first, push},
    value::Value,
};

/// Widths and precisions beyond this are errors.
const LARGEST: i64 = 1_000_000;

struct Reader<'a> {
    format: &'a [u8],
    at: usize,
    values: &'a [Value],
    /// The operand that is next.
    next: usize,
    /// Were operands taken by number? Then none counts as left over.
    reordered: bool,
    /// Are the numbers of this verb's operands in order?
    good: bool,
}

pub(super) fn printf(out: &mut Out, format: &[u8], values: &[Value]) {
    let mut reader = Reader {
        format,
        at: 0,
        values,
        next: 0,
        reordered: false,
        good: true,
    };
    let mut printer = Printer::new(out);
    while reader.at < format.len() && !printer.out.is_full() {
        let rest = &format[reader.at..];
        let plain = rest.iter().position(|&b| b == b'%').unwrap_or(rest.len());
        printer.out.push(&rest[..plain]);
        reader.at += plain;
        if reader.at < format.len() {
            reader.at += 1;
            reader.verb(&mut printer);
        }
    }
    if !reader.reordered && reader.next < values.len() {
        printer.flags = Flags::default();
        printer.out.push(b"%!(EXTRA ");
        for (i, value) in values[reader.next..].iter().enumerate() {
            if i > 0 {
                printer.out.push(b", ");
            }
            printer.out.push(value.type_name().as_bytes());
            if !value.is_nil() {
                printer.out.push(b"=");
                printer.argument(value, 'v');
            }
        }
        printer.out.push(b")");
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// What follows a `%`.
    fn verb(&mut self, printer: &mut Printer<'_>) {
        let mut flags = Flags::default();
        self.good = true;
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut indexed = self.index();
        if self.accept(b'*') {
            let width = self.int_operand();
            if width.is_none() {
                printer.out.push(b"%!(BADWIDTH)");
            }
            if width.is_some_and(|w| w < 0) {
                flags.minus = true;
                flags.zero = false;
            }
            flags.width = width.map(|w| w.unsigned_abs() as usize);
            indexed = false;
        } else {
            flags.width = self.number();
            if indexed && flags.width.is_some() {
                self.good = false;
            }
        }
        // A point at the very end isn't one of a precision.
        if self.at + 1 < self.format.len() && self.accept(b'.') {
            if indexed {
                self.good = false;
            }
            indexed = self.index();
            if self.accept(b'*') {
                flags.precision = self.int_operand().and_then(|p| usize::try_from(p).ok());
                if flags.precision.is_none() {
                    printer.out.push(b"%!(BADPREC)");
                }
                indexed = false;
            } else {
                flags.precision = Some(self.number().unwrap_or(0));
            }
        }
        if !indexed {
            self.index();
        }
        let Some((verb, width)) = first(&self.format[self.at.min(self.format.len())..]) else {
            return printer.out.push(b"%!(NOVERB)");
        };
        self.at += width;
        let problem: &[u8] = match self.values.get(self.next) {
            _ if verb == '%' => return printer.out.push(b"%"),
            _ if !self.good => b"(BADINDEX)",
            None => b"(MISSING)",
            Some(value) => {
                if verb == 'v' {
                    flags.go_syntax = std::mem::take(&mut flags.sharp);
                    flags.plus = false;
                }
                printer.flags = flags;
                printer.argument(value, verb);
                self.next += 1;
                return;
            }
        };
        let mut text = b"%!".to_vec();
        push(&mut text, verb);
        printer.out.push(&text);
        printer.out.push(problem);
    }

    /// Digits, if there are any. Too many end the format.
    fn number(&mut self) -> Option<usize> {
        let mut value = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let so_far = value.unwrap_or(0);
            if so_far > LARGEST as usize {
                self.at = self.format.len();
                return None;
            }
            value = Some(so_far * 10 + usize::from(digit - b'0'));
            self.at += 1;
        }
        value
    }

    /// An operand for `*`.
    fn int_operand(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let value = match value {
            Value::Int(i) | Value::Int64(i) => *i,
            Value::Byte(b) => i64::from(*b),
            _ => return None,
        };
        (-LARGEST..=LARGEST).contains(&value).then_some(value)
    }

    /// The number of an operand, in brackets. Was there one?
    fn index(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(close) = rest.iter().position(|&b| b == b']').filter(|_| rest.len() >= 3) else {
            self.good = false;
            self.at += 1;
            return false;
        };
        let number = std::str::from_utf8(&rest[1..close])
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<usize>().ok());
        self.at += close + 1;
        match number {
            Some(number) if (1..=self.values.len()).contains(&number) => {
                self.next = number - 1;
                true
            }
            number => {
                self.good = false;
                number.is_some()
            }
        }
    }
}
