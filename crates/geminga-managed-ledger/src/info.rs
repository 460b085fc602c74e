//! The metadata keys of a managed ledger and its cursors, in Pulsar's format.
//!
//! Values are changed by edits of what is stored, so that what this crate does not know of (offload
//! contexts, properties) stays.
//!
//! # Invariants
//!
//! 1. A ledger with a close time in the key has its final number of entries there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use geminga_env::Timestamp;
use geminga_metadata::{
    paths,
    values::{
        InvalidValue,
        compaction::{self, CompactedLedger},
        cursor_log,
        delayed::{self, DelayedBucket},
        managed_ledger::{
            BatchedEntryDeletionIndexInfo, LedgerInfo, LongProperty, ManagedCursorInfo,
            ManagedLedgerInfo, MessageRange, NestedPositionInfo, StringProperty, decode_cursor,
            decode_ledger, encode,
        },
        message_index, topic_epoch, topic_properties,
    },
};
use geminga_types::{EntryId, LedgerId, Position, TopicName};

use crate::cursor::CursorState;

/// A closed ledger as its key lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) ledger_id: LedgerId,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) at: Timestamp,
}

/// A managed ledger's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Ascending; `Err`: not known to be closed.
    pub(crate) ledgers: Vec<Result<Closed, LedgerId>>,
    pub(crate) terminated: Option<Position>,
    pub(crate) compacted: Option<CompactedLedger>,
    /// What a compaction was writing.
    pub(crate) compacting: Option<LedgerId>,
    pub(crate) epoch: Option<u64>,
    pub(crate) message_index: Option<u64>,
    pub(crate) buckets: Vec<DelayedBucket>,
    /// In what a bucket was being written.
    pub(crate) indexing: Option<LedgerId>,
    /// In wall-clock milliseconds.
    pub(crate) created: Option<u64>,
    /// What users noted.
    pub(crate) properties: BTreeMap<String, String>,
}

/// A change of a managed ledger's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) close: Vec<Closed>,
    pub(crate) remove: BTreeSet<LedgerId>,
    pub(crate) add: Option<LedgerId>,
    pub(crate) terminate: Option<Position>,
    pub(crate) compaction: Option<CompactionEdit>,
    pub(crate) epoch: Option<u64>,
    pub(crate) message_index: Option<u64>,
    pub(crate) delayed: Option<DelayedEdit>,
    /// In this order; nothing removes a property.
    pub(crate) properties: Vec<(String, Option<String>)>,
}

/// A change of what a key says of delayed entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DelayedEdit {
    /// A bucket is being written in this ledger.
    Begin(LedgerId),
    /// The bucket that was being written counts, instead of these.
    Finish(DelayedBucket, BTreeSet<LedgerId>),
    /// None is being written.
    Abandon,
    /// These do not count any more.
    Drop(BTreeSet<LedgerId>),
}

/// A change of what a key says of compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CompactionEdit {
    /// This ledger is being written.
    Begin(LedgerId),
    /// The ledger that was being written holds the compacted topic, instead of any before.
    Finish(CompactedLedger),
    /// None is being written.
    Abandon,
}

pub(crate) fn managed_ledger_path(topic: &TopicName) -> Arc<str> {
    Arc::from(paths::managed_ledger(topic))
}

/// The key of a cursor of the managed ledger at `path`.
pub(crate) fn cursor_path(path: &str, name: &str) -> Arc<str> {
    Arc::from(format!("{path}/{}", paths::encode(name)))
}

/// The name of the cursor whose key is `child`; `None` for what is no cursor's.
pub(crate) fn cursor_name(child: &str) -> Option<Arc<str>> {
    paths::decode(child).map(Arc::from)
}

/// The key of a managed ledger without ledgers.
#[must_use]
pub fn new_record(created: Timestamp, properties: &BTreeMap<String, String>) -> Bytes {
    let mut info = ManagedLedgerInfo::default();
    topic_properties::set_created(&mut info, created.0);
    for (key, value) in properties {
        topic_properties::set_property(&mut info, key, Some(value));
    }
    encode(&info)
}

