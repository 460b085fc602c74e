//! Deduplication: what was stored once is not stored again, and is known after a crash.

use std::time::Duration;

use geminga_broker::{
    Identity, Options, Outgoing, ProduceError, Producer, ProducerRequest, Publish, PublishError,
    Receipt, SourcePosition,
};
use geminga_checksum::Sum;
use geminga_types::Position;
use geminga_wire::{
    entry::{EntryMeta, SOURCE_POSITION, encode_entry},
    proto::{KeyValue, MessageMetadata},
};

use crate::{
    bookie::Adds,
    client::Client,
    store::Writes,
    world::{World, is_pending, soon, topic},
};

pub(crate) const CURSOR: &str = "/managed-ledgers/public/default/persistent/t/pulsar.dedup";
/// A receipt of what is stored already names no position.
pub(crate) const KNOWN: Position = Position::EARLIEST;
pub(crate) const NONE: [u64; 0] = [];
/// A broker that publishes messages of another topic here.
pub(crate) const DLQ: &str = "geminga.sourced:t-sub";

pub(crate) fn enabled(options: &mut Options) {
    options.deduplication.is_enabled = true;
    kept(options);
}

/// What is stored stays, so that it can be counted.
pub(crate) fn kept(options: &mut Options) {
    options.managed_ledger.retention_time = None;
    options.managed_ledger.retention_bytes = None;
}

pub(crate) async fn open(client: &Client, name: &str) -> Result<Producer, ProduceError> {
    let request = ProducerRequest { name: Some(name.to_owned()), ..client.producer_request(1) };
    client.try_produce("t", request).await
}

/// A message as a client of that name would send it.
pub(crate) fn message(name: &str, first: u64, last: u64, source: Option<i64>) -> Publish {
    message_at(1, name, (first, last), source)
}

/// One that says when it was published.
pub(crate) fn message_at(
    publish_time: u64,
    name: &str,
    (first, last): (u64, u64),
    source: Option<i64>,
) -> Publish {
    let source = source.map(|entry| KeyValue {
        key: SOURCE_POSITION.to_owned(),
        value: SourcePosition { position: Position::new(7, entry), batch_index: -1 }.to_string(),
    });
    let metadata = MessageMetadata {
        producer_name: name.to_owned(),
        sequence_id: first,
        highest_sequence_id: (first < last).then_some(last),
        publish_time,
        properties: source.into_iter().collect(),
        ..MessageMetadata::default()
    };
    of_entry(encode_entry(&metadata, b"m"), first, (first < last).then_some(last))
}

fn of_entry(entry: bytes::Bytes, sequence_id: u64, highest_sequence_id: Option<u64>) -> Publish {
    Publish {
        sequence_id,
        highest_sequence_id,
        messages: 1,
        sum: Sum::of(&entry),
        name: entry.slice_ref(EntryMeta::parse(&entry).unwrap().producer_name),
        identity: Identity::of_entry(&EntryMeta::parse(&entry).unwrap()),
        entry,
        key_hash: 0,
        deliver_at: None,
        published_at: 1,
        is_visible: true,
        chunk: None,
        permit: None,
    }
}

pub(crate) async fn send(producer: &Producer, ids: impl IntoIterator<Item = u64>) {
    let batch = ids.into_iter().map(|id| message(producer.name(), id, id, None)).collect();
    producer.publish(batch).await.unwrap();
}

async fn send_source(producer: &Producer, entry: i64) {
    producer.publish(vec![message(producer.name(), 0, 0, Some(entry))]).await.unwrap();
}

pub(crate) async fn receipts(client: &mut Client, count: usize) -> Vec<Receipt> {
    let mut found = Vec::new();
    while found.len() < count {
        match client.next().await {
            Outgoing::Receipts { receipts, .. } => found.extend(receipts),
            other => panic!("expected receipts, got {other:?}"),
        }
    }
    assert_eq!(found.len(), count);
    found
}

