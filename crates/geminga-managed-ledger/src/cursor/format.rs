//! The entries of a cursor's ledger; `docs/formats/cursor-log.md` has them byte by byte.
//!
//! An entry is `version kind …`: a part of the snapshot that every cursor ledger begins with, or a
//! delta. The digest in the entry's envelope is its checksum. Version 1 had no redelivery counts, and
//! version 2 has no records: it is what an entry without records is written as.
//!
//! # Invariants
//!
//! 1. No entry is larger than about 512 KiB, whatever the number of holes.
//! 2. A delta written as several entries may be cut off after any of them and means less, not else:
//!    its mark-delete position comes with the last of its records.

use bytes::Bytes;
use geminga_types::Position;

use super::{CursorDelta, CursorState};
use crate::codec::{Decoder, Encoder, Malformed};

const VERSION: u8 = 3;
const VERSION_WITHOUT_RECORDS: u8 = 2;
const VERSION_WITHOUT_COUNTS: u8 = 1;
const KIND_SNAPSHOT: u8 = 1;
const KIND_DELTA: u8 = 2;
const FLAG_LAST: u8 = 1;
const FLAG_RESET: u8 = 1;
const FLAG_MARK_DELETE: u8 = 2;

/// At most this many bytes of items in one entry, and never less than one item.
const ITEMS_BYTES_MAX: usize = 512 * 1024;
/// What a range takes at most: four numbers of at most ten bytes.
const RANGE_BYTES_MAX: usize = 40;
/// What a partly acked entry takes at most beside its words.
const PARTIAL_BYTES_MAX: usize = 25;
/// What a redelivery count takes at most.
const COUNT_BYTES_MAX: usize = 25;

/// What a record takes at most beside its key and value.
const RECORD_BYTES_MAX: usize = 21;

/// A decoded entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LogEntry {
    /// Part `part` of the snapshot; only part 0 has a mark-delete position and properties.
    Snapshot { part: u64, is_last: bool, state: CursorState },
    /// A change.
    Delta(CursorDelta),
}

/// Why an entry cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    /// Written by a newer Geminga.
    #[error("cursor log entry is of version {0}, newer than this program reads ({VERSION})")]
    Newer(u8),
    /// Not an entry of a cursor log.
    #[error("cursor log entry is damaged: {0}")]
    Malformed(#[from] Malformed),
}

/// The items of one entry.
#[derive(Clone, Copy, Debug, Default)]
struct Items<'a> {
    records: &'a [(Bytes, Option<Bytes>)],
    acked: &'a [(Position, Position)],
    partial: &'a [(Position, Vec<i64>)],
    counts: &'a [(Position, u32)],
}

/// Encodes a snapshot, in as many entries as it takes.
pub(crate) fn encode_snapshot(state: &CursorState) -> Vec<Bytes> {
    let counts = &state.redelivery_counts;
    let records: Vec<_> =
        state.records.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
    let (acked, partial) = (&state.acked, &state.partial);
    let parts = Items { records: &records, acked, partial, counts }.chunks();
    let last = parts.len() - 1;
    let encode = |(part, items): (usize, Items<'_>)| {
        let mut encoder = Encoder::default();
        encoder.byte(items.version());
        encoder.byte(KIND_SNAPSHOT);
        encoder.count(part);
        encoder.byte(if part == last { FLAG_LAST } else { 0 });
        if part == 0 {
            encode_head(&mut encoder, state);
        }
        items.encode(&mut encoder);
        encoder.finish()
    };
    parts.into_iter().enumerate().map(encode).collect()
}

fn encode_head(encoder: &mut Encoder, state: &CursorState) {
    encoder.position(state.mark_delete);
    encoder.count(state.properties.len());
    for (key, &value) in &state.properties {
        encoder.text(key);
        encoder.signed(value);
    }
    encoder.count(state.cursor_properties.len());
    for (key, value) in &state.cursor_properties {
        encoder.text(key);
        encoder.text(value);
    }
}

