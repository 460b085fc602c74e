//! Little-endian fields, taken from bytes that may be anything.
//!
//! Taking past the end is `None`, never a panic.

/// What is left to take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_le_bytes)
    }
}

/// Rounds up to a multiple of `unit`, a power of two.
pub(crate) const fn align(length: u64, unit: usize) -> u64 {
    (length + unit as u64 - 1) & !(unit as u64 - 1)
}

/// A length that fits in memory as a `usize`; files never hold one that does not.
pub(crate) fn size(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// A length of a part of a file, bounded far below `u32::MAX` where it was made.
pub(crate) fn short(length: usize) -> u32 {
    u32::try_from(length).expect("entries, groups and runs are bounded below 1 GiB")
}
