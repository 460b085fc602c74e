//! Writes protobuf fields, or only measures them: a message's length comes before its bytes.

use bytes::{BufMut, BytesMut};

/// Appends fields to a buffer, or counts the bytes that they would take.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: Option<&'a mut BytesMut>,
    len: usize,
}

/// How many bytes `fields` writes.
pub(crate) fn measure(fields: impl Fn(&mut Writer<'_>)) -> usize {
    let mut writer = Writer { out: None, len: 0 };
    fields(&mut writer);
    writer.len
}

impl<'a> Writer<'a> {
    pub(crate) const fn to(out: &'a mut BytesMut) -> Self {
        Self { out: Some(out), len: 0 }
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
        self.put(value);
    }

    pub(crate) fn message(&mut self, number: u32, fields: impl Fn(&mut Writer<'_>)) {
        self.varint(u64::from(number << 3 | 2));
        self.varint(measure(&fields) as u64);
        fields(self);
    }

    fn varint(&mut self, mut value: u64) {
        let mut bytes = [0; 10];
        let mut len = 0;
        loop {
            let bits = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            bytes[len] = if value == 0 { bits } else { bits | 0x80 };
            len += 1;
            if value == 0 {
                return self.put(&bytes[..len]);
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.len += bytes.len();
        if let Some(out) = &mut self.out {
            out.put_slice(bytes);
        }
    }
}
