//! The dispatch rates of a topic, of its subscriptions and of the broker.

use std::{collections::BTreeSet, sync::PoisonError};

use geminga_subscription::Allowance;

use super::{SubscriptionName, Topic};
use crate::rate::{DispatchRate, Left, Limiter};

/// A limiter for a rate; the one there is if the rate is still the same, with what was taken of it.
pub(super) fn limiter_for(
    rate: &DispatchRate,
    before: Option<Box<Limiter>>,
    now: geminga_env::Instant,
) -> Option<Box<Limiter>> {
    match before {
        Some(before) if before.rate() == rate => Some(before),
        _ => rate.is_limited().then(|| Box::new(Limiter::new(*rate, now))),
    }
}

impl Topic {
    pub(super) fn set_dispatch_rates(&mut self) {
        let now = self.now();
        let groups = &self.deps.resource_groups;
        groups.join(&mut self.group, self.policies.resource_group.as_ref());
        self.limiter = limiter_for(&self.policies.dispatch_rate, self.limiter.take(), now);
        for (name, sub) in &mut self.subscriptions {
            let rate = self.policies.rate_of_subscription(name);
            sub.limiter = limiter_for(rate, sub.limiter.take(), now);
        }
    }

    /// What may be sent to the consumers of a subscription now.
    pub(super) fn allowance(&mut self, name: &SubscriptionName) -> Allowance {
        let left = self.dispatch_left(name);
        let Left { messages, bytes, again_at: Some(again_at) } = left else {
            return Allowance { messages: left.messages, bytes: left.bytes, again_at: 0 };
        };
        let wait = again_at.saturating_duration_since(self.now()).as_millis();
        let wait = u64::try_from(wait).unwrap_or(u64::MAX).max(1);
        let wall = self.deps.ledger.env.clock.wall().0;
        Allowance { messages, bytes, again_at: wall.saturating_add(wait) }
    }

    fn dispatch_left(&mut self, name: &SubscriptionName) -> Left {
        let Some(sub) = self.subscriptions.get_mut(name) else { return Left::ALL };
        if sub.limiter.is_none()
            && sub.feedback.is_none()
            && self.limiter.is_none()
            && self.group.is_none()
            && self.deps.dispatch.is_none()
        {
            return Left::ALL;
        }
        let now = self.deps.ledger.env.clock.now();
        let is_relative = |limiter: &Option<Box<Limiter>>| {
            limiter.as_ref().is_some_and(|limiter| limiter.rate().is_relative)
        };
        let is_relative = is_relative(&self.limiter) || is_relative(&sub.limiter);
        let (messages, bytes) = if is_relative { self.flow_in.rates(now) } else { (0.0, 0.0) };
        let of_feedback = sub.feedback.as_mut().map_or(Left::ALL, |feedback| feedback.left(now));
        let limiters = self.limiter.iter_mut().chain(sub.limiter.iter_mut());
        let own = limiters.fold(of_feedback, |left, limiter| {
            limiter.note_published(now, messages, bytes);
            left.and(limiter.left(now))
        });
        let own = match &self.deps.dispatch {
            Some(all) => own.and(all.lock().unwrap_or_else(PoisonError::into_inner).left(now)),
            None => own,
        };
        match &self.group {
            // Who may not send anyway wants no loan.
            Some(group) if own.again_at.is_some() => own.and(group.dispatch_left(now)),
            Some(group) => own.and(group.ask_dispatch(now)),
            None => own,
        }
    }

    /// So much was sent to the consumers of a subscription.
    pub(super) fn note_dispatched(
        &mut self,
        name: &SubscriptionName,
        entries: u64,
        messages: u64,
        bytes: u64,
    ) {
        let is_sub_limited = self
            .subscriptions
            .get(name)
            .is_some_and(|sub| sub.limiter.is_some() || sub.feedback.is_some());
        if !is_sub_limited && !self.shares_a_rate() {
            return;
        }
        let now = self.now();
        let count = if self.deps.options.dispatch.counts_entries { entries } else { messages };
        if let Some(limiter) = &mut self.limiter {
            limiter.take(now, count, bytes);
        }
        if let Some(sub) = self.subscriptions.get_mut(name) {
            if let Some(limiter) = &mut sub.limiter {
                limiter.take(now, count, bytes);
            }
            if let Some(feedback) = &mut sub.feedback {
                feedback.note_sent(now, entries, messages);
            }
        }
        if let Some(all) = &self.deps.dispatch {
            all.lock().unwrap_or_else(PoisonError::into_inner).take(now, count, bytes);
        }
        if let Some(group) = &self.group {
            group.note_dispatched(now, count, bytes);
        }
        if self.shares_a_rate() {
            self.last_throttled = Some(SubscriptionName::clone(name));
        }
    }

    /// It was polled dry.
    pub(super) fn note_polled(&mut self, name: &SubscriptionName) {
        if self.shares_a_rate()
            && self.subscriptions.get(name).is_some_and(|sub| sub.machine.is_out_of_allowance())
        {
            self.throttled.insert(SubscriptionName::clone(name));
        }
    }

    /// Whether subscriptions take from one rate.
    fn shares_a_rate(&self) -> bool {
        self.limiter.is_some() || self.group.is_some() || self.deps.dispatch.is_some()
    }

    /// In turn, if they take from one rate: who took last is last. Those that found nothing left of it
    /// have their turn with the others.
    pub(super) fn in_turn(
        &mut self,
        mut ready: BTreeSet<SubscriptionName>,
    ) -> impl Iterator<Item = SubscriptionName> + use<> {
        if !ready.is_empty() {
            ready.append(&mut self.throttled);
        }
        let behind = match &self.last_throttled {
            Some(last) if 1 < ready.len() => {
                let mut behind = ready.split_off(last);
                if behind.remove(last) {
                    ready.insert(SubscriptionName::clone(last));
                }
                behind
            }
            _ => BTreeSet::new(),
        };
        behind.into_iter().chain(ready)
    }

    /// The rates that a subscription has, in words, and whether each is used up.
    pub(super) fn rates_of(&self, name: &str) -> Vec<(String, bool)> {
        let now = self.now();
        let say = |limiter: &Limiter, whose: &str| {
            let is_used_up = limiter.left(now).again_at.is_some();
            (format!("{whose}: {}", limiter.rate().text()), is_used_up)
        };
        let sub = self.subscriptions.get(name);
        let of_sub = sub.and_then(|sub| sub.limiter.as_deref());
        let of_all = self.deps.dispatch.as_ref();
        let found = [
            sub.and_then(|sub| sub.feedback.as_ref()).map(|it| (it.text(), it.is_used_up(now))),
            of_sub.map(|limiter| say(limiter, "subscription")),
            self.limiter.as_deref().map(|limiter| say(limiter, "topic")),
            self.group.as_ref().and_then(|group| group.dispatch_text(now)),
            of_all.map(|all| say(&all.lock().unwrap_or_else(PoisonError::into_inner), "broker")),
        ];
        found.into_iter().flatten().collect()
    }
}
