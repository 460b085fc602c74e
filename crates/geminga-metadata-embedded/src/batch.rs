//! Requests applied in order inside one transaction.
//!
//! What a batch changes in memory is held back until its commit. A request that is refused leaves
//! the rest of the batch alone; an error of the file ends the batch and the store.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use geminga_metadata::{Expected, Lifetime, MetadataError, Version, Versioned};
use redb::{ReadableTable, Table, WriteTransaction};

use crate::{
    format::{self, CHECKSUM_SUM, KEYS, META, RECORD_COUNT, SEQUENCES, Tally},
    memory::Memory,
};

/// Numbers reserved by one write.
const NUMBERS_RESERVED: u64 = 100;

/// What is asked of one key.
#[derive(Debug)]
pub(crate) enum Request {
    Put { path: String, value: Bytes, expected: Expected, lifetime: Lifetime },
    Delete { path: String, expected: Expected },
    NextNumber { path: String },
}

/// What is answered when it was done: what there is to say of such a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// The new version, of a put.
    pub(crate) version: Version,
    /// The number, of a sequence.
    pub(crate) number: u64,
}

impl Answer {
    const DONE: Self = Self { version: Version(0), number: 0 };
}

pub(crate) type Outcome = Result<Answer, MetadataError>;

/// A batch in its transaction.
pub(crate) struct Batch<'a> {
    keys: Table<'a, &'static [u8], &'static [u8]>,
    sequences: Table<'a, &'static [u8], &'static [u8]>,
    meta: Table<'a, &'static str, u64>,
    tally: Tally,
    memory: &'a Memory,
    effects: Effects,
}

/// What is to be done once the batch is committed.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Whether the file is changed.
    pub(crate) writes_file: bool,
    pub(crate) ephemerals: BTreeMap<Vec<u8>, Option<Versioned>>,
    pub(crate) numbers: BTreeMap<Vec<u8>, Range<u64>>,
    /// Paths to tell the watchers of.
    pub(crate) changed: Vec<String>,
}

/// A key's value and where it is.
struct Found {
    version: Version,
    lifetime: Lifetime,
}

impl<'a> Batch<'a> {
    pub(crate) fn begin(
        transaction: &'a WriteTransaction,
        memory: &'a Memory,
    ) -> Result<Self, redb::Error> {
        let meta = transaction.open_table(META)?;
        let read = |name| Ok::<_, redb::Error>(meta.get(name)?.map_or(0, |found| found.value()));
        let tally = Tally { records: read(RECORD_COUNT)?, checksums: read(CHECKSUM_SUM)? };
        Ok(Self {
            keys: transaction.open_table(KEYS)?,
            sequences: transaction.open_table(SEQUENCES)?,
            meta,
            tally,
            memory,
            effects: Effects::default(),
        })
    }

    pub(crate) fn apply(&mut self, request: Request) -> Result<Outcome, redb::Error> {
        match request {
            Request::Put { path, value, expected, lifetime } => {
                self.put(path, &value, expected, lifetime)
            }
            Request::Delete { path, expected } => self.delete(path, expected),
            Request::NextNumber { path } => self.next_number(&path),
        }
    }

    /// Closes the batch; its transaction is to be committed if it writes the file.
    pub(crate) fn end(mut self) -> Result<Effects, redb::Error> {
        if self.effects.writes_file {
            self.meta.insert(RECORD_COUNT, self.tally.records)?;
            self.meta.insert(CHECKSUM_SUM, self.tally.checksums)?;
        }
        Ok(self.effects)
    }

    fn find(&self, key: &[u8]) -> Result<Result<Option<Found>, MetadataError>, redb::Error> {
        let ephemeral = match self.effects.ephemerals.get(key) {
            Some(changed) => changed.clone(),
            None => self.memory.get(key),
        };
        if let Some(Versioned { version, .. }) = ephemeral {
            return Ok(Ok(Some(Found { version, lifetime: Lifetime::Ephemeral })));
        }
        let Some(record) = self.keys.get(key)? else { return Ok(Ok(None)) };
        Ok(format::decode_value(key, record.value()).map(|Versioned { version, .. }| {
            Some(Found { version, lifetime: Lifetime::Persistent })
        }))
    }

    fn put(
        &mut self,
        path: String,
        value: &Bytes,
        expected: Expected,
        lifetime: Lifetime,
    ) -> Result<Outcome, redb::Error> {
        let key = match geminga_metadata::key::encode(&path) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let found = match self.find(&key)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let version = match expected.next_version(&path, found.as_ref().map(|found| found.version))
        {
            Ok(version) => version,
            Err(error) => return Ok(Err(error)),
        };
        match found.map_or(lifetime, |found| found.lifetime) {
            Lifetime::Ephemeral => {
                let value = Versioned { value: value.clone(), version };
                self.effects.ephemerals.insert(key, Some(value));
            }
            Lifetime::Persistent => {
                let record = format::encode_value(&key, version, value);
                replace(&mut self.keys, &mut self.tally, &key, &record)?;
                self.effects.writes_file = true;
            }
        }
        self.effects.changed.push(path);
        Ok(Ok(Answer { version, ..Answer::DONE }))
    }

    fn delete(&mut self, path: String, expected: Expected) -> Result<Outcome, redb::Error> {
        let key = match geminga_metadata::key::encode(&path) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let found = match self.find(&key)? {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = expected.check_delete(&path, found.as_ref().map(|found| found.version))
        {
            return Ok(Err(error));
        }
        if found.is_some_and(|found| found.lifetime == Lifetime::Ephemeral) {
            self.effects.ephemerals.insert(key, None);
        } else {
            if let Some(old) = self.keys.remove(key.as_slice())? {
                self.tally.remove(old.value());
            }
            self.effects.writes_file = true;
        }
        self.effects.changed.push(path);
        Ok(Ok(Answer::DONE))
    }

    fn next_number(&mut self, path: &str) -> Result<Outcome, redb::Error> {
        let key = match geminga_metadata::key::encode(path) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let reserved = self.effects.numbers.get_mut(&key).and_then(Iterator::next);
        if let Some(number) = reserved.or_else(|| self.memory.take_number(&key)) {
            return Ok(Ok(Answer { number, ..Answer::DONE }));
        }
        let stored = match self.sequences.get(key.as_slice())? {
            Some(record) => format::decode_number(&key, record.value()),
            None => Ok(0),
        };
        let first = match stored {
            Ok(first) => first,
            Err(error) => return Ok(Err(error)),
        };
        let Some(end) = first.checked_add(NUMBERS_RESERVED) else {
            let reason = format!("the sequence {path:?} is at its end");
            return Ok(Err(MetadataError::Corrupt(reason)));
        };
        let record = format::encode_number(&key, end);
        replace(&mut self.sequences, &mut self.tally, &key, &record)?;
        self.effects.writes_file = true;
        self.effects.numbers.insert(key, first + 1..end);
        Ok(Ok(Answer { number: first, ..Answer::DONE }))
    }
}

fn replace(
    table: &mut Table<'_, &'static [u8], &'static [u8]>,
    tally: &mut Tally,
    key: &[u8],
    record: &[u8],
) -> Result<(), redb::Error> {
    if let Some(old) = table.insert(key, record)? {
        tally.remove(old.value());
    }
    tally.add(record);
    Ok(())
}
