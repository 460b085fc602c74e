//! Prints the records of a file for people, as far as they can be read.
//!
//! One line a record: where it lies, what it is, and whether its checksum is right.

mod lines;

use std::{io, path::Path};

use geminga_env::{Disk, File, disk::OpenMode};
use geminga_types::LedgerId;

use crate::{
    directory,
    entry_log::{
        self,
        reader::{read_footer, read_run, scan_runs},
    },
    error::OpenError,
    fields::{align, size},
    index::{self, Row, format::batch_bytes},
    journal::{
        self,
        format::{BLOCK_BYTES, BadHead, FILE_HEAD_BYTES, FileHead},
        group::Control,
        reader::{Found, Reader, heads},
    },
};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file of the journal.
    Journal,
    /// An entry log.
    EntryLog,
    /// The log of the index.
    Index,
}

/// Takes one line.
pub type Print<'a> = dyn FnMut(&str) -> io::Result<()> + 'a;

/// Why a file was not printed, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file cannot be read, or is none of its kind.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The output failed.
    #[error("writing the output: {0}")]
    Output(io::Error),
}

/// Prints a file. It may be in use; what is written meanwhile may then be missing. Blocks.
///
/// # Errors
///
/// See [`DumpError`]. A damaged record is printed as such, and is no error.
pub fn dump(
    disk: &dyn Disk,
    kind: Kind,
    path: &Path,
    print: &mut Print<'_>,
) -> Result<(), DumpError> {
    let failed = |error| OpenError::io(path, error);
    let file = disk.open(path, OpenMode::Read).map_err(failed)?;
    match kind {
        Kind::Journal => dump_journal(path, file, print),
        Kind::EntryLog => dump_entry_log(path, &*file, print),
        Kind::Index => dump_index(path, &*file, print),
    }
}

fn say(print: &mut Print<'_>, line: &str) -> Result<(), DumpError> {
    print(line).map_err(DumpError::Output)
}

fn dump_journal(path: &Path, file: Box<dyn File>, print: &mut Print<'_>) -> Result<(), DumpError> {
    let failed = |error| OpenError::io(path, error);
    let bytes = file.len().map_err(failed)?;
    let block = directory::read(&*file, 0, FILE_HEAD_BYTES).map_err(failed)?;
    let head = FileHead::decode(&block).map_err(|bad| match bad {
        BadHead::Newer(found) => {
            OpenError::Newer { path: path.to_owned(), found, supported: journal::format::VERSION }
        }
        BadHead::Damaged => OpenError::corrupt(path, 0, "this is no journal file in use"),
    })?;
    say(print, &lines::journal_head(&head, bytes))?;
    let candidates = heads(&*file, BLOCK_BYTES as u64, bytes).map_err(failed)?;
    let reader = Reader { path: path.to_owned(), file, number: 0, bytes, head };
    let mut offset = BLOCK_BYTES as u64;
    for (at, head) in candidates {
        if at < offset {
            continue; // It is the content of an entry.
        }
        match reader.at(at).map_err(failed)? {
            Found::Group(group) => {
                if offset < at {
                    say(print, &format!("{offset:>12} nothing of this generation"))?;
                }
                say(print, &lines::group(at, &group.head))?;
                for placed in &group.entries {
                    say(print, &lines::journal_entry(placed))?;
                }
                for control in &group.controls {
                    let (Control::Fence(id) | Control::Delete(id)) = *control;
                    let what =
                        if matches!(control, Control::Fence(_)) { "fence" } else { "delete" };
                    say(print, &format!("             {what} ledger {id}"))?;
                }
                offset = at + align(u64::from(head.length), BLOCK_BYTES);
            }
            Found::Newer => say(print, &format!("{at:>12} group of a newer version"))?,
            Found::Nothing if reader.head.generation == head.generation => {
                say(print, &format!("{at:>12} damaged or torn group {}", head.sequence))?;
            }
            Found::Nothing => {}
        }
    }
    say(print, &format!("{offset:>12} end of this generation"))
}

fn dump_entry_log(path: &Path, file: &dyn File, print: &mut Print<'_>) -> Result<(), DumpError> {
    use entry_log::format::{FILE_HEAD_BYTES, VERSION, decode_file_head};
    let failed = |error| OpenError::io(path, error);
    let bytes = file.len().map_err(failed)?;
    let block = directory::read(file, 0, FILE_HEAD_BYTES).map_err(failed)?;
    let (version, number, salt) = decode_file_head(&block)
        .ok_or_else(|| OpenError::corrupt(path, 0, "this is no entry log"))?;
    if version != VERSION {
        let path = path.to_owned();
        return Err(OpenError::Newer { path, found: version, supported: VERSION }.into());
    }
    say(print, &format!("entry log {number}, version {version}, {bytes} bytes, salt {salt:016x}"))?;
    let (runs, damaged_at) = scan_runs(file, number, salt, bytes).map_err(failed)?;
    let footer = read_footer(file, number, salt, bytes).map_err(failed)?;
    let runs = match (&footer, damaged_at) {
        // What lies behind the damage is known to the footer alone.
        (Some(listed), Some(_)) => listed.clone(),
        _ => runs,
    };
    for (ledger_id, row) in &runs {
        dump_run(file, salt, *ledger_id, row, print)?;
    }
    if let Some(offset) = damaged_at {
        say(print, &format!("{offset:>12} no run: damaged, or not in use yet"))?;
    }
    match footer {
        Some(listed) => say(print, &format!("footer with {} runs", listed.len())),
        None => say(print, "no footer: damaged, or still appended to"),
    }
}

fn dump_run(
    file: &dyn File,
    salt: u64,
    ledger_id: LedgerId,
    row: &Row,
    print: &mut Print<'_>,
) -> Result<(), DumpError> {
    say(print, &lines::run(ledger_id, row))?;
    let Ok(run) = read_run(file, salt, ledger_id, row) else {
        return say(print, "             the run is damaged");
    };
    for entry in (0..run.count()).filter_map(|at| run.entry(at)) {
        let is_whole = run.stored(&entry).is_some();
        say(print, &lines::run_entry(&entry, is_whole))?;
    }
    Ok(())
}

fn dump_index(path: &Path, file: &dyn File, print: &mut Print<'_>) -> Result<(), DumpError> {
    use index::format::{VERSION, decode_batch, decode_file_head};
    let failed = |error| OpenError::io(path, error);
    let bytes = file.len().map_err(failed)?;
    let content = directory::read(file, 0, size(bytes)).map_err(failed)?;
    let (version, generation) = decode_file_head(&content)
        .ok_or_else(|| OpenError::corrupt(path, 0, "this is no log of an index"))?;
    if version != VERSION {
        let path = path.to_owned();
        return Err(OpenError::Newer { path, found: version, supported: VERSION }.into());
    }
    say(print, &format!("index of generation {generation}, version {version}, {bytes} bytes"))?;
    let mut offset = index::format::BLOCK_BYTES;
    while offset < content.len() {
        let Some(records) = decode_batch(&content[offset..], generation) else {
            say(print, &format!("{offset:>12} damaged, or an attempt that never counted"))?;
            offset += index::format::BLOCK_BYTES;
            continue;
        };
        say(print, &format!("{offset:>12} batch of {} records", records.len()))?;
        for record in &records {
            say(print, &lines::index_record(record))?;
        }
        let padded = align(batch_bytes(records.len()) as u64, index::format::BLOCK_BYTES);
        offset = offset.saturating_add(size(padded));
    }
    Ok(())
}
