//! What was read for subscriptions, and how often they moved on, over the last minute, as Pulsar counts it.

use super::minutes::rate;

/// What was read in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadFigures {
    /// Entries read from storage.
    pub stored_entries: u64,
    /// Bytes of those.
    pub stored_bytes: u64,
    /// Reads from storage that failed.
    pub errors: u64,
    /// Entries found in the tail cache.
    pub cached_entries: u64,
    /// Bytes of those.
    pub cached_bytes: u64,
    /// How often a mark-delete position moved.
    pub mark_deletes: u64,
}

impl ReadFigures {
    /// Entries read from storage in a second.
    #[must_use]
    pub fn stored_rate(&self) -> f64 {
        rate(self.stored_entries)
    }

    /// Bytes of those.
    #[must_use]
    pub fn stored_byte_rate(&self) -> f64 {
        rate(self.stored_bytes)
    }

    /// Entries found in the tail cache in a second.
    #[must_use]
    pub fn cached_rate(&self) -> f64 {
        rate(self.cached_entries)
    }

    /// Bytes of those.
    #[must_use]
    pub fn cached_byte_rate(&self) -> f64 {
        rate(self.cached_bytes)
    }

    /// Moves of mark-delete positions in a second.
    #[must_use]
    pub fn mark_delete_rate(&self) -> f64 {
        rate(self.mark_deletes)
    }

    /// Adds another topic's.
    pub const fn add(&mut self, other: &Self) {
        self.stored_entries += other.stored_entries;
        self.stored_bytes += other.stored_bytes;
        self.errors += other.errors;
        self.cached_entries += other.cached_entries;
        self.cached_bytes += other.cached_bytes;
        self.mark_deletes += other.mark_deletes;
    }

    pub(crate) const fn note_cached(&mut self, entries: u64, bytes: u64) {
        self.cached_entries += entries;
        self.cached_bytes += bytes;
    }

    pub(crate) const fn note_stored(&mut self, entries: u64, bytes: u64) {
        self.stored_entries += entries;
        self.stored_bytes += bytes;
    }
}