/// Encodes a change: usually one entry; more when it is large.
pub(crate) fn encode_delta(delta: &CursorDelta) -> Vec<Bytes> {
    let counts = &delta.redelivery_counts;
    let (records, acked, partial) = (&delta.records, &delta.acked, &delta.partial);
    let parts = Items { records, acked, partial, counts }.chunks();
    let has_records = |items: &Items<'_>| !items.records.is_empty();
    let head = parts.iter().rposition(has_records).unwrap_or(0);
    let encode = |(part, items): (usize, Items<'_>)| {
        let mark_delete = delta.mark_delete.filter(|_| part == head);
        let mut encoder = Encoder::default();
        encoder.byte(items.version());
        encoder.byte(KIND_DELTA);
        let reset = if delta.reset && part == head { FLAG_RESET } else { 0 };
        encoder.byte(reset | mark_delete.map_or(0, |_| FLAG_MARK_DELETE));
        if let Some(mark_delete) = mark_delete {
            encoder.position(mark_delete);
        }
        items.encode(&mut encoder);
        encoder.finish()
    };
    parts.into_iter().enumerate().map(encode).collect()
}

/// Reads an entry.
pub(super) fn decode(bytes: &[u8]) -> Result<LogEntry, FormatError> {
    let mut decoder = Decoder::new(bytes);
    let version = match decoder.byte()? {
        version @ 1..=VERSION => version,
        0 => return Err(decoder.malformed("a version").into()),
        newer => return Err(FormatError::Newer(newer)),
    };
    let entry = match decoder.byte()? {
        KIND_SNAPSHOT => decode_snapshot(&mut decoder, version)?,
        KIND_DELTA => LogEntry::Delta(decode_delta(&mut decoder, version)?),
        _ => return Err(decoder.malformed("a kind of entry").into()),
    };
    decoder.finish()?;
    Ok(entry)
}

fn decode_snapshot(decoder: &mut Decoder<'_>, version: u8) -> Result<LogEntry, Malformed> {
    let part = decoder.unsigned()?;
    let is_last = decoder.byte()? & FLAG_LAST != 0;
    let mut state = CursorState::at(Position::EARLIEST);
    if part == 0 {
        state.mark_delete = decoder.position()?;
        for _ in 0..decoder.count()? {
            state.properties.insert(decoder.text()?, decoder.signed()?);
        }
        for _ in 0..decoder.count()? {
            state.cursor_properties.insert(decoder.text()?, decoder.text()?);
        }
    }
    state.acked = decode_acked(decoder)?;
    state.partial = decode_partial(decoder)?;
    state.redelivery_counts = decode_counts(decoder, version)?;
    let records = decode_records(decoder, version)?.into_iter();
    state.records = records.filter_map(|(key, value)| Some((key, value?))).collect();
    Ok(LogEntry::Snapshot { part, is_last, state })
}

fn decode_delta(decoder: &mut Decoder<'_>, version: u8) -> Result<CursorDelta, Malformed> {
    let flags = decoder.byte()?;
    let mark_delete = if flags & FLAG_MARK_DELETE == 0 { None } else { Some(decoder.position()?) };
    let acked = decode_acked(decoder)?;
    let partial = decode_partial(decoder)?;
    let redelivery_counts = decode_counts(decoder, version)?;
    let records = decode_records(decoder, version)?;
    let reset = flags & FLAG_RESET != 0;
    Ok(CursorDelta { mark_delete, acked, partial, redelivery_counts, records, reset })
}

fn decode_acked(decoder: &mut Decoder<'_>) -> Result<Vec<(Position, Position)>, Malformed> {
    (0..decoder.count()?).map(|_| Ok((decoder.position()?, decoder.position()?))).collect()
}

fn decode_partial(decoder: &mut Decoder<'_>) -> Result<Vec<(Position, Vec<i64>)>, Malformed> {
    let mut partial = Vec::new();
    for _ in 0..decoder.count()? {
        let position = decoder.position()?;
        let words = (0..decoder.count()?).map(|_| decoder.fixed()).collect::<Result<_, _>>()?;
        partial.push((position, words));
    }
    Ok(partial)
}

