//! The records in which the state is stored; `docs/formats/deduplication.md` has them byte by byte.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use geminga_types::Position;

use crate::{
    SourcePosition,
    mark::{Mark, Partial},
    window::Window,
};

const VERSION: u8 = 1;
const KEY_SEQUENCES: u8 = 1;
const KEY_WINDOW: u8 = 2;
const KEY_JUDGING: u8 = 3;
const SOURCE_BYTES: usize = 20;

/// A record to be put, or taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub key: Bytes,
    /// What is known; `None`: nothing any more.
    pub value: Option<Bytes>,
}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer Geminga.
    #[error(
        "a record of deduplication is of version {0}, newer than this program reads ({VERSION})"
    )]
    Newer(u8),
    /// Not such a record.
    #[error("a record of deduplication is damaged: {0}")]
    Malformed(&'static str),
}

/// A decoded record, with the name that it is about.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Sequences(&'a [u8], Mark),
    Window(&'a [u8], Vec<SourcePosition>),
    /// Behind which position clients' messages are judged, if they are.
    Judging(Option<Position>),
}

pub(crate) fn sequences_key(name: &[u8]) -> Bytes {
    key(KEY_SEQUENCES, name)
}

pub(crate) fn window_key(name: &[u8]) -> Bytes {
    key(KEY_WINDOW, name)
}

pub(crate) const fn judging_key() -> Bytes {
    Bytes::from_static(&[KEY_JUDGING])
}

fn key(kind: u8, name: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + name.len());
    key.put_u8(kind);
    key.put_slice(name);
    key.freeze()
}

pub(crate) fn encode_mark(mark: &Mark) -> Bytes {
    let mut value = BytesMut::with_capacity(21);
    value.put_u8(VERSION);
    value.put_u64(mark.sequence_id);
    if let Some(partial) = &mark.partial {
        value.put_u32(partial.chunk_id);
        value.put_u64(partial.message);
    }
    value.freeze()
}

pub(crate) fn encode_window(window: &Window) -> Bytes {
    let stored = window.stored();
    let mut value = BytesMut::with_capacity(1 + stored.len() * SOURCE_BYTES);
    value.put_u8(VERSION);
    for source in stored {
        value.put_i64(source.position.ledger_id.0);
        value.put_i64(source.position.entry_id.0);
        value.put_i32(source.batch_index);
    }
    value.freeze()
}

pub(crate) fn encode_judging(since: Option<Position>) -> Bytes {
    let mut value = BytesMut::with_capacity(17);
    value.put_u8(VERSION);
    if let Some(since) = since {
        value.put_i64(since.ledger_id.0);
        value.put_i64(since.entry_id.0);
    }
    value.freeze()
}

pub(crate) fn decode<'a>(key: &'a [u8], value: &[u8]) -> Result<Record<'a>, RecordError> {
    let (kind, name) = key.split_first().ok_or(RecordError::Malformed("an empty key"))?;
    match value.split_first() {
        Some((&VERSION, rest)) => match *kind {
            KEY_SEQUENCES => Ok(Record::Sequences(name, decode_mark(rest)?)),
            KEY_WINDOW => Ok(Record::Window(name, decode_window(rest)?)),
            KEY_JUDGING => Ok(Record::Judging(decode_judging(rest)?)),
            _ => Err(RecordError::Malformed("a key of no kind")),
        },
        Some((&newer, _)) if VERSION < newer => Err(RecordError::Newer(newer)),
        _ => Err(RecordError::Malformed("no version")),
    }
}

fn decode_mark(mut value: &[u8]) -> Result<Mark, RecordError> {
    let partial = match value.len() {
        8 => false,
        20 => true,
        _ => return Err(RecordError::Malformed("the size of a mark")),
    };
    let sequence_id = value.get_u64();
    let partial = partial.then(|| Partial { chunk_id: value.get_u32(), message: value.get_u64() });
    Ok(Mark { sequence_id, partial })
}

fn decode_window(mut value: &[u8]) -> Result<Vec<SourcePosition>, RecordError> {
    if !value.len().is_multiple_of(SOURCE_BYTES) {
        return Err(RecordError::Malformed("the size of a window"));
    }
    let mut sources = Vec::with_capacity(value.len() / SOURCE_BYTES);
    while value.has_remaining() {
        let position = Position::new(value.get_i64(), value.get_i64());
        sources.push(SourcePosition { position, batch_index: value.get_i32() });
    }
    Ok(sources)
}

fn decode_judging(mut value: &[u8]) -> Result<Option<Position>, RecordError> {
    match value.len() {
        0 => Ok(None),
        16 => Ok(Some(Position::new(value.get_i64(), value.get_i64()))),
        _ => Err(RecordError::Malformed("the size of a position")),
    }
}
