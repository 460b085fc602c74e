//! Loads the index; a damaged one is rebuilt from the footers of the entry logs.
//!
//! What a footer does not hold is taken from the undamaged parts of the index log. Which ledgers
//! were fenced is then not known for sure, so all are: a writer that was not gone opens a new ledger.

use geminga_env::disk::OpenMode;
use geminga_types::{EntryId, LedgerId};
use tracing::{error, warn};

use crate::{
    checkpoint::Checkpoint,
    directory::Directory,
    entry_log::{
        self,
        reader::{read_footer, read_run, read_salt, scan_runs},
    },
    error::OpenError,
    index::{
        self, Row,
        format::Record,
        log::{IndexLog, Loaded},
    },
    journal::group::last_add_confirmed,
    state::State,
};

/// A loaded index log.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) log: IndexLog,
    pub(super) is_rebuilt: bool,
}

/// Loads the index that a checkpoint names into `state`.
pub(super) fn load_index(
    directory: &Directory,
    checkpoint: &Checkpoint,
    names: &[String],
    state: &mut State,
) -> Result<Index, OpenError> {
    let generation = checkpoint.index_generation;
    let name = index::log::name(generation);
    if !names.contains(&name) {
        error!(name, "the index is missing and is rebuilt from the entry logs");
        let log = IndexLog::create(directory, generation, &[])?;
        rebuild(directory, checkpoint, names, &[], state)?;
        return Ok(Index { log, is_rebuilt: true });
    }
    let Loaded { log, records, damaged_at } =
        IndexLog::load(directory, generation, checkpoint.index_bytes)?;
    match damaged_at {
        None => {
            records.iter().for_each(|record| state.load(record));
            state.index.drop_dangling();
        }
        Some(offset) => {
            error!(name, offset, "the index is damaged and is rebuilt from the entry logs");
            rebuild(directory, checkpoint, names, &records, state)?;
        }
    }
    Ok(Index { log, is_rebuilt: damaged_at.is_some() })
}

fn rebuild(
    directory: &Directory,
    checkpoint: &Checkpoint,
    names: &[String],
    salvaged: &[Record],
    state: &mut State,
) -> Result<(), OpenError> {
    for record in salvaged {
        if let Record::Ledger(..) | Record::Deleted(..) = record {
            state.load(record);
        }
    }
    let numbers = names.iter().filter_map(|name| entry_log::number(name));
    for number in numbers.filter(|number| *number < checkpoint.next_entry_log) {
        let removed = salvaged.contains(&Record::FileRemoved { number });
        if !removed {
            load_log(directory, checkpoint, number, state)?;
        }
    }
    load_confirmed(directory, state);
    state.ledgers.fence_all();
    Ok(())
}

/// Takes over the runs of one entry log.
fn load_log(
    directory: &Directory,
    checkpoint: &Checkpoint,
    number: u64,
    state: &mut State,
) -> Result<(), OpenError> {
    let path = directory.join(&entry_log::name(number));
    let failed = |error| OpenError::io(&path, error);
    let file = directory.open(&entry_log::name(number), OpenMode::Read).map_err(failed)?;
    let salt = read_salt(&*file, &path, number)?;
    let current = checkpoint.entry_log.filter(|(current, _)| *current == number);
    let bytes = match current {
        Some((_, bytes)) => bytes,
        None => file.len().map_err(failed)?,
    };
    let footer = match current {
        Some(_) => None,
        None => read_footer(&*file, number, salt, bytes).map_err(failed)?,
    };
    let (runs, damaged_at) = match footer {
        Some(runs) => (runs, None),
        None => scan_runs(&*file, number, salt, bytes).map_err(failed)?,
    };
    if let Some(offset) = damaged_at {
        let reason = format!(
            "the index was rebuilt and {} is damaged at byte {offset}: an absent entry proves \
             nothing",
            path.display()
        );
        error!(reason, "entries are missing");
        state.incomplete = Some(reason);
    }
    state.index.put_file(number, salt, bytes, current.is_none());
    for (ledger_id, row) in runs {
        state.load(&Record::Run(ledger_id, row));
    }
    Ok(())
}

/// Finds the LAC of each ledger in its last entry.
fn load_confirmed(directory: &Directory, state: &mut State) {
    let mut last_rows: Vec<(LedgerId, Row)> = Vec::new();
    for (ledger_id, row) in state.index.rows() {
        match last_rows.last_mut() {
            Some((last_id, last)) if *last_id == ledger_id => {
                if row.last >= last.last {
                    *last = *row;
                }
            }
            _ => last_rows.push((ledger_id, *row)),
        }
    }
    for (ledger_id, row) in last_rows {
        let confirmed = confirmed_in(directory, state, ledger_id, &row);
        if confirmed.is_none() {
            warn!(ledger_id = ledger_id.0, "the last run of the ledger cannot be read");
        }
        if let (Some(confirmed), Some(ledger)) = (confirmed, state.ledgers.entry(ledger_id)) {
            ledger.last_add_confirmed = ledger.last_add_confirmed.max(confirmed);
        }
    }
}

fn confirmed_in(
    directory: &Directory,
    state: &State,
    ledger_id: LedgerId,
    row: &Row,
) -> Option<EntryId> {
    let salt = state.index.file(row.file)?.salt;
    let file = directory.open(&entry_log::name(row.file), OpenMode::Read).ok()?;
    let run = read_run(&*file, salt, ledger_id, row).ok()?;
    let stored = (0..run.count()).filter_map(|at| run.stored(&run.entry(at)?));
    stored.map(|stored| last_add_confirmed(&stored)).max()
}
