//! What is not in the file: ephemeral keys, and reserved numbers that are still to be given out.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
    sync::{Mutex, MutexGuard, PoisonError},
};

use geminga_metadata::Versioned;

/// A key's value, or that it is deleted.
pub(crate) type Change = (Vec<u8>, Option<Versioned>);

/// Written by the worker only, after a commit; read by everybody.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    ephemerals: Mutex<BTreeMap<Vec<u8>, Versioned>>,
    numbers: Mutex<BTreeMap<Vec<u8>, Range<u64>>>,
}

impl Memory {
    pub(crate) fn get(&self, key: &[u8]) -> Option<Versioned> {
        lock(&self.ephemerals).get(key).cloned()
    }

    /// The first ephemeral key that is not before `from`.
    pub(crate) fn seek(&self, from: &[u8]) -> Option<Vec<u8>> {
        let rest = (Bound::Included(from), Bound::Unbounded);
        lock(&self.ephemerals).range::<[u8], _>(rest).next().map(|(key, _)| key.clone())
    }

    pub(crate) fn apply(&self, changes: impl IntoIterator<Item = Change>) {
        let mut ephemerals = lock(&self.ephemerals);
        for (key, value) in changes {
            match value {
                Some(value) => ephemerals.insert(key, value),
                None => ephemerals.remove(&key),
            };
        }
    }

    /// Takes a reserved number of a sequence.
    pub(crate) fn take_number(&self, key: &[u8]) -> Option<u64> {
        lock(&self.numbers).get_mut(key)?.next()
    }

    /// Adds numbers that were durably reserved.
    pub(crate) fn reserve(&self, reserved: BTreeMap<Vec<u8>, Range<u64>>) {
        lock(&self.numbers).extend(reserved);
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
