//! Finds messages by their index. Indexes grow along the chain; ledgers without any may lie between,
//! from when none were given out.
//!
//! The search halves the ledgers by their last entries, then the entries of one ledger: some dozen reads
//! of an entry, and one more for each ledger without indexes that it comes upon.

use geminga_managed_ledger::{Chain, Span};
use geminga_types::{Ordinal, Position};
use geminga_wire::entry::EntryMeta;

use super::{super::Reply, Topic, TopicDeps, background::READ_TIME_MAX};
use crate::AdminError;

impl Topic {
    /// Answers with the entry that has the message of this index, or the next one if there is none; with
    /// [`Position::EARLIEST`] if all that is stored comes behind it.
    pub(super) fn position_of_index(&self, index: u64, reply: Reply<Result<Position, AdminError>>) {
        if !self.deps.options.broker_metadata.index {
            let message = "brokerEntryMetadataInterceptors gives messages no index".to_owned();
            _ = reply.send(Err(AdminError::Invalid(message)));
            return;
        }
        let (chain, deps, name) = (self.ledger.chain(), self.deps.clone(), self.name.clone());
        let deadline = self.now() + READ_TIME_MAX;
        self.deps.tasks.spawn(async move {
            let search = Search { chain: &chain, deps: &deps };
            let found = tokio::time::timeout_at(deadline, search.find(index)).await;
            let took_long = || format!("it took longer than {READ_TIME_MAX:?}");
            let found = found.unwrap_or_else(|_| Err(took_long()));
            _ = reply.send(match found {
                Ok(Some(position)) => Ok(position),
                Ok(None) => Err(AdminError::NotFound(format!(
                    "Topic {name} has no message of index {index}"
                ))),
                Err(reason) => Err(AdminError::Unavailable(reason)),
            });
        });
    }
}

struct Search<'a> {
    chain: &'a Chain,
    deps: &'a TopicDeps,
}

/// The messages of an entry, by index.
#[derive(Clone, Copy)]
struct Indexes {
    first: u64,
    last: u64,
}

impl Search<'_> {
    async fn find(&self, index: u64) -> Result<Option<Position>, String> {
        let ledgers: Vec<&Span> = self.chain.spans().filter(|span| 0 < span.entries).collect();
        let Some((span, has_lower)) = self.find_ledger(&ledgers, index).await? else {
            return Ok(None);
        };
        let (mut low, mut high) = (span.first, Ordinal(span.end().0 - 1));
        while low < high {
            let middle = Ordinal(low.0 + (high.0 - low.0) / 2);
            match self.indexes(middle).await? {
                Some(found) if index <= found.last => high = middle,
                _ => low = middle.plus(1),
            }
        }
        let is_first = !has_lower && low == span.first;
        if is_first && self.indexes(low).await?.is_some_and(|found| index < found.first) {
            return Ok(Some(Position::EARLIEST));
        }
        Ok(self.chain.position_of(low))
    }

    /// The first ledger whose last message has `index` or a higher one, and whether there is an index in a
    /// ledger before it.
    async fn find_ledger<'a>(
        &self,
        ledgers: &[&'a Span],
        index: u64,
    ) -> Result<Option<(&'a Span, bool)>, String> {
        let (mut low, mut high) = (0, ledgers.len());
        let mut best = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let mut at = middle;
            let mut last = None;
            while at < high && last.is_none() {
                let end = ledgers[at].end();
                last = self.indexes(Ordinal(end.0 - 1)).await?.map(|found| found.last);
                at += 1;
            }
            match last {
                Some(last) if last < index => low = at,
                found => {
                    best = found.map(|_| ledgers[at - 1]).or(best);
                    high = middle;
                }
            }
        }
        Ok(best.map(|span| (span, 0 < low)))
    }

    async fn indexes(&self, at: Ordinal) -> Result<Option<Indexes>, String> {
        let _permit = self.deps.reads.take(self.deps.options.limits.read_bytes_max).await;
        let read = self.chain.read(&self.deps.ledger, at, at.plus(1), 1).await;
        let read = read.map_err(|error| error.to_string())?;
        let meta = read.first().and_then(|entry| EntryMeta::parse(&entry.body).ok());
        Ok(meta.and_then(|meta| {
            let last = meta.broker.index?;
            Some(Indexes { first: last.saturating_sub(u64::from(meta.messages - 1)), last })
        }))
    }
}
