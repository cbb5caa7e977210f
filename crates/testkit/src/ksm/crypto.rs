//! The protocol's cryptography: AES-256-GCM for nearly everything, AES-256-CBC among folders, ECIES over P-256 for keys that
//! go to another party, and ECDSA for who sent it.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey},
    cipher::{
        AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
        UnboundCipherKey,
    },
    digest, hmac,
    iv::FixedLength,
    signature::{self, ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose},
};

/// A symmetric key: of the application, a folder, a record, a file, or one request.
pub(super) type Key = [u8; 32];

const NONCE: usize = 12;
const BLOCK: usize = 16;
/// An uncompressed point of P-256.
const POINT: usize = 65;

/// It wasn't made with this key, or was changed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Undecryptable;

/// Bytes nobody can guess.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

/// IV ‖ ciphertext ‖ tag.
pub(super) fn encrypt(key: &Key, plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = random();
    let mut sealed = plain.to_vec();
    gcm(key)
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .expect("a message that AES-GCM can hold");
    [&nonce[..], &sealed].concat()
}

/// What [`encrypt`] was given.
pub(super) fn decrypt(key: &Key, sealed: &[u8]) -> Result<Vec<u8>, Undecryptable> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Undecryptable)?;
    let mut plain = sealed.to_vec();
    let opened = gcm(key)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut plain)
        .map_err(|_| Undecryptable)?;
    let length = opened.len();
    plain.truncate(length);
    Ok(plain)
}

/// A key that another key wraps, as [`encrypt`] does it.
pub(super) fn decrypt_key(key: &Key, sealed: &[u8]) -> Result<Key, Undecryptable> {
    as_key(decrypt(key, sealed)?)
}

/// IV ‖ ciphertext, with PKCS #7 padding: what folders under a shared folder are kept with.
pub(super) fn encrypt_cbc(key: &Key, plain: &[u8]) -> Vec<u8> {
    let iv: [u8; BLOCK] = random();
    let key = UnboundCipherKey::new(&AES_256, key).expect("32 bytes");
    let mut sealed = plain.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(key)
        .and_then(|key| key.less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(&iv))))
        .expect("a message that AES-CBC can hold");
    [&iv[..], &sealed].concat()
}

/// What [`encrypt_cbc`] was given. A change on the way isn't always noticed: the mode has no tag.
pub(super) fn decrypt_cbc(key: &Key, sealed: &[u8]) -> Result<Vec<u8>, Undecryptable> {
    let (iv, sealed) = sealed.split_first_chunk::<BLOCK>().ok_or(Undecryptable)?;
    let key = UnboundCipherKey::new(&AES_256, key).expect("32 bytes");
    let mut plain = sealed.to_vec();
    let opened = PaddedBlockDecryptingKey::cbc_pkcs7(key)
        .and_then(|key| key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv))))
        .map_err(|_| Undecryptable)?;
    Ok(opened.to_vec())
}

/// A key that another key wraps, as [`encrypt_cbc`] does it.
pub(super) fn decrypt_key_cbc(key: &Key, sealed: &[u8]) -> Result<Key, Undecryptable> {
    as_key(decrypt_cbc(key, sealed)?)
}

/// A pair that others encrypt keys for: the server's, or the owner's of an application.
#[derive(Debug)]
pub(super) struct Recipient {
    private: PrivateKey,
    public: Vec<u8>,
}

impl Recipient {
    pub(super) fn generate() -> Self {
        let private = PrivateKey::generate(&ECDH_P256).expect("the system has random numbers");
        let public = private.compute_public_key().expect("the public half");
        Self {
            public: public.as_ref().to_vec(),
            private,
        }
    }

    /// An uncompressed point.
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// A key out of: ephemeral point ‖ IV ‖ ciphertext ‖ tag, whose AES key is the hash of the shared secret.
    pub(super) fn decrypt_key(&self, envelope: &[u8]) -> Result<Key, Undecryptable> {
        let (point, sealed) = envelope.split_first_chunk::<POINT>().ok_or(Undecryptable)?;
        let point = UnparsedPublicKey::new(&ECDH_P256, point);
        let key = agreement::agree(&self.private, point, Undecryptable, |secret| Ok(sha256(secret)))?;
        decrypt_key(&key, sealed)
    }
}

