//! The metadata keys of a managed ledger and its cursors, in Pulsar's format.
//!
//! Values are changed by edits of what is stored, so that what this crate does not know of (offload
//! contexts, properties) stays.
//!
//! # Invariants
//!
//! 1. A ledger with a close time in the key has its final number of entries there.

mod messages;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use geminga_env::Timestamp;
use geminga_types::{EntryId, LedgerId, Position, TopicName};
use prost::Message as _;

use self::messages::{
    BatchedEntryDeletionIndexInfo, LedgerInfo, LongProperty, ManagedCursorInfo, ManagedLedgerInfo,
    MessageRange, NestedPositionInfo, StringProperty,
};
use crate::cursor::CursorState;

/// A value in the store is damaged, or from a newer format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidInfo(String);

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
}

/// A change of a managed ledger's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) close: Vec<Closed>,
    pub(crate) remove: BTreeSet<LedgerId>,
    pub(crate) add: Option<LedgerId>,
    pub(crate) terminate: Option<Position>,
}

pub(crate) fn managed_ledger_path(topic: &TopicName) -> Arc<str> {
    let (namespace, domain) = (topic.namespace(), topic.domain());
    Arc::from(format!("/managed-ledgers/{namespace}/{domain}/{}", topic.encoded_local()))
}

pub(crate) fn cursor_path(managed_ledger: &str, name: &str) -> Arc<str> {
    Arc::from(format!("{managed_ledger}/{}", encode_name(name)))
}

fn encode_name(name: &str) -> String {
    name.to_owned()
}

/// The name of the cursor whose key is `child`; `None` for what is no cursor's.
pub(crate) fn cursor_name(child: &str) -> Option<Arc<str>> {
    Some(Arc::from(child))
}

/// A managed ledger without ledgers.
pub(crate) fn empty() -> Bytes {
    ManagedLedgerInfo::default().encode_to_vec().into()
}

pub(crate) fn decode(value: &Bytes) -> Result<Listing, InvalidInfo> {
    let info = decode_managed_ledger(value)?;
    let mut ledgers = info.ledger_info.iter().map(decode_ledger).collect::<Result<Vec<_>, _>>()?;
    ledgers.sort_by_key(|ledger| ledger.map_or_else(|ledger_id| ledger_id, |closed| closed.ledger_id));
    Ok(Listing { ledgers, terminated: info.terminated_position.as_ref().map(position) })
}

pub(crate) fn listed_ledgers(value: &Bytes) -> Result<Vec<LedgerId>, InvalidInfo> {
    let info = decode_managed_ledger(value)?;
    Ok(info.ledger_info.iter().map(|ledger| LedgerId(ledger.ledger_id)).collect())
}

pub(crate) fn edit(value: &Bytes, edit: &Edit) -> Result<Bytes, InvalidInfo> {
    let mut info = decode_managed_ledger(value)?;
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
    Ok(info.encode_to_vec().into())
}

/// A cursor that has no ledger.
pub(crate) fn new_cursor(state: &CursorState, now: Timestamp) -> Bytes {
    let mut info = ManagedCursorInfo { cursors_ledger_id: -1, ..ManagedCursorInfo::default() };
    describe(&mut info, state, now);
    info.encode_to_vec().into()
}

/// The cursor's key with its log in `ledger_id`.
pub(crate) fn point_cursor(
    value: &Bytes,
    ledger_id: LedgerId,
    state: &CursorState,
    now: Timestamp,
) -> Result<Bytes, InvalidInfo> {
    let mut info = decode_managed_cursor(value)?;
    info.cursors_ledger_id = ledger_id.0;
    // The log has these; here they would only grow old.
    info.individual_deleted_messages.clear();
    info.batched_entry_deletion_index_info.clear();
    describe(&mut info, state, now);
    Ok(info.encode_to_vec().into())
}

pub(crate) fn cursor_ledger(value: &Bytes) -> Result<Option<LedgerId>, InvalidInfo> {
    let info = decode_managed_cursor(value)?;
    Ok(Some(LedgerId(info.cursors_ledger_id)).filter(|ledger_id| 0 <= ledger_id.0))
}

/// The state kept in a cursor's key, which is the whole of it when the cursor has no ledger.
pub(crate) fn decode_cursor(value: &Bytes) -> Result<CursorState, InvalidInfo> {
    let info = decode_managed_cursor(value)?;
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
    let partial = |info: &BatchedEntryDeletionIndexInfo| {
        (position(&info.position), info.delete_set.clone())
    };
    let property = |property: LongProperty| (property.name, property.value);
    let text = |property: StringProperty| (property.name, property.value);
    Ok(CursorState {
        mark_delete,
        acked: info.individual_deleted_messages.iter().map(range).collect(),
        partial: info.batched_entry_deletion_index_info.iter().map(partial).collect(),
        properties: info.properties.into_iter().map(property).collect(),
        cursor_properties: info.cursor_properties.into_iter().map(text).collect(),
    })
}

fn describe(info: &mut ManagedCursorInfo, state: &CursorState, now: Timestamp) {
    info.mark_delete_ledger_id = Some(state.mark_delete.ledger_id.0);
    info.mark_delete_entry_id = Some(state.mark_delete.entry_id.0);
    info.last_active = Some(now.0.cast_signed());
    let property = |(name, &value): (&String, &i64)| LongProperty { name: name.clone(), value };
    info.properties = state.properties.iter().map(property).collect();
    let text = |(name, value): (&String, &String)| {
        StringProperty { name: name.clone(), value: value.clone() }
    };
    info.cursor_properties = state.cursor_properties.iter().map(text).collect();
}

fn decode_ledger(info: &LedgerInfo) -> Result<Result<Closed, LedgerId>, InvalidInfo> {
    let ledger_id = LedgerId(info.ledger_id);
    let number = |number: Option<i64>| {
        let reason = || InvalidInfo(format!("ledger {ledger_id} has a negative number"));
        u64::try_from(number.unwrap_or(0)).map_err(|_| reason())
    };
    let (entries, bytes) = (number(info.entries)?, number(info.size)?);
    let at = Timestamp(number(info.timestamp)?);
    if at.0 == 0 {
        return Ok(Err(ledger_id));
    }
    Ok(Ok(Closed { ledger_id, entries, bytes, at }))
}

fn decode_managed_ledger(value: &Bytes) -> Result<ManagedLedgerInfo, InvalidInfo> {
    ManagedLedgerInfo::decode(value.clone()).map_err(|error| InvalidInfo(error.to_string()))
}

fn decode_managed_cursor(value: &Bytes) -> Result<ManagedCursorInfo, InvalidInfo> {
    ManagedCursorInfo::decode(value.clone()).map_err(|error| InvalidInfo(error.to_string()))
}

const fn position(nested: &NestedPositionInfo) -> Position {
    Position::new(nested.ledger_id, nested.entry_id)
}

const fn nested(position: Position) -> NestedPositionInfo {
    NestedPositionInfo { ledger_id: position.ledger_id.0, entry_id: position.entry_id.0 }
}
