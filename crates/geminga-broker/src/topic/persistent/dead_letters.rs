//! Dead letters of subscriptions: handed to a publisher on the tracker, acked by its answer.
//!
//! Before that the redelivery counts that make them dead are durable: after a crash no consumer gets what
//! may be published.

use std::sync::{Arc, atomic::Ordering};

use geminga_managed_ledger::CursorSeq;
use geminga_subscription::{DeadLetter, DeadLetterOptions, explain};
use tracing::{info, warn};

use super::{Stored, SubscriptionName, Topic, background::Answer, close::Phase};
use crate::{
    DeadLettersExplanation, SubscribeRequest, SubscriptionKind,
    dead_letter::{self, DeadLetterPolicy, Letter, Outcome, Work},
};

/// What is known of a subscription's.
pub(super) struct DeadLetters {
    pub(super) policy: Arc<DeadLetterPolicy>,
    published_messages: u64,
    failing: Option<Failing>,
    /// What waits for its redelivery counts to be durable, and the write that makes them so.
    held: Option<(CursorSeq, Vec<DeadLetter<Stored>>)>,
}

struct Failing {
    /// In wall-clock milliseconds.
    since: u64,
    why: String,
}

impl DeadLetters {
    pub(super) fn options(&self) -> DeadLetterOptions {
        DeadLetterOptions::new(self.policy.redeliveries_max)
    }

    /// Gives up what is held, if anything is. True: the machine is owed an answer.
    pub(super) fn give_up_held(&mut self) -> bool {
        self.held.take().is_some()
    }

    pub(super) fn explain(&self, machine: explain::DeadLetters) -> DeadLettersExplanation {
        DeadLettersExplanation {
            policy: self.policy.text(),
            topic: self.policy.topic.clone(),
            waiting_entries: machine.waiting_entries,
            out_entries: machine.out_entries,
            unsettled_messages: machine.unsettled_messages,
            unsettled_messages_max: machine.unsettled_messages_max,
            published_messages: self.published_messages,
            failure: self.failing.as_ref().map(|failing| failing.why.clone()),
            failing_since: self.failing.as_ref().map(|failing| failing.since),
            retry_at: machine.retry_at,
        }
    }
}

impl Topic {
    /// Whether a new subscription may have the dead-letter policy that its first consumer asks for.
    pub(super) fn check_dead_letters(
        &self,
        name: &str,
        request: &SubscribeRequest,
    ) -> Result<(), String> {
        let properties = &request.subscription_properties;
        if DeadLetterPolicy::wanted(properties, &self.name, name)?.is_none() {
            return Ok(());
        }
        let kind = request.kind;
        if !request.is_durable {
            return Err(format!("Subscription {name} is not durable: it has no dead letters"));
        }
        if !matches!(kind, SubscriptionKind::Shared | SubscriptionKind::KeyShared) {
            return Err(format!(
                "Subscription {name} is {}: only Shared and Key_Shared ones have dead letters",
                kind.as_str()
            ));
        }
        Ok(())
    }

    /// As the properties of a subscription want it.
    pub(super) fn dead_letters_of(
        &self,
        name: &str,
        properties: &[(String, String)],
        is_durable: bool,
    ) -> Option<Box<DeadLetters>> {
        let wanted = DeadLetterPolicy::wanted(properties, &self.name, name);
        let wanted = wanted.unwrap_or_else(|refusal| {
            warn!(topic = %self.name, subscription = name, refusal, "it has no dead letters");
            None
        });
        let policy = Arc::new(wanted.filter(|_| is_durable)?);
        Some(Box::new(DeadLetters { policy, published_messages: 0, failing: None, held: None }))
    }

    /// Whether a publisher has something of ours.
    pub(super) fn has_dead_letters_out(&self) -> bool {
        self.subscriptions.values().any(|sub| sub.machine.has_dead_letters_out())
    }

    pub(super) fn publish_dead_letters(
        &mut self,
        name: &SubscriptionName,
        letters: Vec<DeadLetter<Stored>>,
    ) {
        self.flush_acks(name);
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        match (sub.in_flight.back(), &mut sub.dead_letters) {
            (Some(last), Some(dead_letters)) => dead_letters.held = Some((last.seq, letters)),
            _ => self.start_publishing(name, letters),
        }
    }

