//! Messages and their ids, as applications see them.

use std::{fmt, str::FromStr, sync::Arc};

use bytes::Bytes;
use geminga_env::Timestamp;
use geminga_types::Position;
use geminga_wire::proto::MessageIdData;

/// Which message of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchPlace {
    /// From 0.
    pub index: u32,
    /// Messages in the batch.
    pub size: u32,
}

/// Where a message lies.
///
/// Ordered by partition first; only ids of one partition follow each other in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The partition, of a topic that has some.
    pub partition: Option<u32>,
    /// The entry.
    pub position: Position,
    /// Which message of the entry, when the entry is a batch.
    pub batch: Option<BatchPlace>,
}

/// The text is not a message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a message id: expected <ledger>:<entry>[:<partition>[:<index>]]")]
pub struct InvalidMessageId(String);

/// What an application says of a message that it sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingMetadata {
    /// Picks the partition, and the consumer of a Key_Shared subscription.
    pub key: Option<String>,
    /// Whether `key` is base64 of what the application calls the key.
    pub key_is_base64: bool,
    /// Orders where that should differ from `key`.
    pub ordering_key: Option<Bytes>,
    /// Names and values.
    pub properties: Vec<(String, String)>,
    /// When it happened.
    pub event_time: Option<Timestamp>,
    /// Not to be delivered before, to Shared subscriptions.
    pub deliver_at: Option<Timestamp>,
    /// The value is null: deletes the key when the topic is compacted.
    pub null_value: bool,
    /// Set when the application numbers its messages itself; each must be larger than the last.
    pub sequence_id: Option<u64>,
    /// Version of the schema that the payload is written in.
    pub schema_version: Option<Bytes>,
    /// The cluster that a replicator has the message from.
    pub replicated_from: Option<String>,
    /// When it was published first, for a replicator; now, when it is not set.
    pub publish_time: Option<Timestamp>,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it lies; acks name it.
    pub id: MessageId,
    /// The topic, with `-partition-N` when it is one.
    pub topic: Arc<str>,
    /// What was sent.
    pub payload: Bytes,
    /// The key.
    pub key: Option<String>,
    /// Whether `key` is base64 of what the application calls the key.
    pub key_is_base64: bool,
    /// The ordering key.
    pub ordering_key: Option<Bytes>,
    /// Names and values.
    pub properties: Vec<(String, String)>,
    /// When it was published, by the producer's clock.
    pub publish_time: Timestamp,
    /// When it happened, if the application said so.
    pub event_time: Option<Timestamp>,
    /// Who sent it.
    pub producer_name: Arc<str>,
    /// The producer's number for it.
    pub sequence_id: u64,
    /// Whether the value is null.
    pub null_value: bool,
    /// How often it was delivered before.
    pub redelivery_count: u32,
    /// Version of the schema that the payload is written in.
    pub schema_version: Option<Bytes>,
    /// The cluster that it was replicated from.
    pub replicated_from: Option<String>,
}

impl OutgoingMetadata {
    /// Whether the message may share an entry with others.
    pub(crate) const fn is_batchable(&self) -> bool {
        self.deliver_at.is_none()
            && self.schema_version.is_none()
            && self.replicated_from.is_none()
            && self.publish_time.is_none()
    }
}

impl MessageId {
    /// The id of a whole entry.
    #[must_use]
    pub const fn of_entry(position: Position, partition: Option<u32>) -> Self {
        Self { partition, position, batch: None }
    }

    /// The index in the batch, −1 for a message that is an entry of its own.
    pub(crate) fn wire_batch(self) -> (i32, i32) {
        let wire = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        self.batch.map_or((-1, 0), |place| (wire(place.index), wire(place.size)))
    }

    pub(crate) fn wire_partition(self) -> i32 {
        self.partition.and_then(|partition| i32::try_from(partition).ok()).unwrap_or(-1)
    }

    pub(crate) fn to_wire(self) -> MessageIdData {
        let mut wire = MessageIdData::from(self.position);
        wire.partition = self.partition.map(|_| self.wire_partition());
        if self.batch.is_some() {
            let (index, size) = self.wire_batch();
            (wire.batch_index, wire.batch_size) = (Some(index), Some(size));
        }
        wire
    }

    pub(crate) fn from_wire(wire: &MessageIdData, partition: Option<u32>) -> Self {
        let size = u32::try_from(wire.batch_size()).unwrap_or(0);
        let index = u32::try_from(wire.batch_index()).ok();
        let batch = index.map(|index| BatchPlace { index, size: size.max(index + 1) });
        Self { partition, position: wire.position(), batch }
    }
}

impl fmt::Display for MessageId {
    /// Writes `ledger:entry:partition[:index]`, as Pulsar's tools do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { ledger_id, entry_id } = self.position;
        write!(f, "{}:{}:{}", ledger_id.0, entry_id.0, self.wire_partition())?;
        match self.batch {
            Some(place) => write!(f, ":{}", place.index),
            None => Ok(()),
        }
    }
}

impl FromStr for MessageId {
    type Err = InvalidMessageId;

    /// Parses `ledger:entry[:partition[:index]]`; `earliest` and `latest` are ids too.
    fn from_str(text: &str) -> Result<Self, InvalidMessageId> {
        let invalid = || InvalidMessageId(text.to_owned());
        match text {
            "earliest" => return Ok(Self::of_entry(Position::EARLIEST, None)),
            "latest" => return Ok(Self::of_entry(Position::LATEST, None)),
            _ => {}
        }
        let numbers = text.split(':').map(str::parse::<i64>).collect::<Result<Vec<_>, _>>();
        let numbers = numbers.map_err(|_| invalid())?;
        let (ledger_id, entry_id, partition, index) = match *numbers.as_slice() {
            [ledger_id, entry_id] => (ledger_id, entry_id, -1, -1),
            [ledger_id, entry_id, partition] => (ledger_id, entry_id, partition, -1),
            [ledger_id, entry_id, partition, index] => (ledger_id, entry_id, partition, index),
            _ => return Err(invalid()),
        };
        let optional = |number: i64| match number {
            -1 => Ok(None),
            number => i32::try_from(number)
                .ok()
                .and_then(|n| u32::try_from(n).ok())
                .map(Some)
                .ok_or_else(invalid),
        };
        let batch = optional(index)?.map(|index| BatchPlace { index, size: index + 1 });
        let position = Position::new(ledger_id, entry_id);
        Ok(Self { partition: optional(partition)?, position, batch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_write() {
        for text in ["7:0:-1", "7:3:2", "7:3:2:9", "7:3:-1:0"] {
            let id: MessageId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(MessageId::from_wire(&id.to_wire(), id.partition), id);
        }
        assert_eq!("7:3".parse::<MessageId>().unwrap().to_string(), "7:3:-1");
        assert_eq!("earliest".parse::<MessageId>().unwrap().position, Position::EARLIEST);
        for text in ["", "7", "7:", "7:3:-2", "7:3:0:4294967296", "7:3:2147483648", "1:2:3:4:5"] {
            assert!(text.parse::<MessageId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn odd_ids_from_the_wire_are_bounded() {
        let wire = MessageIdData {
            batch_index: Some(i32::MAX),
            batch_size: Some(-4),
            ..MessageIdData::default()
        };
        let batch = MessageId::from_wire(&wire, None).batch.unwrap();
        assert_eq!((batch.index, batch.size), (i32::MAX as u32, 1 << 31));
    }
}
