//! What a non-persistent topic tells of itself.

use std::sync::Arc;

use geminga_subscription::ConsumerKey;
use geminga_types::Position;

use super::{super::consumers::keys_of, Topic};
use crate::{CompactionStats, ConsumerEntry, ConsumerStats, SubscriptionStats, TopicStats};

impl Topic {
    pub(super) fn stats(&mut self) -> TopicStats {
        let now = self.deps.ledger.env.clock.now();
        let (message_rate_in, byte_rate_in) = self.flow_in.rates(now);
        let (message_rate_out, byte_rate_out) = self.flow_out.rates(now);
        let publishers = self.producers.stats(now);
        TopicStats {
            topic: self.name.clone(),
            message_rate_dropped: publishers
                .iter()
                .fold(0.0, |sum, it| sum + it.message_rate_dropped),
            message_rate_in,
            byte_rate_in,
            message_rate_out,
            byte_rate_out,
            messages_in: self.flow_in.messages,
            bytes_in: self.flow_in.bytes,
            messages_out: self.flow_out.messages,
            bytes_out: self.flow_out.bytes,
            publish_limited_times: self.producers.limited_times(),
            storage_bytes: 0,
            storage_entries: 0,
            last_position: Position::EARLIEST,
            created: 0,
            last_publish_time: 0,
            is_terminated: false,
            is_deduplicating: false,
            compaction: CompactionStats::default(),
            compacted_ledger: None,
            ledgers: Vec::new(),
            publishers,
            subscriptions: self.subscription_stats(),
        }
    }

    fn subscription_stats(&mut self) -> Vec<SubscriptionStats> {
        let now = self.deps.ledger.env.clock.now();
        let names: Vec<Arc<str>> = self.subscriptions.keys().cloned().collect();
        let stats = names.into_iter().filter_map(|name| {
            let keys = keys_of(&name, &self.consumers);
            let consumers = keys.into_iter().filter_map(|key| self.consumer_entry(key)).collect();
            let sub = self.subscriptions.get_mut(&name)?;
            let (message_rate_out, byte_rate_out) = sub.flow.rates(now);
            sub.dropped.note_messages(now, sub.dispatch.dropped_messages());
            let (message_rate_dropped, _) = sub.dropped.rates(now);
            let active = sub.dispatch.active().and_then(|key| self.consumers.get(&key.0));
            Some(SubscriptionStats {
                name: name.to_string(),
                kind: sub.kind.as_str(),
                is_durable: sub.is_durable,
                backlog_entries: 0,
                delayed_entries: 0,
                dead_letter_entries: 0,
                is_blocked: false,
                unacked_messages: 0,
                message_rate_out,
                byte_rate_out,
                message_rate_redeliver: 0.0,
                messages_out: sub.flow.messages,
                bytes_out: sub.flow.bytes,
                activity: sub.doings.read(&*self.deps.ledger.env.clock),
                backlog_bytes: 0,
                messages_dropped: sub.dropped.messages,
                message_rate_dropped,
                mark_delete: Position::EARLIEST,
                acked_ranges: 0,
                cursor_log: None,
                active_consumer: active.map(|consumer| consumer.request.consumer_name.clone()),
                properties: Vec::new(),
                consumers,
            })
        });
        stats.collect()
    }

    pub(super) fn consumer_entry(&mut self, key: u64) -> Option<ConsumerEntry> {
        let now = self.deps.ledger.env.clock.now();
        let consumer = self.consumers.get_mut(&key)?;
        let sub = self.subscriptions.get(&consumer.subscription)?;
        let available_permits = sub.dispatch.permits(ConsumerKey(key)).unwrap_or(0);
        let stats = ConsumerStats { available_permits, ..consumer.stats(now) };
        Some(consumer.entry(stats, &*self.deps.ledger.env.clock))
    }
}
