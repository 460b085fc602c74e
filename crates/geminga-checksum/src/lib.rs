//! CRC32C sums that combine: the sum of `a ‖ b` from the sums of `a` and `b`, without the bytes.
//!
//! A payload is read once for its checksum, when its frame arrives; the digest of its entry and the
//! sum of its journal group are combined from that. The polynomial is Castagnoli's, as in Pulsar's
//! frames and BookKeeper's digest. The bytes go through the hardware instruction where there is one.

mod combine;

/// The CRC32C of some bytes, with their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    crc: u32,
    len: usize,
}

impl Sum {
    /// The sum of no bytes.
    pub const EMPTY: Self = Self { crc: 0, len: 0 };

    /// Reads `bytes` once.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { crc: crc32c::crc32c(bytes), len: bytes.len() }
    }

    /// A sum known from elsewhere, such as a frame's verified checksum field.
    #[must_use]
    pub const fn known(crc: u32, len: usize) -> Self {
        Self { crc, len }
    }

    /// The sum of these bytes followed by `bytes`, which are read.
    #[must_use]
    pub fn append(self, bytes: &[u8]) -> Self {
        Self { crc: crc32c::crc32c_append(self.crc, bytes), len: self.len + bytes.len() }
    }

    /// The sum of these bytes followed by those of `next`, which are not read. Takes less time than
    /// reading 100 bytes, whatever their number.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        let crc = combine::shift(self.crc, next.len) ^ next.crc;
        Self { crc, len: self.len + next.len }
    }

    /// The checksum, as formats store it.
    #[must_use]
    pub const fn crc(self) -> u32 {
        self.crc
    }

    /// How many bytes were summed.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a sum is no container")]
    pub const fn len(self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_the_published_check_value() {
        assert_eq!(Sum::of(b"123456789").crc(), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..9000), at in any::<prop::sample::Index>()) {
            let (a, b) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(Sum::of(a).then(Sum::of(b)), Sum::of(&bytes));
            prop_assert_eq!(Sum::of(a).append(b), Sum::of(&bytes));
        }
    }
}