    /// All writes up to `up_to` are durable.
    pub(super) fn publish_held_dead_letters(&mut self, name: &str, up_to: CursorSeq) {
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let Some(dead_letters) = &mut sub.dead_letters else { return };
        if let Some((_, letters)) = dead_letters.held.take_if(|(seq, _)| *seq <= up_to) {
            self.start_publishing(&Arc::from(name), letters);
        }
    }

    fn start_publishing(&mut self, name: &SubscriptionName, letters: Vec<DeadLetter<Stored>>) {
        let is_serving = matches!(self.phase, Phase::Serving);
        let Some(sub) = self.subscriptions.get_mut(name) else { return };
        let Some(dead_letters) = sub.dead_letters.as_ref().filter(|_| is_serving) else {
            sub.machine.on_dead_letters(&[], true);
            self.ready.insert(Arc::clone(name));
            return;
        };
        let work = Work {
            policy: Arc::clone(&dead_letters.policy),
            topic: self.name.clone(),
            subscription: name.to_string(),
            letters: letters.into_iter().map(letter_of).collect(),
        };
        let (subscription, incarnation) = (Arc::clone(name), sub.incarnation);
        let work = dead_letter::publish(work, self.deps.clone());
        // It has a deadline itself, and says then what was stored before.
        self.spawn(2 * dead_letter::TIME_MAX, work, move |outcome| {
            let outcome = outcome.unwrap_or_else(|lost| Outcome {
                failure: Some(lost.to_string()),
                ..Outcome::default()
            });
            Answer::DeadLetters { subscription, incarnation, outcome: Box::new(outcome) }
        });
    }

    pub(super) fn on_dead_letters(
        &mut self,
        name: &SubscriptionName,
        incarnation: u64,
        outcome: Outcome,
    ) {
        let now = self.deps.ledger.env.clock.wall().0;
        self.count(&outcome);
        let (topic, is_deleting) = (self.name.clone(), !self.subscriptions.contains_key(name));
        let Some(sub) = self.sub_mut(name).filter(|sub| sub.incarnation == incarnation) else {
            return;
        };
        if let Some(dead_letters) = &mut sub.dead_letters {
            dead_letters.note(&outcome, now, |failure| match failure {
                Some(why) => warn!(
                    %topic, subscription = %name, why,
                    "dead letters are not published; it is tried again and again"
                ),
                None => info!(%topic, subscription = %name, "dead letters are published again"),
            });
        }
        // One that is being deleted takes no acks; if it stays after all, the letters are tried again.
        let stored = if is_deleting { &[][..] } else { &outcome.stored[..] };
        let has_failed = is_deleting || outcome.failure.is_some();
        let change = sub.machine.on_dead_letters(stored, has_failed);
        self.note_acks(name, &change, None);
        self.ready.insert(Arc::clone(name));
    }

    fn count(&self, outcome: &Outcome) {
        let counts = &self.deps.dead_letters;
        counts.published.fetch_add(outcome.messages, Ordering::Relaxed);
        counts.failures.fetch_add(u64::from(outcome.failure.is_some()), Ordering::Relaxed);
    }
}

impl DeadLetters {
    /// Notes what became of some; `says` when that is news.
    fn note(&mut self, outcome: &Outcome, now: u64, says: impl FnOnce(Option<&str>)) {
        self.published_messages += outcome.messages;
        match &outcome.failure {
            Some(why) => {
                if self.failing.as_ref().is_none_or(|before| before.why != *why) {
                    says(Some(why));
                }
                let since = self.failing.as_ref().map_or(now, |before| before.since);
                self.failing = Some(Failing { since, why: why.clone() });
            }
            None => {
                if self.failing.take().is_some() {
                    says(None);
                }
            }
        }
    }
}

fn letter_of(letter: DeadLetter<Stored>) -> Letter {
    DeadLetter {
        ordinal: letter.ordinal,
        redelivery_count: letter.redelivery_count,
        ack_set: letter.ack_set,
        messages: letter.messages,
        payload: (letter.payload.position, letter.payload.entry),
    }
}
