//! Writes protobuf fields. A message's length comes before its bytes and is known after them, so it
//! gets one byte, which is enough for nearly all, and more are made room for when it is not.

use bytes::{BufMut, BytesMut};

/// The highest number in one byte.
const ONE_BYTE_MAX: u64 = 0x7f;

/// Appends fields to a buffer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut BytesMut,
}

impl<'a> Writer<'a> {
    pub(crate) const fn to(out: &'a mut BytesMut) -> Self {
        Self { out }
    }

    pub(crate) fn uint64(&mut self, number: u32, value: u64) {
        self.varint(u64::from(number << 3));
        self.varint(value);
    }

    pub(crate) fn int64(&mut self, number: u32, value: i64) {
        self.uint64(number, value.cast_unsigned());
    }

    pub(crate) fn bool(&mut self, number: u32, value: bool) {
        self.uint64(number, value.into());
    }

    pub(crate) fn bytes(&mut self, number: u32, value: &[u8]) {
        self.varint(u64::from(number << 3 | 2));
        self.varint(value.len() as u64);
        self.out.put_slice(value);
    }

    pub(crate) fn message(&mut self, number: u32, fields: impl FnOnce(&mut Writer<'_>)) {
        self.varint(u64::from(number << 3 | 2));
        let start = self.out.len();
        self.out.put_u8(0);
        fields(self);
        self.set_length(start);
    }

    /// Sets the length at `start` of all that follows it.
    fn set_length(&mut self, start: usize) {
        let end = self.out.len();
        let (length, length_len) = encode(end as u64 - start as u64 - 1);
        let more = length_len - 1;
        if 0 < more {
            self.out.put_bytes(0, more);
            self.out.copy_within(start + 1..end, start + length_len);
        }
        self.out[start..start + length_len].copy_from_slice(&length[..length_len]);
    }

    fn varint(&mut self, value: u64) {
        if value <= ONE_BYTE_MAX {
            self.out.put_u8(value.to_le_bytes()[0]);
        } else {
            let (bytes, len) = encode(value);
            self.out.put_slice(&bytes[..len]);
        }
    }
}

/// The bytes of a number, and how many they are.
fn encode(mut value: u64) -> ([u8; 10], usize) {
    let mut bytes = [0; 10];
    let mut len = 0;
    loop {
        let bits = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        bytes[len] = if value == 0 { bits } else { bits | 0x80 };
        len += 1;
        if value == 0 {
            return (bytes, len);
        }
    }
}
