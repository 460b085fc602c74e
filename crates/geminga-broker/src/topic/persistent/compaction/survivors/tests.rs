use std::collections::BTreeMap;

use geminga_compression::Compression;
use geminga_wire::{
    batch::{BatchBuilder, BatchReader},
    entry::{EntryHeader, encode_broker_entry_metadata, encode_entry},
    proto::{BrokerEntryMetadata, EncryptionKeys, MessageMetadata, SingleMessageMetadata},
};
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// A message of the model: its key, and its value, which is empty to delete the key.
type Item = (Option<u8>, String);

fn metadata() -> MessageMetadata {
    MessageMetadata {
        producer_name: "p".to_owned(),
        sequence_id: 1,
        publish_time: 1,
        ..MessageMetadata::default()
    }
}

fn key(key: Option<u8>) -> Option<String> {
    key.map(|key| format!("key-{key}"))
}

fn single((key_of, value): &Item) -> Bytes {
    let null_value = value.is_empty().then_some(true);
    let metadata = MessageMetadata { partition_key: key(*key_of), null_value, ..metadata() };
    encode_entry(&metadata, value.as_bytes())
}

fn batch(items: &[Item], compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::default();
    for (key_of, value) in items {
        let metadata = SingleMessageMetadata {
            partition_key: key(*key_of),
            ..SingleMessageMetadata::default()
        };
        builder.push(metadata, value.as_bytes());
    }
    let size = u32::try_from(builder.size()).unwrap();
    let metadata = MessageMetadata {
        num_messages_in_batch: Some(i32::try_from(items.len()).unwrap()),
        compression: Some(compression.code()),
        uncompressed_size: Some(size),
        ..metadata()
    };
    encode_entry(&metadata, &compression.compress(builder.take()).unwrap())
}

fn at(entry: usize) -> Position {
    Position::new(7, i64::try_from(entry).unwrap())
}

/// All entries noted, then decided on.
fn compact(entries: &[Bytes], keeps_null_keys: bool) -> (Vec<Option<Bytes>>, Survivors) {
    let mut survivors = Survivors::new(keeps_null_keys);
    for (index, entry) in entries.iter().enumerate() {
        survivors.note(at(index), entry);
    }
    let decide = |(index, entry): (usize, &Bytes)| match survivors.keep(at(index), entry).unwrap() {
        Kept::Nothing => None,
        Kept::All(_) => Some(entry.clone()),
        Kept::Part(part, _) => Some(part),
    };
    (entries.iter().enumerate().map(decide).collect(), survivors)
}

/// The messages that a consumer sees in an entry, with their index in it.
fn seen(entry: &Bytes) -> Vec<(i32, Option<String>, String)> {
    let checked = EntryHeader::check(entry).unwrap();
    let metadata = MessageMetadata::decode(entry.slice(checked.header.metadata)).unwrap();
    let payload = entry.slice(checked.header.payload..);
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
    let Some(messages) = metadata.num_messages_in_batch else {
        return vec![(-1, metadata.partition_key, text(&payload))];
    };
    let compression = Compression::of_code(metadata.compression.unwrap_or_default()).unwrap();
    let plain = compression.decompress(payload, metadata.uncompressed_size.unwrap()).unwrap();
    let reader = BatchReader::new(plain, u32::try_from(messages).unwrap());
    let parts: Vec<_> = reader.map(Result::unwrap).zip(0..).collect();
    assert_eq!(parts.len(), usize::try_from(messages).unwrap());
    let parts = parts.into_iter().filter(|(part, _)| !part.metadata.compacted_out());
    parts.map(|(part, index)| (index, part.metadata.partition_key, text(&part.payload))).collect()
}

fn random_item(rng: &mut StdRng) -> Item {
    let key = rng.random_bool(0.9).then(|| rng.random_range(0..12));
    let value = if rng.random_bool(0.15) { String::new() } else { rng.random::<u32>().to_string() };
    (key, value)
}

