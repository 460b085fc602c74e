//! What a message is known by.

use std::{fmt, str::FromStr};

use geminga_types::Position;
use geminga_wire::entry::{EntryMeta, SOURCE_POSITION};

/// What a message is known by, within its producer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A client's message.
    Sequence(Sequence),
    /// A message published for another topic.
    Source(SourcePosition),
}

/// The sequence ids of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Of its first message.
    pub first: u64,
    /// Of its last message; the same if there is only one.
    pub last: u64,
    /// Which part of a larger message it is, if it is one. All parts have the same sequence id.
    pub chunk: Option<Chunk>,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The part, from 0.
    pub id: u32,
    /// How many there are.
    pub count: u32,
    /// Tells messages with the same sequence id apart that were cut differently: parts of one do not
    /// complete another.
    pub message: u64,
}

/// Where the message lies that another was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// The entry.
    pub position: Position,
    /// The message in it; −1 if it is not a batch.
    pub batch_index: i32,
}

impl SourcePosition {
    /// The property of a message's metadata that says it: `ledger:entry:batch index`, in decimal.
    pub const PROPERTY: &'static str = SOURCE_POSITION;

    /// What the names of producers begin with whose messages have sources. Of others the property says
    /// nothing: clients copy properties from one message to another.
    pub const PRODUCER_PREFIX: &'static str = "geminga.sourced:";
}

/// The text is not a source position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a source position: ledger:entry:batch index")]
pub struct NotAPosition;

impl Identity {
    /// That of an entry, as it is stored.
    #[must_use]
    pub fn of_entry(meta: &EntryMeta<'_>) -> Self {
        let is_brokers = meta.producer_name.starts_with(SourcePosition::PRODUCER_PREFIX.as_bytes());
        let source = meta.source_position.filter(|_| is_brokers);
        let source = source.and_then(|text| str::from_utf8(text).ok()?.parse().ok());
        if let Some(source) = source {
            return Self::Source(source);
        }
        let number = |number: i32| u32::try_from(number).ok();
        let chunk = meta.chunk.and_then(|chunk| {
            let (id, count) = (number(chunk.chunk_id)?, number(chunk.num_chunks)?);
            let total = chunk.total_size.cast_unsigned();
            (1 < count).then(|| Chunk::new(id, count, chunk.uuid, total))
        });
        let (first, last) = (meta.sequence_id, meta.last_sequence_id());
        Self::Sequence(Sequence { first, last: if chunk.is_some() { first } else { last }, chunk })
    }
}

impl Sequence {
    /// That of a message which is neither a batch nor a part.
    #[must_use]
    pub const fn of(id: u64) -> Self {
        Self { first: id, last: id, chunk: None }
    }

    /// That of a batch.
    #[must_use]
    pub const fn batch(first: u64, last: u64) -> Self {
        Self { first, last: if last < first { first } else { last }, chunk: None }
    }
}

impl Chunk {
    /// The part `id` of `count`, of the message that is named `uuid` and has `total` bytes.
    #[must_use]
    pub fn new(id: u32, count: u32, uuid: &[u8], total: u32) -> Self {
        // FNV-1a: it is stored, so it must never change.
        let words = count.to_be_bytes().into_iter().chain(total.to_be_bytes());
        let message =
            uuid.iter().copied().chain(words).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        Self { id, count, message }
    }

    pub(crate) const fn is_last(&self) -> bool {
        self.count <= self.id.saturating_add(1)
    }
}

impl fmt::Display for SourcePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.batch_index)
    }
}

impl FromStr for SourcePosition {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let mut numbers = text.splitn(3, ':');
        let mut next = || numbers.next().and_then(|number| number.parse::<i64>().ok());
        let (ledger, entry, index) = (next(), next(), next());
        let index = index.and_then(|index| i32::try_from(index).ok());
        match (ledger, entry, index) {
            (Some(ledger), Some(entry), Some(batch_index)) => {
                Ok(Self { position: Position::new(ledger, entry), batch_index })
            }
            _ => Err(NotAPosition),
        }
    }
}

