//! Every entry log, from its head to its footer.

use std::{collections::BTreeMap, path::Path};

use geminga_env::{File, disk::OpenMode};
use geminga_types::{EntryId, LedgerId};

use super::{
    CheckEntry, Damage, Leak, Verified,
    pointers::{Known, damage},
};
use crate::{
    directory::Directory,
    entry_log::{
        self,
        format::Run,
        reader::{RunError, read_footer, read_run, read_salt, scan_runs},
    },
    error::OpenError,
    index::Row,
};

/// Rows of one file, by offset.
type RowsByOffset = BTreeMap<u64, (LedgerId, Row)>;

/// Walks all entry logs.
pub(super) fn walk(
    directory: &Directory,
    known: &mut Known,
    verified: &mut Verified,
    check: &mut CheckEntry<'_>,
) -> Result<(), OpenError> {
    let mut by_file: BTreeMap<u64, RowsByOffset> = BTreeMap::new();
    for (ledger_id, row) in known.state.index.rows() {
        by_file.entry(row.file).or_default().insert(row.offset, (ledger_id, *row));
    }
    let files: Vec<(u64, u64, bool)> = known
        .state
        .index
        .files()
        .iter()
        .map(|(number, file)| (*number, file.bytes, file.is_sealed))
        .collect();
    for (number, bytes, is_sealed) in files {
        let rows = by_file.remove(&number).unwrap_or_default();
        let path = directory.join(&entry_log::name(number));
        let file = match directory.open(&entry_log::name(number), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                verified.note(&path, 0, "the entry log is missing");
                rows.values().for_each(|(ledger_id, row)| hold(verified, *ledger_id, row));
                continue;
            }
            Err(error) => return Err(OpenError::io(&path, error)),
        };
        let log = Log { number, bytes, is_sealed, path: &path, file: &*file };
        log.verify(&rows, known, verified, check)?;
    }
    leftovers(directory, known, verified)
}

/// One entry log.
struct Log<'a> {
    number: u64,
    bytes: u64,
    is_sealed: bool,
    path: &'a Path,
    file: &'a dyn File,
}

impl Log<'_> {
    fn verify(
        &self,
        rows: &RowsByOffset,
        known: &Known,
        verified: &mut Verified,
        check: &mut CheckEntry<'_>,
    ) -> Result<(), OpenError> {
        verified.counts.entry_logs += 1;
        let length = self.file.len().map_err(|error| OpenError::io(self.path, error))?;
        if length < self.bytes {
            let what = format!("the entry log ends before byte {}", self.bytes);
            verified.note(self.path, length, what);
        }
        let in_index = known.state.index.file(self.number).map_or(0, |file| file.salt);
        let salt = match read_salt(self.file, self.path, self.number) {
            Ok(salt) => salt,
            Err(error) => {
                damage(verified, error)?;
                in_index
            }
        };
        if salt != in_index {
            verified.note(self.path, 0, "its head is not that of the entry log in the index");
        }
        for (ledger_id, row) in rows.values() {
            self.verify_row(salt, *ledger_id, row, verified, check)?;
        }
        self.verify_list(salt, rows, known, verified)
    }

    /// Pointer ⇒ data: the row's run, and every entry in it.
    fn verify_row(
        &self,
        salt: u64,
        ledger_id: LedgerId,
        row: &Row,
        verified: &mut Verified,
        check: &mut CheckEntry<'_>,
    ) -> Result<(), OpenError> {
        let note = |verified: &mut Verified, entries, what: String| {
            let (path, offset, ledger_id) = (self.path.to_owned(), row.offset, Some(ledger_id));
            verified.damages.push(Damage { path, offset, ledger_id, entries: Some(entries), what });
        };
        verified.counts.runs += 1;
        let run = match read_run(self.file, salt, ledger_id, row) {
            Ok(run) => run,
            Err(RunError::Io(error)) => return Err(OpenError::io(self.path, error)),
            Err(RunError::Damaged) => {
                hold(verified, ledger_id, row);
                note(verified, (row.first, row.last), "the run is damaged or missing".to_owned());
                return Ok(());
            }
        };
        let mut entry_bytes = 0;
        for (entry_id, entry) in ids(&run) {
            let stored = run.stored(&entry);
            let what = match &stored {
                Some(stored) => check(ledger_id, entry_id, stored).err(),
                None => Some("the entry does not match its checksum".to_owned()),
            };
            entry_bytes += u64::from(entry.length);
            if let Some(what) = what {
                note(verified, (entry_id, entry_id), what);
            }
        }
        verified.counts.entries += run.count() as u64;
        verified.counts.entry_bytes += entry_bytes;
        if let Some(held) = verified.ledgers.get_mut(&ledger_id) {
            ids(&run).for_each(|(entry_id, _)| held.entries.insert(entry_id.0, entry_id.0));
        }
        Ok(())
    }

    /// Data ⇒ pointer: the runs that lie here, and the footer that lists them.
    fn verify_list(
        &self,
        salt: u64,
        rows: &RowsByOffset,
        known: &Known,
        verified: &mut Verified,
    ) -> Result<(), OpenError> {
        let failed = |error| OpenError::io(self.path, error);
        let (runs, damaged_at) =
            scan_runs(self.file, self.number, salt, self.bytes).map_err(failed)?;
        if let Some(offset) = damaged_at
            && !rows.contains_key(&offset)
        {
            verified.note(self.path, offset, "there is no run where one should be");
        }
        if self.is_sealed {
            let footer = read_footer(self.file, self.number, salt, self.bytes).map_err(failed)?;
            match footer {
                // Closed for good without a footer, when the one after it was begun.
                None if !self.has_trailer(salt).map_err(failed)? => {}
                None => verified.note(self.path, self.bytes, "the footer is damaged"),
                // Dead runs may be left out.
                Some(listed)
                    if !is_list_of(&listed, rows, damaged_at.is_none().then_some(&runs)) =>
                {
                    verified.note(self.path, self.bytes, "the footer lists other runs");
                }
                Some(_) => {}
            }
        }
        if !known.is_complete {
            return Ok(());
        }
        for (ledger_id, row) in runs {
            let is_dead = known.state.ledgers.is_deleted(ledger_id)
                || known.state.index.has_run(ledger_id, &row);
            if !is_dead && !rows.contains_key(&row.offset) {
                verified.leaks.push(Leak {
                    path: self.path.to_owned(),
                    offset: row.offset,
                    bytes: row.length.into(),
                    ledger_id: Some(ledger_id),
                    what: format!(
                        "the index has no row for the run of entries {} to {}",
                        row.first, row.last
                    ),
                });
            }
        }
        Ok(())
    }

    /// Whether a footer was ever written: a file that a crash closed has none.
    fn has_trailer(&self, salt: u64) -> std::io::Result<bool> {
        let at = self.bytes.saturating_sub(entry_log::format::TRAILER_BYTES as u64);
        let trailer = crate::directory::read(self.file, at, entry_log::format::TRAILER_BYTES)?;
        Ok(entry_log::format::resembles_trailer(&trailer, salt))
    }
}

