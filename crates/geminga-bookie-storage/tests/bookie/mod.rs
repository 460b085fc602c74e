//! What the tests of this folder share: entries, adds, reads, tiny options.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, AddSink, Bookie as _, BookieId, ReadError};
use geminga_bookie_storage::{Options, Storage};
use geminga_checksum::Sum;
use geminga_types::{EntryId, LedgerId};
use tokio::sync::mpsc;

pub(crate) type AddResult = (LedgerId, EntryId, Result<(), AddError>);

#[derive(Debug)]
struct Sink(mpsc::Sender<Vec<AddResult>>);

impl AddSink for Sink {
    fn on_added(&self, _: &BookieId, results: Vec<AddResult>) {
        self.0.try_send(results).unwrap();
    }
}

pub(crate) fn entry(ledger: i64, entry: i64, body: &[u8]) -> AddEntry {
    let mut head = [0; 36];
    head[..8].copy_from_slice(&ledger.to_be_bytes());
    head[8..16].copy_from_slice(&entry.to_be_bytes());
    head[16..24].copy_from_slice(&(entry - 1).to_be_bytes());
    head[24..32].copy_from_slice(&i64::try_from(body.len()).unwrap().to_be_bytes());
    AddEntry {
        ledger_id: LedgerId(ledger),
        entry_id: EntryId(entry),
        head,
        front: Bytes::copy_from_slice(&body[..body.len() / 2]),
        body: Bytes::copy_from_slice(&body[body.len() / 2..]),
        sum: Sum::of(&head).append(body),
        is_recovery: false,
        may_use_reserve: false,
    }
}

pub(crate) async fn add(storage: &Storage, entries: Vec<AddEntry>) -> Vec<AddResult> {
    let (sender, mut results) = mpsc::channel(1000);
    let count = entries.len();
    storage.add(entries, Arc::new(Sink(sender)));
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(results.recv().await.unwrap());
    }
    all
}

pub(crate) async fn read_body(
    storage: &Storage,
    ledger: i64,
    entry: i64,
) -> Result<Bytes, ReadError> {
    let (ledger, entry) = (LedgerId(ledger), EntryId(entry));
    let entries = storage.read(ledger, entry, entry, 1).await?;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].entry_id, entry);
    Ok(entries[0].bytes.slice(36..))
}

pub(crate) fn tiny(dir: &Path) -> Options {
    Options {
        journal_file_bytes: 64 << 10,
        journal_spares_max: 1,
        write_cache_bytes: 64 << 10,
        entry_log_bytes: 64 << 10,
        run_bytes_max: 4 << 10,
        whole_run_bytes_max: 1 << 10,
        read_cache_bytes: 32 << 10,
        index_log_bytes_min: 16 << 10,
        min_free_bytes: 0,
        ..Options::new(dir.join("journal"), dir.join("ledgers"))
    }
}

pub(crate) fn body(ledger: i64, entry: i64) -> Vec<u8> {
    format!("{ledger}/{entry} ").repeat(20 + usize::try_from(entry % 7).unwrap() * 30).into_bytes()
}
