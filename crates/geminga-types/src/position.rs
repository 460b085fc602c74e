//! Where an entry lies.

use std::fmt;

/// Id of a ledger, unique in a cluster for all time: never reused after deletion.
///
/// Signed, as BookKeeper's: −1 stands for "no ledger" in positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LedgerId(pub i64);

/// Index of an entry in its ledger, counted from 0 without gaps; −1 is "before the first".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(pub i64);

/// Where an entry lies in a managed ledger. Ordered by ledger, then by entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// The entry in it.
    pub entry_id: EntryId,
}

/// Place of an entry in its topic's chain of ledgers, counted without gaps since the topic was loaded.
///
/// Acks, dispatch and reads count in ordinals, so that nothing above the managed ledger knows where
/// one ledger ends and the next begins. Never stored: positions are, and the chain maps between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ordinal(pub u64);

/// Place of a bookie in an ensemble, counted from 0; below 64, so a set of them fits in a `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BookieIndex(u8);

impl Ordinal {
    /// The ordinal `count` entries later.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl EntryId {
    /// Before the first entry of a ledger.
    pub const NONE: Self = Self(-1);
}

impl Position {
    /// Before every entry: (−1, −1), as Pulsar's `MessageId.earliest`.
    pub const EARLIEST: Self = Self { ledger_id: LedgerId(-1), entry_id: EntryId(-1) };
    /// After every entry: as Pulsar's `MessageId.latest`.
    pub const LATEST: Self = Self { ledger_id: LedgerId(i64::MAX), entry_id: EntryId(i64::MAX) };

    /// The position `ledger_id:entry_id`.
    #[must_use]
    pub const fn new(ledger_id: i64, entry_id: i64) -> Self {
        Self { ledger_id: LedgerId(ledger_id), entry_id: EntryId(entry_id) }
    }
}

impl BookieIndex {
    /// Wraps `index`, or `None` when it is 64 or more.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if index < 64 { Some(Self(index)) } else { None }
    }

    /// The set that holds this bookie only.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self.0
    }

    /// The place as a number, for indexing an ensemble.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ledger_id.0, self.entry_id.0)
    }
}