pub(crate) fn decode(value: &Bytes) -> Result<Listing, InvalidValue> {
    let info = decode_ledger(value.clone())?;
    let mut ledgers = info.ledger_info.iter().map(listed).collect::<Result<Vec<_>, _>>()?;
    ledgers
        .sort_by_key(|ledger| ledger.map_or_else(|ledger_id| ledger_id, |closed| closed.ledger_id));
    Ok(Listing {
        ledgers,
        terminated: info.terminated_position.as_ref().map(position),
        compacted: compaction::compacted(&info)?,
        compacting: compaction::compacting(&info)?,
        epoch: topic_epoch::epoch(&info)?,
        message_index: message_index::last_index(&info)?,
        buckets: delayed::buckets(&info)?,
        indexing: delayed::indexing(&info)?,
        created: topic_properties::created(&info)?,
        properties: topic_properties::properties(&info),
    })
}

/// Every ledger that the key names.
pub(crate) fn listed_ledgers(value: &Bytes) -> Result<Vec<LedgerId>, InvalidValue> {
    let info = decode_ledger(value.clone())?;
    let listed = info.ledger_info.iter().map(|ledger| LedgerId(ledger.ledger_id));
    Ok(listed.chain(compaction::ledgers(&info)?).chain(delayed::ledgers(&info)?).collect())
}

pub(crate) fn edit(value: &Bytes, edit: &Edit) -> Result<Bytes, InvalidValue> {
    let mut info = decode_ledger(value.clone())?;
    info.ledger_info.retain(|ledger| !edit.remove.contains(&LedgerId(ledger.ledger_id)));
    for closed in &edit.close {
        let is_it = |ledger: &&mut LedgerInfo| ledger.ledger_id == closed.ledger_id.0;
        if let Some(ledger) = info.ledger_info.iter_mut().find(is_it) {
            ledger.entries = Some(closed.entries.cast_signed());
            ledger.size = Some(closed.bytes.cast_signed());
            ledger.timestamp = Some(closed.at.0.cast_signed());
        }
    }
    if let Some(ledger_id) = edit.add {
        let timestamp = Some(0);
        info.ledger_info.push(LedgerInfo {
            ledger_id: ledger_id.0,
            timestamp,
            ..LedgerInfo::default()
        });
    }
    if let Some(terminated) = edit.terminate {
        info.terminated_position = Some(nested(terminated));
    }
    if let Some(epoch) = edit.epoch {
        topic_epoch::set_epoch(&mut info, epoch);
    }
    if let Some(index) = edit.message_index {
        message_index::set_last_index(&mut info, index);
    }
    for (key, value) in &edit.properties {
        topic_properties::set_property(&mut info, key, value.as_deref());
    }
    match &edit.compaction {
        None => {}
        Some(CompactionEdit::Begin(ledger_id)) => {
            compaction::set_compacting(&mut info, Some(*ledger_id));
        }
        Some(CompactionEdit::Finish(compacted)) => {
            compaction::set_compacting(&mut info, None);
            compaction::set_compacted(&mut info, compacted);
        }
        Some(CompactionEdit::Abandon) => compaction::set_compacting(&mut info, None),
    }
    match &edit.delayed {
        None => {}
        Some(DelayedEdit::Begin(ledger_id)) => delayed::set_indexing(&mut info, Some(*ledger_id)),
        Some(DelayedEdit::Finish(bucket, replaced)) => {
            delayed::set_indexing(&mut info, None);
            edit_buckets(&mut info, Some(bucket), replaced)?;
        }
        Some(DelayedEdit::Abandon) => delayed::set_indexing(&mut info, None),
        Some(DelayedEdit::Drop(ledgers)) => edit_buckets(&mut info, None, ledgers)?,
    }
    Ok(encode(&info))
}

fn edit_buckets(
    info: &mut ManagedLedgerInfo,
    added: Option<&DelayedBucket>,
    removed: &BTreeSet<LedgerId>,
) -> Result<(), InvalidValue> {
    let mut buckets = delayed::buckets(info)?;
    // One that is added again may be there: nobody knew whether the key had been changed.
    let is_added =
        |bucket: &DelayedBucket| added.is_some_and(|it| it.ledger_id == bucket.ledger_id);
    buckets.retain(|bucket| !removed.contains(&bucket.ledger_id) && !is_added(bucket));
    buckets.extend(added.cloned());
    buckets.sort_by_key(|bucket| bucket.ranges.first().copied());
    delayed::set_buckets(info, &buckets)
}

