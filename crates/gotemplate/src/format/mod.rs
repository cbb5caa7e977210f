//! Go's `fmt`: how values print.

mod float;
mod out;
mod printer;
mod quote;
mod verbs;

pub(crate) use float::{Style, format_float};
pub(crate) use out::Out;
pub(crate) use quote::quote;

use crate::value::Value;
use printer::Printer;

/// `fmt.Sprint`: spaces between operands of which neither is a string.
pub(crate) fn print(out: &mut Out, values: &[Value]) {
    let mut printer = Printer::new(out);
    let mut after_text = true;
    for (i, value) in values.iter().enumerate() {
        let text = matches!(value, Value::Text(_));
        if i > 0 && !text && !after_text {
            printer.out.push(b" ");
        }
        printer.argument(value, 'v');
        after_text = text;
    }
}

/// `fmt.Sprintln`: spaces between all operands.
pub(crate) fn println(out: &mut Out, values: &[Value]) {
    let mut printer = Printer::new(out);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            printer.out.push(b" ");
        }
        printer.argument(value, 'v');
    }
    out.push(b"\n");
}

/// `fmt.Sprintf`.
pub(crate) fn printf(out: &mut Out, format: &[u8], values: &[Value]) {
    verbs::printf(out, format, values);
}
