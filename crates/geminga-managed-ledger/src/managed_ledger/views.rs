//! What a managed ledger holds: its chain, its ledgers, its cached tail.

use geminga_env::Timestamp;
use geminga_types::{LedgerId, Ordinal, Position};

use super::ManagedLedger;
use crate::chain::{Chain, Entry, Span};

/// One ledger of a managed ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerStats {
    /// The ledger.
    pub ledger_id: LedgerId,
    /// Its confirmed entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Whether it is not closed.
    pub is_open: bool,
}

impl ManagedLedger {
    /// The chain as it is now, for reads elsewhere.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.spans.chain().clone()
    }

    /// The same, without a copy.
    #[must_use]
    pub const fn chain_ref(&self) -> &Chain {
        self.spans.chain()
    }

    /// The first ordinal still stored.
    #[must_use]
    pub fn first(&self) -> Ordinal {
        self.chain_ref().first()
    }

    /// The readable end: one behind the last confirmed entry.
    #[must_use]
    pub const fn end(&self) -> Ordinal {
        self.chain_ref().end()
    }

    /// See [`Chain::ordinal_of`].
    #[must_use]
    pub fn ordinal_of(&self, position: Position) -> Ordinal {
        self.chain_ref().ordinal_of(position)
    }

    /// See [`Chain::position_of`].
    #[must_use]
    pub fn position_of(&self, ordinal: Ordinal) -> Option<Position> {
        self.chain_ref().position_of(ordinal)
    }

    /// See [`Chain::mark_delete_position`].
    #[must_use]
    pub fn mark_delete_position(&self, next_unacked: Ordinal) -> Position {
        self.chain_ref().mark_delete_position(next_unacked)
    }

    /// The last confirmed entry, if any is stored.
    #[must_use]
    pub fn last_position(&self) -> Option<Position> {
        self.chain_ref().last_position()
    }

    /// How many entries are stored.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.chain_ref().entries()
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chain_ref().bytes()
    }

    /// What its entries from `from` on take, in bytes; see [`crate::Chain::bytes_from`].
    #[must_use]
    pub fn bytes_from(&self, from: Ordinal) -> u64 {
        self.chain_ref().bytes_from(from)
    }

    /// Where its last `bytes` begin; see [`crate::Chain::last_bytes`].
    #[must_use]
    pub fn last_bytes(&self, bytes: u64) -> Ordinal {
        self.chain_ref().last_bytes(bytes)
    }

    /// The ledgers, oldest first.
    #[must_use]
    pub fn ledgers(&self) -> Vec<LedgerStats> {
        let stats = |span: &Span| LedgerStats {
            ledger_id: span.ledger_id,
            entries: span.entries,
            bytes: span.bytes,
            closed_at: span.closed_at,
            is_open: span.closed_at.is_none(),
        };
        self.chain_ref().spans().map(stats).collect()
    }

    /// Entries `from..to` from memory, up to `bytes_max` bytes but at least one; `None` when `from`
    /// is not there.
    #[must_use]
    pub fn cached(&self, from: Ordinal, to: Ordinal, bytes_max: usize) -> Option<Vec<Entry>> {
        let mut spans = self.chain_ref().spans_from(from).peekable();
        let entries = self.cache.get(from..to, bytes_max, |ordinal, front, body| {
            while spans.next_if(|span| span.end() <= ordinal).is_some() {}
            let position = spans.peek().and_then(|span| span.position_of(ordinal));
            let (front, body) = (front.clone(), body.clone());
            position.map(|position| Entry { ordinal, position, front, body })
        })?;
        entries.into_iter().collect()
    }

    /// What the tail cache takes, in bytes.
    #[must_use]
    pub const fn cached_bytes(&self) -> usize {
        self.cache.cost_bytes()
    }

    /// Changes how much of the tail is held in memory.
    pub fn set_tail_cache_bytes(&mut self, bytes_max: usize) {
        self.cache.set_bound(bytes_max);
    }

    /// Lets go of cached entries before `ordinal`: everyone has read them.
    pub fn evict_cached(&mut self, ordinal: Ordinal) {
        self.cache.evict_before(ordinal);
    }

    /// What stays in the tail cache is to stay for a while: it gets memory of its own where it would
    /// keep a larger block alive.
    pub fn park_cached(&mut self) {
        self.cache.park();
    }

    /// Lets go of memory that is not in use, and is used when there is much to do.
    pub fn shrink(&mut self) {
        self.appends.shrink();
        self.cache.shrink_to_fit();
        self.outbox.shrink_to_fit();
        self.doomed.shrink_to_fit();
    }
}