fn decode_counts(
    decoder: &mut Decoder<'_>,
    version: u8,
) -> Result<Vec<(Position, u32)>, Malformed> {
    if version == VERSION_WITHOUT_COUNTS {
        return Ok(Vec::new());
    }
    let count = |decoder: &mut Decoder<'_>| {
        let (position, count) = (decoder.position()?, decoder.unsigned()?);
        let count = u32::try_from(count).map_err(|_| decoder.malformed("a count below 2^32"))?;
        Ok((position, count))
    };
    (0..decoder.count()?).map(|_| count(decoder)).collect()
}

fn decode_records(
    decoder: &mut Decoder<'_>,
    version: u8,
) -> Result<Vec<(Bytes, Option<Bytes>)>, Malformed> {
    if version < VERSION {
        return Ok(Vec::new());
    }
    let record = |decoder: &mut Decoder<'_>| {
        let key = decoder.sized()?;
        match decoder.byte()? {
            0 => Ok((key, None)),
            1 => Ok((key, Some(decoder.sized()?))),
            _ => Err(decoder.malformed("whether a record is there")),
        }
    };
    (0..decoder.count()?).map(|_| record(decoder)).collect()
}

impl<'a> Items<'a> {
    const fn version(&self) -> u8 {
        if self.records.is_empty() { VERSION_WITHOUT_RECORDS } else { VERSION }
    }

    const fn is_empty(&self) -> bool {
        let items = self.acked.len() + self.partial.len() + self.counts.len();
        items + self.records.len() == 0
    }

    /// Cuts them so that each chunk fits in an entry; at least one chunk.
    fn chunks(self) -> Vec<Self> {
        let mut chunks = Vec::new();
        let mut rest = self;
        loop {
            let (chunk, more) = rest.split();
            chunks.push(chunk);
            if more.is_empty() {
                return chunks;
            }
            rest = more;
        }
    }

    /// The items of one entry, and the rest. Records come first, in entries of their own.
    fn split(self) -> (Self, Self) {
        let mut room = ITEMS_BYTES_MAX;
        let fits = |(key, value): &&(Bytes, Option<Bytes>)| {
            let size = RECORD_BYTES_MAX + key.len() + value.as_ref().map_or(0, Bytes::len);
            let left = room.checked_sub(size);
            room = left.unwrap_or(0);
            left.is_some()
        };
        let fitting = self.records.iter().take_while(fits).count();
        let at_least = 1.min(self.records.len());
        let (records, more_records) = self.records.split_at(fitting.max(at_least));
        if !records.is_empty() {
            let more = Self { records: more_records, ..self };
            return (Items { records, ..Items::default() }, more);
        }
        let ranges = self.acked.len().min(ITEMS_BYTES_MAX / RANGE_BYTES_MAX);
        let mut room = ITEMS_BYTES_MAX - ranges * RANGE_BYTES_MAX;
        let fits = |(_, words): &&(Position, Vec<i64>)| {
            let left = room.checked_sub(PARTIAL_BYTES_MAX + 8 * words.len());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let fitting = self.partial.iter().take_while(fits).count();
        let at_least = usize::from(ranges == 0).min(self.partial.len());
        let (acked, more_acked) = self.acked.split_at(ranges);
        let (partial, more_partial) = self.partial.split_at(fitting.max(at_least));
        let fitting = if more_partial.is_empty() { room / COUNT_BYTES_MAX } else { 0 };
        let (counts, more_counts) = self.counts.split_at(fitting.min(self.counts.len()));
        let more = Self { records, acked: more_acked, partial: more_partial, counts: more_counts };
        (Self { records, acked, partial, counts }, more)
    }

    fn encode(self, encoder: &mut Encoder) {
        encoder.count(self.acked.len());
        for &(start, end) in self.acked {
            encoder.position(start);
            encoder.position(end);
        }
        encoder.count(self.partial.len());
        for (position, words) in self.partial {
            encoder.position(*position);
            encoder.count(words.len());
            words.iter().for_each(|&word| encoder.fixed(word));
        }
        encoder.count(self.counts.len());
        for &(position, count) in self.counts {
            encoder.position(position);
            encoder.unsigned(count.into());
        }
        if self.version() == VERSION {
            encoder.count(self.records.len());
            for (key, value) in self.records {
                encoder.sized(key);
                encoder.byte(value.is_some().into());
                if let Some(value) = value {
                    encoder.sized(value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
