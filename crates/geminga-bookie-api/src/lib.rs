//! A bookie as its clients see it; in this process, or one day behind BookKeeper's protocol.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use geminga_checksum::Sum;
use geminga_env::BoxFuture;
use geminga_types::{EntryId, LedgerId};

/// Size of the head of an entry's envelope: ledger, entry, LAC and length, then the digest.
pub const ENVELOPE_HEAD_BYTES: usize = 36;

/// Name of a bookie in ledger metadata: its UUID, or `host:port` for an Apache bookie.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookieId(pub Arc<str>);

/// One entry on its way to a bookie.
#[derive(Clone, Debug)]
pub struct AddEntry {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// The entry in it.
    pub entry_id: EntryId,
    /// First part of the stored bytes: BookKeeper's envelope with its CRC32C digest.
    pub head: [u8; ENVELOPE_HEAD_BYTES],
    /// What comes before `body`, in a piece of its own; mostly empty.
    pub front: Bytes,
    /// The rest of the stored bytes; not copied until the journal.
    pub body: Bytes,
    /// Sum of `head`, `front` and `body`.
    pub sum: Sum,
    /// Whether recovery writes it, which a fence lets through.
    pub is_recovery: bool,
    /// Whether it may use the space that is kept for when the disk is nearly full: acks, which are
    /// what frees space.
    pub may_use_reserve: bool,
}

/// Why a bookie did not store an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Another writer has fenced the ledger. Not stored; this writer must stop.
    #[error("ledger {0} is fenced")]
    Fenced(LedgerId),
    /// The bookie takes no new data (its disk is full). Not stored; writes come back by themselves.
    #[error("bookie is read-only: {0}")]
    ReadOnly(String),
    /// The bookie failed. The entry may be stored.
    #[error("bookie failed: {0}")]
    Failed(String),
}

/// Why a bookie did not answer a read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Proven: this bookie never confirmed that entry (and the ledger is not deleted here).
    #[error("no entry {1} in ledger {0}")]
    NoEntry(LedgerId, EntryId),
    /// Proven: the bookie holds nothing of the ledger.
    #[error("no ledger {0}")]
    NoLedger(LedgerId),
    /// Unknown: an I/O error, damaged bytes, or not recovered yet. Proves nothing.
    #[error("read failed: {0}")]
    Failed(String),
}

/// An entry as a bookie stores it: the envelope's head, then the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// The entry's id.
    pub entry_id: EntryId,
    /// Envelope and body; the digest is not yet verified.
    pub bytes: Bytes,
}

/// Receives what became of adds, in batches, from the journal's thread: must not block.
pub trait AddSink: fmt::Debug + Send + Sync {
    /// One result for each entry handed to [`Bookie::add`], each exactly once. For one ledger,
    /// successes come in the order of the adds.
    fn on_added(&self, bookie: &BookieId, results: Vec<(LedgerId, EntryId, Result<(), AddError>)>);
}

/// A client of one bookie.
pub trait Bookie: fmt::Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> &BookieId;

    /// Queues entries; never blocks. Callers bound what is in flight. `Ok` at the sink means that
    /// the entry is on the disk, synced.
    fn add(&self, entries: Vec<AddEntry>, sink: Arc<dyn AddSink>);

    /// Reads entries `first..=last` in order, stopping early after `bytes_max` bytes, but never
    /// before the first entry. Entries this bookie does not hold are left out; when `first` itself
    /// is proven absent, that is the error.
    fn read(
        &self,
        ledger_id: LedgerId,
        first: EntryId,
        last: EntryId,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<StoredEntry>, ReadError>>;

    /// Fences the ledger, durably: no add but recovery's succeeds afterwards. Returns the last
    /// entry id held here ([`EntryId::NONE`] for none) and the highest LAC seen in any envelope.
    fn fence(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<FenceAnswer, ReadError>>;

    /// Deletes the ledger by a durable tombstone. Deleting what is not there succeeds.
    fn delete(&self, ledger_id: LedgerId) -> BoxFuture<'_, Result<(), AddError>>;
}

/// What a fenced bookie knows of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceAnswer {
    /// Last entry held here.
    pub last_entry: EntryId,
    /// Highest LAC that an envelope held here names.
    pub last_add_confirmed: EntryId,
}

/// The bookies of a cluster.
pub trait Bookies: fmt::Debug + Send + Sync {
    /// Chooses `ensemble_size` bookies for a new ledger.
    ///
    /// # Errors
    ///
    /// With the number that is available when it is too small.
    fn choose(&self, ensemble_size: usize) -> Result<Vec<BookieId>, usize>;

    /// The client of one bookie, if it is known.
    fn get(&self, id: &BookieId) -> Option<Arc<dyn Bookie>>;
}

impl fmt::Display for BookieId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