/// A cursor that has no ledger.
pub(crate) fn new_cursor(state: &CursorState, now: Timestamp) -> Bytes {
    let mut info = ManagedCursorInfo { cursors_ledger_id: -1, ..ManagedCursorInfo::default() };
    describe(&mut info, state, now);
    encode(&info)
}

/// The cursor's key with its whole log in `ledger_id`.
pub(crate) fn point_cursor(
    value: &Bytes,
    ledger_id: LedgerId,
    state: &CursorState,
    now: Timestamp,
) -> Result<Bytes, InvalidValue> {
    let mut info = decode_cursor(value.clone())?;
    // The log has these; here they would only grow old.
    info.individual_deleted_messages.clear();
    info.batched_entry_deletion_index_info.clear();
    describe(&mut info, state, now);
    cursor_log::set_ledgers(&mut info, &[ledger_id]);
    Ok(encode(&info))
}

/// The cursor's key with its log going on in `ledger_id`, behind the ledgers that it is in now.
pub(crate) fn continue_cursor(value: &Bytes, ledger_id: LedgerId) -> Result<Bytes, InvalidValue> {
    let mut info = decode_cursor(value.clone())?;
    let mut ledgers = cursor_log::ledgers(&info)?;
    ledgers.push(ledger_id);
    cursor_log::set_ledgers(&mut info, &ledgers);
    Ok(encode(&info))
}

/// The ledgers of the cursor's log, in the order of reading. Empty: the key itself holds the state.
pub(crate) fn cursor_ledgers(value: &Bytes) -> Result<Vec<LedgerId>, InvalidValue> {
    cursor_log::ledgers(&decode_cursor(value.clone())?)
}

/// The state kept in a cursor's key, which is the whole of it when the cursor has no ledger.
pub(crate) fn cursor_state(value: &Bytes) -> Result<CursorState, InvalidValue> {
    let info = decode_cursor(value.clone())?;
    let mark_delete = Position::new(
        info.mark_delete_ledger_id.unwrap_or(-1),
        info.mark_delete_entry_id.unwrap_or(-1),
    );
    // Pulsar's ranges are open at their lower end.
    let range = |range: &MessageRange| {
        let lower = position(&range.lower_endpoint);
        let entry_id = EntryId(lower.entry_id.0.saturating_add(1));
        (Position { entry_id, ..lower }, position(&range.upper_endpoint))
    };
    let partial =
        |info: &BatchedEntryDeletionIndexInfo| (position(&info.position), info.delete_set.clone());
    let property = |property: LongProperty| (property.name, property.value);
    let text = |property: StringProperty| (property.name, property.value);
    Ok(CursorState {
        mark_delete,
        acked: info.individual_deleted_messages.iter().map(range).collect(),
        partial: info.batched_entry_deletion_index_info.iter().map(partial).collect(),
        redelivery_counts: Vec::new(),
        properties: info.properties.into_iter().map(property).collect(),
        cursor_properties: info.cursor_properties.into_iter().map(text).collect(),
        records: BTreeMap::new(),
    })
}

fn describe(info: &mut ManagedCursorInfo, state: &CursorState, now: Timestamp) {
    info.mark_delete_ledger_id = Some(state.mark_delete.ledger_id.0);
    info.mark_delete_entry_id = Some(state.mark_delete.entry_id.0);
    info.last_active = Some(now.0.cast_signed());
    let property = |(name, &value): (&String, &i64)| LongProperty { name: name.clone(), value };
    info.properties = state.properties.iter().map(property).collect();
    let text = |(name, value): (&String, &String)| StringProperty {
        name: name.clone(),
        value: value.clone(),
    };
    info.cursor_properties = state.cursor_properties.iter().map(text).collect();
}

