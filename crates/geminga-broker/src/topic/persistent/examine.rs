//! Reads single entries for administrators, by their place or their time. Nobody but the one who asked
//! waits for them.

use geminga_types::{EntryId, Ordinal, Position};

use super::{
    super::{Reply, WhichEntry},
    Topic,
    background::{Lost, READ_TIME_MAX},
    positions::published_at,
};
use crate::{AdminError, StoredEntry};

impl Topic {
    pub(super) fn read_entry(
        &self,
        which: &WhichEntry,
        reply: Reply<Result<StoredEntry, AdminError>>,
    ) {
        let at = match self.ordinal_of_entry(which) {
            Ok(at) => at,
            Err(error) => {
                _ = reply.send(Err(error));
                return;
            }
        };
        let (chain, deps, name) = (self.ledger.chain(), self.deps.clone(), self.name.clone());
        let deadline = self.now() + READ_TIME_MAX;
        self.deps.tasks.spawn(async move {
            let read = async {
                let _permit = deps.reads.take(deps.options.limits.read_bytes_max).await;
                chain.read(&deps.ledger, at, at.plus(1), 1).await
            };
            let reason = match tokio::time::timeout_at(deadline, read).await {
                Ok(Ok(read)) => match read.into_iter().next() {
                    Some(entry) => {
                        let (position, entry) = (entry.position, entry.body);
                        _ = reply.send(Ok(StoredEntry { position, entry }));
                        return;
                    }
                    None => "it is not there any more".to_owned(),
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => Lost::TooLong(READ_TIME_MAX).to_string(),
            };
            let message = format!("An entry of topic {name} was not read: {reason}");
            _ = reply.send(Err(AdminError::Unavailable(message)));
        });
    }

    fn ordinal_of_entry(&self, which: &WhichEntry) -> Result<Ordinal, AdminError> {
        let (first, end) = (self.ledger.first(), self.ledger.end());
        let found = match which {
            WhichEntry::At(position) => self.exact_ordinal(*position),
            WhichEntry::Unacked { subscription, index } => {
                let sub = self.subscriptions.get(&**subscription);
                let sub = sub.ok_or_else(|| self.no_subscription(subscription))?;
                sub.machine.unacked_entry(*index)
            }
            WhichEntry::FromFirst(index) => first.0.checked_add(*index).map(Ordinal),
            WhichEntry::FromLast(index) => {
                end.0.checked_sub(1).and_then(|last| last.checked_sub(*index)).map(Ordinal)
            }
        };
        found.filter(|at| (first..end).contains(at)).ok_or_else(|| {
            let name = &self.name;
            AdminError::NotFound(match which {
                WhichEntry::At(at) => format!(
                    "Message id {}:{} not found on topic {name}",
                    at.ledger_id.0, at.entry_id.0
                ),
                _ => format!("Message not found on topic {name}"),
            })
        })
    }

    pub(super) fn position_of_time(
        &self,
        time: u64,
        reply: Reply<Result<Option<Position>, AdminError>>,
    ) {
        let (chain, deps, name) = (self.ledger.chain(), self.deps.clone(), self.name.clone());
        let deadline = self.now() + READ_TIME_MAX;
        self.deps.tasks.spawn(async move {
            let is_late_enough = |entry: &[u8]| time <= published_at(entry);
            let find = chain.find_first(&deps.ledger, is_late_enough);
            let reason = match tokio::time::timeout_at(deadline, find).await {
                Ok(Ok(at)) => {
                    let behind = || {
                        let last = chain.last_position()?;
                        Some(Position { entry_id: EntryId(last.entry_id.0 + 1), ..last })
                    };
                    _ = reply.send(Ok(chain.position_of(at).or_else(behind)));
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => Lost::TooLong(READ_TIME_MAX).to_string(),
            };
            let message = format!("A time was not found on topic {name}: {reason}");
            _ = reply.send(Err(AdminError::Unavailable(message)));
        });
    }
}
