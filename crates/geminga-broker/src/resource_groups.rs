//! Resource groups: what namespaces that belong together may publish and be sent in a second.
//!
//! The groups of the metadata store, with their rates in force. What a group leaves others may have
//! ([`lending`](crate::rate::lending)). A group that a namespace names and that there is not limits nothing.
//!
//! # Invariants
//!
//! 1. A group's rates count for all of its topics together, on this broker.
//! 2. Nothing of a group passes the gate at once while somebody of it waits there.

mod follow;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use geminga_env::{Clock, Instant};
use geminga_metadata::values::resource_group::ResourceGroup;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::rate::{
    DispatchRate, Left,
    lending::{Lending, Quota, Used},
};

/// Who waits looks again after this long at the earliest, as for other publish rates.
const PAUSE: Duration = Duration::from_millis(2);

/// The groups there are.
#[derive(Debug)]
pub(crate) struct ResourceGroups {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    publish: Lending<Arc<str>>,
    dispatch: Lending<Arc<str>>,
    known: BTreeMap<Arc<str>, ResourceGroup>,
    /// Of those that namespaces name: one permit each, whose holder is the next to take.
    turns: BTreeMap<Arc<str>, Arc<Semaphore>>,
}

/// What a group has used, on this broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceGroupUse {
    /// Its name.
    pub name: Arc<str>,
    /// By publishing.
    pub publish: Used,
    /// By being sent messages.
    pub dispatch: Used,
}

/// One group, as a topic's gate sees it.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    groups: Arc<ResourceGroups>,
    name: Arc<str>,
    turns: Arc<Semaphore>,
}

impl ResourceGroups {
    /// No groups yet. With `lends`, what a group does not use others may.
    pub(crate) fn new(clock: Arc<dyn Clock>, lends: bool) -> Self {
        let now = clock.now();
        let lending = || Lending::new(lends, PAUSE, now);
        let (publish, dispatch) = (lending(), lending());
        let (known, turns) = (BTreeMap::new(), BTreeMap::new());
        let state = Mutex::new(State { publish, dispatch, known, turns });
        Self { clock, state, changed: Notify::new() }
    }

    /// A topic becomes one of a group's.
    pub(crate) fn member(self: &Arc<Self>, name: &Arc<str>) -> Member {
        let mut state = self.lock();
        let turns = state.turns.entry(Arc::clone(name));
        let turns = Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(1))));
        drop(state);
        Member { groups: Arc::clone(self), name: Arc::clone(name), turns }
    }

    /// Makes a topic one of this group's, or of none, unless it is already.
    pub(crate) fn join(self: &Arc<Self>, member: &mut Option<Member>, name: Option<&Arc<str>>) {
        if member.as_ref().map(Member::name) != name {
            *member = name.map(|name| self.member(name));
        }
    }

    /// These are all groups there are.
    pub(crate) fn set_all(&self, wanted: BTreeMap<Arc<str>, ResourceGroup>) {
        let now = self.clock.now();
        let mut guard = self.lock();
        let state = &mut *guard;
        for gone in state.known.keys().filter(|name| !wanted.contains_key(*name)) {
            state.publish.remove(gone, now);
            state.dispatch.remove(gone, now);
        }
        for (name, group) in &wanted {
            if state.known.get(name) != Some(group) {
                state.publish.set(name, publish(group), now);
                state.dispatch.set(name, dispatch(group), now);
            }
        }
        state.known = wanted;
        drop(guard);
        self.changed.notify_waiters();
    }

    /// What each group has used, by name.
    pub(crate) fn used(&self) -> Vec<ResourceGroupUse> {
        let state = self.lock();
        let used = |name: &Arc<str>| ResourceGroupUse {
            name: Arc::clone(name),
            publish: state.publish.used(name).unwrap_or_default(),
            dispatch: state.dispatch.used(name).unwrap_or_default(),
        };
        state.known.keys().map(used).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Who has a higher one is served first where all wait for the same.
    pub(crate) fn priority(&self) -> i32 {
        self.groups
            .lock()
            .known
            .get(&self.name)
            .and_then(|group| group.priority)
            .unwrap_or_default()
    }

    /// What may be published now.
    pub(crate) fn publish_left(&self, now: Instant) -> Left {
        self.groups.lock().publish.left(&self.name, now)
    }

    /// So much was published.
    pub(crate) fn note_published(&self, now: Instant, messages: u64, bytes: u64) {
        self.groups.lock().publish.take(&self.name, now, messages, bytes);
    }

    /// What may be dispatched now; who finds nothing wants a loan.
    pub(crate) fn ask_dispatch(&self, now: Instant) -> Left {
        self.groups.lock().dispatch.ask(&self.name, now)
    }

    /// What may be dispatched now.
    pub(crate) fn dispatch_left(&self, now: Instant) -> Left {
        self.groups.lock().dispatch.left(&self.name, now)
    }

    /// The rate of dispatch in words, and whether it is used up; `None` without one.
    pub(crate) fn dispatch_text(&self, now: Instant) -> Option<(String, bool)> {
        let state = self.groups.lock();
        if !state.dispatch.is_limited(&self.name) {
            return None;
        }
        let quota = dispatch(state.known.get(&self.name)?);
        let rate = DispatchRate {
            messages: quota.messages,
            bytes: quota.bytes,
            ..DispatchRate::UNLIMITED
        };
        let is_used_up = state.dispatch.left(&self.name, now).again_at.is_some();
        Some((format!("resource group {}: {}", self.name, rate.text()), is_used_up))
    }

    /// So much was dispatched.
    pub(crate) fn note_dispatched(&self, now: Instant, messages: u64, bytes: u64) {
        self.groups.lock().dispatch.take(&self.name, now, messages, bytes);
    }

    /// The turn to publish, if nobody of the group has it or waits for it.
    pub(crate) fn try_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.try_acquire().ok()
    }

    /// Waits for the turn to publish.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        match self.turns.acquire().await {
            Ok(turn) => turn,
            Err(_) => std::future::pending().await, // It is never closed.
        }
    }

    /// Waits until something may be published.
    pub(crate) async fn until_some_is_left(&self) {
        loop {
            let changed = self.groups.changed.notified();
            let left = {
                let mut state = self.groups.lock();
                state.publish.ask(&self.name, self.groups.clock.now())
            };
            let Some(again_at) = left.again_at else { return };
            tokio::select! {
                biased;
                () = changed => {}
                () = tokio::time::sleep_until(again_at) => {}
            }
        }
    }
}

fn publish(group: &ResourceGroup) -> Quota {
    quota(group.publish_rate_in_msgs, group.publish_rate_in_bytes, group)
}

fn dispatch(group: &ResourceGroup) -> Quota {
    quota(group.dispatch_rate_in_msgs, group.dispatch_rate_in_bytes, group)
}

fn quota(messages: Option<i32>, bytes: Option<i64>, group: &ResourceGroup) -> Quota {
    let limit = |rate: i64| u64::try_from(rate).ok().filter(|&rate| 0 < rate);
    Quota {
        messages: messages.and_then(|rate| limit(i64::from(rate))),
        bytes: bytes.and_then(limit),
        priority: group.priority.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
