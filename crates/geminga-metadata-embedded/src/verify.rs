//! Verifies every record and that none is missing, some at a time.
//!
//! What is verified is the file as it was when this began: records and their tally are of one commit,
//! whatever is committed meanwhile.

use std::panic::{self, AssertUnwindSafe};

use redb::{Database, ReadOnlyTable, ReadableDatabase};

use crate::format::{self, CHECKSUM_SUM, KEYS, META, RECORD_COUNT, Records, SEQUENCES, Tally};

const PAGES_DO_NOT_FIT: &str = "its pages do not fit together";

/// How far it is.
pub(crate) struct Verification {
    /// Those that are not verified to their end, the next one last.
    tables: Vec<ReadOnlyTable<&'static [u8], &'static [u8]>>,
    /// The last key verified of the next one.
    after: Option<Vec<u8>>,
    found: Tally,
    stored: Tally,
}

/// What one step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    More,
    Done,
}

impl Verification {
    pub(crate) fn begin(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let number = |name| Ok::<_, redb::Error>(meta.get(name)?.map_or(0, |found| found.value()));
        let stored = Tally { records: number(RECORD_COUNT)?, checksums: number(CHECKSUM_SUM)? };
        let open = |table: Records| transaction.open_table(table);
        let tables = vec![open(SEQUENCES)?, open(KEYS)?];
        Ok(Self { tables, after: None, found: Tally::default(), stored })
    }

    /// Verifies up to `records_max` records.
    pub(crate) fn step(&mut self, records_max: usize) -> Result<Step, redb::Error> {
        let Some(table) = self.tables.last() else { return Ok(Step::Done) };
        let from = self.after.take().unwrap_or_default();
        let mut last = None;
        // Behind the last one: the least key that is longer.
        let records = table.range::<&[u8]>(from.as_slice()..)?;
        for record in records.take(records_max) {
            let (key, record) = record?;
            format::verify(key.value(), record.value())
                .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            self.found.add(record.value());
            last = Some(key);
        }
        match last {
            Some(last) => self.after = Some([last.value(), &[0]].concat()),
            None => drop(self.tables.pop()),
        }
        if self.tables.is_empty() { self.end() } else { Ok(Step::More) }
    }

    fn end(&self) -> Result<Step, redb::Error> {
        if self.found == self.stored {
            return Ok(Step::Done);
        }
        let (stored, found) = (self.stored.records, self.found.records);
        let reason = format!("{stored} records were written, {found} are there");
        Err(redb::Error::Corrupted(reason))
    }
}

/// Runs what touches the file: redb has assertions about what it reads, which a damaged file must not
/// turn into a panic.
pub(crate) fn guarded<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E>
where
    E: From<redb::StorageError>,
{
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(E::from(redb::StorageError::Corrupted(PAGES_DO_NOT_FIT.to_owned())))
    })
}
