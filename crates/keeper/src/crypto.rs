//! The protocol's cryptography: AES-256-GCM for nearly everything, AES-256-CBC among folders, a key exchange over P-256 for the
//! key of a request, and ECDSA for who sent it.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, EphemeralPrivateKey, ParsedPublicKey, UnparsedPublicKey},
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    digest,
    iv::FixedLength,
    rand::{self, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use zeroize::Zeroizing;

const KEY: usize = 32;
const NONCE: usize = 12;
const BLOCK: usize = 16;
/// An uncompressed point of P-256.
const POINT: usize = 65;

/// It wasn't made with this key, or was changed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undecryptable;

/// The library couldn't: there is no randomness, most likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsealable;

/// A symmetric key: of the application, a folder, a record, a file, or one request. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct Key(Zeroizing<[u8; KEY]>);

/// Where keys are sealed for: a public key of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Point([u8; POINT]);

/// The client's own key, which says who asks.
pub(crate) struct Signer(EcdsaKeyPair);

impl Key {
    /// None unless there are 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEY] = bytes.try_into().ok()?;
        Some(Self(Zeroizing::new(*bytes)))
    }

    /// One that nobody can guess.
    pub(crate) fn random() -> Result<Self, Unsealable> {
        let mut key = Zeroizing::new([0; KEY]);
        rand::fill(key.as_mut_slice()).map_err(|_| Unsealable)?;
        Ok(Self(key))
    }

    /// IV ‖ ciphertext ‖ tag.
    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).map_err(|_| Unsealable)?;
        let mut sealed = plain.to_vec();
        self.gcm()
            .ok_or(Unsealable)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
            .map_err(|_| Unsealable)?;
        sealed.splice(..0, nonce);
        Ok(sealed)
    }

    /// What [`Key::seal`] was given.
    pub(crate) fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(Undecryptable)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let length = self
            .gcm()
            .ok_or(Undecryptable)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut plain)
            .map_err(|_| Undecryptable)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    /// Another key, wrapped as [`Key::seal`] does it.
    pub(crate) fn open_key(&self, sealed: &[u8]) -> Result<Self, Undecryptable> {
        Self::from_slice(&self.open(sealed)?).ok_or(Undecryptable)
    }

    /// What is behind IV ‖ ciphertext in CBC mode with PKCS #7 padding. There is no tag: a wrong key, or a change on the way, isn't
    /// always noticed here.
    pub(crate) fn open_cbc(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
        let (iv, sealed) = sealed.split_first_chunk::<BLOCK>().ok_or(Undecryptable)?;
        if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
            return Err(Undecryptable);
        }
        let key = UnboundCipherKey::new(&AES_256, self.0.as_slice()).map_err(|_| Undecryptable)?;
        let mut plain = Zeroizing::new(sealed.to_vec());
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(key)
            .and_then(|key| {
                key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv)))
                    .map(|opened| opened.len())
            })
            .map_err(|_| Undecryptable)?;
        plain.truncate(length);
        Ok(plain)
    }

    /// Another key, wrapped in CBC mode.
    pub(crate) fn open_key_cbc(&self, sealed: &[u8]) -> Result<Self, Undecryptable> {
        Self::from_slice(&self.open_cbc(sealed)?).ok_or(Undecryptable)
    }

    /// None is impossible: 32 bytes are what the algorithm wants.
    fn gcm(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, self.0.as_slice())
            .ok()
            .map(LessSafeKey::new)
    }
}

