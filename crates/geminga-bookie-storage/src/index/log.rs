//! The durable form of the index: batches of changes, appended; rewritten when most are outdated.
//!
//! # Invariants
//!
//! 1. The checkpoint says how long the log is. What lies beyond is an attempt that never counted and
//!    is written over.
//! 2. Everything before that length was synced, so damage there is corruption.

use std::path::{Path, PathBuf};

use geminga_env::{File, disk::OpenMode};

use super::format::{
    BLOCK_BYTES, FILE_HEAD_BYTES, Record, VERSION, batch_bytes, decode_batch, decode_file_head,
    encode_batch, encode_file_head,
};
use crate::{
    directory::{self, Directory},
    error::{OpenError, WriteError},
    fields::{align, size},
};

const BATCH_RECORDS_MAX: usize = 16 << 10;

/// The end of the index log.
#[derive(Debug)]
pub(crate) struct IndexLog {
    directory: Directory,
    file: Box<dyn File>,
    generation: u64,
    bytes: u64,
}

/// What a log holds.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) log: IndexLog,
    pub(crate) records: Vec<Record>,
    /// Where the first damage is; then `records` are what could be read all the same.
    pub(crate) damaged_at: Option<u64>,
}

impl IndexLog {
    /// Writes a new file with these records. It counts once a checkpoint names it.
    pub(crate) fn create(
        directory: &Directory,
        generation: u64,
        records: &[Record],
    ) -> Result<Self, WriteError> {
        let name = name(generation);
        let file = directory.create(&name)?;
        let mut log =
            Self { directory: directory.clone(), file, generation, bytes: BLOCK_BYTES as u64 };
        let mut head = vec![0; BLOCK_BYTES];
        head[..FILE_HEAD_BYTES].copy_from_slice(&encode_file_head(generation));
        let written = log.file.write_at(&head, 0);
        let written = written.map_err(|error| WriteError::write(&log.path(), error));
        match written.and_then(|()| log.append(records)) {
            Ok(bytes) => log.bytes = bytes,
            Err(error) => {
                directory.remove(&name)?;
                return Err(error);
            }
        }
        directory.sync()?;
        Ok(log)
    }

    /// Reads the log that a checkpoint names.
    pub(crate) fn load(
        directory: &Directory,
        generation: u64,
        bytes: u64,
    ) -> Result<Loaded, OpenError> {
        let path = directory.join(&name(generation));
        let failed = |error| OpenError::io(&path, error);
        let file = directory.open(&name(generation), OpenMode::ReadWrite).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        let content = directory::read(&*file, 0, size(bytes)).map_err(failed)?;
        let (records, damaged_at) = read_records(&path, &content, generation, bytes)?;
        let log = Self { directory: directory.clone(), file, generation, bytes };
        Ok(Loaded { log, records, damaged_at })
    }

    /// Appends records and syncs them; returns the length with them, which counts once a
    /// checkpoint names it and [`Self::commit`] is called.
    pub(crate) fn append(&self, records: &[Record]) -> Result<u64, WriteError> {
        let mut offset = self.bytes;
        for records in records.chunks(BATCH_RECORDS_MAX) {
            let mut batch = encode_batch(self.generation, records);
            batch.resize(size(align(batch.len() as u64, BLOCK_BYTES)), 0);
            self.file
                .write_at(&batch, offset)
                .map_err(|error| WriteError::write(&self.path(), error))?;
            offset += batch.len() as u64;
        }
        self.file.sync_data().map_err(|error| WriteError::sync(&self.path(), error))?;
        Ok(offset)
    }

    /// Takes over the length that a checkpoint names.
    pub(crate) const fn commit(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&name(self.generation))
    }
}

/// The records in the first `bytes` of a log, and where the first damage is.
pub(crate) fn read_records(
    path: &Path,
    content: &[u8],
    generation: u64,
    bytes: u64,
) -> Result<(Vec<Record>, Option<u64>), OpenError> {
    let mut damaged_at = None;
    match decode_file_head(content) {
        Some((found, _)) if found != VERSION => {
            return Err(OpenError::Newer { path: path.to_owned(), found, supported: VERSION });
        }
        Some((_, found)) if found == generation => {}
        _ => damaged_at = Some(0),
    }
    let (records, first_damage) = read_batches(content, generation);
    damaged_at = damaged_at.or(first_damage);
    if damaged_at.is_none() && (content.len() as u64) < bytes {
        damaged_at = Some(content.len() as u64);
    }
    Ok((records, damaged_at))
}

/// All whole batches, and where the first is not.
fn read_batches(content: &[u8], generation: u64) -> (Vec<Record>, Option<u64>) {
    let (mut records, mut damaged_at) = (Vec::new(), None);
    let mut offset = BLOCK_BYTES;
    while offset < content.len() {
        match decode_batch(&content[offset..], generation) {
            Some(batch) => {
                offset += size(align(batch_bytes(batch.len()) as u64, BLOCK_BYTES));
                records.extend(batch);
            }
            None => {
                damaged_at = damaged_at.or(Some(offset as u64));
                offset += BLOCK_BYTES;
            }
        }
    }
    (records, damaged_at)
}

/// Name of the file of this generation.
pub(crate) fn name(generation: u64) -> String {
    format!("index-{generation:08}")
}

/// Generation of the file with this name.
pub(crate) fn generation(name: &str) -> Option<u64> {
    name.strip_prefix("index-")?.parse().ok()
}
