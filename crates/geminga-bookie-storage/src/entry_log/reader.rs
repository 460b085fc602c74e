//! Reads entry logs: one run, or the list of all runs.

use std::{io, path::Path};

use bytes::Bytes;
use geminga_env::File;
use geminga_types::{EntryId, LedgerId};

use super::format::{
    BLOCK_BYTES, FILE_HEAD_BYTES, RUN_HEAD_BYTES, Run, RunHead, TRAILER_BYTES, VERSION,
    decode_file_head, decode_footer, decode_trailer, is_footer, run_bytes,
};
use crate::{
    directory,
    error::OpenError,
    fields::{align, size},
    index::Row,
};

/// Runs of a file, in the order they lie.
type Runs = Vec<(LedgerId, Row)>;

/// Why a run could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the run is damaged")]
    Damaged,
}

/// Reads the run that a row points to.
pub(crate) fn read_run(
    file: &dyn File,
    salt: u64,
    ledger_id: LedgerId,
    row: &Row,
) -> Result<Run, RunError> {
    let bytes = directory::read(file, row.offset, row.length as usize)?;
    expected(Run::new(Bytes::from(bytes)), salt, ledger_id, row)
}

/// The same without the bodies.
pub(crate) fn read_table(
    file: &dyn File,
    salt: u64,
    ledger_id: LedgerId,
    row: &Row,
) -> Result<Run, RunError> {
    let length = run_bytes(row.count as usize, 0).min(row.length as usize);
    let bytes = directory::read(file, row.offset, length)?;
    expected(Run::of_table(Bytes::from(bytes)), salt, ledger_id, row)
}

/// Gives the run that a row points to the bodies of the entries `first..=last`.
pub(crate) fn read_bodies(
    file: &dyn File,
    row: &Row,
    table: Run,
    (first, last): (EntryId, EntryId),
) -> Result<Run, RunError> {
    // None of them is in it.
    let Some(place) = table.place_of(first, last) else { return Ok(table) };
    let at = row.offset.saturating_add(place.start as u64);
    let bodies = directory::read(file, at, place.end - place.start)?;
    Ok(table.with_bodies(Bytes::from(bodies), place.start))
}

/// What was found, if it is the run that the row points to.
fn expected(
    found: Option<Run>,
    salt: u64,
    ledger_id: LedgerId,
    row: &Row,
) -> Result<Run, RunError> {
    let is_it = |run: &Run| {
        let head = run.head();
        head.salt == salt && head.ledger_id == ledger_id && head.row(row.file, row.offset) == *row
    };
    found.filter(is_it).ok_or(RunError::Damaged)
}

/// The runs of a file, as its footer lists them; `None` when it has no whole footer.
pub(crate) fn read_footer(
    file: &dyn File,
    number: u64,
    salt: u64,
    bytes: u64,
) -> io::Result<Option<Runs>> {
    let Some(trailer_at) = bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    let trailer = directory::read(file, trailer_at, TRAILER_BYTES)?;
    let Some((offset, length)) = decode_trailer(&trailer, salt) else { return Ok(None) };
    if offset.checked_add(length) != Some(trailer_at) {
        return Ok(None);
    }
    let footer = directory::read(file, offset, size(length))?;
    Ok(decode_footer(&footer, salt, number))
}

/// The runs of a file, found one after the other; and where that ended, if it was before `bytes`.
pub(crate) fn scan_runs(
    file: &dyn File,
    number: u64,
    salt: u64,
    bytes: u64,
) -> io::Result<(Runs, Option<u64>)> {
    let mut runs = Vec::new();
    let mut offset = BLOCK_BYTES as u64;
    while offset < bytes {
        let head_bytes = directory::read(file, offset, RUN_HEAD_BYTES)?;
        let head = match RunHead::peek(&head_bytes) {
            Some(head) if head.salt == salt => {
                let table =
                    directory::read(file, offset, head.table_end().min(size(bytes - offset)))?;
                RunHead::decode(&table)
            }
            _ => None,
        };
        match head {
            Some(head) => {
                runs.push((head.ledger_id, head.row(number, offset)));
                offset += u64::from(head.length);
            }
            None if is_footer(&head_bytes, salt) => return Ok((runs, None)),
            // Padding before the next commit.
            None if !offset.is_multiple_of(BLOCK_BYTES as u64) => {
                offset = align(offset, BLOCK_BYTES)
            }
            None => return Ok((runs, Some(offset))),
        }
    }
    Ok((runs, None))
}

/// The salt in a file's head.
pub(crate) fn read_salt(file: &dyn File, path: &Path, number: u64) -> Result<u64, OpenError> {
    let block = directory::read(file, 0, FILE_HEAD_BYTES);
    let block = block.map_err(|error| OpenError::io(path, error))?;
    match decode_file_head(&block) {
        Some((VERSION, found, salt)) if found == number => Ok(salt),
        Some((found, ..)) if found != VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found, supported: VERSION })
        }
        _ => Err(OpenError::corrupt(path, 0, "the entry log's head is damaged")),
    }
}
