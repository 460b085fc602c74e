//! An entry with its message id: how a compacted ledger holds it, as Pulsar's does.
//!
//! ```text
//! id size u32 | MessageIdData | entry size u32 | entry
//! ```
//!
//! Sizes are big endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use geminga_types::Position;
use prost::Message;

use crate::proto::MessageIdData;

const SIZE_LEN: usize = 4;

/// The bytes are not an entry with its message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed entry of a compacted ledger")]
pub struct InvalidRawMessage;

/// Writes an entry with the position that it has in its topic.
///
/// # Panics
///
/// If the entry has 4 GiB.
#[must_use]
pub fn encode(position: Position, partition: Option<u32>, entry: &[u8]) -> Bytes {
    let partition = partition.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1);
    let id = MessageIdData {
        partition: Some(partition),
        batch_index: Some(-1),
        ..MessageIdData::from(position)
    };
    let size = |len: usize| u32::try_from(len).expect("an entry fits in a frame, far below 4 GiB");
    let id_len = id.encoded_len();
    let mut bytes = BytesMut::with_capacity(2 * SIZE_LEN + id_len + entry.len());
    bytes.put_u32(size(id_len));
    id.encode_raw(&mut bytes);
    bytes.put_u32(size(entry.len()));
    bytes.put_slice(entry);
    bytes.freeze()
}

/// Reads an entry and its position; the entry is a slice of `bytes`.
///
/// # Errors
///
/// [`InvalidRawMessage`].
pub fn decode(bytes: &Bytes) -> Result<(Position, Bytes), InvalidRawMessage> {
    let mut rest = bytes.clone();
    let id = sized(&mut rest)?;
    let id = MessageIdData::decode(id).map_err(|_| InvalidRawMessage)?;
    let entry = sized(&mut rest)?;
    if rest.is_empty() { Ok((id.position(), entry)) } else { Err(InvalidRawMessage) }
}

fn sized(rest: &mut Bytes) -> Result<Bytes, InvalidRawMessage> {
    let len = rest.try_get_u32().map_err(|_| InvalidRawMessage)? as usize;
    if rest.len() < len { Err(InvalidRawMessage) } else { Ok(rest.split_to(len)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_pulsar() {
        let bytes = encode(Position::new(5, 300), None, b"entry");
        // Ledger 5, entry 300, partition and batch index −1 as ten-byte varints.
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let id = [&[8, 5, 16, 0xac, 2, 24][..], &minus_one, &[32], &minus_one].concat();
        let size = u8::try_from(id.len()).unwrap();
        let expected = [&[0, 0, 0, size][..], &id, &[0, 0, 0, 5], b"entry"].concat();
        assert_eq!(bytes, expected);
        assert_eq!(decode(&bytes), Ok((Position::new(5, 300), Bytes::from_static(b"entry"))));
    }

    proptest! {
        #[test]
        fn what_is_cut_off_or_noise_is_an_error(noise: Vec<u8>, cut in 0..30_usize) {
            _ = decode(&noise.into());
            let bytes = encode(Position::new(1, 2), Some(3), b"x");
            let cut = cut.min(bytes.len() - 1);
            prop_assert_eq!(decode(&bytes.slice(..cut)), Err(InvalidRawMessage));
        }
    }
}
