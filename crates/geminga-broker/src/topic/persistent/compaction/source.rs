//! What a compaction reads, twice and in order: the compacted ledger before, then the topic behind it.

use std::sync::Arc;

use bytes::Bytes;
use geminga_managed_ledger::{Chain, Compacted};
use geminga_types::{Ordinal, Position};
use geminga_wire::raw_message;

use super::super::TopicDeps;
use crate::BudgetPermit;

/// Bytes and entries read at once.
const SLICE_BYTES: usize = 1 << 20;
const SLICE_ENTRIES: u64 = 1_000;

/// Entries of a topic, as they are when a compaction begins. What is after the horizon of `before` is
/// kept by the compaction's cursor.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) before: Option<Arc<Compacted>>,
    pub(super) chain: Chain,
    /// The first entry behind what `before` has.
    pub(super) from: Ordinal,
    pub(super) to: Ordinal,
}

/// A few entries, in order.
pub(super) struct Slice {
    pub(super) entries: Vec<(Position, Bytes)>,
    _permit: BudgetPermit,
}

/// Goes through a source once.
pub(super) struct Pass<'a> {
    source: &'a Source,
    deps: &'a TopicDeps,
    next_compacted: u64,
    next: Ordinal,
}

impl Source {
    pub(super) const fn pass<'a>(&'a self, deps: &'a TopicDeps) -> Pass<'a> {
        Pass { source: self, deps, next_compacted: 0, next: self.from }
    }

    /// Where the last entry lies.
    pub(super) fn horizon(&self) -> Option<Position> {
        self.chain.position_of(Ordinal(self.to.0.checked_sub(1)?))
    }
}

impl Pass<'_> {
    /// The next entries; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Slice>, String> {
        let compacted = self.source.before.as_ref();
        if let Some(compacted) = compacted.filter(|it| self.next_compacted < it.entries()) {
            let permit = self.deps.reads.take(SLICE_BYTES).await;
            let (first, end) = (self.next_compacted, self.next_compacted + SLICE_ENTRIES);
            let read = compacted.read(&self.deps.ledger, first, end, SLICE_BYTES).await;
            let read = read.map_err(|error| error.to_string())?;
            self.next_compacted += read.len() as u64;
            let entries = read.iter().map(raw_message::decode).collect::<Result<_, _>>();
            let entries = entries.map_err(|error| {
                format!("compacted ledger {} near entry {first}: {error}", compacted.ledger_id())
            })?;
            return Ok(Some(Slice { entries, _permit: permit }));
        }
        if self.source.to <= self.next {
            return Ok(None);
        }
        let permit = self.deps.reads.take(SLICE_BYTES).await;
        let to = self.source.to.min(self.next.plus(SLICE_ENTRIES));
        let read = self.source.chain.read(&self.deps.ledger, self.next, to, SLICE_BYTES).await;
        let read = read.map_err(|error| error.to_string())?;
        let Some(last) = read.last() else {
            return Err(format!("no entry at {:?}, where there was one", self.next));
        };
        self.next = last.ordinal.plus(1);
        let entries = read.into_iter().map(|entry| (entry.position, entry.body)).collect();
        Ok(Some(Slice { entries, _permit: permit }))
    }
}