/// Sends these, one by one; those that are in the answer were known.
pub(crate) async fn known(
    client: &mut Client,
    producer: &Producer,
    ids: impl IntoIterator<Item = u64>,
) -> Vec<u64> {
    let mut known = Vec::new();
    for id in ids {
        send(producer, [id]).await;
        let receipt = receipts(client, 1).await[0];
        assert_eq!(receipt.sequence_id, id);
        if receipt.position == KNOWN {
            known.push(id);
        }
    }
    known
}

/// Name, sequence id and source of each entry that is stored, in order.
pub(crate) async fn stored(world: &World) -> Vec<(String, u64, Option<String>)> {
    let entries = stored_entries(world).await;
    let known_by = entries.iter().map(|entry| {
        let meta = EntryMeta::parse(entry).unwrap();
        (text(meta.producer_name), meta.sequence_id, meta.source_position.map(text))
    });
    known_by.collect()
}

/// Name and publish time of each entry that is stored, in order.
pub(crate) async fn stored_times(world: &World) -> Vec<(String, u64)> {
    let entries = stored_entries(world).await;
    let times = entries.iter().map(|entry| {
        let meta = EntryMeta::parse(entry).unwrap();
        (text(meta.producer_name), meta.publish_time)
    });
    times.collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn stored_entries(world: &World) -> Vec<bytes::Bytes> {
    let mut client = world.client();
    let reader = client.read("t", 99).await;
    reader.flow(10_000).await;
    let stored = client.all_messages().await.into_iter().map(|message| message.entry);
    let stored = stored.collect();
    reader.close().await;
    stored
}

pub(crate) async fn stored_ids(world: &World) -> Vec<u64> {
    stored(world).await.into_iter().map(|(_, id, _)| id).collect()
}

pub(crate) async fn has_cursor(world: &World) -> bool {
    world.store.value(CURSOR).await.is_some()
}

/// Waits until the cursor is there, or is gone.
pub(crate) async fn until_cursor(world: &World, is_there: bool) {
    for _ in 0..10_000 {
        if has_cursor(world).await == is_there {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the cursor's being there is never {is_there}");
}
#[tokio::test(start_paused = true)]
async fn what_is_sent_again_has_a_receipt_and_is_not_stored_again() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), -1);
    // Gaps mean nothing.
    assert_eq!(known(&mut client, &producer, [3, 4, 9]).await, NONE);
    assert_eq!(known(&mut client, &producer, [3, 4, 7, 9, 10]).await, [3, 4, 7, 9]);
    // In order with the others.
    send(&producer, [10, 11, 9, 12, 12]).await;
    let answers = receipts(&mut client, 5).await;
    let ids: Vec<u64> = answers.iter().map(|receipt| receipt.sequence_id).collect();
    assert_eq!(ids, [10, 11, 9, 12, 12]);
    let known: Vec<bool> = answers.iter().map(|receipt| receipt.position == KNOWN).collect();
    assert_eq!(known, [true, false, true, false, true]);
    assert_eq!(stored_ids(&world).await, [3, 4, 9, 10, 11, 12]);
}

#[tokio::test(start_paused = true)]
async fn without_deduplication_everything_is_stored() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [1, 1, 0]).await, NONE);
    producer.close().await;
    assert_eq!(open(&client, "p").await.unwrap().last_sequence_id(), -1);
    assert_eq!(stored_ids(&world).await, [1, 1, 0]);
    assert!(!has_cursor(&world).await);
}

/// Goal: a message that is sent again while it is on its way shares its fate.
#[tokio::test(start_paused = true)]
async fn a_repeated_send_waits_for_the_one_that_it_repeats() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [0]).await, NONE);
    world.bookie.set_adds(Adds::Held);
    send(&producer, [1, 1, 2]).await;
    client.quiet().await;
    world.bookie.release();
    let answers = receipts(&mut client, 3).await;
    assert_eq!(answers.iter().filter(|receipt| receipt.position == KNOWN).count(), 1);

    world.bookie.set_adds(Adds::Failed);
    send(&producer, [3, 3]).await;
    match client.next().await {
        Outgoing::SendFailed {
            sequence_id: 3, error: PublishError::Persistence { .. }, ..
        } => {}
        other => panic!("expected that it fails, got {other:?}"),
    }
    world.bookie.set_adds(Adds::Stored);
    client.quiet().await;
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), 2);
    assert_eq!(known(&mut client, &producer, [2, 3, 3]).await, [2, 3]);
    assert_eq!(stored_ids(&world).await, [0, 1, 2, 3]);
}

