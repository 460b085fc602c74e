//! Micro benchmarks: `cargo bench -p geminga-bookie-storage`.
//!
//! Flush and read run on files in the system's temporary directory, so they are of that disk.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use geminga_bookie_api::{AddEntry, AddError, AddSink, Bookie as _, BookieId};
use geminga_bookie_storage::{
    Options, Storage,
    internals::{Rows, build_group},
};
use geminga_checksum::Sum;
use geminga_env::Env;
use geminga_types::{EntryId, LedgerId};
use tokio::{runtime::Runtime, sync::mpsc};

fn main() {
    divan::main();
}

#[derive(Debug)]
struct Sink(mpsc::Sender<usize>);

impl AddSink for Sink {
    fn on_added(&self, _: &BookieId, results: Vec<(LedgerId, EntryId, Result<(), AddError>)>) {
        assert!(results.iter().all(|(.., result)| result.is_ok()), "an add failed");
        _ = self.0.try_send(results.len()); // There is room for every entry.
    }
}

/// Entries from `first` on, dealt out to `ledgers` ledgers.
fn entries(first: i64, count: i64, ledgers: i64, bytes: usize) -> Vec<AddEntry> {
    let body = Bytes::from(vec![7; bytes]);
    let body_sum = Sum::of(&body);
    (first..first + count)
        .map(|number| AddEntry {
            ledger_id: LedgerId(number % ledgers),
            entry_id: EntryId(number / ledgers),
            head: [0; 36],
            front: Bytes::new(),
            body: body.clone(),
            sum: Sum::of(&[0; 36]).then(body_sum),
            is_recovery: false,
            may_use_reserve: false,
        })
        .collect()
}

fn runtime() -> Runtime {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().build();
    built.expect("a machine that compiled this can make a runtime")
}

async fn add(storage: &Storage, entries: Vec<AddEntry>) {
    let mut left = entries.len();
    let (sender, mut results) = mpsc::channel(left);
    storage.add(entries, Arc::new(Sink(sender)));
    while left > 0 {
        left -= results.recv().await.unwrap_or(left);
    }
}

/// A storage, the runtime it is on, and its directory.
struct Place {
    runtime: Runtime,
    storage: Storage,
    _dir: tempfile::TempDir,
}

impl Place {
    fn new(read_cache_bytes: usize) -> Self {
        let (runtime, dir) = (runtime(), tempfile::tempdir().expect("a temporary directory"));
        let options = Options {
            read_cache_bytes,
            write_cache_bytes: 1 << 30,
            flush_interval: Duration::from_secs(1 << 20),
            min_free_bytes: 0,
            ..Options::new(dir.path(), dir.path())
        };
        let opened = runtime.block_on(Storage::open(Env::system(), options));
        Self { runtime, storage: opened.expect("an empty directory"), _dir: dir }
    }
}

#[divan::bench(args = [(1, 1 << 10), (100, 128), (1_000, 1 << 10), (60, 64 << 10)])]
fn journal_group(bencher: Bencher<'_, '_>, (count, bytes): (i64, usize)) {
    let entries = entries(0, count, 10, bytes);
    let total: usize = entries.iter().map(|entry| entry.sum.len()).sum();
    bencher.counter(BytesCount::new(total)).bench(|| build_group(&entries));
}

#[divan::bench(args = [1_i64, 100, 10_000], sample_count = 20, sample_size = 1)]
fn flush_16_mib_of_1_kib_entries(bencher: Bencher<'_, '_>, ledgers: i64) {
    let place = Place::new(0);
    let next = std::cell::Cell::new(0);
    bencher
        .counter(BytesCount::new(16_usize << 20))
        .with_inputs(|| {
            let entries = entries(next.get(), 16 << 10, ledgers, 988);
            next.set(next.get() + (16 << 10));
            place.runtime.block_on(add(&place.storage, entries));
        })
        .bench_local_values(|()| {
            place.runtime.block_on(place.storage.flush()).expect("there is space");
        });
}

#[divan::bench(args = [(1, 100_000), (1_000, 100), (100_000, 1)])]
fn index_look_up(bencher: Bencher<'_, '_>, (ledgers, per_ledger): (i64, i64)) {
    let rows = Rows::filled(ledgers, per_ledger);
    let mut number = 0_i64;
    bencher.bench_local(|| {
        number = number.wrapping_add(7_919) & 0xff_ffff;
        rows.look_up(LedgerId(number % ledgers), EntryId(number % (per_ledger * 100)))
    });
}

/// Ten thousand entries of one ledger, 1 KiB each.
fn filled(read_cache_bytes: usize, is_flushed: bool) -> Place {
    let place = Place::new(read_cache_bytes);
    place.runtime.block_on(async {
        add(&place.storage, entries(0, 10_000, 1, 988)).await;
        if is_flushed {
            place.storage.flush().await.expect("there is space");
        }
    });
    place
}

fn read_hundred(bencher: Bencher<'_, '_>, place: &Place) {
    let mut first = 0;
    bencher.counter(BytesCount::new(100 * 1024_usize)).bench_local(|| {
        first = (first + 3_700) % 9_900;
        let read = place.storage.read(LedgerId(0), EntryId(first), EntryId(first + 99), 1 << 20);
        place.runtime.block_on(read).expect("it was added")
    });
}

#[divan::bench]
fn read_100_from_write_cache(bencher: Bencher<'_, '_>) {
    read_hundred(bencher, &filled(64 << 20, false));
}

#[divan::bench]
fn read_100_from_read_cache(bencher: Bencher<'_, '_>) {
    read_hundred(bencher, &filled(64 << 20, true));
}

#[divan::bench]
fn read_100_from_entry_log(bencher: Bencher<'_, '_>) {
    read_hundred(bencher, &filled(0, true));
}
