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

#[cfg(test)]
mod tests {
    use geminga_bookie_api::BookieId;
    use geminga_metadata::values::ledger::{LedgerMetadata, LedgerState};
    use geminga_types::EntryId;

    use super::*;
    use crate::quorum::Quorums;

    #[test]
    fn the_oldest_ledger_makes_room() {
        let metadata = LedgerMetadata {
            ensemble_size: 1,
            write_quorum: 1,
            ack_quorum: 1,
            state: LedgerState::Open,
            ensembles: BTreeMap::from([(EntryId(0), vec!["b".to_owned()])]),
            digest_type: None,
            password: bytes::Bytes::new(),
            created_ms: None,
            custom: BTreeMap::new(),
            creation_token: None,
        };
        let quorums = Quorums::new(1, 1, 1).unwrap();
        let record = Arc::new(Record::new(quorums, vec![BookieId("b".into())], metadata));
        let cache = MetadataCache::default();
        let max = i64::try_from(RECORDS_MAX).unwrap();
        for id in 0..max {
            cache.put(LedgerId(id), &record);
        }
        assert!(cache.get(LedgerId(0)).is_some());
        cache.put(LedgerId(max), &record);
        assert!(cache.get(LedgerId(0)).is_none());
        assert!(cache.get(LedgerId(max)).is_some());
    }
}