/// Goal: a client that opens a name again is told what became of all that was sent under it.
#[tokio::test(start_paused = true)]
async fn a_producer_opens_once_its_name_has_nothing_undecided() {
    let world = World::with(enabled).await;
    let (client, other) = (world.client(), world.client());
    let producer = open(&client, "p").await.unwrap();
    world.bookie.set_adds(Adds::Held);
    send(&producer, [0, 1]).await;
    // Who is only in the way is told so at once.
    assert!(matches!(soon(open(&other, "p")).await, Err(ProduceError::Busy(_))));
    producer.close().await;
    let mut opening = Box::pin(open(&other, "p"));
    is_pending(&mut opening).await;
    assert_eq!(soon(open(&client, "q")).await.unwrap().last_sequence_id(), -1);
    world.bookie.release();
    let producer = soon(opening).await.unwrap();
    assert_eq!(producer.last_sequence_id(), 1);
    drop(other);
    assert_eq!(stored_ids(&world).await, [0, 1]);
}

/// Goal: what is known survives, be it in the records, behind them, or both.
#[tokio::test(start_paused = true)]
async fn what_is_stored_is_known_after_a_crash() {
    for entries in [1, 3, 1_000] {
        let options = |options: &mut Options| {
            enabled(options);
            options.deduplication.snapshot_entries = entries;
        };
        let mut world = World::with(options).await;
        for round in 0..4 {
            let mut client = world.client();
            let producer = open(&client, "p").await.unwrap();
            assert_eq!(producer.last_sequence_id(), round * 10 - 1, "{entries} {round}");
            let first = u64::try_from(round * 10).unwrap();
            assert_eq!(
                known(&mut client, &producer, 0..first).await,
                (0..first).collect::<Vec<_>>()
            );
            assert_eq!(known(&mut client, &producer, first..first + 10).await, NONE);
            world = world.crash(options).await;
        }
        assert_eq!(stored_ids(&world).await, (0..40).collect::<Vec<_>>());
    }
}

/// Goal: a retry is not stored twice although its first send got no receipt, and is not lost although
/// it was sent before.
#[tokio::test(start_paused = true)]
async fn a_retry_after_a_crash_is_stored_exactly_once() {
    for is_stored in [false, true] {
        let world = World::with(enabled).await;
        let client = world.client();
        let producer = open(&client, "p").await.unwrap();
        world.bookie.set_adds(Adds::Held);
        send(&producer, [0]).await;
        world.until("the append is on its way", || world.bookie.held() == 1).await;
        if is_stored {
            // Before the topic hears of it.
            world.bookie.release_one();
        }
        world.bookie.set_adds(Adds::Stored);
        let world = world.crash(enabled).await;
        let mut client = world.client();
        let producer = open(&client, "p").await.unwrap();
        assert_eq!(known(&mut client, &producer, [0]).await.len(), usize::from(is_stored));
        assert_eq!(stored_ids(&world).await, [0]);
    }
}

/// Goal: what is forgotten stays so, whatever happens right behind.
#[tokio::test(start_paused = true)]
async fn a_name_that_was_forgotten_is_not_known_again_after_a_crash() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, [7, 8]).await, NONE);
    // Not as long as its producer is there, however long it sends nothing, nor right behind that.
    tokio::time::sleep(Duration::from_secs(7 * 3_600)).await;
    producer.close().await;
    tokio::time::sleep(Duration::from_secs(5 * 3_600)).await;
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), 8);
    producer.close().await;
    // And not before that is durable.
    world.bookie.set_adds(Adds::Held);
    tokio::time::sleep(Duration::from_secs(7 * 3_600)).await;
    let mut opening = Box::pin(open(&client, "p"));
    is_pending(&mut opening).await;
    soon(open(&client, "another")).await.unwrap();
    world.bookie.release();
    world.bookie.set_adds(Adds::Stored);
    let producer = soon(opening).await.unwrap();
    assert_eq!(producer.last_sequence_id(), -1);
    world.bookie.set_adds(Adds::Held);
    send(&producer, [0]).await;
    world.until("the append is on its way", || 0 < world.bookie.held()).await;
    world.bookie.set_adds(Adds::Stored);
    let world = world.crash(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), -1);
    assert_eq!(known(&mut client, &producer, [0, 1]).await, NONE);
}