/// Whether a footer lists every row, and nothing but runs that are here, if those are known.
fn is_list_of(
    listed: &[(LedgerId, Row)],
    rows: &RowsByOffset,
    runs: Option<&Vec<(LedgerId, Row)>>,
) -> bool {
    let listed: RowsByOffset = listed.iter().map(|(id, row)| (row.offset, (*id, *row))).collect();
    let runs: Option<RowsByOffset> =
        runs.map(|runs| runs.iter().map(|(id, row)| (row.offset, (*id, *row))).collect());
    rows.iter().all(|(offset, row)| listed.get(offset) == Some(row))
        && runs.is_none_or(|runs| listed.iter().all(|(offset, row)| runs.get(offset) == Some(row)))
}

fn ids(run: &Run) -> impl Iterator<Item = (EntryId, entry_log::format::RunEntry)> {
    (0..run.count()).filter_map(|at| run.entry(at)).map(|entry| (entry.entry_id, entry))
}

/// The entries of a run that cannot be read count as held, since they are among the damages.
fn hold(verified: &mut Verified, ledger_id: LedgerId, row: &Row) {
    if let Some(held) = verified.ledgers.get_mut(&ledger_id) {
        held.entries.insert(row.first.0, row.last.0);
    }
}

/// Files that never counted, or count no more; the next start removes them.
fn leftovers(
    directory: &Directory,
    known: &Known,
    verified: &mut Verified,
) -> Result<(), OpenError> {
    let names = directory.names().map_err(|error| OpenError::io(directory.path(), error))?;
    for name in names {
        let number = entry_log::number(&name);
        if number.is_none_or(|number| known.state.index.file(number).is_some()) {
            continue;
        }
        let path = directory.join(&name);
        let bytes = directory
            .open(&name, OpenMode::Read)
            .and_then(|file| file.len())
            .map_err(|error| OpenError::io(&path, error))?;
        if known.is_complete {
            let what = "the index does not know the file; the next start removes it".to_owned();
            verified.leaks.push(Leak { path, offset: 0, bytes, ledger_id: None, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_log::format::resembles_trailer;

    fn row(offset: u64) -> (LedgerId, Row) {
        let (first, last) = (EntryId(0), EntryId(0));
        (LedgerId(1), Row { first, last, newness: 0, file: 1, offset, length: 9, count: 1 })
    }

    #[test]
    fn a_list_holds_every_row_and_only_runs_that_are_here() {
        let rows = |offsets: &[u64]| -> Vec<_> { offsets.iter().copied().map(row).collect() };
        let is_list = |listed: &[u64], live: &[u64], here: Option<&[u64]>| {
            let live = live.iter().map(|offset| (*offset, row(*offset))).collect();
            is_list_of(&rows(listed), &live, here.map(rows).as_ref())
        };
        assert!(is_list(&[1, 2], &[1, 2], Some(&[1, 2])));
        assert!(is_list(&[1, 2], &[2], Some(&[1, 2])), "one is dead");
        assert!(is_list(&[1], &[1], Some(&[1, 2])), "one was dead");
        assert!(is_list(&[1, 3], &[1], None));
        assert!(!is_list(&[1], &[1, 2], Some(&[1, 2])), "a row is left out");
        assert!(!is_list(&[1], &[1, 2], None));
        assert!(!is_list(&[1, 3], &[1], Some(&[1])), "there is no such run");
    }

    #[test]
    fn a_trailer_is_known_by_its_magic_or_its_salt() {
        let mut trailer = [0; 32];
        assert!(!resembles_trailer(&trailer, 7));
        trailer[..4].copy_from_slice(b"EFE\n");
        assert!(resembles_trailer(&trailer, 7));
        trailer[8] = 7;
        assert!(resembles_trailer(&trailer, 7));
        trailer[0] = 0;
        assert!(resembles_trailer(&trailer, 7));
        assert!(!resembles_trailer(&trailer, 8));
    }
}
