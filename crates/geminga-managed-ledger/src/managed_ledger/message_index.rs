//! The index of the last message that was appended with one. Entries carry theirs; the key carries it for
//! what comes before the ledger that is open, since entries are trimmed.
//!
//! # Invariants
//!
//! 1. It only grows: an index that was given out is never given out again, whatever became of its entry.
//! 2. Whenever the list of ledgers changes, the key gets it. So what a ledger's entries tell is all that the
//!    key does not, and only the last ledger that has entries can tell it.

use super::ManagedLedger;

impl ManagedLedger {
    /// Index of the last message that got one; `None`: none ever did. After a load it is what the key
    /// knows, until [`Self::note_message_index`] adds what the last entry knows.
    #[must_use]
    pub const fn message_index(&self) -> Option<u64> {
        self.message_index
    }

    /// Counts so many messages more, and says the index of the last of them. The first one ever has 0.
    pub fn next_message_index(&mut self, messages: u32) -> u64 {
        let next = self.message_index.map_or(0, |last| last.saturating_add(1));
        let index = next.saturating_add(u64::from(messages.max(1) - 1));
        self.message_index = Some(index);
        index
    }

    /// Learns that an entry is stored whose last message has this index.
    pub fn note_message_index(&mut self, index: u64) {
        self.message_index = self.message_index.max(Some(index));
    }
}
