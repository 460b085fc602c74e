//! What the topic tells of itself.

use geminga_subscription::ConsumerKey;
use geminga_types::{Ordinal, Position};
use geminga_wire::entry::{Chunk, EntryMeta};

use super::{
    super::{Reply, consumers::keys_of},
    Topic,
    background::{Lost, READ_TIME_MAX},
};
use crate::{
    AdminError, ConsumerEntry, ConsumerStats, LastMessage, LedgerStats, RequestError,
    SubscriptionStats, TopicStats,
};

/// Entries that are looked at for the last message.
const LOOKED_AT_MAX: usize = 1_000;

/// What an entry ends.
enum End {
    /// A message, the last of a batch or, with -1, alone.
    Of { batch_index: i32 },
    /// None: it is a chunk that others are to follow.
    Chunk,
    /// None: it is a marker.
    Invisible,
}

impl Topic {
    pub(super) fn is_idle(&self) -> bool {
        self.producers.len() == 0
            && self.consumers.values().all(|consumer| consumer.request.takes_any_schema)
            && self.ledger.entries() == 0
    }

    pub(super) fn stats(&mut self) -> TopicStats {
        let now = self.now();
        let (message_rate_in, byte_rate_in) = self.flow_in.rates(now);
        let (message_rate_out, byte_rate_out) = self.flow_out.rates(now);
        let ledgers = self.ledger.ledgers().into_iter().map(|span| LedgerStats {
            ledger_id: span.ledger_id.0,
            entries: span.entries,
            bytes: span.bytes,
            is_open: span.is_open,
        });
        let ledgers = ledgers.collect();
        TopicStats {
            topic: self.name.clone(),
            message_rate_in,
            byte_rate_in,
            message_rate_out,
            byte_rate_out,
            messages_in: self.flow_in.messages,
            bytes_in: self.flow_in.bytes,
            messages_out: self.flow_out.messages,
            bytes_out: self.flow_out.bytes,
            message_rate_dropped: 0.0,
            publish_limited_times: self.producers.limited_times(),
            storage_bytes: self.ledger.bytes(),
            storage_entries: self.ledger.entries(),
            last_position: self.ledger.last_position().unwrap_or(Position::EARLIEST),
            last_publish_time: self.last_publish_time,
            created: self.ledger.created().unwrap_or(0),
            is_terminated: self.ledger.is_terminated(),
            is_deduplicating: self.is_deduplicating(),
            compaction: self.compaction.stats(),
            compacted_ledger: self.ledger.compacted().map(|compacted| LedgerStats {
                ledger_id: compacted.ledger_id().0,
                entries: compacted.entries(),
                bytes: compacted.bytes(),
                is_open: false,
            }),
            ledgers,
            publishers: self.producers.stats(now),
            subscriptions: self.subscription_stats(),
        }
    }

    fn subscription_stats(&mut self) -> Vec<SubscriptionStats> {
        let now = self.now();
        let names: Vec<_> = self.subscriptions.keys().cloned().collect();
        let stats = names.into_iter().filter_map(|name| {
            let keys = keys_of(&name, &self.consumers);
            let consumers =
                keys.into_iter().filter_map(|key| self.consumer_entry(key)).collect::<Vec<_>>();
            let next_unacked = self.subscriptions.get(&name)?.machine.mark_delete();
            let mark_delete = self.position_before(next_unacked);
            let backlog_bytes = self.ledger.bytes_from(next_unacked);
            let cursor_log = self.ledger.cursor_log(&name);
            let sub = self.subscriptions.get_mut(&name)?;
            let machine = sub.machine.stats();
            let (message_rate_out, byte_rate_out) = sub.flow_out.rates(now);
            let (message_rate_redeliver, _) = sub.flow_redelivered.rates(now);
            let active = machine.active.and_then(|key| self.consumers.get(&key.0));
            Some(SubscriptionStats {
                name: name.to_string(),
                kind: sub.kind.map_or("", crate::SubscriptionKind::as_str),
                is_durable: sub.is_durable,
                backlog_entries: machine.backlog_entries,
                backlog_bytes,
                delayed_entries: machine.delayed_entries,
                dead_letter_entries: machine.dead_letter_entries,
                is_blocked: machine.is_blocked_on_unacked,
                unacked_messages: machine.unacked_messages,
                message_rate_out,
                byte_rate_out,
                message_rate_redeliver,
                messages_out: sub.flow_out.messages,
                bytes_out: sub.flow_out.bytes,
                activity: sub.doings.read(&*self.deps.ledger.env.clock),
                messages_dropped: 0,
                message_rate_dropped: 0.0,
                mark_delete,
                acked_ranges: machine.acked_ranges,
                cursor_log,
                active_consumer: active.map(|consumer| consumer.request.consumer_name.clone()),
                properties: sub.properties.clone(),
                consumers,
            })
        });
        stats.collect()
    }

    fn consumer_entry(&mut self, key: u64) -> Option<ConsumerEntry> {
        let stats = self.consumer_stats(key).ok()?;
        let consumer = self.consumers.get_mut(&key)?;
        Some(consumer.entry(stats, &*self.deps.ledger.env.clock))
    }