/// Goal: a load has not more to go through than it can, however long records cannot be stored.
#[tokio::test(start_paused = true)]
async fn nothing_is_taken_while_too_much_is_not_in_the_records() {
    let options = |options: &mut Options| {
        enabled(options);
        options.deduplication.unstored_bytes = 1_000;
    };
    let world = World::with(options).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    world.store.set_writes("pulsar.dedup", Writes::Held);
    let mut next = 0;
    let is_closed = loop {
        assert!(next < 1_000, "it takes without end");
        send(&producer, [next]).await;
        match client.next().await {
            Outgoing::Receipts { .. } => next += 1,
            Outgoing::ProducerClosed { .. } => break true,
            other => panic!("{other:?}"),
        }
    };
    assert!(is_closed && 10 < next, "{next}");
    let mut opening = Box::pin(open(&client, "p"));
    is_pending(&mut opening).await;
    world.store.set_writes("", Writes::Made);
    let producer = soon(opening).await.unwrap();
    assert_eq!(producer.last_sequence_id(), i64::try_from(next).unwrap() - 1);
    assert_eq!(known(&mut client, &producer, [next - 1, next]).await, [next - 1]);
}

/// Goal: it is judged by the name that a load finds, as a replicator needs it, which sends under others'.
#[tokio::test(start_paused = true)]
async fn the_name_in_the_metadata_counts() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    let batch = [("a", 5), ("b", 3), ("a", 5), ("p", 0), ("b", 4)];
    let batch = batch.map(|(name, id)| message(name, id, id, None));
    producer.publish(batch.into()).await.unwrap();
    let answers = receipts(&mut client, 5).await;
    let known: Vec<bool> = answers.iter().map(|receipt| receipt.position == KNOWN).collect();
    assert_eq!(known, [false, false, true, false, false]);
    let world = world.crash(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    let batch = [("a", 5), ("b", 4), ("p", 0), ("p", 1)];
    let batch = batch.map(|(name, id)| message(name, id, id, None));
    producer.publish(batch.into()).await.unwrap();
    let answers = receipts(&mut client, 4).await;
    let known: Vec<bool> = answers.iter().map(|receipt| receipt.position == KNOWN).collect();
    assert_eq!(known, [true, true, true, false]);
}

