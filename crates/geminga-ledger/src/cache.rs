//! Ledger metadata that was read before, so that a read need not ask the store.
//!
//! What is closed never changes. What is open only gains ensembles and an end: a reader that misses
//! something loads it again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use geminga_types::LedgerId;

use crate::record::Record;

const RECORDS_MAX: usize = 4096;

/// At most [`RECORDS_MAX`] ledgers' metadata.
#[derive(Debug, Default)]
pub(crate) struct MetadataCache(Mutex<BTreeMap<LedgerId, Arc<Record>>>);

impl MetadataCache {
    pub(crate) fn get(&self, ledger_id: LedgerId) -> Option<Arc<Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&ledger_id).cloned()
    }

    /// Makes room by dropping the oldest ledger: topics are mostly read near their ends.
    pub(crate) fn put(&self, ledger_id: LedgerId, record: &Arc<Record>) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        records.insert(ledger_id, Arc::clone(record));
        if RECORDS_MAX < records.len() {
            records.pop_first();
        }
    }

    pub(crate) fn forget(&self, ledger_id: LedgerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&ledger_id);
    }
}
