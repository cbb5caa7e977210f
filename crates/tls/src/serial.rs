//! A certificate's serial number.

use std::{fmt, str::FromStr};

use crate::{MaterialError, material};

/// The longest serial number taken, in bytes (RFC 5280, section 4.1.2.2).
const MAX_BYTES: usize = 20;

/// A certificate's serial number: a positive number of at most 20 bytes, unique among those of its issuer.
///
/// Shown as lower-case hexadecimal digits in pairs, as in [`PeerCertificate::serial`](crate::PeerCertificate); read
/// back in either letter case, with or without colons, as OpenSSL and Kubernetes print it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SerialNumber(Vec<u8>);

/// The text is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is 1 to 40 hexadecimal digits, as `openssl x509 -serial` prints them")]
pub struct InvalidSerialNumber;

impl SerialNumber {
    /// The serial number of a certificate in DER.
    ///
    /// # Errors
    /// [`MaterialError`] if it isn't X.509.
    pub fn of(certificate: &[u8]) -> Result<Self, MaterialError> {
        Ok(Self::from_bytes(material::parse(certificate)?.raw_serial()))
    }

    /// The number from its bytes, highest first. Zeros in front don't count.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Self(bytes[zeros..].to_vec())
    }

    /// The bytes, highest first, without zeros in front.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("00");
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SerialNumber {
    type Err = InvalidSerialNumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<Vec<u8>>>()
            .filter(|digits| (1..=2 * (MAX_BYTES + 1)).contains(&digits.len()))
            .ok_or(InvalidSerialNumber)?;
        // From the end, so that an odd digit stands alone in front.
        let mut bytes: Vec<u8> = digits
            .rchunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect();
        bytes.reverse();
        let number = Self::from_bytes(&bytes);
        match number.0.len() {
            0..=MAX_BYTES => Ok(number),
            _ => Err(InvalidSerialNumber),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back_however_it_was_copied() {
        let serial = SerialNumber::from_bytes(&[0, 0x0a, 0xbc]);
        assert_eq!(serial.to_string(), "0abc");
        for copy in ["0abc", "ABC", "0A:BC", "000abc", "00:0a:bc"] {
            assert_eq!(copy.parse(), Ok(serial.clone()), "{copy}");
        }
        assert_eq!(SerialNumber::from_bytes(&[0]).to_string(), "00");
    }

    #[test]
    fn anything_else_is_refused() {
        let long = "a".repeat(41);
        for bad in ["", ":", "xyz", "0x12", "12 34", "é", long.as_str()] {
            assert_eq!(bad.parse::<SerialNumber>(), Err(InvalidSerialNumber), "{bad}");
        }
    }
}