/// Goal: no entry goes before the records tell of it; and then it does.
#[tokio::test(start_paused = true)]
async fn entries_are_kept_until_the_records_tell_of_them() {
    let world = World::with(|options| options.deduplication.is_enabled = true).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    // Five entries fill a ledger, and nobody needs them.
    known(&mut client, &producer, 0..12).await;
    let first = async || world.broker.topic_stats(&topic("t")).await.unwrap().ledgers[0].ledger_id;
    let before = first().await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert_eq!(first().await, before, "the records are written after two minutes");
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_ne!(first().await, before);
    let world = world.crash(|options| options.deduplication.is_enabled = true).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &producer, 0..13).await, (0..12).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_stored_in_part_is_refused_and_others_go_on() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    let batch = |first, last| message("p", first, last, None);
    producer.publish(vec![batch(0, 9), batch(5, 9), batch(5, 12), batch(10, 12)]).await.unwrap();
    assert_eq!(receipts(&mut client, 2).await[1].position, KNOWN);
    match client.next().await {
        Outgoing::SendFailed { sequence_id: 5, highest_sequence_id: Some(12), error, .. } => {
            assert!(matches!(error, PublishError::Overlapping { .. }), "{error:?}");
        }
        other => panic!("expected that it is refused, got {other:?}"),
    }
    let receipt = receipts(&mut client, 1).await[0];
    assert_eq!((receipt.sequence_id, receipt.highest_sequence_id), (10, Some(12)));
    assert_ne!(receipt.position, KNOWN);
    assert_eq!(stored_ids(&world).await, [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn chunks_are_told_apart() {
    let world = World::with(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    let chunk = |id: i32, uuid: &str| {
        let metadata = MessageMetadata {
            producer_name: "p".to_owned(),
            sequence_id: 4,
            publish_time: 1,
            uuid: Some(uuid.to_owned()),
            chunk_id: Some(id),
            num_chunks_from_msg: Some(3),
            total_chunk_msg_size: Some(30),
            ..MessageMetadata::default()
        };
        of_entry(encode_entry(&metadata, b"part"), 4, None)
    };
    let all = vec![chunk(0, "a"), chunk(1, "a"), chunk(1, "a"), chunk(0, "b"), chunk(1, "b")];
    producer.publish(all).await.unwrap();
    let answers = receipts(&mut client, 5).await;
    let known: Vec<bool> = answers.iter().map(|receipt| receipt.position == KNOWN).collect();
    assert_eq!(known, [false, false, true, false, false]);
    let world = world.crash(enabled).await;
    let mut client = world.client();
    let producer = open(&client, "p").await.unwrap();
    assert_eq!(producer.last_sequence_id(), 3, "half a message is none");
    producer.publish(vec![chunk(1, "b"), chunk(2, "b"), chunk(2, "b")]).await.unwrap();
    let answers = receipts(&mut client, 3).await;
    let known: Vec<bool> = answers.iter().map(|receipt| receipt.position == KNOWN).collect();
    assert_eq!(known, [true, false, true]);
    assert_eq!(stored_ids(&world).await.len(), 5);
}

/// Goal: messages with sources are deduplicated although the policies want nothing, in any order, and
/// over a crash right behind the first receipt.
#[tokio::test(start_paused = true)]
async fn sources_are_known_without_a_policy() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, DLQ).await.unwrap();
    world.store.set_writes("pulsar.dedup", Writes::Held);
    send_source(&producer, 5).await;
    assert!(matches!(client.next().await, Outgoing::ProducerClosed { .. }));
    let mut opening = Box::pin(open(&client, DLQ));
    is_pending(&mut opening).await;
    soon(open(&client, "other")).await.unwrap();
    world.store.set_writes("", Writes::Made);
    let producer = soon(opening).await.unwrap();
    assert!(has_cursor(&world).await);
    send_source(&producer, 5).await;
    assert_ne!(receipts(&mut client, 1).await[0].position, KNOWN);

    let world = world.crash(kept).await;
    let mut client = world.client();
    let producer = open(&client, DLQ).await.unwrap();
    for (entry, is_known) in [(5, true), (2, false), (5, true), (2, true), (9, false)] {
        send_source(&producer, entry).await;
        let receipt = receipts(&mut client, 1).await[0];
        assert_eq!(receipt.position == KNOWN, is_known, "{entry}");
    }
    // Clients' messages are none of this.
    let other = open(&client, "p").await.unwrap();
    assert_eq!(known(&mut client, &other, [1, 1]).await, NONE);
    let sources: Vec<_> =
        stored(&world).await.into_iter().filter_map(|(.., source)| source).collect();
    assert_eq!(sources, ["7:5:-1", "7:2:-1", "7:9:-1"]);
}

#[tokio::test(start_paused = true)]
async fn sources_of_a_publisher_that_has_gone_are_forgotten() {
    let world = World::with(kept).await;
    let mut client = world.client();
    let producer = open(&client, DLQ).await.unwrap();
    send_source(&producer, 5).await;
    assert!(matches!(client.next().await, Outgoing::ProducerClosed { .. }));
    let producer = soon(open(&client, DLQ)).await.unwrap();
    send_source(&producer, 5).await;
    receipts(&mut client, 1).await;
    tokio::time::sleep(Duration::from_secs(7 * 3_600)).await;
    assert!(has_cursor(&world).await, "while it is open it is known");
    producer.close().await;
    tokio::time::sleep(Duration::from_secs(6 * 24 * 3_600)).await;
    assert!(has_cursor(&world).await, "what it publishes may have waited for as long");
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    until_cursor(&world, false).await;
}
