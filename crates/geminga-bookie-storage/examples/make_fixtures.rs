//! Writes the data directories of `tests/fixtures`: `make_fixtures DIR`. Run once for each version of
//! the formats; what is committed is never written again.
//!
//! - `closed`: ledgers 0 to 2, forty entries each, flushed and closed; ledger 1 fenced, 2 deleted.
//! - `crashed`: the same, then ten more entries of ledgers 0 and 3 that only the journal has.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, AddSink, Bookie as _, BookieId};
use geminga_bookie_storage::{Options, Storage};
use geminga_checksum::Sum;
use geminga_env::Env;
use geminga_types::{EntryId, LedgerId};
use tokio::sync::mpsc;

#[derive(Debug)]
struct Sink(mpsc::Sender<bool>);

impl AddSink for Sink {
    fn on_added(&self, _: &BookieId, results: Vec<(LedgerId, EntryId, Result<(), AddError>)>) {
        for (.., result) in results {
            _ = self.0.try_send(result.is_ok()); // The receiver has room for all.
        }
    }
}

/// BookKeeper's envelope and a body that can be told from the ids.
fn entry(ledger: i64, entry: i64) -> AddEntry {
    let times = 1 + usize::try_from(entry % 5).unwrap_or_default();
    let body = Bytes::from(format!("{ledger}/{entry} ").repeat(times));
    let length = i64::try_from(body.len()).unwrap_or_default();
    let mut head = [0; 36];
    for (at, field) in [ledger, entry, entry - 1, length * (entry + 1)].into_iter().enumerate() {
        head[at * 8..at * 8 + 8].copy_from_slice(&field.to_be_bytes());
    }
    let digest = Sum::of(&head[..32]).append(&body);
    head[32..].copy_from_slice(&digest.crc().to_be_bytes());
    let sum = Sum::of(&head).append(&body);
    let (ledger_id, entry_id) = (LedgerId(ledger), EntryId(entry));
    let (is_recovery, may_use_reserve, front) = (false, false, Bytes::new());
    AddEntry { ledger_id, entry_id, head, front, body, sum, is_recovery, may_use_reserve }
}

async fn add(storage: &Storage, entries: Vec<AddEntry>) {
    let (sender, mut results) = mpsc::channel(entries.len());
    let count = entries.len();
    storage.add(entries, Arc::new(Sink(sender)));
    for _ in 0..count {
        assert_eq!(results.recv().await, Some(true), "an add failed");
    }
}

async fn make(dir: &Path, is_closed: bool) -> Result<(), Box<dyn std::error::Error>> {
    let options = Options {
        journal_file_bytes: 16 << 10,
        journal_spares_max: 0,
        min_free_bytes: 0,
        ..Options::new(dir.join("journal"), dir.join("ledgers"))
    };
    let storage = Storage::open(Env::system(), options).await?;
    for from in [0, 20] {
        for ledger in 0..3 {
            add(&storage, (from..from + 20).map(|id| entry(ledger, id)).collect()).await;
        }
        storage.flush().await?;
    }
    storage.fence(LedgerId(1)).await?;
    storage.delete(LedgerId(2)).await?;
    storage.flush().await?;
    if is_closed {
        storage.close().await?;
        return Ok(());
    }
    add(&storage, (40..50).map(|id| entry(0, id)).collect()).await;
    add(&storage, (0..10).map(|id| entry(3, id)).collect()).await;
    std::process::exit(0); // As a kill does.
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: make_fixtures DIR")?;
    make(&Path::new(&dir).join("closed"), true).await?;
    make(&Path::new(&dir).join("crashed"), false).await
}
