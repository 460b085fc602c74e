//! Says of a subscription what its machine says, in names, positions and words.

use geminga_subscription::{
    ConsumerKey,
    explain::{ConsumerState, Draining, Explanation, Limit, State, Waits},
};
use geminga_types::{Ordinal, Position};

use super::Topic;
use crate::{AdminError, ConsumerExplanation, DrainingExplanation, SubscriptionExplanation};

impl Topic {
    pub(super) fn explain(&self, name: &str) -> Result<SubscriptionExplanation, AdminError> {
        let Some(sub) = self.subscriptions.get(name) else {
            return Err(self.no_subscription(name));
        };
        let (stats, explained) = (sub.machine.stats(), sub.machine.explain());
        let (state, because) = self.words(name, &explained);
        Ok(SubscriptionExplanation {
            topic: self.name.clone(),
            subscription: name.to_owned(),
            kind: sub.kind.map_or("", crate::SubscriptionKind::as_str),
            state,
            because,
            backlog_entries: stats.backlog_entries,
            unacked_messages: stats.unacked_messages,
            delayed_entries: stats.delayed_entries,
            parked_entries: explained.parked_entries,
            parked_due: explained.parked_due,
            next_due: explained.next_due,
            held_back_entries: explained.held_back_entries,
            held_back_entries_max: explained.held_back_entries_max,
            mark_delete: self.position_before(stats.mark_delete),
            read: self.position_before(explained.next_read),
            rates: self.rates_of(name).into_iter().map(|(text, _)| text).collect(),
            consumers: explained.consumers.iter().map(|it| self.explain_consumer(it)).collect(),
            draining: explained.draining.iter().map(|it| self.explain_draining(it)).collect(),
            dead_letters: sub
                .dead_letters
                .as_ref()
                .zip(explained.dead_letters)
                .map(|(of_topic, of_machine)| of_topic.explain(of_machine)),
        })
    }

    fn explain_consumer(&self, state: &ConsumerState) -> ConsumerExplanation {
        let request = self.consumers.get(&state.consumer.0).map(|opened| &opened.request);
        ConsumerExplanation {
            name: request.map(|request| request.consumer_name.clone()).unwrap_or_default(),
            address: request.map(|request| request.address.clone()).unwrap_or_default(),
            waits: match state.waits {
                Waits::ForMessages => "ForMessages",
                Waits::ForPermits => "ForPermits",
                Waits::ForConnection => "ForConnection",
                Waits::ForAcks => "ForAcks",
                Waits::ToBeActive => "ToBeActive",
            },
            permits: state.permits,
            unacked_messages: state.unacked_messages,
            waiting_entries: state.waiting_entries,
        }
    }

    fn explain_draining(&self, draining: &Draining) -> DrainingExplanation {
        let position = self.ledger.position_of(draining.held);
        DrainingExplanation {
            slot: draining.slot,
            holder: match draining.holder {
                Some(holder) => self.name_of(holder),
                None => "dead letters".to_owned(),
            },
            held: position.unwrap_or(Position::EARLIEST),
            waiting_entries: draining.waiting_entries,
            since: draining.since,
        }
    }

    fn name_of(&self, consumer: ConsumerKey) -> String {
        let opened = self.consumers.get(&consumer.0);
        opened.map(|opened| opened.request.consumer_name.clone()).unwrap_or_default()
    }

