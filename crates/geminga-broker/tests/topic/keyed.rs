//! Messages with keys, alone and in batches, and what a consumer sees of them.

use bytes::Bytes;
use geminga_broker::{
    CompactionStatus, Consumer, Identity, OutMessage, Outgoing, Producer, Publish, Sequence,
    SubscribeRequest,
};
use geminga_checksum::Sum;
use geminga_types::Position;
use geminga_wire::{
    batch::{BatchBuilder, BatchReader},
    entry::{EntryHeader, encode_entry},
    proto::{MessageMetadata, SingleMessageMetadata},
};
use prost::Message as _;

use crate::{
    client::Client,
    world::{World, topic},
};

/// A message: its key, and its value, which is empty to delete the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: Option<String>,
    pub(crate) value: String,
}

/// A message in its place: its entry, and its index in a batch or -1.
pub(crate) type Placed = (Position, i32, Item);

pub(crate) fn item(key: &str, value: &str) -> Item {
    Item { key: Some(key.to_owned()), value: value.to_owned() }
}

/// One message as it is, several as a batch.
fn entry(sequence_id: u64, items: &[Item], is_batch: bool) -> Bytes {
    let metadata = MessageMetadata {
        producer_name: "test".to_owned(),
        sequence_id,
        publish_time: sequence_id,
        ..MessageMetadata::default()
    };
    if !is_batch {
        let Item { key, value } = &items[0];
        let null_value = value.is_empty().then_some(true);
        let metadata = MessageMetadata { partition_key: key.clone(), null_value, ..metadata };
        return encode_entry(&metadata, value.as_bytes());
    }
    let mut builder = BatchBuilder::default();
    for Item { key, value } in items {
        let null_value = value.is_empty().then_some(true);
        let metadata = SingleMessageMetadata {
            partition_key: key.clone(),
            null_value,
            ..SingleMessageMetadata::default()
        };
        builder.push(metadata, value.as_bytes());
    }
    let messages = i32::try_from(items.len()).unwrap();
    let metadata = MessageMetadata { num_messages_in_batch: Some(messages), ..metadata };
    encode_entry(&metadata, &builder.take())
}

fn publish(sequence_id: u64, items: &[Item], is_batch: bool) -> Publish {
    let entry = entry(sequence_id, items, is_batch);
    Publish {
        sequence_id,
        highest_sequence_id: None,
        messages: u32::try_from(items.len()).unwrap(),
        sum: Sum::of(&entry),
        entry,
        key_hash: 0,
        deliver_at: None,
        published_at: sequence_id,
        is_visible: true,
        chunk: None,
        name: "p".into(),
        identity: Identity::Sequence(Sequence::of(sequence_id)),
        permit: None,
    }
}

/// What a consumer sees of an entry.
pub(crate) fn seen(message: &OutMessage) -> Vec<Placed> {
    let checked = EntryHeader::check(&message.entry).unwrap();
    let metadata = message.entry.slice(checked.header.metadata);
    let metadata = MessageMetadata::decode(metadata).unwrap();
    let payload = message.entry.slice(checked.header.payload..);
    let text = |payload: &Bytes| String::from_utf8(payload.to_vec()).unwrap();
    let at = message.position;
    let Some(messages) = metadata.num_messages_in_batch else {
        return vec![(at, -1, Item { key: metadata.partition_key, value: text(&payload) })];
    };
    let reader = BatchReader::new(payload, u32::try_from(messages).unwrap());
    let parts = reader.map(Result::unwrap).zip(0..);
    let parts = parts.filter(|(part, _)| !part.metadata.compacted_out());
    let placed = |(part, index): (geminga_wire::batch::BatchMessage, i32)| {
        (at, index, Item { key: part.metadata.partition_key, value: text(&part.payload) })
    };
    parts.map(placed).collect()
}

pub(crate) fn all_seen(messages: &[OutMessage]) -> Vec<Placed> {
    messages.iter().flat_map(seen).collect()
}

impl Client {
    /// Publishes one entry and waits for its receipt.
    pub(crate) async fn publish_items(
        &mut self,
        producer: &Producer,
        sequence_id: u64,
        items: &[Item],
        is_batch: bool,
    ) -> Vec<Placed> {
        producer.publish(vec![publish(sequence_id, items, is_batch)]).await.unwrap();
        let position = match self.next().await {
            Outgoing::Receipts { receipts, .. } => receipts[0].position,
            other => panic!("expected a receipt, got {other:?}"),
        };
        let index = |index| if is_batch { index } else { -1 };
        items.iter().zip(0..).map(|(item, at)| (position, index(at), item.clone())).collect()
    }

    /// Publishes one message while others may be delivered, and waits for its receipt.
    pub(crate) async fn publish_items_beside(
        &mut self,
        producer: &Producer,
        sequence_id: u64,
        items: &[Item],
    ) -> Placed {
        producer.publish(vec![publish(sequence_id, items, false)]).await.unwrap();
        loop {
            match self.next().await {
                Outgoing::Receipts { receipts, .. } => {
                    return (receipts[0].position, -1, items[0].clone());
                }
                Outgoing::Messages { .. } => {}
                other => panic!("expected a receipt, got {other:?}"),
            }
        }
    }

    /// Publishes single messages and waits for the receipts.
    pub(crate) async fn publish_keyed(
        &mut self,
        producer: &Producer,
        items: &[(&str, &str)],
    ) -> Vec<Placed> {
        let mut placed = Vec::new();
        for (number, (key, value)) in (0..).zip(items) {
            let items = [item(key, value)];
            placed.extend(self.publish_items(producer, number, &items, false).await);
        }
        placed
    }

    /// A reader of the compacted topic from its beginning.
    pub(crate) async fn read_compacted(&self, name: &str, id: u64) -> Consumer {
        let request = SubscribeRequest {
            is_durable: false,
            reads_compacted: true,
            ..self.subscribe_request(id, &format!("reader-{id}"))
        };
        self.try_subscribe(name, request).await.unwrap()
    }

    /// All that a new reader of the compacted topic gets, until nothing comes for a while.
    pub(crate) async fn all_compacted(&mut self, name: &str) -> Vec<Placed> {
        let reader = self.read_compacted(name, 1_000).await;
        reader.flow(1_000_000).await;
        let messages = self.all_messages().await;
        reader.close().await;
        all_seen(&messages)
    }
}

impl World {
    /// Compacts and waits for the end of it.
    pub(crate) async fn compact(&self, name: &str) -> CompactionStatus {
        self.broker.compact(&topic(name)).await.unwrap();
        self.compacted(name).await
    }

    /// Waits for the end of a compaction.
    pub(crate) async fn compacted(&self, name: &str) -> CompactionStatus {
        for _ in 0..100_000 {
            let status = self.broker.compaction_status(&topic(name)).await.unwrap();
            if status != CompactionStatus::Running {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("the compaction does not end");
    }
}