/// Goal: what survives is the last message of each key, if it is not empty, in the order and with the
/// index that it had. Method: random keys, batches and deletions beside a plain map; what survived is
/// compacted again together with more.
#[test]
fn the_last_of_each_key_survives_in_its_place() {
    for seed in 0..1_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let keeps_null_keys = rng.random();
        let (mut entries, mut written): (Vec<Bytes>, Vec<(usize, i32, Item)>) = Default::default();
        let mut kept: Vec<(usize, Bytes)> = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            for _ in 0..rng.random_range(0..20) {
                let index = entries.len();
                if rng.random_bool(0.5) {
                    let item = random_item(&mut rng);
                    entries.push(single(&item));
                    written.push((index, -1, item));
                } else {
                    let count = rng.random_range(1..6);
                    let items: Vec<_> = (0..count).map(|_| random_item(&mut rng)).collect();
                    let compression = Compression::of_code(rng.random_range(0..5)).unwrap();
                    entries.push(batch(&items, compression));
                    written.extend(items.into_iter().zip(0..).map(|(item, at)| (index, at, item)));
                }
                kept.push((index, entries[index].clone()));
            }
            let mut survivors = Survivors::new(keeps_null_keys);
            kept.iter().for_each(|(index, entry)| survivors.note(at(*index), entry));
            let decide = |(index, entry): (usize, Bytes)| {
                let (entry, last) = match survivors.keep(at(index), &entry).unwrap() {
                    Kept::Nothing => return None,
                    Kept::All(last) => (entry, last),
                    Kept::Part(part, last) => (part, last),
                };
                assert_eq!(seen(&entry).last().unwrap().0, last, "seed {seed}");
                Some((index, entry))
            };
            kept = kept.drain(..).filter_map(decide).collect();
        }
        let found: Vec<_> = kept
            .iter()
            .flat_map(|(index, entry)| {
                let messages = seen(entry).into_iter();
                messages.map(move |(place, key, value)| (*index, place, key, value))
            })
            .collect();
        let mut last = BTreeMap::new();
        for (number, (_, _, (key, value))) in written.iter().enumerate() {
            match key {
                Some(key) if value.is_empty() => _ = last.remove(key),
                Some(key) => _ = last.insert(*key, number),
                None => {}
            }
        }
        let survives = |(number, (_, _, (key, _))): &(usize, &(usize, i32, Item))| match key {
            Some(key) => last.get(key) == Some(number),
            None => keeps_null_keys,
        };
        let expected = written.iter().enumerate().filter(survives);
        let expected: Vec<_> = expected
            .map(|(_, (index, place, (of, value)))| (*index, *place, key(*of), value.clone()))
            .collect();
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[test]
fn what_cannot_be_read_is_kept() {
    let damaged = Bytes::from_static(b"no entry at all");
    let items = [(Some(1), "a".to_owned()), (Some(2), "b".to_owned())];
    let good = batch(&items, Compression::Lz4);
    let cut = good.slice(..good.len() - 3);
    let (kept, survivors) = compact(&[damaged.clone(), cut.clone(), single(&items[0])], false);
    assert_eq!(kept[..2], [Some(damaged), Some(cut)]);
    assert!(kept[2].is_some(), "its keys are unknown");
    assert_eq!(survivors.ledgers(), BTreeSet::from([LedgerId(7)]));
}

/// As in Pulsar: an encrypted batch counts as one message, with the key of the entry.
#[test]
fn an_encrypted_batch_is_one_message() {
    let encrypted = |key: Option<&str>| {
        let metadata = MessageMetadata {
            num_messages_in_batch: Some(3),
            partition_key: key.map(str::to_owned),
            encryption_keys: vec![EncryptionKeys::default()],
            ..metadata()
        };
        encode_entry(&metadata, b"secret")
    };
    let entries = [encrypted(Some("key-1")), encrypted(None), encrypted(Some("key-1"))];
    let (kept, survivors) = compact(&entries, false);
    assert_eq!(kept.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(survivors.keep(at(2), &entries[2]), Ok(Kept::All(2)));
    let (kept, _) = compact(&entries, true);
    assert!(kept[1].is_some());
}

#[test]
fn markers_go_and_what_the_broker_put_before_an_entry_stays() {
    let marker = encode_entry(&MessageMetadata { marker_type: Some(10), ..metadata() }, b"x");
    let items = [(Some(1), "old".to_owned()), (Some(2), "b".to_owned())];
    let mut prefixed = bytes::BytesMut::new();
    let broker = BrokerEntryMetadata { broker_timestamp: Some(5), index: Some(9) };
    encode_broker_entry_metadata(&broker, &mut prefixed);
    let prefix = prefixed.clone().freeze();
    prefixed.extend_from_slice(&batch(&items, Compression::None));
    let entries = [marker, prefixed.freeze(), single(&(Some(1), "new".to_owned()))];
    let (kept, survivors) = compact(&entries, true);
    assert_eq!(kept[0], None);
    let part = kept[1].clone().unwrap();
    assert!(part.starts_with(&prefix));
    assert_eq!(seen(&part), [(1, key(Some(2)), "b".to_owned())]);
    assert_eq!(survivors.removed(), 2);
}

/// Goal: a message in chunks lives or dies as a whole, and one that is not finished lives.
#[test]
fn chunks_share_the_fate_of_their_message() {
    let chunk = |uuid: &str, chunk_id| {
        let metadata = MessageMetadata {
            partition_key: key(Some(1)),
            uuid: Some(uuid.to_owned()),
            chunk_id: Some(chunk_id),
            num_chunks_from_msg: Some(2),
            total_chunk_msg_size: Some(10),
            ..metadata()
        };
        encode_entry(&metadata, b"chunk")
    };
    let is_kept = |entries: &[Bytes]| {
        compact(entries, false).0.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    let entries = [chunk("a", 0), chunk("a", 1), chunk("b", 0), chunk("b", 1), chunk("c", 0)];
    assert_eq!(is_kept(&entries), [false, false, true, true, true]);
    assert_eq!(is_kept(&entries[..3]), [true, true, true]);
    let deleted = [chunk("a", 0), chunk("a", 1), single(&(Some(1), String::new()))];
    assert_eq!(is_kept(&deleted), [false, false, false]);
}