/// A client's pair: PKCS #8 of the private half, and the point of the public one.
pub(super) fn client_pair() -> (Vec<u8>, Vec<u8>) {
    let pair =
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("the system has random numbers");
    let private = pair.to_pkcs8v1().expect("a pair that was just made");
    (private.as_ref().to_vec(), pair.public_key().as_ref().to_vec())
}

/// Whether the holder of the private half signed this.
pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public)
        .verify(message, signature)
        .is_ok()
}

/// Whether these bytes are an uncompressed point's.
pub(super) fn is_point(public: &[u8]) -> bool {
    public.len() == POINT && public[0] == 4
}

/// What the server knows a one-time token by.
pub(super) fn client_id(token: &Key) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA512, token);
    encode(hmac::sign(&key, b"KEEPER_SECRETS_MANAGER_CLIENT_ID").as_ref())
}

/// Standard base64, padded: the form of keys and data.
pub(super) fn encode(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

/// The URL's alphabet without padding: the form of UIDs, tokens and public keys.
pub(super) fn encode_url(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Base64 of either alphabet, padded or not: clients send all of them.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    LENIENT.decode(text.replace('-', "+").replace('_', "/")).ok()
}

/// A name for a record, folder or file. Like the real ones it never begins with `-`, which command lines would take for an option.
pub(super) fn uid() -> String {
    let mut bytes: [u8; 16] = random();
    bytes[0] &= 0x7f;
    encode_url(&bytes)
}

fn gcm(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
}

fn sha256(bytes: &[u8]) -> Key {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn as_key(bytes: Vec<u8>) -> Result<Key, Undecryptable> {
    bytes.try_into().map_err(|_| Undecryptable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_comes_back() {
        let key = random();
        for plain in [&b""[..], b"a", &[7; 16], &[0; 1000]] {
            assert_eq!(decrypt(&key, &encrypt(&key, plain)).unwrap(), plain);
            assert_eq!(decrypt_cbc(&key, &encrypt_cbc(&key, plain)).unwrap(), plain);
        }
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = encrypt(&random(), b"secret");
        assert_eq!(decrypt(&random(), &sealed), Err(Undecryptable));
    }

    #[test]
    fn what_was_cut_off_or_changed_opens_nothing() {
        let key = random();
        let sealed = encrypt(&key, b"secret");
        for length in 0..sealed.len() {
            assert_eq!(decrypt(&key, &sealed[..length]), Err(Undecryptable), "{length}");
        }
        let mut changed = sealed;
        changed[NONCE] ^= 1;
        assert_eq!(decrypt(&key, &changed), Err(Undecryptable));
        let sealed = encrypt_cbc(&key, b"secret");
        for length in 0..sealed.len() {
            assert_eq!(
                decrypt_cbc(&key, &sealed[..length]),
                Err(Undecryptable),
                "{length}"
            );
        }
    }

    #[test]
    fn a_wrapped_key_of_another_length_is_none() {
        let key = random();
        assert_eq!(decrypt_key(&key, &encrypt(&key, &[1; 31])), Err(Undecryptable));
        assert_eq!(
            decrypt_key_cbc(&key, &encrypt_cbc(&key, &[1; 33])),
            Err(Undecryptable)
        );
    }

    #[test]
    fn an_envelope_without_a_point_is_refused() {
        let recipient = Recipient::generate();
        for envelope in [&b""[..], &[4; 64], &[4; 125], &[0; 125]] {
            assert_eq!(recipient.decrypt_key(envelope), Err(Undecryptable));
        }
        assert!(is_point(recipient.public()));
    }

    #[test]
    fn base64_of_every_kind_is_read() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode(text), Some(vec![0xfb, 0xff]), "{text}");
        }
        assert_eq!(decode("%%"), None);
    }

    #[test]
    fn a_token_has_always_the_same_client() {
        assert_eq!(client_id(&[1; 32]), client_id(&[1; 32]));
        assert_ne!(client_id(&[1; 32]), client_id(&[2; 32]));
        assert_eq!(decode(&client_id(&[1; 32])).unwrap().len(), 64);
    }

    #[test]
    fn a_uid_has_22_characters_and_no_dash_in_front() {
        for _ in 0..200 {
            let uid = uid();
            assert_eq!(uid.len(), 22);
            assert!(!uid.starts_with('-'), "{uid}");
        }
    }
}
