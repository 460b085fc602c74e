//! The owner's side of a chain: ledgers open, fill, close and go.

use std::{collections::BTreeSet, sync::Arc};

use geminga_env::Timestamp;
use geminga_types::{LedgerId, Ordinal};

use super::{Chain, Span};

/// A chain that changes. Its [`Chain`] is taken by value.
#[derive(Debug)]
pub(crate) struct Spans {
    chain: Chain,
}

impl Spans {
    /// The chain of `(ledger, entries, bytes, closed at)`, all closed, behind those of `gone`, which
    /// are `(ledger, entries)`; numbered from 0.
    pub(crate) fn new(
        gone: impl IntoIterator<Item = (LedgerId, u64)>,
        ledgers: impl IntoIterator<Item = (LedgerId, u64, u64, Timestamp)>,
    ) -> Self {
        let mut end = Ordinal(0);
        let gone = gone.into_iter().map(|(ledger_id, entries)| {
            let first = end;
            end = end.plus(entries);
            Span { ledger_id, first, entries, bytes: 0, closed_at: None }
        });
        let gone: Vec<Span> = gone.collect();
        let gone: Arc<[Span]> = if gone.is_empty() { Arc::default() } else { gone.into() };
        let mut sealed: Vec<Span> = Vec::new();
        for (ledger_id, entries, bytes, closed_at) in ledgers {
            debug_assert!(sealed.last().is_none_or(|last| last.ledger_id < ledger_id));
            let closed_at = Some(closed_at);
            sealed.push(Span { ledger_id, first: end, entries, bytes, closed_at });
            end = end.plus(entries);
        }
        Self { chain: Chain { gone, sealed: sealed.into(), open: None, end } }
    }

    pub(crate) const fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(crate) fn sealed(&self) -> &[Span] {
        &self.chain.sealed
    }

    /// Whether there is an open ledger, and something in it.
    pub(crate) fn has_open_entries(&self) -> bool {
        self.chain.open.is_some_and(|open| 0 < open.entries)
    }

    /// Appends an open ledger.
    pub(crate) fn open(&mut self, ledger_id: LedgerId) {
        assert!(self.chain.open.is_none(), "the ledger before was closed first");
        debug_assert!(self.chain.sealed.last().is_none_or(|last| last.ledger_id < ledger_id));
        let first = self.chain.end;
        self.chain.open = Some(Span { ledger_id, first, entries: 0, bytes: 0, closed_at: None });
    }

    /// Counts one more confirmed entry in the open ledger and numbers it.
    pub(crate) fn confirm(&mut self, body_bytes: usize) -> Ordinal {
        let open = self.chain.open.as_mut().expect("entries are confirmed in an open ledger");
        let ordinal = self.chain.end;
        open.entries += 1;
        open.bytes += body_bytes as u64;
        self.chain.end = ordinal.plus(1);
        ordinal
    }

    /// Closes the open ledger.
    pub(crate) fn close(&mut self, closed_at: Timestamp) {
        if let Some(mut span) = self.chain.open.take() {
            span.closed_at = Some(closed_at);
            self.chain.sealed = self.chain.sealed.iter().copied().chain([span]).collect();
        }
    }

    /// Forgets ledgers: a prefix of the chain, and empty ones. Those up to `compacted` have entries
    /// in a compacted ledger, and keep their ordinals.
    pub(crate) fn remove(&mut self, ledgers: &BTreeSet<LedgerId>, compacted: Option<LedgerId>) {
        let is_compacted = |span: &&Span| {
            ledgers.contains(&span.ledger_id)
                && 0 < span.entries
                && compacted.is_some_and(|last| span.ledger_id <= last)
        };
        let gone: Vec<Span> = self.chain.sealed.iter().filter(is_compacted).copied().collect();
        if !gone.is_empty() {
            self.chain.gone = self.chain.gone.iter().copied().chain(gone).collect();
        }
        let stays = |span: &&Span| !ledgers.contains(&span.ledger_id);
        let sealed: Arc<[Span]> = self.chain.sealed.iter().filter(stays).copied().collect();
        self.chain.sealed = sealed;
        let is_dense = |pair: &[Span]| pair[0].end() == pair[1].first;
        debug_assert!(self.chain.sealed.windows(2).all(is_dense));
    }
}
