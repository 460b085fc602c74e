//! A bookie's storage: entries of ledgers, durable before they are confirmed.
//!
//! An add goes to the [journal](journal), is confirmed when its group is synced, and is then found in
//! the [write cache](write_cache). A [flush](store::flush) moves entries to the [entry log](entry_log),
//! where the [index] finds them. [`Storage`] is the handle; it never heard of topics.
//!
//! Two workers do all writing: the journal's, and the store's (flush, collection, checkpoint). Reads
//! are done by whoever asks, with file reads on blocking threads.
//!
//! The formats are described byte by byte in `docs/formats/`.
//!
//! # Invariants
//!
//! 1. `Ok` at a sink means that the entry is on the disk and synced (unless `sync` is off).
//! 2. What was confirmed survives a crash at any point; what was deleted stays deleted; a fence holds.
//! 3. "No entry" is an answer only when it is proven.
//! 4. After a failed write or sync nothing is confirmed any more.

mod backup;
mod checkpoint;
mod cookie;
mod directory;
pub mod dump;
mod entry_log;
mod error;
mod fields;
mod inbox;
mod index;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod journal;
mod ledgers;
mod open;
mod options;
mod parts;
mod poison;
mod read;
mod read_cache;
mod scrub;
mod shared;
mod state;
mod stats;
mod storage;
mod store;
pub mod verify;
mod write_cache;

pub use backup::{CopyError, Snapshot};
pub use error::OpenError;
#[cfg(any(test, feature = "planted-bugs"))]
pub use options::PlantedBug;
pub use options::{Options, Phase, StorageEvent, Trace};
pub use stats::{SYNC_LIMITS_US, Stats};
pub use storage::{Storage, Unfinished};
pub use store::collect::Collected;

#[cfg(test)]
mod model_tests;
