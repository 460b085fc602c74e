//! A full disk, whichever file is the first to meet it.
//!
//! Goal: entries are refused with an error that names what is full, reads, fences and deletions go
//! on, nothing confirmed is lost, and entries are taken again without a restart once there is space.
//! Method: one kind of file at a time may not grow.
#![cfg(test)]

mod bookie;

use std::path::Path;

use bookie::{add, body, entry, read_body, tiny};
use geminga_bookie_api::{AddError, Bookie as _, ReadError};
use geminga_bookie_storage::{Options, Storage};
use geminga_env::sim::World;
use geminga_types::LedgerId;
use tokio::time::{Duration, sleep};

/// Adds until one is refused; returns how many were confirmed, and the reason.
async fn add_until_refused(storage: &Storage) -> (i64, String) {
    for id in 0..2_000 {
        match add(storage, vec![entry(7, id, &body(7, id))]).await.remove(0).2 {
            Ok(()) => {}
            Err(AddError::ReadOnly(reason)) => return (id, reason),
            Err(error) => panic!("entry {id}: {error}"),
        }
        if id % 50 == 0 {
            sleep(Duration::from_millis(100)).await;
        }
    }
    panic!("nothing was refused");
}

async fn refused_and_taken_again(part: &'static str) {
    let world = World::new(1);
    // Without spares, so that the journal has to grow as well.
    let options = Options {
        flush_interval: Duration::from_secs(5),
        journal_spares_max: 0,
        ..tiny(Path::new("/data"))
    };
    let storage = Storage::open(world.env(), options).await.unwrap();
    for id in 0..60 {
        let batch = (0..3).map(|ledger| entry(ledger, id, &body(ledger, id))).collect();
        assert!(add(&storage, batch).await.iter().all(|(.., result)| result.is_ok()), "{part}");
    }
    storage.flush().await.unwrap();
    world.disk().refuse_growth(move |path| path.to_str().unwrap().contains(part));
    let (confirmed, reason) = add_until_refused(&storage).await;
    let directory = if part == "journal-" { "/data/journal" } else { "/data/ledgers" };
    assert!(reason.contains(directory) && reason.contains(part), "{part}: {reason}");
    for word in ["no space left", "bytes are free", "are used by", "limit"] {
        assert!(reason.contains(word), "{part}: {word} in {reason}");
    }
    // All else goes on.
    assert_eq!(read_body(&storage, 0, 59).await.unwrap(), body(0, 59), "{part}");
    assert_eq!(read_body(&storage, 7, confirmed - 1).await.unwrap(), body(7, confirmed - 1));
    storage.fence(LedgerId(1)).await.unwrap();
    storage.delete(LedgerId(0)).await.unwrap();
    assert!(matches!(read_body(&storage, 0, 0).await, Err(ReadError::NoLedger(_))), "{part}");
    assert_eq!(*storage.failed().borrow(), None, "{part}");
    sleep(Duration::from_secs(30)).await;

    world.disk().heal();
    sleep(Duration::from_secs(15)).await;
    assert_eq!(storage.read_only(), None, "{part}");
    let again = add(&storage, vec![entry(7, confirmed, &body(7, confirmed))]).await.remove(0).2;
    assert_eq!(again, Ok(()), "{part}");
    storage.collect().await.unwrap();
    storage.close().await.unwrap();
    drop(storage);
    world.lose_power();
    let storage = Storage::open(world.env(), tiny(Path::new("/data"))).await.unwrap();
    for id in 0..=confirmed {
        assert_eq!(read_body(&storage, 7, id).await.unwrap(), body(7, id), "{part}");
    }
    for id in 0..60 {
        assert_eq!(read_body(&storage, 1, id).await.unwrap(), body(1, id), "{part}");
    }
    storage.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_journal() {
    refused_and_taken_again("journal-").await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_log() {
    refused_and_taken_again("entry-log-").await;
}

#[tokio::test(start_paused = true)]
async fn the_index() {
    refused_and_taken_again("index-").await;
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint() {
    refused_and_taken_again("checkpoint").await;
}

/// Goal: a crash on the full disk loses nothing either. Method: as above, with the power cut.
#[tokio::test(start_paused = true)]
async fn a_crash_while_it_is_full() {
    for part in ["journal-", "entry-log-", "index-", "checkpoint"] {
        let world = World::new(2);
        let options = Options { journal_spares_max: 0, ..tiny(Path::new("/data")) };
        let storage = Storage::open(world.env(), options).await.unwrap();
        world.disk().refuse_growth(move |path| path.to_str().unwrap().contains(part));
        let (confirmed, _) = add_until_refused(&storage).await;
        world.disk().cut_power_after(0);
        _ = storage.close().await;
        drop(storage);
        world.lose_power();
        // Still full.
        let storage = Storage::open(world.env(), tiny(Path::new("/data"))).await.unwrap();
        for id in 0..confirmed {
            assert_eq!(read_body(&storage, 7, id).await.unwrap(), body(7, id), "{part}");
        }
        world.disk().heal();
        sleep(Duration::from_secs(15)).await;
        assert_eq!(add(&storage, vec![entry(8, 0, b"x")]).await[0].2, Ok(()), "{part}");
        storage.close().await.unwrap();
    }
}
