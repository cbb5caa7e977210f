//! Floating-point numbers as Go's strconv writes them.

/// How a number is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `1.5e+00`
    Exponent,
    /// `1.5`
    Fixed,
    /// One of both, by the exponent.
    General,
}

/// A number; without a precision, with as few digits as tell it from all others.
pub(crate) fn format_float(value: f64, style: Style, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match (style, precision) {
        (Style::Fixed, None) => format!("{value}"),
        (Style::Fixed, Some(precision)) => format!("{value:.precision$}"),
        (Style::Exponent, None) => go_exponent(&format!("{value:e}")),
        (Style::Exponent, Some(precision)) => go_exponent(&format!("{value:.precision$e}")),
        (Style::General, _) => general(value, precision),
    }
}

/// With an exponent if that is below -4 or not below the precision, and without zeros at the end.
fn general(value: f64, precision: Option<usize>) -> String {
    let written = match precision {
        None => format!("{value:e}"),
        Some(precision) => format!("{value:.*e}", precision.max(1) - 1),
    };
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    let threshold = match precision {
        None => 6,
        Some(precision) => {
            let precision = i32::try_from(precision.max(1)).unwrap_or(i32::MAX);
            // Only as many digits as there are count, if they reach to the point.
            match precision > digits && digits > exponent {
                true => digits,
                false => precision,
            }
        }
    };
    if exponent < -4 || exponent >= threshold {
        return go_exponent(&format!("{mantissa}e{exponent}"));
    }
    let places = usize::try_from(digits - 1 - exponent).unwrap_or(0);
    match precision {
        None => format!("{value}"),
        // Rounded to the digits first, then written out.
        Some(_) => format!("{:.places$}", written.parse().unwrap_or(value)),
    }
}

/// A hexadecimal fraction times a power of two: `0x1.8p+01`.
pub(super) fn hexadecimal(value: f64, precision: Option<usize>) -> String {
    if !value.is_finite() {
        return format_float(value, Style::General, None);
    }
    let bits = value.to_bits();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let mut mantissa = bits & ((1 << 52) - 1);
    if exponent > -1023 {
        mantissa |= 1 << 52;
    } else {
        exponent += 1;
    }
    if mantissa == 0 {
        exponent = 0;
    }
    while mantissa != 0 && mantissa >> 52 == 0 {
        mantissa <<= 1;
        exponent -= 1;
    }
    if let Some(precision) = precision.filter(|&p| p < 13) {
        let dropped = 52 - 4 * precision;
        let half = 1_u64 << (dropped - 1);
        let rest = mantissa & ((1 << dropped) - 1);
        mantissa >>= dropped;
        if rest > half || rest == half && mantissa & 1 == 1 {
            mantissa += 1;
        }
        mantissa <<= dropped;
        if mantissa >> 53 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(precision) if precision <= 13 => digits[..precision].to_owned(),
        Some(precision) => format!("{digits:0<precision$}"),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let mark = if exponent < 0 { '-' } else { '+' };
    format!(
        "{sign}0x{}{point}{fraction}p{mark}{:02}",
        mantissa >> 52,
        exponent.abs()
    )
}

/// A whole number times a power of two: `6755399441055744p-52`.
pub(super) fn binary(value: f64) -> String {
    if !value.is_finite() {
        return format_float(value, Style::General, None);
    }
    let bits = value.to_bits();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let mut exponent = ((bits >> 52) & 0x7ff) as i32;
    let mut mantissa = bits & ((1 << 52) - 1);
    match exponent {
        0 => exponent = 1,
        _ => mantissa |= 1 << 52,
    }
    format!("{sign}{mantissa}p{:+}", exponent - 1075)
}

/// Rust's exponent with a sign and two digits at least.
fn go_exponent(written: &str) -> String {
    let (mantissa, exponent) = written.split_once('e').unwrap_or((written, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_digits_as_needed() {
        for (value, text) in [
            (0.1, "0.1"),
            (3.0, "3"),
            (123_456.0, "123456"),
            (1e6, "1e+06"),
            (1e21, "1e+21"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (-0.0, "-0"),
        ] {
            assert_eq!(format_float(value, Style::General, None), text);
        }
    }

    #[test]
    fn a_precision_counts_digits_or_places() {
        assert_eq!(format_float(1234.5678, Style::General, Some(3)), "1.23e+03");
        assert_eq!(format_float(1234.5678, Style::Fixed, Some(2)), "1234.57");
        assert_eq!(format_float(1234.5678, Style::Exponent, Some(2)), "1.23e+03");
    }
}
