//! Measures how long a storage takes to open after a kill: `recovery [DIR]`, on the disk of DIR.
//!
//! One row for each size of the journal that is to be replayed. The entries lie in one ledger each
//! hundred; nothing is flushed before the kill, which is the worst that the write cache allows.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use geminga_bookie_api::{AddEntry, AddError, AddSink, Bookie as _, BookieId};
use geminga_bookie_storage::{Options, Storage};
use geminga_checksum::Sum;
use geminga_env::Env;
use geminga_types::{EntryId, LedgerId};
use tokio::sync::mpsc;

#[derive(Debug)]
struct Sink(mpsc::Sender<usize>);

impl AddSink for Sink {
    fn on_added(&self, _: &BookieId, results: Vec<(LedgerId, EntryId, Result<(), AddError>)>) {
        assert!(results.iter().all(|(.., result)| result.is_ok()), "an add failed");
        _ = self.0.try_send(results.len()); // There is room for every entry.
    }
}

fn options(dir: &Path) -> Options {
    Options {
        write_cache_bytes: 8 << 30,
        flush_interval: Duration::from_secs(1 << 20),
        min_free_bytes: 0,
        ..Options::new(dir.join("journal"), dir.join("ledgers"))
    }
}

async fn fill(storage: &Storage, entries: i64, body: &Bytes) {
    let body_sum = Sum::of(body);
    let mut next = 0;
    while next < entries {
        let batch: Vec<AddEntry> = (next..(next + 1_000).min(entries))
            .map(|number| {
                let head = [0; 36];
                AddEntry {
                    ledger_id: LedgerId(number % 100),
                    entry_id: EntryId(number / 100),
                    head,
                    front: Bytes::new(),
                    body: body.clone(),
                    sum: Sum::of(&head).then(body_sum),
                    is_recovery: false,
                    may_use_reserve: false,
                }
            })
            .collect();
        next += 1_000;
        let (mut left, (sender, mut results)) = (batch.len(), mpsc::channel(batch.len()));
        storage.add(batch, Arc::new(Sink(sender)));
        while left > 0 {
            left -= results.recv().await.unwrap_or(left);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let env = Env::system();
    println!("entry bytes |  entries | journal MiB | groups | open after a kill, ms");
    for (entry_bytes, sizes) in
        [(128, [8, 32, 128]), (1 << 10, [16, 64, 512]), (64 << 10, [64, 256, 1024])]
    {
        for mib in sizes {
            let dir = tempfile::tempdir_in(&dir)?;
            let body = Bytes::from(vec![7; entry_bytes]);
            let entries = i64::try_from((mib << 20) / (entry_bytes + 68))?;
            let storage = Storage::open(env.clone(), options(dir.path())).await?;
            fill(&storage, entries, &body).await;
            drop(storage); // As a kill does: nothing is flushed.
            // The lock is let go when the workers have seen it.
            let (began, opened) = loop {
                let began = env.clock.now();
                let mut small = options(dir.path());
                small.write_cache_bytes = 64 << 20;
                match Storage::open(env.clone(), small).await {
                    Err(geminga_bookie_storage::OpenError::InUse(_)) => {
                        tokio::task::yield_now().await
                    }
                    opened => break (began, opened?),
                }
            };
            let millis = (env.clock.now() - began).as_millis();
            let groups = opened.stats().groups_replayed;
            println!("{entry_bytes:>11} | {entries:>8} | {mib:>11} | {groups:>6} | {millis:>9}");
            opened.close().await?;
        }
    }
    Ok(())
}
