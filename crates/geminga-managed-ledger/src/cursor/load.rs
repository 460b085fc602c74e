//! Reads a cursor's log back.

use geminga_ledger::{Deps, ReadError, RecoverError};
use geminga_types::{EntryId, LedgerId, Position};

use super::{
    CursorDelta, CursorState,
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

/// Recovers the cursor's ledger and adds up its log.
pub(crate) async fn load(deps: &Deps, ledger_id: LedgerId) -> Result<CursorState, CursorLoadError> {
    let sealed = geminga_ledger::recover(deps, ledger_id).await?;
    let mut reader = LogReader::new();
    let mut next = EntryId(0);
    while next <= sealed.last_entry {
        let entries =
            geminga_ledger::read(deps, ledger_id, next, sealed.last_entry, READ_BYTES).await?;
        for entry in entries {
            let corrupt = |reason: String| CursorLoadError::Corrupt {
                ledger_id,
                entry_id: entry.entry_id,
                reason,
            };
            if entry.entry_id != next {
                return Err(corrupt(format!("expected entry {next}")));
            }
            let decoded = decode(&entry.body).map_err(|e: FormatError| corrupt(e.to_string()))?;
            reader.push(decoded).map_err(|reason| corrupt(reason.to_owned()))?;
            next = EntryId(next.0 + 1);
        }
    }
    reader.finish().map_err(|reason| CursorLoadError::Corrupt {
        ledger_id,
        entry_id: sealed.last_entry,
        reason: reason.to_owned(),
    })
}

/// Checks that a whole snapshot comes first, then deltas.
#[derive(Debug)]
struct LogReader {
    /// Part 0 of the snapshot, without its items.
    head: Option<CursorState>,
    replay: Replay,
    parts: u64,
    is_complete: bool,
}

impl LogReader {
    const fn new() -> Self {
        let replay = Replay::new(Position::EARLIEST);
        Self { head: None, replay, parts: 0, is_complete: false }
    }

    fn push(&mut self, entry: LogEntry) -> Result<(), &'static str> {
        match entry {
            LogEntry::Delta(_) if !self.is_complete => Err("a delta before the snapshot's end"),
            LogEntry::Delta(delta) => {
                self.replay.apply(delta);
                Ok(())
            }
            LogEntry::Snapshot { .. } if self.is_complete => Err("a second snapshot"),
            LogEntry::Snapshot { part, .. } if part != self.parts => {
                Err("a part of the snapshot is missing")
            }
            LogEntry::Snapshot { is_last, mut state, .. } => {
                let acked = std::mem::take(&mut state.acked);
                let partial = std::mem::take(&mut state.partial);
                let redelivery_counts = std::mem::take(&mut state.redelivery_counts);
                if self.parts == 0 {
                    self.replay = Replay::new(state.mark_delete);
                    self.head = Some(state);
                }
                self.replay.apply(CursorDelta {
                    acked,
                    partial,
                    redelivery_counts,
                    ..CursorDelta::default()
                });
                self.parts += 1;
                self.is_complete = is_last;
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<CursorState, &'static str> {
        match self.head {
            Some(head) if self.is_complete => {
                let CursorState { properties, cursor_properties, .. } = head;
                Ok(CursorState { properties, cursor_properties, ..self.replay.into_state() })
            }
            _ => Err("the snapshot has no end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::{encode_delta, encode_snapshot};

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
