//! Kubernetes quantities: `100m`, `64Mi`, `1.5`, `2e3`.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A quantity as it was written; equal to another that means the same (`0.5` and `500m`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Quantity {
    text: String,
    /// In units of 10⁻⁹.
    nanos: i128,
}

/// What a quantity must look like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no quantity; write it like 100m, 0.5, 64Mi or 1G")]
pub struct InvalidQuantity(String);

/// YAML's `cpu: 1` and `cpu: 0.5` are numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Integer(u64),
    Float(f64),
}

impl Quantity {
    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let nanos = nanos(text).ok_or_else(|| InvalidQuantity(text.chars().take(60).collect()))?;
        Ok(Self {
            text: text.to_owned(),
            nanos,
        })
    }
}

impl TryFrom<Written> for Quantity {
    type Error = InvalidQuantity;

    fn try_from(written: Written) -> Result<Self, InvalidQuantity> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Integer(number) => number.to_string().parse(),
            Written::Float(number) => number.to_string().parse(),
        }
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.text
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

/// The value in units of 10⁻⁹, rounded up; `None` if it isn't a quantity, is negative or is absurdly large.
fn nanos(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || digits.len() > 20 || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = digits.parse().ok()?;
    let (multiplier, exponent) = scale(suffix)?;
    let exponent = exponent + 9 - i32::try_from(fraction.len()).ok()?;
    let value = mantissa.checked_mul(multiplier)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        value.checked_mul(power)
    } else {
        Some(value / power + i128::from(value % power != 0))
    }
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = |power: u32| Some((1024_i128.pow(power), 0));
    let decimal = |exponent| Some((1, exponent));
    match suffix {
        "" => decimal(0),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (-18..=18).contains(&exponent).then_some((1, exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_that_mean_the_same_are_equal() {
        for (a, b) in [
            ("0.5", "500m"),
            ("1", "1000m"),
            ("1Ki", "1024"),
            ("2e3", "2k"),
            ("1E", "1000P"),
            (".5", "5e-1"),
            ("1.", "1"),
        ] {
            let (a, b): (Quantity, Quantity) = (a.parse().expect("valid"), b.parse().expect("valid"));
            assert_eq!(a, b);
        }
        let (a, b): (Quantity, Quantity) = ("1M".parse().expect("valid"), "1Mi".parse().expect("valid"));
        assert!(a < b);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            "m",
            "1 Mi",
            "-1",
            "1.2.3",
            "1mi",
            "1e99",
            "0x10",
            "1e",
            "99999999999999999999E",
            "٣",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn yaml_numbers_are_quantities() {
        assert_eq!(
            serde_json::from_str::<Quantity>("1").expect("valid").as_str(),
            "1"
        );
        assert_eq!(
            serde_json::from_str::<Quantity>("0.5").expect("valid").as_str(),
            "0.5"
        );
        assert!(serde_json::from_str::<Quantity>("-1").is_err());
    }
}
