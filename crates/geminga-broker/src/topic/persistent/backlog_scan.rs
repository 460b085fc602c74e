//! Counts the messages of a backlog, by reading it.

use std::ops::Range;

use geminga_managed_ledger::Chain;
use geminga_types::{Ordinal, Position};
use geminga_wire::entry::EntryMeta;

use super::{
    super::Reply,
    Topic, TopicDeps,
    background::{Lost, READ_TIME_MAX},
};
use crate::{AdminError, BacklogCount};

/// Entries that are looked at, as by Pulsar's default.
const ENTRIES_MAX: u64 = 10_000;
/// Bytes read at once.
const READ_BYTES_MAX: usize = 1 << 20;

impl Topic {
    /// Counts from the first unacked entry on, or from `from` on if that is behind it.
    pub(super) fn count_backlog(
        &self,
        name: &str,
        from: Option<Position>,
        reply: Reply<Result<BacklogCount, AdminError>>,
    ) {
        let Some(sub) = self.subscriptions.get(name) else {
            _ = reply.send(Err(self.no_subscription(name)));
            return;
        };
        let first = self.ledger.first();
        let from = from.map_or(first, |from| self.ledger.ordinal_of(from).max(first));
        let ranges = sub.machine.unacked_from(from, ENTRIES_MAX + 1);
        let (chain, deps, name) = (self.ledger.chain(), self.deps.clone(), self.name.clone());
        let deadline = self.now() + READ_TIME_MAX;
        self.deps.tasks.spawn(async move {
            let counting = count(&chain, &deps, &ranges);
            let counted = tokio::time::timeout_at(deadline, counting).await;
            let counted = counted.unwrap_or_else(|_| Err(Lost::TooLong(READ_TIME_MAX).to_string()));
            _ = reply.send(counted.map_err(|reason| {
                AdminError::Unavailable(format!(
                    "The backlog on topic {name} was not read: {reason}"
                ))
            }));
        });
    }
}

async fn count(
    chain: &Chain,
    deps: &TopicDeps,
    ranges: &[Range<Ordinal>],
) -> Result<BacklogCount, String> {
    let mut counted = BacklogCount::default();
    for range in ranges {
        let mut next = range.start;
        while next < range.end {
            let permit = deps.reads.take(READ_BYTES_MAX).await;
            let read = chain.read(&deps.ledger, next, range.end, READ_BYTES_MAX).await;
            drop(permit);
            for entry in read.map_err(|error| error.to_string())? {
                if counted.entries == ENTRIES_MAX {
                    counted.is_cut = true;
                    return Ok(counted);
                }
                let messages = EntryMeta::parse(&entry.body).map_or(1, |meta| meta.messages);
                counted.entries += 1;
                counted.messages += u64::from(messages);
                counted.first.get_or_insert(entry.position);
                counted.last = Some(entry.position);
                next = entry.ordinal.plus(1);
            }
        }
    }
    Ok(counted)
}
