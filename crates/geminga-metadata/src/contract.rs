//! What every store must keep, and what its users must bear: run on every implementation.
//!
//! [`run`] is for a store on its own, [`run_adversary`] for the ways users write to one (update
//! loops, watches, ephemeral keys) when it behaves as badly as it may.

mod listings;
mod under_adversary;
mod watches;
mod writes;

use std::{future::Future, time::Duration};

use crate::{Change, SharedStore, Watch};

pub use under_adversary::run_adversary;

/// Checks a store; `open` makes an empty one each time.
///
/// # Panics
///
/// If the store breaks the contract.
pub async fn run<F: Future<Output = SharedStore>>(open: impl Fn() -> F) {
    writes::versions_guard_writes(&*open().await).await;
    writes::deletes_are_guarded_too(&*open().await).await;
    writes::bad_requests_write_nothing(&*open().await).await;
    writes::one_of_many_creators_wins(&*open().await).await;
    writes::no_increment_is_lost(&*open().await).await;
    writes::sequences_never_repeat(&*open().await).await;
    writes::ephemeral_keys_are_keys(&*open().await).await;
    writes::random_writes_match_a_model(&*open().await, 300).await;
    listings::children_are_names(&*open().await).await;
    listings::pages_are_complete(&*open().await).await;
    watches::a_watch_tells_of_its_prefix_only(&*open().await).await;
    watches::a_full_watch_merges(&*open().await).await;
    watches::a_dropped_watch_hinders_nobody(&*open().await).await;
}

const DEADLINE: Duration = Duration::from_secs(20);

async fn next_change(watch: &mut Watch) -> Change {
    let change = tokio::time::timeout(DEADLINE, watch.recv()).await;
    change.expect("a change was lost").expect("the store ended a watch")
}
