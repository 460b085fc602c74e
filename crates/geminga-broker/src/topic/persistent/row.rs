//! The topic in few numbers, for metrics.

use std::sync::Arc;

use super::{super::consumers::keys_of, Topic};
use crate::topic_row::{
    CompactionFigures, ConsumerRow, RowDetail, SubscriptionRow, TopicFigures, TopicRow,
};

impl Topic {
    pub(super) fn row(&mut self, detail: RowDetail) -> TopicRow {
        let now = self.now();
        let (message_rate_in, byte_rate_in) = self.flow_in.rates(now);
        let (message_rate_out, byte_rate_out) = self.flow_out.rates(now);
        let subscriptions = self.subscription_rows(detail);
        let mut figures = TopicFigures {
            topics: 1,
            managed_ledgers: 1,
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
            storage_bytes: self.ledger.bytes(),
            quota_bytes: self.policies.backlog_bytes.map(|(max, _)| max),
            quota_seconds: self.policies.backlog_age.map(|(max, _)| max.as_secs()),
            reads: self.reads.as_mut().map(|reads| Box::new(reads.last(now))),
            appends: self.appends.as_mut().map(|appends| Box::new(appends.figures(now))),
            compaction: self.compaction_figures().map(Box::new),
            ..TopicFigures::default()
        };
        figures.sum_up(&subscriptions, self.ledger.entries());
        let producers = if detail.producers { self.producers.rows(now) } else { Vec::new() };
        TopicRow { topic: self.name.clone(), figures, subscriptions, producers }
    }

    fn compaction_figures(&self) -> Option<CompactionFigures> {
        let (stats, [succeeded, failed]) = (self.compaction.stats(), self.compaction.ended());
        (0 < succeeded + failed).then(|| CompactionFigures {
            removed_last: stats.removed_last,
            succeeded,
            failed,
            duration_last_ms: u64::try_from(stats.duration_last.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn subscription_rows(&mut self, detail: RowDetail) -> Vec<SubscriptionRow> {
        let now = self.now();
        let clock = &*self.deps.ledger.env.clock;
        let mut rows = Vec::with_capacity(self.subscriptions.len());
        for (name, sub) in &mut self.subscriptions {
            let machine = sub.machine.stats();
            let (message_rate_out, byte_rate_out) = sub.flow_out.rates(now);
            let (message_rate_redeliver, _) = sub.flow_redelivered.rates(now);
            let keys = if detail.consumers { keys_of(name, &self.consumers) } else { Vec::new() };
            let mut consumers = Vec::with_capacity(keys.len());
            for key in keys {
                let Some(consumer) = self.consumers.get_mut(&key) else { continue };
                let own = machine.consumers.binary_search_by_key(&key, |own| own.consumer.0);
                let own = own.ok().and_then(|at| machine.consumers.get(at));
                consumers.push(ConsumerRow {
                    available_permits: own.map_or(0, |own| own.permits),
                    unacked_messages: own.map_or(0, |own| own.unacked_messages),
                    is_blocked: own.is_some_and(|own| own.is_blocked_on_unacked),
                    ..consumer.row(clock)
                });
            }
            rows.push(SubscriptionRow {
                name: Arc::clone(name),
                backlog_entries: machine.backlog_entries,
                delayed_entries: machine.delayed_entries,
                delayed_index_bytes: sub.machine.held().timers as u64,
                replay_entries: machine.redelivery_entries,
                dead_letter_entries: machine.dead_letter_entries,
                is_blocked: machine.is_blocked_on_unacked,
                unacked_messages: machine.unacked_messages,
                message_rate_out,
                byte_rate_out,
                message_rate_redeliver,
                message_rate_dropped: 0.0,
                messages_out: sub.flow_out.messages,
                bytes_out: sub.flow_out.bytes,
                activity: sub.doings.read(clock),
                consumer_count: machine.consumers.len() as u64,
                consumers,
            });
        }
        rows
    }
}