    pub(super) fn consumer_stats(&mut self, key: u64) -> Result<ConsumerStats, RequestError> {
        let now = self.now();
        let consumer = self.consumers.get_mut(&key).ok_or(RequestError::Closed)?;
        let sub = self.subscriptions.get_mut(&consumer.subscription);
        let sub = sub.ok_or(RequestError::Closed)?;
        let clock = &*self.deps.ledger.env.clock;
        let machine = sub.machine.stats();
        let own = machine.consumers.iter().find(|stats| stats.consumer == ConsumerKey(key));
        Ok(ConsumerStats {
            available_permits: own.map_or(0, |own| own.permits),
            unacked_messages: own.map_or(0, |own| own.unacked_messages),
            is_blocked: own.is_some_and(|own| own.is_blocked_on_unacked),
            backlog: machine.backlog_entries,
            message_ack_rate: consumer.doings.read(clock).message_ack_rate,
            entry_rate_expired: sub.doings.read(clock).entry_rate_expired,
            ..consumer.stats(now)
        })
    }

    pub(super) fn last_message(
        &mut self,
        key: u64,
        reply: Reply<Result<LastMessage, RequestError>>,
    ) {
        let sub = self.consumers.get(&key).map(|consumer| &consumer.subscription);
        let Some(sub) = sub.and_then(|name| self.subscriptions.get(name)) else {
            _ = reply.send(Err(RequestError::Closed));
            return;
        };
        let mark_delete = self.position_before(sub.machine.mark_delete());
        let horizon = sub.horizon.filter(|_| sub.reads_compacted);
        if let Some(horizon) = horizon
            && self.ledger.last_position().is_none_or(|last| last <= horizon.position)
        {
            // All is compacted: what is the last message of the topic may not be in the view.
            let (position, batch_index) = horizon.last.unwrap_or((Position::EARLIEST, -1));
            _ = reply.send(Ok(LastMessage { position, batch_index, mark_delete }));
            return;
        }
        self.spawn_last_message(mark_delete, |result| {
            _ = reply.send(result.map_err(RequestError::Unavailable));
        });
    }

    pub(super) fn last_message_id(&self, reply: Reply<Result<LastMessage, AdminError>>) {
        self.spawn_last_message(Position::EARLIEST, |result| {
            _ = reply.send(result.map_err(AdminError::Unavailable));
        });
    }

    /// Looks for the last entry that ends a visible message, from the end backwards. If there is none
    /// for long, it is the last that is visible at all.
    fn spawn_last_message(
        &self,
        mark_delete: Position,
        done: impl FnOnce(Result<LastMessage, String>) + Send + 'static,
    ) {
        let (first, end) = (self.ledger.first(), self.ledger.end());
        let none = LastMessage { position: Position::EARLIEST, batch_index: -1, mark_delete };
        if end <= first {
            done(Ok(none));
            return;
        }
        let chain = self.ledger.chain();
        let deps = self.deps.ledger.clone();
        let (reads, bytes) = (self.deps.reads.clone(), self.deps.options.limits.read_bytes_max);
        let deadline = self.now() + READ_TIME_MAX;
        let find = async move {
            let mut found = None;
            for at in (first.0..end.0).rev().take(LOOKED_AT_MAX).map(Ordinal) {
                let _permit = reads.take(bytes).await;
                let entries = chain.read(&deps, at, at.plus(1), 1).await;
                let entries = entries.map_err(|error| error.to_string())?;
                let Some(entry) = entries.first() else { break };
                let last = |batch_index| LastMessage {
                    position: entry.position,
                    batch_index,
                    mark_delete,
                };
                match end_of_message(&entry.body) {
                    End::Of { batch_index } => return Ok(last(batch_index)),
                    End::Chunk => _ = found.get_or_insert_with(|| last(-1)),
                    End::Invisible => {}
                }
            }
            Ok(found.filter(|_| LOOKED_AT_MAX as u64 <= end.0 - first.0).unwrap_or(none))
        };
        // Nobody but the one who asked waits for it: a lost task drops `done`, which answers too.
        self.deps.tasks.spawn(async move {
            let found = tokio::time::timeout_at(deadline, find).await;
            done(found.unwrap_or_else(|_| Err(Lost::TooLong(READ_TIME_MAX).to_string())));
        });
    }
}

fn end_of_message(entry: &[u8]) -> End {
    let Ok(meta) = EntryMeta::parse(entry) else { return End::Of { batch_index: -1 } };
    let is_last = |chunk: Chunk<'_>| chunk.num_chunks <= chunk.chunk_id.saturating_add(1);
    if meta.marker_type.is_some() {
        End::Invisible
    } else if !meta.chunk.is_none_or(is_last) {
        End::Chunk
    } else if meta.is_batch {
        End::Of { batch_index: i32::try_from(meta.messages).unwrap_or(i32::MAX) - 1 }
    } else {
        End::Of { batch_index: -1 }
    }
}
