//! Walks the fields of a protobuf message in place, without allocating.
//!
//! The hot commands and the metadata of every published message are read this way; all else goes
//! through the generated code. Groups, which Pulsar never had, count as malformed.

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The value of one field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Fixed-width numbers: none of the scanned fields is one.
    Fixed,
}

/// The fields of a message, in the order of its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) const fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let number = key >> 3;
        if number == 0 {
            return Err(Malformed);
        }
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(Malformed),
        };
        Ok((number, value))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, rest) = varint(self.rest)?;
        self.rest = rest;
        Ok(value)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Value<'a> {
    pub(crate) const fn uint64(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(value) => Ok(value),
            Self::Bytes(_) | Self::Fixed => Err(Malformed),
        }
    }

    pub(crate) fn int64(self) -> Result<i64, Malformed> {
        self.uint64().map(u64::cast_signed)
    }

    #[expect(clippy::cast_possible_truncation, reason = "protobuf keeps the low 32 bits")]
    pub(crate) fn uint32(self) -> Result<u32, Malformed> {
        self.uint64().map(|value| value as u32)
    }

    pub(crate) fn int32(self) -> Result<i32, Malformed> {
        self.uint32().map(u32::cast_signed)
    }

    pub(crate) fn bool(self) -> Result<bool, Malformed> {
        self.uint64().map(|value| value != 0)
    }

    pub(crate) const fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed => Err(Malformed),
        }
    }
}

/// Appends the values of a repeated varint field, which may come packed or one by one.
pub(crate) fn repeated_int64(value: Value<'_>, mut push: impl FnMut(i64)) -> Result<(), Malformed> {
    match value {
        Value::Varint(value) => push(value.cast_signed()),
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                let (value, rest) = varint(packed)?;
                push(value.cast_signed());
                packed = rest;
            }
        }
        Value::Fixed => return Err(Malformed),
    }
    Ok(())
}

fn varint(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && 1 < bits {
            return Err(Malformed);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_varints_of_every_length() {
        for shift in 0..64 {
            let value = u64::MAX >> shift;
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            assert_eq!(varint(&bytes), Ok((value, &[][..])));
            assert_eq!(varint(&bytes[..bytes.len() - 1]), Err(Malformed));
        }
    }

    #[test]
    fn a_varint_beyond_64_bits_is_malformed() {
        assert_eq!(varint(&[0xff; 10]), Err(Malformed));
        assert_eq!(varint(&[0xff; 11]), Err(Malformed));
    }

    #[test]
    fn a_length_beyond_the_message_is_malformed() {
        let mut fields = Fields::of(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(fields.next().unwrap().is_err());
        assert!(fields.next().is_none());
    }
}
