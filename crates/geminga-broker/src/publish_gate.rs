//! What clients must keep to when they publish: rates, of their topic and of the broker, and whether
//! payloads must be encrypted.
//!
//! Connections' tasks ask here before they hand messages to a topic. Who is over a rate waits for its
//! turn, and turns come in the order in which they were asked for: nobody starves, and of what one
//! producer sends nothing overtakes. What passes is counted as real messages and bytes; the last of it is
//! on credit, so that a batch larger than what is left passes too, and is paid for later.
//!
//! # Invariants
//!
//! 1. Nothing passes at once while somebody waits.
//! 2. A change reaches producers that are open, and who waits, at once.
//! 3. Turns are taken of the topic first, then of its resource group, then of the broker: nobody waits for each
//!    other.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use geminga_env::{Clock, Instant};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::{
    DispatchRate,
    policies::TopicPolicies,
    rate::{Left, Limiter},
    resource_groups::{Member, ResourceGroups},
};

/// Who waits looks again after this long at the earliest. Short: a producer's window is a thousand
/// messages, so this bounds the rate that one producer can reach.
const PAUSE: Duration = Duration::from_millis(2);

/// How much may be published in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishRate {
    /// Messages; `None` is no limit.
    pub messages: Option<u64>,
    /// Bytes; `None` is no limit.
    pub bytes: Option<u64>,
}

/// Holds a [`PublishRate`] for everybody who publishes.
#[derive(Debug)]
pub(crate) struct PublishLimiter {
    clock: Arc<dyn Clock>,
    /// Whether there is a limiter: each publish looks, without a lock.
    is_limited: AtomicBool,
    limiter: Mutex<Option<Limiter>>,
    /// One permit: its holder is the next to take. The others wait in the order in which they came.
    turns: Semaphore,
    changed: Notify,
}

/// What a topic wants of those who publish to it.
#[derive(Debug)]
pub(crate) struct PublishGate {
    requires_encryption: AtomicBool,
    of_topic: PublishLimiter,
    groups: Arc<ResourceGroups>,
    /// Whether there is a group: each publish looks, without a lock.
    is_in_group: AtomicBool,
    of_group: Mutex<Option<Member>>,
    of_broker: Arc<PublishLimiter>,
    limited_times: AtomicU64,
}

impl PublishRate {
    /// No limit.
    pub const UNLIMITED: Self = Self { messages: None, bytes: None };

    /// Whether there is a limit.
    pub(crate) const fn is_limited(&self) -> bool {
        self.messages.is_some() || self.bytes.is_some()
    }
}

impl PublishLimiter {
    pub(crate) fn new(clock: Arc<dyn Clock>, rate: PublishRate) -> Self {
        let limiter = Self {
            clock,
            is_limited: AtomicBool::new(false),
            limiter: Mutex::default(),
            turns: Semaphore::new(1),
            changed: Notify::new(),
        };
        limiter.set_rate(rate);
        limiter
    }

    /// Another rate, for those who wait too. What was taken of the one before counts no more.
    pub(crate) fn set_rate(&self, rate: PublishRate) {
        let PublishRate { messages, bytes } = rate;
        let wanted = DispatchRate { messages, bytes, ..DispatchRate::UNLIMITED };
        let wanted = Some(wanted).filter(|_| rate.is_limited());
        let mut limiter = self.lock();
        if limiter.as_ref().map(Limiter::rate) == wanted.as_ref() {
            return;
        }
        let now = self.clock.now();
        *limiter = wanted.map(|wanted| Limiter::new(wanted, now).with_pause(PAUSE));
        self.is_limited.store(limiter.is_some(), Ordering::Release);
        drop(limiter);
        self.changed.notify_waiters();
    }

    fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Acquire)
    }

    fn left(&self, now: Instant) -> Left {
        self.lock().as_ref().map_or(Left::ALL, |limiter| limiter.left(now))
    }

    fn take(&self, now: Instant, messages: u64, bytes: u64) {
        if let Some(limiter) = self.lock().as_mut() {
            limiter.take(now, messages, bytes);
        }
    }

    /// The turn, if nobody has it or waits for it.
    fn try_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.try_acquire().ok()
    }

    /// Waits for the turn.
    async fn turn(&self) -> SemaphorePermit<'_> {
        match self.turns.acquire().await {
            Ok(turn) => turn,
            Err(_) => std::future::pending().await, // It is never closed.
        }
    }

    /// Waits until something is left.
    async fn until_some_is_left(&self) {
        loop {
            let changed = self.changed.notified();
            let Some(again_at) = self.left(self.clock.now()).again_at else { return };
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(again_at) => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Limiter>> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PublishGate {
    /// Of a topic that is governed by `policies`.
    pub(crate) fn new(
        of_broker: Arc<PublishLimiter>,
        groups: Arc<ResourceGroups>,
        policies: &TopicPolicies,
    ) -> Self {
        let gate =
            Self::with(of_broker, groups, policies.publish_rate, policies.requires_encryption);
        gate.set_group(policies.resource_group.as_ref());
        gate
    }

    fn with(
        of_broker: Arc<PublishLimiter>,
        groups: Arc<ResourceGroups>,
        rate: PublishRate,
        requires_encryption: bool,
    ) -> Self {
        let of_topic = PublishLimiter::new(Arc::clone(&of_broker.clock), rate);
        Self {
            requires_encryption: AtomicBool::new(requires_encryption),
            of_topic,
            groups,
            is_in_group: AtomicBool::new(false),
            of_group: Mutex::default(),
            of_broker,
            limited_times: AtomicU64::new(0),
        }
    }

    /// Others govern it.
    pub(crate) fn set_policies(&self, policies: &TopicPolicies) {
        self.requires_encryption.store(policies.requires_encryption, Ordering::Release);
        self.of_topic.set_rate(policies.publish_rate);
        self.set_group(policies.resource_group.as_ref());
    }

    /// Who waits in the group before goes on there once.
    fn set_group(&self, name: Option<&Arc<str>>) {
        let mut of_group = self.of_group.lock().unwrap_or_else(PoisonError::into_inner);
        self.groups.join(&mut of_group, name);
        self.is_in_group.store(of_group.is_some(), Ordering::Release);
    }

    fn group(&self) -> Option<Member> {
        if !self.is_in_group.load(Ordering::Acquire) {
            return None;
        }
        self.of_group.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its group's; in none it is 0.
    pub(crate) fn priority(&self) -> i32 {
        self.group().map_or(0, |group| group.priority())
    }

    pub(crate) fn requires_encryption(&self) -> bool {
        self.requires_encryption.load(Ordering::Acquire)
    }

    /// Whether there is a rate to be asked for.
    pub(crate) fn is_limited(&self) -> bool {
        self.of_topic.is_limited()
            || self.is_in_group.load(Ordering::Acquire)
            || self.of_broker.is_limited()
    }

    /// How often somebody had to wait.
    pub(crate) fn limited_times(&self) -> u64 {
        self.limited_times.load(Ordering::Relaxed)
    }

    /// How many of the first entries pass now; each is given as its messages and bytes. The others must
    /// [wait](Self::admit), which is noted.
    pub(crate) fn admit_now(&self, entries: impl ExactSizeIterator<Item = (u64, u64)>) -> usize {
        let count = entries.len();
        let group = self.group();
        let of_topic = self.of_topic.try_turn();
        let of_group = group.as_ref().map(Member::try_turn);
        let of_broker = self.of_broker.is_limited().then(|| self.of_broker.try_turn());
        let has_turns = of_topic.is_some()
            && of_group.as_ref().is_none_or(Option::is_some)
            && of_broker.as_ref().is_none_or(Option::is_some);
        let passed = if has_turns { self.take(group.as_ref(), entries) } else { 0 };
        drop((of_topic, of_group, of_broker));
        if passed < count {
            self.limited_times.fetch_add(1, Ordering::Relaxed);
        }
        passed
    }

    /// Waits until some of the first entries pass, and says how many; at least one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the turn goes to the next, and nothing was taken.
    pub(crate) async fn admit(
        &self,
        entries: impl ExactSizeIterator<Item = (u64, u64)> + Clone,
    ) -> usize {
        let _of_topic = self.of_topic.turn().await;
        loop {
            self.of_topic.until_some_is_left().await;
            let group = self.group();
            let _of_group = match &group {
                Some(group) => {
                    let turn = group.turn().await;
                    group.until_some_is_left().await;
                    Some(turn)
                }
                None => None,
            };
            let _of_broker = match self.of_broker.is_limited() {
                true => Some(self.of_broker.turn().await),
                false => None,
            };
            self.of_broker.until_some_is_left().await;
            // Meanwhile the topic may have got another rate, or the group's loan may be another's.
            match self.take(group.as_ref(), entries.clone()) {
                0 => {}
                passed => return passed,
            }
        }
    }

    fn take(&self, group: Option<&Member>, entries: impl Iterator<Item = (u64, u64)>) -> usize {
        let now = self.of_broker.clock.now();
        let of_group = group.map_or(Left::ALL, |group| group.publish_left(now));
        let left = self.of_topic.left(now).and(of_group).and(self.of_broker.left(now));
        let (mut passed, mut messages, mut bytes) = (0, 0_u64, 0_u64);
        for (of_entry, size) in entries {
            if left.messages <= messages || left.bytes <= bytes {
                break;
            }
            messages = messages.saturating_add(of_entry);
            bytes = bytes.saturating_add(size);
            passed += 1;
        }
        if 0 < passed {
            self.of_topic.take(now, messages, bytes);
            if let Some(group) = group {
                group.note_published(now, messages, bytes);
            }
            self.of_broker.take(now, messages, bytes);
        }
        passed
    }
}

#[cfg(test)]
mod tests;