    fn words(&self, name: &str, explained: &Explanation) -> (&'static str, String) {
        let wall = self.deps.ledger.env.clock.wall().0;
        let unread = |from: Ordinal| explained.end.0.saturating_sub(from.0);
        match explained.state {
            State::NoConsumers => ("NoConsumers", "No consumer is connected.".to_owned()),
            State::NothingToDeliver => (
                "NothingToDeliver",
                "Everything that is not acked is at the consumers; nothing else has been published."
                    .to_owned(),
            ),
            State::DeadLetters => (
                "DeadLetters",
                "What is not acked is at the consumers, or was asked for again too often and is to be \
                 published as dead letters."
                    .to_owned(),
            ),
            State::Reading => {
                ("Reading", format!("Entries are being read; {} are ahead.", unread(explained.next_read)))
            }
            State::ReadFailed { retry_at } => {
                let wait = retry_at.map_or(0, |at| at.saturating_sub(wall));
                ("ReadFailed", format!("A read of entries failed; it is tried again in {wait} ms."))
            }
            State::HandingOver { from, until } => {
                let wait = until.map_or(0, |at| at.saturating_sub(wall));
                let holder = self.name_of(from);
                (
                    "HandingOver",
                    format!(
                        "Consumer {holder} was active before and has messages that are not acked: the \
                         next one begins when they are, or in {wait} ms."
                    ),
                )
            }
            State::NoConsumerReady => (
                "NoConsumerReady",
                "No consumer can take more: see what each of them waits for.".to_owned(),
            ),
            State::AtLimit(limit) => self.limit_words(name, explained, limit),
            State::PartlyHeldBack => (
                "PartlyHeldBack",
                "What is left waits for its time, or for the consumers of its keys.".to_owned(),
            ),
        }
    }

    fn rates_used_up(&self, name: &str) -> String {
        let rates = self.rates_of(name);
        let is_any = rates.iter().any(|(_, is_used_up)| *is_used_up);
        // At this moment there may be some again.
        let used_up = rates.into_iter().filter(|(_, is_used_up)| *is_used_up || !is_any);
        used_up.map(|(text, _)| text).collect::<Vec<_>>().join("; ")
    }

    fn limit_words(
        &self,
        name: &str,
        explained: &Explanation,
        limit: Limit,
    ) -> (&'static str, String) {
        match limit {
            Limit::TooManyUnacked { unacked_messages, max } => (
                "TooManyUnacked",
                format!(
                    "{unacked_messages} messages are at the consumers and not acked, \
                     maxUnackedMessagesPerSubscription is {max}: delivery goes on at {}.",
                    max / 2
                ),
            ),
            Limit::TooManyUnackedInAll { unacked_messages, max } => (
                "TooManyUnackedInAll",
                format!(
                    "maxUnackedMessagesPerBroker is reached, {unacked_messages} messages are at this \
                     subscription's consumers and not acked, and it may have {max}: delivery goes on \
                     at {}, or when there are fewer in all.",
                    max / 2
                ),
            ),
            Limit::DispatchRate { again_at } => (
                "DispatchRate",
                format!(
                    "The dispatch rate is used up ({}): more is sent in {} ms.",
                    self.rates_used_up(name),
                    again_at.saturating_sub(self.deps.ledger.env.clock.wall().0)
                ),
            ),
            Limit::TooManyDelayed { delayed_entries, max } => (
                "TooManyDelayed",
                format!(
                    "{delayed_entries} entries wait for their time, the limit is {max}: nothing new is \
                     read before one is due."
                ),
            ),
            Limit::TooManyHeldBack => (
                "TooManyHeldBack",
                format!(
                    "{} entries wait for the consumers of their keys, the limit is {}: nothing new is \
                     read before some of them can take theirs.",
                    explained.held_back_entries,
                    explained.held_back_entries_max.unwrap_or(0)
                ),
            ),
            Limit::TooManyDue { held_back_entries, max } => (
                "TooManyDue",
                format!(
                    "{held_back_entries} entries wait for the consumers of their keys, the limit for \
                     delayed ones is {max}: no more of those are loaded before some of them can take \
                     theirs."
                ),
            ),
            Limit::ScarceMemory => (
                "ScarceMemory",
                "The process holds as much for acks or delayed messages as it may, and this \
                 subscription a good part of it: nothing new is read until it has less."
                    .to_owned(),
            ),
        }
    }
}
