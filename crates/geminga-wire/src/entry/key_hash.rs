//! The hash of a key: which consumer of a Key_Shared subscription gets an entry.
//!
//! Murmur3 (x86, 32 bits, seed 0) without its sign bit, as Pulsar's brokers and clients compute it.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::EntryMeta;

/// The key of entries that have nothing to hash.
const NONE_KEY: &[u8] = b"NONE_KEY";

/// Base64 characters decoded at a time: a multiple of 4.
const BASE64_CHUNK: usize = 64;

/// As lenient as Java's: padding may be missing, and spare bits may be set.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The hash of `key`: 31 bits.
#[must_use]
pub fn key_hash(key: &[u8]) -> u32 {
    let mut murmur = Murmur::default();
    murmur.update(key);
    murmur.finish()
}

pub(super) fn of_entry(meta: &EntryMeta<'_>) -> u32 {
    if let Some(key) = meta.ordering_key {
        return key_hash(key);
    }
    if let Some(key) = meta.partition_key {
        if meta.partition_key_b64_encoded {
            return of_base64(key).unwrap_or_else(|| key_hash(NONE_KEY));
        }
        return key_hash(key);
    }
    let mut murmur = Murmur::default();
    murmur.update(meta.producer_name);
    murmur.update(b"-");
    update_decimal(&mut murmur, meta.sequence_id.cast_signed());
    murmur.finish()
}

/// The hash of what `key` encodes, or `None` if it is not base64.
fn of_base64(key: &[u8]) -> Option<u32> {
    let mut murmur = Murmur::default();
    let mut rest = key;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(BASE64_CHUNK));
        let mut decoded = [0; BASE64_CHUNK];
        let len = BASE64.decode_slice(chunk, &mut decoded).ok()?;
        if !after.is_empty() && len != BASE64_CHUNK / 4 * 3 {
            return None;
        }
        murmur.update(&decoded[..len]);
        rest = after;
    }
    Some(murmur.finish())
}

/// Java prints sequence ids as signed numbers.
fn update_decimal(murmur: &mut Murmur, number: i64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        murmur.update(b"-");
    }
    murmur.update(&digits[start..]);
}

/// Murmur3, fed piece by piece.
#[derive(Default)]
struct Murmur {
    hash: u32,
    /// Up to 3 bytes that do not fill a block yet, the first one lowest.
    pending: u32,
    len: u32,
}

impl Murmur {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.pending |= u32::from(*byte) << (8 * (self.len % 4));
            self.len = self.len.wrapping_add(1);
            if self.len.is_multiple_of(4) {
                self.hash ^= mix(self.pending);
                self.hash = self.hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
                self.pending = 0;
            }
        }
    }

    const fn finish(self) -> u32 {
        let mut hash = self.hash ^ mix(self.pending) ^ self.len;
        hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
        hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
        (hash ^ (hash >> 16)) & 0x7fff_ffff
    }
}

const fn mix(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

#[cfg(test)]
mod tests {
    use geminga_types::key_slot;
    use proptest::prelude::*;

    use super::*;

    /// Published vectors of Murmur3 x86 32 with seed 0, without the sign bit.
    #[test]
    fn agrees_with_published_vectors() {
        let vectors: [(&[u8], u32); 9] = [
            (b"", 0),
            (b"\0", 0x514e_28b7),
            (b"\0\0", 0x30f4_c306),
            (b"\0\0\0", 0x85f0_b427),
            (b"\0\0\0\0", 0x2362_f9de),
            (b"\x21\x43\x65\x87", 0xf55b_516b),
            (b"\x21\x43\x65", 0x7e4a_8634),
            (b"\xff\xff\xff\xff", 0x7629_3b50),
            (b"Hello, world!", 0xc036_3e43),
        ];
        for (key, hash) in vectors {
            assert_eq!(key_hash(key), hash & 0x7fff_ffff, "{key:?}");
        }
    }

    #[test]
    fn agrees_with_pulsar() {
        assert_eq!(key_slot(key_hash(b"A")), 63_438);
        assert_eq!(key_slot(key_hash(b"B")), 27_274);
        assert_eq!(key_slot(key_hash(NONE_KEY)), 48_803);
    }

    #[test]
    fn what_is_not_base64_has_no_hash() {
        for key in ["?", "A", "AA==AAAA", "AAAA=", &format!("{}AA==AAAA", "A".repeat(60))] {
            assert_eq!(of_base64(key.as_bytes()), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn base64_hashes_as_what_it_encodes(key in prop::collection::vec(any::<u8>(), 0..300)) {
            let encoded = BASE64.encode(&key);
            prop_assert_eq!(of_base64(encoded.as_bytes()), Some(key_hash(&key)));
            let unpadded = encoded.trim_end_matches('=');
            prop_assert_eq!(of_base64(unpadded.as_bytes()), Some(key_hash(&key)));
        }

        #[test]
        fn numbers_hash_as_their_digits(number in any::<i64>()) {
            let mut murmur = Murmur::default();
            update_decimal(&mut murmur, number);
            prop_assert_eq!(murmur.finish(), key_hash(number.to_string().as_bytes()));
        }
    }
}
