//! Begins a new log for a cursor: makes a ledger and writes a snapshot to it. No key names it yet.

use std::sync::Arc;

use geminga_ledger::{Deps, LedgerOptions, Writer};
use geminga_types::LedgerId;
use tracing::warn;

use super::{JobError, write_all::write_all};
use crate::cursor::{CursorState, encode_snapshot};

#[derive(Debug)]
pub(crate) struct WriteSnapshot {
    pub(crate) name: Arc<str>,
    /// Tells its answer from that of an earlier one.
    pub(crate) attempt: u64,
    pub(crate) options: LedgerOptions,
    pub(crate) snapshot: CursorState,
}

#[derive(Debug)]
pub(crate) struct WriteSnapshotDone {
    pub(crate) name: Arc<str>,
    pub(crate) attempt: u64,
    pub(crate) result: Result<Written, JobError>,
}

/// A ledger that holds a whole snapshot, durably.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) writer: Writer,
    pub(crate) bytes: u64,
    /// What the key says of the snapshot; its items are in the ledger alone.
    pub(crate) head: CursorState,
}

impl WriteSnapshot {
    pub(crate) async fn run(self, deps: &Deps) -> WriteSnapshotDone {
        let Self { name, attempt, options, snapshot } = self;
        WriteSnapshotDone { name, attempt, result: write(deps, &options, snapshot).await }
    }
}

async fn write(
    deps: &Deps,
    options: &LedgerOptions,
    snapshot: CursorState,
) -> Result<Written, JobError> {
    let created = geminga_ledger::create(deps, options).await;
    let mut writer = created.map_err(JobError::failed)?;
    let parts = encode_snapshot(&snapshot);
    let bytes = parts.iter().map(|part| part.len() as u64).sum();
    if let Err(reason) = write_all(deps, &mut writer, parts).await {
        discard(deps, writer.ledger_id()).await;
        return Err(reason);
    }
    let CursorState { mark_delete, properties, cursor_properties, .. } = snapshot;
    let head = CursorState { properties, cursor_properties, ..CursorState::at(mark_delete) };
    Ok(Written { writer, bytes, head })
}

/// Deletes a ledger that no key has ever named.
pub(crate) async fn discard(deps: &Deps, ledger_id: LedgerId) {
    if let Err(error) = geminga_ledger::delete(deps, ledger_id).await {
        warn!(%error, "an unused ledger is left behind");
    }
}