fn listed(info: &LedgerInfo) -> Result<Result<Closed, LedgerId>, InvalidValue> {
    let ledger_id = LedgerId(info.ledger_id);
    let number = |number: Option<i64>| {
        u64::try_from(number.unwrap_or(0)).map_err(|_| InvalidValue::Damaged {
            kind: "managed ledger info",
            reason: format!("ledger {ledger_id} has a negative number"),
        })
    };
    let (entries, bytes) = (number(info.entries)?, number(info.size)?);
    let at = Timestamp(number(info.timestamp)?);
    if at.0 == 0 {
        return Ok(Err(ledger_id));
    }
    Ok(Ok(Closed { ledger_id, entries, bytes, at }))
}

const fn position(nested: &NestedPositionInfo) -> Position {
    Position::new(nested.ledger_id, nested.entry_id)
}

const fn nested(position: Position) -> NestedPositionInfo {
    NestedPositionInfo { ledger_id: position.ledger_id.0, entry_id: position.entry_id.0 }
}

#[cfg(test)]
mod tests {
    use geminga_metadata::values::managed_ledger::{KeyValue, OffloadContext};

    use super::*;

    fn empty() -> Bytes {
        new_record(Timestamp(7), &BTreeMap::new())
    }

    fn pulsar_ledger(ledger_id: i64) -> LedgerInfo {
        LedgerInfo {
            ledger_id,
            entries: Some(5),
            size: Some(50),
            timestamp: Some(7),
            offload_context: Some(OffloadContext { uid_msb: Some(9), ..OffloadContext::default() }),
            ..LedgerInfo::default()
        }
    }

    #[test]
    fn an_edit_changes_what_it_names_and_keeps_the_rest() {
        let property = KeyValue { key: "k".to_owned(), value: "v".to_owned() };
        let last = LedgerInfo { ledger_id: 3, ..LedgerInfo::default() };
        let before = ManagedLedgerInfo {
            ledger_info: vec![pulsar_ledger(1), pulsar_ledger(2), last],
            terminated_position: None,
            properties: vec![property.clone()],
        };
        let closed = Closed { ledger_id: LedgerId(3), entries: 8, bytes: 80, at: Timestamp(11) };
        let change = Edit {
            close: vec![closed],
            remove: [LedgerId(1)].into(),
            add: Some(LedgerId(4)),
            terminate: Some(Position::new(3, 7)),
            epoch: Some(3),
            message_index: Some(41),
            ..Edit::default()
        };
        let value = encode(&before);
        let listing = decode(&value).unwrap();
        assert_eq!(listing.ledgers[2], Err(LedgerId(3)));
        let edited = edit(&value, &change).unwrap();
        let info = decode_ledger(edited.clone()).unwrap();
        assert_eq!(info.properties[0], property);
        assert_eq!(info.ledger_info[0], pulsar_ledger(2));
        let listing = decode(&edited).unwrap();
        assert_eq!((listing.epoch, listing.message_index), (Some(3), Some(41)));
        assert_eq!(listing.ledgers[1..], [Ok(closed), Err(LedgerId(4))]);
        assert_eq!(listing.terminated, Some(Position::new(3, 7)));
        assert_eq!(listed_ledgers(&edited).unwrap(), [LedgerId(2), LedgerId(3), LedgerId(4)]);
    }

    fn bucket(ledger_id: i64, ranges: &[(i64, i64)]) -> DelayedBucket {
        let at = |entry| Position::new(1, entry);
        DelayedBucket {
            ledger_id: LedgerId(ledger_id),
            entries: 3,
            records: 5,
            due_min: 7,
            ranges: ranges.iter().map(|&(first, last)| (at(first), at(last))).collect(),
        }
    }

    fn finish(bucket: DelayedBucket, replaced: &[i64]) -> Edit {
        let replaced = replaced.iter().copied().map(LedgerId).collect();
        let delayed = Some(DelayedEdit::Finish(bucket, replaced));
        Edit { delayed, ..Edit::default() }
    }

    #[test]
    fn a_bucket_that_is_added_again_is_there_once() {
        let once = edit(&empty(), &finish(bucket(8, &[(0, 9)]), &[])).unwrap();
        let twice = edit(&once, &finish(bucket(8, &[(0, 9)]), &[])).unwrap();
        assert_eq!(decode(&twice).unwrap().buckets, [bucket(8, &[(0, 9)])]);
        let swap = finish(bucket(9, &[(0, 9)]), &[8]);
        let swapped = edit(&edit(&twice, &swap).unwrap(), &swap).unwrap();
        assert_eq!(decode(&swapped).unwrap().buckets, [bucket(9, &[(0, 9)])]);
    }

