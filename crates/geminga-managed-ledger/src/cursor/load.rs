//! Reads a cursor's log back.

use geminga_ledger::{Deps, ReadError, RecoverError};
use geminga_types::{EntryId, LedgerId, Position};

use super::{
    CursorState,
    format::{FormatError, LogEntry, decode},
    replay::Replay,
};

const READ_BYTES: usize = 1024 * 1024;

/// Why a cursor's state is not known. Nothing was changed but that its ledger may be closed.
#[derive(Debug, thiserror::Error)]
pub enum CursorLoadError {
    /// The ledger's end could not be decided.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// An entry could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry is from a newer format or damaged. A person must look.
    #[error("entry {entry_id} of cursor ledger {ledger_id}: {reason}")]
    Corrupt {
        /// The cursor's ledger.
        ledger_id: LedgerId,
        /// The entry in it.
        entry_id: EntryId,
        /// What is wrong.
        reason: String,
    },
}

impl CursorLoadError {
    /// Whether another try will not help: what was stored is not there any more, or not as it was.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Recover(error) => {
                matches!(error, RecoverError::NoLedger(_) | RecoverError::Corrupt { .. })
            }
            Self::Read(error) => {
                !matches!(error, ReadError::Unavailable { .. } | ReadError::Metadata(_))
            }
            Self::Corrupt { .. } => true,
        }
    }
}

/// Recovers the ledgers of a cursor's log and adds it up.
pub(crate) async fn load(
    deps: &Deps,
    ledgers: &[LedgerId],
) -> Result<CursorState, CursorLoadError> {
    let mut reader = LogReader::new();
    let mut at = (LedgerId(-1), EntryId::NONE);
    for &ledger_id in ledgers {
        let sealed = geminga_ledger::recover(deps, ledger_id).await?;
        at = (ledger_id, sealed.last_entry);
        read_ledger(deps, at, &mut reader).await?;
    }
    reader.finish().map_err(|reason| corrupt(at, reason))
}

/// Reads a ledger up to and with its last entry.
async fn read_ledger(
    deps: &Deps,
    (ledger_id, last): (LedgerId, EntryId),
    reader: &mut LogReader,
) -> Result<(), CursorLoadError> {
    let mut next = EntryId(0);
    while next <= last {
        let entries = geminga_ledger::read(deps, ledger_id, next, last, READ_BYTES).await?;
        for entry in entries {
            let at = (ledger_id, entry.entry_id);
            if entry.entry_id != next {
                return Err(corrupt(at, format!("expected entry {next}")));
            }
            let decoded = decode(&entry.body).map_err(|error: FormatError| corrupt(at, error))?;
            reader.push(decoded).map_err(|reason| corrupt(at, reason))?;
            next = EntryId(next.0 + 1);
        }
    }
    Ok(())
}

fn corrupt((ledger_id, entry_id): (LedgerId, EntryId), reason: impl ToString) -> CursorLoadError {
    CursorLoadError::Corrupt { ledger_id, entry_id, reason: reason.to_string() }
}

/// Checks that a whole snapshot comes first, then deltas.
#[derive(Debug)]
struct LogReader {
    /// What has been read of the snapshot; when it is complete, without its items.
    snapshot: CursorState,
    parts: u64,
    /// Once the snapshot is complete.
    replay: Option<Replay>,
}

impl LogReader {
    const fn new() -> Self {
        Self { snapshot: CursorState::at(Position::EARLIEST), parts: 0, replay: None }
    }

    fn push(&mut self, entry: LogEntry) -> Result<(), &'static str> {
        match (entry, &mut self.replay) {
            (LogEntry::Delta(_), None) => Err("a delta before the snapshot's end"),
            (LogEntry::Delta(delta), Some(replay)) => {
                replay.apply(delta);
                Ok(())
            }
            (LogEntry::Snapshot { .. }, Some(_)) => Err("a second snapshot"),
            (LogEntry::Snapshot { part, .. }, None) if part != self.parts => {
                Err("a part of the snapshot is missing")
            }
            (LogEntry::Snapshot { is_last, state, .. }, None) => {
                self.push_part(state);
                if is_last {
                    self.replay = Some(Replay::of(&mut self.snapshot));
                }
                Ok(())
            }
        }
    }

    fn push_part(&mut self, mut part: CursorState) {
        if self.parts == 0 {
            self.snapshot = part;
        } else {
            self.snapshot.acked.append(&mut part.acked);
            self.snapshot.partial.append(&mut part.partial);
            self.snapshot.redelivery_counts.append(&mut part.redelivery_counts);
            self.snapshot.records.append(&mut part.records);
        }
        self.parts += 1;
    }

    fn finish(self) -> Result<CursorState, &'static str> {
        let replay = self.replay.ok_or("the snapshot has no end")?;
        let CursorState { properties, cursor_properties, .. } = self.snapshot;
        Ok(CursorState { properties, cursor_properties, ..replay.into_state() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{CursorDelta, encode_delta, encode_snapshot};

    fn read(entries: &[bytes::Bytes]) -> Result<CursorState, &'static str> {
        let mut reader = LogReader::new();
        entries.iter().try_for_each(|entry| reader.push(decode(entry).unwrap()))?;
        reader.finish()
    }

    #[test]
    fn a_log_is_one_whole_snapshot_and_then_deltas() {
        let p = |entry| Position::new(1, entry);
        let state = CursorState {
            acked: (0..20_000).map(|n| (p(n * 3), p(n * 3))).collect(),
            properties: [("a".to_owned(), 1)].into(),
            ..CursorState::at(Position::new(0, 9))
        };
        let snapshot = encode_snapshot(&state);
        assert!(1 < snapshot.len());
        assert_eq!(read(&snapshot), Ok(state.clone()));
        let delta =
            encode_delta(&CursorDelta { mark_delete: Some(p(4)), ..CursorDelta::default() });
        let moved = read(&[snapshot.as_slice(), &delta].concat()).unwrap();
        assert_eq!((moved.mark_delete, moved.acked[0]), (p(4), (p(6), p(6))));
        assert_eq!(moved.properties, state.properties);

        assert!(read(&[]).is_err());
        assert!(read(&snapshot[1..]).is_err());
        assert!(read(&snapshot[..1]).is_err());
        assert!(read(&[&snapshot[..1], delta.as_slice()].concat()).is_err());
        assert!(read(&[snapshot.as_slice(), &snapshot].concat()).is_err());
    }
}
