//! What points to entries: cookie, checkpoint, index, and the journal that is not covered.

use std::path::Path;

use super::{CheckEntry, HeldLedger, Verified};
use crate::{
    checkpoint::{self, Checkpoint},
    cookie::{self, Cookie},
    directory::Directory,
    error::OpenError,
    index::{self, log::read_records},
    journal::recovery::{Access, replay},
    state::State,
};

/// What the pointers say.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) state: State,
    pub(super) checkpoint: Checkpoint,
    /// Whether every pointer was read: without, data that nothing points to proves nothing.
    pub(super) is_complete: bool,
}

/// Reads them; `None` when so much is damaged that nothing is known.
pub(super) fn read(
    journal: &Directory,
    ledgers: &Directory,
    verified: &mut Verified,
    check: &mut CheckEntry<'_>,
) -> Result<Option<Known>, OpenError> {
    cookies(journal, ledgers, verified)?;
    let Some(checkpoint) = read_checkpoint(ledgers, verified)? else { return Ok(None) };
    let mut known = Known { state: State::default(), checkpoint, is_complete: true };
    known.is_complete &= read_index(ledgers, &mut known, verified)?;
    known.is_complete &= read_journal(journal, &mut known, verified, check)?;
    for (ledger_id, ledger) in known.state.ledgers.iter() {
        let held = verified.ledgers.entry(ledger_id).or_default();
        held.is_fenced = ledger.is_fenced;
        held.last_add_confirmed = Some(ledger.last_add_confirmed);
    }
    verified.ledgers.retain(|ledger_id, _| !known.state.ledgers.is_deleted(*ledger_id));
    for (first, last) in known.state.ledgers.deleted() {
        verified.deleted.insert(first.0, last.0);
    }
    verified.counts.index_rows = known.state.index.row_count() as u64;
    Ok(Some(known))
}

fn cookies(
    journal: &Directory,
    ledgers: &Directory,
    verified: &mut Verified,
) -> Result<(), OpenError> {
    let mut read = |directory: &Directory| match Cookie::read(directory) {
        Ok(Some(cookie)) => Ok(Some(cookie)),
        Ok(None) => {
            verified.note(&directory.join(cookie::NAME), 0, "the cookie is missing");
            Ok(None)
        }
        Err(error) => damage(verified, error).map(|()| None),
    };
    let (journal_cookie, ledgers_cookie) = (read(journal)?, read(ledgers)?);
    if let (Some(one), Some(other)) = (&journal_cookie, &ledgers_cookie)
        && one != other
    {
        let what =
            format!("it is of bookie {}, that of the ledgers of bookie {}", one.uuid, other.uuid);
        verified.note(&journal.join(cookie::NAME), 0, what);
    }
    verified.bookie = ledgers_cookie.or(journal_cookie).map(|cookie| cookie.uuid);
    Ok(())
}

fn read_checkpoint(
    ledgers: &Directory,
    verified: &mut Verified,
) -> Result<Option<Checkpoint>, OpenError> {
    let path = ledgers.join(checkpoint::NAME);
    match Checkpoint::read(ledgers) {
        Ok(Some(checkpoint)) => {
            if let Some(offset) = Checkpoint::damaged_copy(ledgers)? {
                verified.note(&path, offset, "one of the two copies is damaged");
            }
            Ok(Some(checkpoint))
        }
        Ok(None) => {
            verified.note(&path, 0, "the checkpoint is missing");
            Ok(None)
        }
        Err(error) => damage(verified, error).map(|()| None),
    }
}

fn read_index(
    ledgers: &Directory,
    known: &mut Known,
    verified: &mut Verified,
) -> Result<bool, OpenError> {
    let Checkpoint { index_generation: generation, index_bytes: bytes, .. } = known.checkpoint;
    let name = index::log::name(generation);
    let path = ledgers.join(&name);
    let content = ledgers.read_all(&name).map_err(|error| OpenError::io(&path, error))?;
    let Some(mut content) = content else {
        verified.note(&path, 0, "the index is missing");
        return Ok(false);
    };
    content.truncate(crate::fields::size(bytes));
    let (records, damaged_at) = read_records(&path, &content, generation, bytes)?;
    records.iter().for_each(|record| known.state.load(record));
    known.state.index.drop_dangling();
    if let Some(offset) = damaged_at {
        verified.note(&path, offset, "the index is damaged; it is rebuilt at the next start");
    }
    Ok(damaged_at.is_none())
}

fn read_journal(
    journal: &Directory,
    known: &mut Known,
    verified: &mut Verified,
    check: &mut CheckEntry<'_>,
) -> Result<bool, OpenError> {
    let mut found = Vec::new();
    let path = journal.path().to_owned();
    let (state, from) = (&mut known.state, known.checkpoint.journal);
    let (counts, ledgers) = (&mut verified.counts, &mut verified.ledgers);
    let replayed = replay(journal, from, Access::Look, &mut |group, position| {
        counts.journal_groups += 1;
        for placed in &group.entries {
            counts.journal_entries += 1;
            let (ledger_id, entry_id) = (placed.ledger_id, placed.entry_id);
            let offset = placed.offset as usize;
            let stored = group.buffer.slice(offset..offset + placed.length as usize);
            if let Err(what) = check(ledger_id, entry_id, &stored) {
                found.push((position.generation, ledger_id, entry_id, what));
            }
            let held: &mut HeldLedger = ledgers.entry(ledger_id).or_default();
            held.entries.insert(entry_id.0, entry_id.0);
        }
        state.apply(&group.buffer, &group.entries, &group.controls, position);
        // The entries were looked at: their memory can go.
        state.active = crate::write_cache::Generation::default();
        Ok(())
    });
    for (generation, ledger_id, entry_id, what) in found {
        let what = format!("in the journal of generation {generation}: {what}");
        verified.note(&path, 0, what);
        if let Some(damage) = verified.damages.last_mut() {
            damage.ledger_id = Some(ledger_id);
            damage.entries = Some((entry_id, entry_id));
        }
    }
    match replayed {
        Ok(_) => Ok(true),
        Err(error) => damage(verified, error).map(|()| false),
    }
}

/// Notes corruption; passes on every other error.
pub(super) fn damage(verified: &mut Verified, error: OpenError) -> Result<(), OpenError> {
    match error {
        OpenError::Corrupt { path, offset, what } => {
            verified.note(Path::new(&path), offset, what);
            Ok(())
        }
        error => Err(error),
    }
}
