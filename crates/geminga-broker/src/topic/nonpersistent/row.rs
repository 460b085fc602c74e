//! A non-persistent topic in few numbers, for metrics.

use std::sync::Arc;

use geminga_subscription::ConsumerKey;

use super::{super::consumers::keys_of, Topic};
use crate::topic_row::{ConsumerRow, RowDetail, SubscriptionRow, TopicFigures, TopicRow};

impl Topic {
    pub(super) fn row(&mut self, detail: RowDetail) -> TopicRow {
        let now = self.now();
        let (message_rate_in, byte_rate_in) = self.flow_in.rates(now);
        let (message_rate_out, byte_rate_out) = self.flow_out.rates(now);
        let subscriptions = self.subscription_rows(detail);
        let mut figures = TopicFigures {
            topics: 1,
            producers: self.producers.len() as u64,
            consumers: self.consumers.len() as u64,
            message_rate_in,
            byte_rate_in,
            message_rate_out,
            byte_rate_out,
            messages_in: self.flow_in.messages,
            bytes_in: self.flow_in.bytes,
            messages_out: self.flow_out.messages,
            bytes_out: self.flow_out.bytes,
            publish_limited_times: self.producers.limited_times(),
            ..TopicFigures::default()
        };
        figures.sum_up(&subscriptions, 0);
        let producers = if detail.producers { self.producers.rows(now) } else { Vec::new() };
        TopicRow { topic: self.name.clone(), figures, subscriptions, producers }
    }

    fn subscription_rows(&mut self, detail: RowDetail) -> Vec<SubscriptionRow> {
        let now = self.now();
        let clock = &*self.deps.ledger.env.clock;
        let mut rows = Vec::with_capacity(self.subscriptions.len());
        for (name, sub) in &mut self.subscriptions {
            let (message_rate_out, byte_rate_out) = sub.flow.rates(now);
            sub.dropped.note_messages(now, sub.dispatch.dropped_messages());
            let (message_rate_dropped, _) = sub.dropped.rates(now);
            let keys = keys_of(name, &self.consumers);
            let consumer_count = keys.len() as u64;
            let mut consumers = Vec::new();
            for key in keys.into_iter().filter(|_| detail.consumers) {
                let Some(consumer) = self.consumers.get_mut(&key) else { continue };
                let available_permits = sub.dispatch.permits(ConsumerKey(key)).unwrap_or(0);
                consumers.push(ConsumerRow { available_permits, ..consumer.row(clock) });
            }
            rows.push(SubscriptionRow {
                name: Arc::clone(name),
                backlog_entries: 0,
                delayed_entries: 0,
                delayed_index_bytes: 0,
                replay_entries: 0,
                dead_letter_entries: 0,
                is_blocked: false,
                unacked_messages: 0,
                message_rate_out,
                byte_rate_out,
                message_rate_redeliver: 0.0,
                message_rate_dropped,
                messages_out: sub.flow.messages,
                bytes_out: sub.flow.bytes,
                activity: sub.doings.read(&*self.deps.ledger.env.clock),
                consumer_count,
                consumers,
            });
        }
        rows
    }
}