#[cfg(test)]
mod tests {
    use geminga_wire::{
        entry::encode_entry,
        proto::{KeyValue, MessageMetadata},
    };

    use super::*;

    #[test]
    fn a_source_position_is_printed_and_read() {
        for (ledger, entry, batch_index) in [(0, 0, -1), (7, 12, 3), (i64::MAX, i64::MAX, i32::MAX)]
        {
            let source = SourcePosition { position: Position::new(ledger, entry), batch_index };
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        assert_eq!("7:12:-1".parse::<SourcePosition>().unwrap().to_string(), "7:12:-1");
        for text in
            ["", "1", "1:2", "1:2:x", "1:2:3:4", "1:2:3000000000", "9223372036854775808:1:1"]
        {
            assert_eq!(text.parse::<SourcePosition>(), Err(NotAPosition), "{text}");
        }
    }

    #[test]
    fn an_entry_is_known_by_its_metadata() {
        let metadata = || MessageMetadata {
            producer_name: "p".to_owned(),
            sequence_id: 5,
            publish_time: 1,
            ..MessageMetadata::default()
        };
        let identity = |metadata: &MessageMetadata| {
            let entry = encode_entry(metadata, b"payload");
            Identity::of_entry(&EntryMeta::parse(&entry).unwrap())
        };
        assert_eq!(identity(&metadata()), Identity::Sequence(Sequence::of(5)));
        let batch = MessageMetadata { highest_sequence_id: Some(9), ..metadata() };
        assert_eq!(identity(&batch), Identity::Sequence(Sequence::batch(5, 9)));
        let lower = MessageMetadata { highest_sequence_id: Some(0), ..metadata() };
        assert_eq!(identity(&lower), Identity::Sequence(Sequence::of(5)));
        let chunk = MessageMetadata {
            uuid: Some("p-5".to_owned()),
            chunk_id: Some(1),
            num_chunks_from_msg: Some(3),
            total_chunk_msg_size: Some(100),
            ..metadata()
        };
        let part = Chunk::new(1, 3, b"p-5", 100);
        let expected = Sequence { chunk: Some(part), ..Sequence::of(5) };
        assert_eq!(identity(&chunk), Identity::Sequence(expected));
        let whole = MessageMetadata { chunk_id: Some(0), num_chunks_from_msg: Some(1), ..chunk };
        assert_eq!(identity(&whole), Identity::Sequence(Sequence::of(5)), "the only part");
        assert_eq!(Sequence::batch(5, 3), Sequence::of(5));
        let mut sourced = metadata();
        let (key, value) = (SOURCE_POSITION.to_owned(), "1:2:-1".to_owned());
        sourced.properties.push(KeyValue { key, value });
        assert_eq!(identity(&sourced), Identity::Sequence(Sequence::of(5)), "a copied property");
        sourced.producer_name = format!("{}t-s", SourcePosition::PRODUCER_PREFIX);
        let source = SourcePosition { position: Position::new(1, 2), batch_index: -1 };
        assert_eq!(identity(&sourced), Identity::Source(source));
        sourced.properties[0].value = "nowhere".to_owned();
        assert_eq!(identity(&sourced), Identity::Sequence(Sequence::of(5)));
    }

    #[test]
    fn parts_know_their_message_and_the_last_one() {
        let part = Chunk::new(1, 3, b"a-5", 100);
        assert_eq!(part.message, Chunk::new(0, 3, b"a-5", 100).message);
        assert_ne!(part.message, Chunk::new(1, 3, b"a-6", 100).message);
        assert_ne!(part.message, Chunk::new(1, 4, b"a-5", 100).message);
        assert_ne!(part.message, Chunk::new(1, 3, b"a-5", 101).message);
        assert!(!part.is_last() && Chunk::new(2, 3, b"a-5", 100).is_last());
    }
}
