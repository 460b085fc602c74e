//! Topics that nobody uses are unloaded, and nobody notices; or deleted, if the policies want it.
//!
//! # Invariants
//!
//! 1. Only a topic that nobody holds a handle of is asked to sleep, or deleted: who asks for it
//!    meanwhile waits, and gets it loaded anew, or still awake.
//! 2. The topic decides whether it is at rest, or inactive, and may refuse.

use std::{ops::Bound, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use geminga_env::Instant;
use geminga_managed_ledger::DeleteError;
use geminga_types::{Domain, TopicName};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Slot, Topics};
use crate::{AdminError, namespace, topic::TopicHandle};

/// Topics looked at under one lock.
const LOOKED_AT_ONCE: usize = 1_000;
/// Topics that go to sleep at a time: each may write metadata.
const SLEEPING_AT_ONCE: usize = 64;
/// Shortest time between two rounds.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// A topic that is asked to sleep, or being deleted. However that ends, its slot is free again or it is awake.
struct Closing<'a> {
    topics: &'a Topics,
    name: TopicName,
    handle: TopicHandle,
    used_at: Instant,
    /// Dropped after the slot is right again: wakes who waits.
    _done: oneshot::Sender<()>,
}

impl Topics {
    /// Unloads topics that nobody has used for `idle`, until the broker shuts down.
    pub(crate) async fn put_to_sleep(self: Arc<Self>, idle: Duration) {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep((idle / 2).max(PERIOD_MIN)) => {}
            }
            let mut after = None;
            while let Some((unused, last)) = self.find_unused(after.as_ref(), idle) {
                let sleeps = unused.into_iter().map(|closing| async move {
                    closing.handle.sleep().await;
                });
                futures_util::future::join_all(sleeps).await;
                after = Some(last);
            }
        }
    }

    /// Deletes topics that have been inactive for as long as their policies say, until the broker shuts
    /// down.
    pub(crate) async fn delete_inactive(self: Arc<Self>) {
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                () = tokio::time::sleep(self.deps.options.inactive_topics_interval) => {}
            }
            let mut after = None;
            while let Some((unused, last)) = self.find_unused(after.as_ref(), PERIOD_MIN) {
                let deletions = unused.into_iter().map(|closing| self.delete_if_inactive(closing));
                futures_util::future::join_all(deletions).await;
                after = Some(last);
            }
        }
    }

    /// Its slot is taken until it is deleted: who asks for it meanwhile gets a new one.
    async fn delete_if_inactive(&self, closing: Closing<'_>) {
        let topic = &closing.name;
        if closing.handle.delete_inactive().await.is_err() {
            return; // It is in use, after all, or was until a moment ago.
        }
        if let Err(error) = self.delete_stored(topic).await {
            warn!(%topic, error, "an inactive topic was not deleted as a whole");
            return;
        }
        if self.deps.live.now().topics.deletes_inactive_partitioned
            && topic.partition().is_some()
            && let Err(error) = self.delete_if_last(topic).await
        {
            warn!(%topic, %error, "its partitioned topic, which has none left, was not deleted");
        }
    }

    /// Deletes the record of a partitioned topic whose last partition has just gone.
    async fn delete_if_last(&self, partition: &TopicName) -> Result<(), AdminError> {
        if partition.domain() == Domain::NonPersistent {
            return Ok(()); // Its partitions have no records: nobody can tell which are used.
        }
        let (deps, whole) = (&self.deps.ledger, partition.without_partition());
        let Some(count) = namespace::partition_count(deps, &whole).await? else { return Ok(()) };
        for index in 0..count {
            let other = whole.with_partition(index);
            if namespace::topic_exists(deps, &other).await? {
                return Ok(());
            }
        }
        info!(topic = %whole, "has no partition any more: deleted");
        // From here on no client begins to load one; whoever was faster keeps the topic.
        namespace::mark_partitions_deleted(deps, &whole).await?;
        let deleted = self.delete_marked(&whole, count).await;
        if !matches!(deleted, Ok(true)) {
            namespace::unmark_partitions_deleted(deps, &whole).await?;
        }
        deleted.map(|_| ())
    }

    /// Deletes what is left of a partitioned topic, unless somebody uses, or loads, a partition.
    async fn delete_marked(&self, whole: &TopicName, count: u32) -> Result<bool, AdminError> {
        let deps = &self.deps.ledger;
        for index in 0..count {
            let partition = whole.with_partition(index);
            let is_used = self.is_loading_or_loaded(&partition);
            if is_used || namespace::topic_exists(deps, &partition).await? {
                return Ok(false);
            }
        }
        let _deletion = self.deletions.read().await;
        namespace::delete_schema(deps, whole).await?;
        self.policy_store.delete(whole).await?;
        namespace::finish_delete_partitions(deps, whole).await?;
        Ok(true)
    }

    fn is_loading_or_loaded(&self, topic: &TopicName) -> bool {
        match self.lock().get(topic) {
            Some(Slot::Loading { .. }) => true,
            Some(Slot::Loaded { handle, .. }) => !handle.is_gone(),
            Some(Slot::Closing { .. }) | None => false,
        }
    }

    async fn delete_stored(&self, topic: &TopicName) -> Result<(), String> {
        let _deletion = self.deletions.read().await;
        // Partitions have the schema and the policies of the whole, which may also be a topic of its own.
        let partitions = namespace::partition_count(&self.deps.ledger, topic).await;
        let has_partitions = partitions.map_err(|error| error.to_string())?.is_some();
        if topic.partition().is_none() && !has_partitions {
            let deleted = namespace::delete_schema(&self.deps.ledger, topic).await;
            deleted.map_err(|error| error.to_string())?;
            let deleted = self.policy_store.delete(topic).await;
            deleted.map_err(|error| error.to_string())?;
        }
        match geminga_managed_ledger::delete(&self.deps.ledger, topic).await {
            Ok(()) | Err(DeleteError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Takes unused topics out of use, some of those behind `after`, and names the last that was
    /// looked at. `None`: there are none behind.
    fn find_unused(
        &self,
        after: Option<&TopicName>,
        idle: Duration,
    ) -> Option<(Vec<Closing<'_>>, TopicName)> {
        let now = self.deps.ledger.env.clock.now();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut unused, mut last) = (Vec::new(), None);
        let mut slots = self.lock();
        let behind = slots.range_mut::<TopicName, _>((from, Bound::Unbounded));
        for (name, slot) in behind.take(LOOKED_AT_ONCE) {
            last = Some(name.clone());
            let Slot::Loaded { handle, used_at } = slot else { continue };
            if handle.is_held_elsewhere() {
                *used_at = now;
                continue;
            }
            if handle.is_gone() || now.saturating_duration_since(*used_at) < idle {
                continue;
            }
            let (sender, done) = oneshot::channel();
            let (name, handle, used_at) = (name.clone(), handle.clone(), *used_at);
            *slot = Slot::Closing { handle: handle.clone(), done: done.shared() };
            unused.push(Closing { topics: self, name, handle, used_at, _done: sender });
            if unused.len() == SLEEPING_AT_ONCE {
                break;
            }
        }
        drop(slots);
        last.map(|last| (unused, last))
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut slots = self.topics.lock();
        if self.handle.is_gone() {
            slots.remove(&self.name);
        } else {
            let used_at = self.used_at;
            let handle = self.handle.clone();
            slots.insert(self.name.clone(), Slot::Loaded { handle, used_at });
        }
    }
}