impl Point {
    /// None unless it is on the curve, and uncompressed.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let point: [u8; POINT] = bytes.try_into().ok()?;
        let is_on_curve =
            point[0] == 4 && ParsedPublicKey::try_from(UnparsedPublicKey::new(&ECDH_P256, &point)).is_ok();
        is_on_curve.then_some(Self(point))
    }

    /// Seals a key for who has the private half: ephemeral point ‖ IV ‖ ciphertext ‖ tag, under the hash of the shared secret.
    pub(crate) fn seal(&self, key: &Key) -> Result<Vec<u8>, Unsealable> {
        let ephemeral =
            EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).map_err(|_| Unsealable)?;
        let public = ephemeral.compute_public_key().map_err(|_| Unsealable)?;
        let peer = UnparsedPublicKey::new(&ECDH_P256, &self.0);
        let shared = agreement::agree_ephemeral(ephemeral, peer, Unsealable, |secret| {
            Key::from_slice(digest::digest(&digest::SHA256, secret).as_ref()).ok_or(Unsealable)
        })?;
        let mut envelope = public.as_ref().to_vec();
        envelope.extend(shared.seal(key.0.as_slice())?);
        Ok(envelope)
    }
}

impl Signer {
    /// From PKCS #8 with or without the public half, or the bare key of RFC 5915. None: that is no key of P-256.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der)
            .ok()
            .map(Self)
    }

    /// The signature as ASN.1.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unsealable> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| Unsealable)?.as_ref().to_vec())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::{
        agreement::PrivateKey,
        cipher::{EncryptionContext, PaddedBlockEncryptingKey},
        encoding::AsDer as _,
        signature::{self, ECDSA_P256_SHA256_ASN1, KeyPair as _},
    };
    use proptest::prelude::*;

    use super::*;

    impl Key {
        pub(crate) fn bytes(&self) -> &[u8] {
            self.0.as_slice()
        }

        /// The other side of [`Key::open_cbc`].
        pub(crate) fn seal_cbc(&self, plain: &[u8]) -> Vec<u8> {
            self.seal_cbc_with([7; BLOCK], plain)
        }

        fn seal_cbc_with(&self, iv: [u8; BLOCK], plain: &[u8]) -> Vec<u8> {
            let key = UnboundCipherKey::new(&AES_256, self.bytes()).unwrap();
            let mut sealed = plain.to_vec();
            PaddedBlockEncryptingKey::cbc_pkcs7(key)
                .unwrap()
                .less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(&iv)))
                .unwrap();
            [&iv[..], &sealed].concat()
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
    }

    #[test]
    fn gcm_gives_the_published_answer() {
        // The second example for 256-bit keys in the specification of GCM: sixteen zeros under a key and IV of zeros.
        let sealed =
            hex("000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
        let key = Key::from_slice(&[0; KEY]).unwrap();
        assert_eq!(key.open(&sealed).unwrap().as_slice(), [0; 16]);
    }

    #[test]
    fn cbc_gives_the_published_answer() {
        // NIST SP 800-38A, F.2.5, its first block; what follows it here is padding.
        let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let key = Key::from_slice(&key).unwrap();
        let plain = hex("6bc1bee22e409f96e93d7e117393172a");
        let iv = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let sealed = key.seal_cbc_with(iv, &plain);
        assert_eq!(sealed[BLOCK..2 * BLOCK], hex("f58c4c04d6e5f1ba779eabfb5f7bfbd6"));
        assert_eq!(key.open_cbc(&sealed).unwrap().as_slice(), plain);
    }

    #[test]
    fn what_is_sealed_comes_back() {
        let key = Key::random().unwrap();
        for plain in [&b""[..], b"a", &[7; 16], &[0; 1000]] {
            assert_eq!(key.open(&key.seal(plain).unwrap()).unwrap().as_slice(), plain);
            assert_eq!(key.open_cbc(&key.seal_cbc(plain)).unwrap().as_slice(), plain);
        }
        assert_ne!(
            key.seal(b"a").unwrap(),
            key.seal(b"a").unwrap(),
            "each has its own IV"
        );
    }

    #[test]
    fn another_key_opens_nothing() {
        let sealed = Key::random().unwrap().seal(b"secret").unwrap();
        assert_eq!(Key::random().unwrap().open(&sealed).err(), Some(Undecryptable));
    }

    #[test]
    fn what_was_cut_off_opens_nothing() {
        let key = Key::random().unwrap();
        let sealed = key.seal(b"secret").unwrap();
        for length in 0..sealed.len() {
            assert!(key.open(&sealed[..length]).is_err(), "{length}");
        }
        let sealed = key.seal_cbc(b"secret");
        for length in 0..sealed.len() {
            assert!(key.open_cbc(&sealed[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_wrapped_key_of_another_length_is_none() {
        let key = Key::random().unwrap();
        assert!(key.open_key(&key.seal(&[1; 31]).unwrap()).is_err());
        assert!(key.open_key_cbc(&key.seal_cbc(&[1; 33])).is_err());
        assert_eq!(
            key.open_key(&key.seal(&[1; 32]).unwrap()).unwrap().bytes(),
            [1; 32]
        );
        assert_eq!(
            key.open_key_cbc(&key.seal_cbc(&[2; 32])).unwrap().bytes(),
            [2; 32]
        );
    }

    #[test]
    fn the_holder_of_the_private_half_opens_an_envelope() {
        let private = PrivateKey::generate(&ECDH_P256).unwrap();
        let point = Point::from_slice(private.compute_public_key().unwrap().as_ref()).unwrap();
        let key = Key::random().unwrap();
        let envelope = point.seal(&key).unwrap();
        let (ephemeral, sealed) = envelope.split_at(POINT);
        let peer = UnparsedPublicKey::new(&ECDH_P256, ephemeral);
        let shared = agreement::agree(&private, peer, (), |secret| {
            Ok(Key::from_slice(digest::digest(&digest::SHA256, secret).as_ref()).unwrap())
        });
        assert_eq!(shared.unwrap().open_key(sealed).unwrap().bytes(), key.bytes());
    }

    #[test]
    fn what_isnt_on_the_curve_is_no_point() {
        let mut off = [1; POINT];
        off[0] = 4;
        for bytes in [&[][..], &[4; 64], &off, &[0; POINT], &[2; 33]] {
            assert_eq!(Point::from_slice(bytes), None);
        }
    }

    #[test]
    fn a_private_key_is_read_in_each_form_and_signs() {
        let pair = pair();
        let pkcs8 = pair.to_pkcs8v1().unwrap();
        let bare = pair.private_key().as_der().unwrap();
        for der in [
            pkcs8.as_ref(),
            bare.as_ref(),
            &without_public_half(pkcs8.as_ref()),
        ] {
            let signature = Signer::from_der(der).unwrap().sign(b"message").unwrap();
            signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key())
                .verify(b"message", &signature)
                .unwrap();
        }
    }

    #[test]
    fn another_curve_or_kind_of_key_is_refused() {
        let p384 = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let ed25519 = signature::Ed25519KeyPair::generate().unwrap();
        for der in [
            p384.to_pkcs8v1().unwrap().as_ref(),
            ed25519.to_pkcs8v1().unwrap().as_ref(),
            b"",
            b"\x30\x00",
        ] {
            assert!(Signer::from_der(der).is_none());
        }
    }

    /// PKCS #8 as SDKs write it whose libraries leave the public half out.
    fn without_public_half(pkcs8: &[u8]) -> Vec<u8> {
        // SEQUENCE { INTEGER 0, AlgorithmIdentifier (21 bytes), OCTET STRING { SEQUENCE { INTEGER 1, OCTET STRING of 32, … } } }
        assert_eq!(pkcs8[..3], [0x30, 0x81, 0x87], "a form that this test knows");
        let (version_and_algorithm, rest) = pkcs8[3..].split_at(3 + 21);
        let private = &rest[2 + 2..][..3 + 2 + 32];
        let inner = [&[0x30, 37][..], private].concat();
        let body = [version_and_algorithm, &[0x04, 39], &inner].concat();
        [&[0x30, u8::try_from(body.len()).unwrap()][..], &body].concat()
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = Key::from_slice(&[3; KEY]).unwrap();
            prop_assert!(key.open(&bytes).is_err());
            let _ = key.open_cbc(&bytes);
            prop_assert!(Signer::from_der(&bytes).is_none());
            prop_assert_eq!(Point::from_slice(&bytes), None);
        }
    }
}