    #[test]
    fn a_key_that_could_not_be_read_again_is_not_made() {
        let merged = edit(&empty(), &finish(bucket(8, &[(0, 9), (20, 29)]), &[])).unwrap();
        assert!(edit(&merged, &finish(bucket(9, &[(10, 19)]), &[])).is_err());
        assert!(edit(&merged, &finish(bucket(9, &[(5, 12)]), &[])).is_err());
        let behind = edit(&merged, &finish(bucket(9, &[(30, 39)]), &[])).unwrap();
        assert_eq!(decode(&behind).unwrap().buckets.len(), 2);
    }

    #[test]
    fn ledgers_of_a_compaction_are_listed_until_they_are_let_go() {
        let compaction = |compaction| Edit { compaction: Some(compaction), ..Edit::default() };
        let compacted = |id| CompactedLedger {
            ledger_id: LedgerId(id),
            horizon: Position::new(1, 2),
            entries: 1,
            bytes: 9,
            last: None,
            spans: Vec::new(),
        };
        let begun = edit(&empty(), &compaction(CompactionEdit::Begin(LedgerId(5)))).unwrap();
        assert_eq!(listed_ledgers(&begun).unwrap(), [LedgerId(5)]);
        assert_eq!(decode(&begun).unwrap().compacting, Some(LedgerId(5)));
        let swapped = edit(&begun, &compaction(CompactionEdit::Finish(compacted(5)))).unwrap();
        let listing = decode(&swapped).unwrap();
        assert_eq!((listing.compacted, listing.compacting), (Some(compacted(5)), None));
        let again = edit(&swapped, &compaction(CompactionEdit::Begin(LedgerId(8)))).unwrap();
        assert_eq!(listed_ledgers(&again).unwrap(), [LedgerId(5), LedgerId(8)]);
        let abandoned = edit(&again, &compaction(CompactionEdit::Abandon)).unwrap();
        assert_eq!(listed_ledgers(&abandoned).unwrap(), [LedgerId(5)]);
    }

    #[test]
    fn a_cursor_that_pulsar_closed_is_read_from_its_key() {
        let info = ManagedCursorInfo {
            cursors_ledger_id: -1,
            mark_delete_ledger_id: Some(3),
            mark_delete_entry_id: Some(4),
            individual_deleted_messages: vec![MessageRange {
                lower_endpoint: nested(Position::new(3, 6)),
                upper_endpoint: nested(Position::new(3, 9)),
            }],
            ..ManagedCursorInfo::default()
        };
        let value = encode(&info);
        let state = cursor_state(&value).unwrap();
        assert_eq!(cursor_ledgers(&value).unwrap(), []);
        assert_eq!(state.mark_delete, Position::new(3, 4));
        assert_eq!(state.acked, [(Position::new(3, 7), Position::new(3, 9))]);
        let pointed = point_cursor(&value, LedgerId(12), &state, Timestamp(1)).unwrap();
        assert_eq!(cursor_ledgers(&pointed).unwrap(), [LedgerId(12)]);
        let continued = continue_cursor(&pointed, LedgerId(15)).unwrap();
        assert_eq!(cursor_ledgers(&continued).unwrap(), [LedgerId(12), LedgerId(15)]);
        let again = point_cursor(&continued, LedgerId(20), &state, Timestamp(1)).unwrap();
        assert_eq!(cursor_ledgers(&again).unwrap(), [LedgerId(20)]);
        assert_eq!(cursor_state(&pointed).unwrap(), CursorState::at(Position::new(3, 4)));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let value = Bytes::from_static(&[0xff, 1, 2]);
        assert!(decode(&value).is_err());
        assert!(cursor_state(&value).is_err());
        let negative = LedgerInfo { entries: Some(-1), ..pulsar_ledger(1) };
        let info = ManagedLedgerInfo { ledger_info: vec![negative], ..Default::default() };
        assert!(decode(&encode(&info)).is_err());
    }
}
