//! Variable-length integers and sized bytes, for the formats of this crate.
//!
//! Unsigned numbers are LEB128 (seven bits a byte, lowest first, high bit set on all but the last);
//! signed ones are zigzag-coded first. A reader answers [`Malformed`] for anything it cannot read:
//! the bytes come from a disk.

use bytes::{BufMut as _, Bytes, BytesMut};
use geminga_types::{EntryId, LedgerId, Position};

/// The bytes end too early, or a number or text in them makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed at byte {at}: {what}")]
pub(crate) struct Malformed {
    /// Offset of the offending byte.
    pub(crate) at: usize,
    /// What was expected there.
    pub(crate) what: &'static str,
}

/// Writes a record.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: BytesMut,
    /// Positions are written as differences from the one before.
    previous: (i64, i64),
}

/// Reads a record.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    previous: (i64, i64),
}

impl Encoder {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.put_u8(byte);
    }

    pub(crate) fn unsigned(&mut self, mut number: u64) {
        while 0x80 <= number {
            self.bytes.put_u8((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.put_u8((number & 0x7f) as u8);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.unsigned(count as u64);
    }

    pub(crate) fn signed(&mut self, number: i64) {
        self.unsigned(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    pub(crate) fn fixed(&mut self, word: i64) {
        self.bytes.put_i64_le(word);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.sized(text.as_bytes());
    }

    pub(crate) fn sized(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes.put_slice(bytes);
    }

    pub(crate) fn position(&mut self, position: Position) {
        let (ledger, entry) = self.previous;
        let (next_ledger, next_entry) = (position.ledger_id.0, position.entry_id.0);
        self.signed(next_ledger.wrapping_sub(ledger));
        let base = if next_ledger == ledger { entry } else { 0 };
        self.signed(next_entry.wrapping_sub(base));
        self.previous = (next_ledger, next_entry);
    }

    pub(crate) fn crc32c(&mut self) {
        let sum = geminga_checksum::Sum::of(&self.bytes);
        self.bytes.put_u32_le(sum.crc());
    }

    pub(crate) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

impl<'a> Decoder<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, previous: (0, 0) }
    }

    pub(crate) const fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { at: self.at, what }
    }

    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).ok_or_else(|| self.malformed(what))?;
        let taken = self.bytes.get(self.at..end).ok_or_else(|| self.malformed(what))?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1, "a byte")?[0])
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if (part << shift) >> shift != part {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.malformed("a number below 2^64"))
    }

    /// A number of items still to come, each at least one byte long: so never more than bytes left.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        let count = self.unsigned()?;
        let left = self.bytes.len() - self.at;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= left)
            .ok_or_else(|| self.malformed("a count no larger than what follows"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.unsigned()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    pub(crate) fn fixed(&mut self) -> Result<i64, Malformed> {
        let word = self.take(8, "a word of eight bytes")?;
        Ok(word.iter().rev().fold(0, |number, &byte| (number << 8) | i64::from(byte)))
    }

    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let len = self.count()?;
        let bytes = self.take(len, "a text")?;
        String::from_utf8(bytes.to_vec()).map_err(|_| self.malformed("a text in UTF-8"))
    }

    pub(crate) fn sized(&mut self) -> Result<Bytes, Malformed> {
        let len = self.count()?;
        self.take(len, "as many bytes").map(Bytes::copy_from_slice)
    }

    pub(crate) fn position(&mut self) -> Result<Position, Malformed> {
        let (ledger, entry) = self.previous;
        let next_ledger = ledger.wrapping_add(self.signed()?);
        let base = if next_ledger == ledger { entry } else { 0 };
        let next_entry = base.wrapping_add(self.signed()?);
        self.previous = (next_ledger, next_entry);
        Ok(Position { ledger_id: LedgerId(next_ledger), entry_id: EntryId(next_entry) })
    }

    /// Checks that nothing is left.
    pub(crate) const fn finish(&self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.malformed("the end")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(numbers in prop::collection::vec(any::<(u64, i64)>(), 0..50), text: String) {
            let mut encoder = Encoder::default();
            for &(unsigned, signed) in &numbers {
                encoder.unsigned(unsigned);
                encoder.signed(signed);
                encoder.fixed(signed);
                encoder.position(Position::new(unsigned.cast_signed(), signed));
            }
            encoder.text(&text);
            encoder.sized(text.as_bytes());
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            for &(unsigned, signed) in &numbers {
                prop_assert_eq!(decoder.unsigned(), Ok(unsigned));
                prop_assert_eq!(decoder.signed(), Ok(signed));
                prop_assert_eq!(decoder.fixed(), Ok(signed));
                prop_assert_eq!(decoder.position(), Ok(Position::new(unsigned.cast_signed(), signed)));
            }
            prop_assert_eq!(decoder.text(), Ok(text.clone()));
            prop_assert_eq!(decoder.sized(), Ok(Bytes::from(text)));
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut decoder = Decoder::new(&bytes);
            while decoder.unsigned().is_ok() {}
            let mut decoder = Decoder::new(&bytes);
            while decoder.text().is_ok() && decoder.position().is_ok() {}
        }
    }

    #[test]
    fn a_number_over_64_bits_is_refused() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(Decoder::new(&bytes).unsigned().is_err());
        let bytes = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Decoder::new(&bytes).unsigned(), Ok(u64::MAX));
    }
}
