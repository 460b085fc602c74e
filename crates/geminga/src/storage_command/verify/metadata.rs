//! What the metadata says of ledgers.

use std::collections::{BTreeMap, BTreeSet};

use geminga_metadata::{
    MetadataError, Versioned, paths,
    values::{
        compaction, cursor_log, delayed,
        ledger::LedgerMetadata,
        managed_ledger::{decode_cursor, decode_ledger},
    },
};
use geminga_metadata_embedded::Snapshot;
use geminga_types::LedgerId;

/// Ledgers, and who names them.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub(super) keys: u64,
    pub(super) topics: u64,
    pub(super) cursors: u64,
    pub(super) ledgers: BTreeMap<LedgerId, LedgerMetadata>,
    /// Each with the key that names it.
    pub(super) referenced: BTreeMap<LedgerId, String>,
    /// Those that a tombstone names in its path.
    pub(super) doomed: BTreeSet<LedgerId>,
}

impl Metadata {
    /// Reads all keys; also returns what is damaged.
    pub(super) fn read(snapshot: &Snapshot) -> Result<(Self, Vec<String>), MetadataError> {
        let (mut metadata, mut damages) = (Self::default(), Vec::new());
        snapshot.visit(&mut |path, value| {
            metadata.keys += 1;
            if let Err(reason) = metadata.take(path, value) {
                damages.push(format!("metadata {path}: {reason}"));
            }
        })?;
        Ok((metadata, damages))
    }

    fn take(&mut self, path: &str, Versioned { value, .. }: Versioned) -> Result<(), String> {
        if let Some(ledger_id) = paths::ledger_of(path) {
            let ledger = LedgerMetadata::decode(&value).map_err(|error| error.to_string())?;
            self.ledgers.insert(ledger_id, ledger);
        } else if let Some(id) = path.strip_prefix(paths::TOMBSTONES) {
            let id = id.trim_start_matches('/').parse().map(LedgerId);
            self.doomed.extend(id);
        } else if let Some(rest) = path.strip_prefix("/managed-ledgers/") {
            // tenant, namespace, domain, topic; and for a cursor its name.
            match rest.split('/').count() {
                4 => {
                    let info = decode_ledger(value).map_err(|error| error.to_string())?;
                    self.topics += 1;
                    let ids = info.ledger_info.iter().map(|info| LedgerId(info.ledger_id));
                    let compacted =
                        compaction::ledgers(&info).map_err(|error| error.to_string())?;
                    let buckets = delayed::ledgers(&info).map_err(|error| error.to_string())?;
                    let ids = ids.chain(compacted).chain(buckets);
                    self.referenced.extend(ids.map(|id| (id, path.to_owned())));
                }
                5 => {
                    let info = decode_cursor(value).map_err(|error| error.to_string())?;
                    self.cursors += 1;
                    let log = cursor_log::ledgers(&info).map_err(|error| error.to_string())?;
                    self.referenced.extend(log.into_iter().map(|id| (id, path.to_owned())));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
