//! Signatures that others made, checked with the algorithms that rustls takes for certificates: no SHA-1, no RSA key of
//! less than 2048 bits.

use yasna::{ASN1Result, BERReaderSeq};

use crate::provider;

/// A signed structure of X.509's usual shape: what was signed, with which algorithm, and the signature.
pub(crate) struct Signed {
    /// The signed part, as DER.
    pub(crate) content: Vec<u8>,
    /// A whole AlgorithmIdentifier.
    pub(crate) algorithm: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl Signed {
    /// Takes apart a sequence of these three and nothing else.
    pub(crate) fn from_der(der: &[u8]) -> ASN1Result<Self> {
        yasna::parse_der(der, |reader| reader.read_sequence(Self::read))
    }

    /// Reads the three, the next of a sequence.
    pub(crate) fn read(fields: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Self> {
        Ok(Self {
            content: fields.next().read_der()?,
            algorithm: fields.next().read_der()?,
            signature: fields.next().read_bitvec_bytes()?.0,
        })
    }

    /// Whether the holder of the key signed this. The key is a whole SubjectPublicKeyInfo.
    pub(crate) fn is_by(&self, key: &[u8]) -> bool {
        let parts = yasna::parse_der(key, |reader| {
            reader
                .read_sequence(|fields| Ok((fields.next().read_der()?, fields.next().read_bitvec_bytes()?.0)))
        });
        let Ok((kind, bits)) = parts else { return false };
        provider()
            .signature_verification_algorithms
            .all
            .iter()
            .filter(|known| {
                known.signature_alg_id().as_ref() == content(&self.algorithm)
                    && known.public_key_alg_id().as_ref() == content(&kind)
            })
            .any(|known| {
                known
                    .verify_signature(&bits, &self.content, &self.signature)
                    .is_ok()
            })
    }
}

/// What is inside a DER value, without its tag and length.
pub(crate) fn content(der: &[u8]) -> &[u8] {
    let header = match der.get(1) {
        Some(long @ 0x81..=0x84) => 2 + usize::from(long & 0x7f),
        _ => 2,
    };
    der.get(header..).unwrap_or_default()
}

/// A sequence around what is inside of one.
pub(crate) fn sequence(content: &[u8]) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut der = vec![SEQUENCE];
    if content.len() < 0x80 {
        der.extend(significant.last().or(Some(&0)));
    } else {
        der.push(0x80 | u8::try_from(significant.len()).unwrap_or_default());
        der.extend_from_slice(significant);
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_of_any_length_is_opened_and_closed_alike() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let inside = vec![5; length];
            let whole = sequence(&inside);
            assert_eq!(content(&whole), inside, "{length}");
            let read = yasna::parse_der(&whole, |reader| reader.read_der());
            assert_eq!(read.as_deref(), Ok(whole.as_slice()), "{length}");
        }
    }

    #[test]
    fn a_key_that_is_none_has_signed_nothing() {
        let signed = Signed {
            content: Vec::new(),
            algorithm: vec![0x30, 0],
            signature: Vec::new(),
        };
        for key in [&b""[..], b"\x30", b"\x30\x05\x30", b"garbage"] {
            assert!(!signed.is_by(key), "{key:?}");
        }
    }
}
