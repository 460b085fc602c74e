//! Quorum client: creates, writes, seals, reads, recovers and deletes ledgers on bookies.
//!
//! A ledger is a sequence of entries, dense from 0, written by one [`Writer`] to an *ensemble* of
//! E bookies. Each entry goes to a *write set* of Qw of them and is confirmed once Qa have it on
//! their disks and every entry before it is confirmed. The writer is a machine without I/O; the
//! rest are procedures, one file each, named by their verb.
//!
//! # Invariants
//!
//! 1. Only the writer's window makes a [`Confirmed`], and only a `Confirmed` may be acknowledged.
//! 2. A ledger's end is decided once, by a compare-and-set of its metadata to CLOSED.
//! 3. Recovery takes an entry for absent only on the word of fenced bookies, of so many of its
//!    write set that the rest is no ack quorum. A failure is nobody's word.

mod cache;
mod call;
mod create;
mod delete;
mod envelope;
mod fence;
mod find_lac;
mod quorum;
mod read;
mod record;
mod recover;
mod rewrite;
mod seal;
mod writer;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use geminga_bookie_api::Bookies;
use geminga_env::Env;
use geminga_metadata::SharedStore;
use geminga_types::EntryId;

pub use create::{CreateError, create};
pub use delete::{DeleteError, delete};
pub use envelope::{Damaged, check};
pub use read::{Entry, ReadError, read};
pub use recover::{RecoverError, recover};
pub use seal::{SealError, seal};
pub use writer::{Confirmed, NeverSent, Writer};

/// What every procedure works with. Clones share the cache of ledger metadata.
#[derive(Clone, Debug)]
pub struct Deps {
    /// The world.
    pub env: Env,
    /// Where the ledgers' metadata is.
    pub metadata: SharedStore,
    /// Where their entries are.
    pub bookies: Arc<dyn Bookies>,
    cache: Arc<cache::MetadataCache>,
}

/// How a new ledger is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerOptions {
    /// E: over how many bookies its entries are spread.
    pub ensemble_size: u32,
    /// Qw: how many of them each entry is sent to.
    pub write_quorum: u32,
    /// Qa: how many must have it on disk before it is confirmed.
    pub ack_quorum: u32,
    /// Kept in the metadata; Apache's bookies ask for it.
    pub password: Bytes,
    /// Kept in the metadata, for people and tools.
    pub custom_metadata: BTreeMap<String, Bytes>,
    /// How many entries may be unconfirmed at once.
    pub in_flight_max: usize,
    /// Whether its entries may use the space that bookies keep for when their disk is nearly full.
    pub may_use_reserve: bool,
}

/// The end of a closed ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Last entry, or [`EntryId::NONE`] in an empty ledger.
    pub last_entry: EntryId,
    /// Bytes of all its bodies.
    pub length: u64,
}

impl Deps {
    /// Puts them together with an empty cache.
    #[must_use]
    pub fn new(env: Env, metadata: SharedStore, bookies: Arc<dyn Bookies>) -> Self {
        Self { env, metadata, bookies, cache: Arc::default() }
    }
}
