//! The topics that are loaded, and how one gets loaded.
//!
//! # Invariants
//!
//! 1. A topic is loaded once at a time: whoever asks while it loads waits for the same load.
//! 2. A load that failed leaves nothing behind: the next one to ask tries again.
//! 3. A load has a deadline, and waits for no other topic.
//! 4. A topic is loaded only with a grant, and never where its namespace is not known.

mod sleep;
mod unreadable;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt as _, future::Shared};
use geminga_env::Instant;
use geminga_managed_ledger::OpenError;
use geminga_metadata::MetadataError;
use geminga_types::{Domain, TopicName};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span, warn};

use self::unreadable::topic_without;
use crate::{
    Domains, TopicError, namespace,
    ownership::Ownership,
    policies::{Changes, TopicPolicies},
    topic::{self, TopicDeps, TopicHandle},
};

/// Not a `watch`, which wakes those who wait in an order drawn from the operating system.
type Loaded = Shared<oneshot::Receiver<Result<TopicHandle, TopicError>>>;

/// The topics of this broker.
#[derive(Debug)]
pub(crate) struct Topics {
    deps: TopicDeps,
    ownership: Ownership,
    shutdown: CancellationToken,
    loads: Arc<Semaphore>,
    /// One for all topics.
    managed_ledger: Arc<geminga_managed_ledger::Options>,
    policy_changes: Changes,
    slots: Mutex<BTreeMap<TopicName, Slot>>,
}

#[derive(Debug)]
enum Slot {
    Loading {
        creates: bool,
        done: Loaded,
    },
    Loaded {
        handle: TopicHandle,
        used_at: Instant,
    },
    /// It was asked to sleep; the sender is dropped once it does, or does not.
    Closing {
        handle: TopicHandle,
        done: Shared<oneshot::Receiver<()>>,
    },
}

impl Topics {
    pub(crate) fn new(deps: TopicDeps, ownership: Ownership, shutdown: CancellationToken) -> Self {
        let managed_ledger = deps.options.managed_ledger.clone();
        let loads = deps.options.limits.concurrent_topic_loads_max.max(1);
        Self {
            deps,
            ownership,
            shutdown,
            loads: Arc::new(Semaphore::new(loads)),
            managed_ledger: Arc::new(managed_ledger),
            policy_changes: Changes::default(),
            slots: Mutex::default(),
        }
    }

    pub(crate) const fn deps(&self) -> &TopicDeps {
        &self.deps
    }

    pub(crate) const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    pub(crate) const fn policy_changes(&self) -> &Changes {
        &self.policy_changes
    }

    pub(crate) const fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// The topic, loaded now if need be, and created if it does not exist and `create`.
    pub(crate) async fn get(
        self: &Arc<Self>,
        name: &TopicName,
        create: bool,
    ) -> Result<TopicHandle, TopicError> {
        loop {
            let (creates, done) = match self.join_or_start(name, create) {
                Slot::Loaded { handle, .. } => return Ok(handle),
                Slot::Loading { creates, done } => (creates, done),
                Slot::Closing { done, .. } => {
                    _ = done.await; // Nothing is ever sent.
                    continue;
                }
            };
            match done.await {
                // Somebody else's load, which did not create: ours may.
                Ok(Err(TopicError::NotFound(_))) if create && !creates => {}
                Ok(answer) => return answer,
                Err(_) => return Err(unavailable(name, "its load was given up")),
            }
        }
    }

    /// Joins the load in progress, or starts one on the tracker.
    fn join_or_start(self: &Arc<Self>, name: &TopicName, create: bool) -> Slot {
        let mut slots = self.lock();
        match slots.get_mut(name) {
            Some(Slot::Loaded { handle, used_at }) if !handle.is_gone() => {
                *used_at = self.deps.ledger.env.clock.now();
                return Slot::Loaded { handle: handle.clone(), used_at: *used_at };
            }
            Some(Slot::Loading { creates, done }) => {
                return Slot::Loading { creates: *creates, done: done.clone() };
            }
            Some(Slot::Closing { handle, done }) => {
                return Slot::Closing { handle: handle.clone(), done: done.clone() };
            }
            Some(Slot::Loaded { .. }) | None => {}
        }
        let (answer, done) = oneshot::channel();
        let done = done.shared();
        slots.insert(name.clone(), Slot::Loading { creates: create, done: done.clone() });
        drop(slots);
        let topics = Arc::clone(self);
        let span = info_span!("load", topic = %name);
        let owned = name.clone();
        let load = async move {
            let guard = LoadGuard { topics: &topics, name: &owned, is_settled: false };
            let changes = topics.policy_changes.count();
            let loaded = topics.load_in_time(&owned, create).await;
            guard.settle(&loaded);
            let handle = loaded.as_ref().ok().cloned();
            _ = answer.send(loaded); // Those who asked may have gone.
            // Whoever told of a change before did not find it among those that are loaded.
            let mut seen = changes;
            while let Some(handle) = &handle
                && topics.policy_changes.count() != seen
            {
                seen = topics.policy_changes.count();
                let Some(policies) = topics.topic_policies(owned.namespace()).await else { break };
                handle.set_policies(policies.for_topic(&owned)).await;
            }
        };
        self.deps.tasks.spawn(load.instrument(span));
        Slot::Loading { creates: create, done }
    }

    async fn load_in_time(
        &self,
        name: &TopicName,
        create: bool,
    ) -> Result<TopicHandle, TopicError> {
        let limit = self.deps.options.limits.topic_load_timeout;
        match tokio::time::timeout(limit, self.load(name, create)).await {
            Ok(loaded) => loaded,
            Err(_) => {
                let reason = format!("loading it took more than {} s", limit.as_secs());
                Err(unavailable(name, &reason))
            }
        }
    }

    async fn load(&self, name: &TopicName, create: bool) -> Result<TopicHandle, TopicError> {
        let _permit = Arc::clone(&self.loads).acquire_owned().await;
        if self.shutdown.is_cancelled() {
            return Err(unavailable(name, "the broker is shutting down"));
        }
        check_served(name, self.deps.options.domains)?;
        let deps = &self.deps.ledger;
        let store_error = |error: MetadataError| store_error(name, &error);
        let found = namespace::policies(deps, name.namespace()).await.map_err(store_error)?;
        let Some(policies) = found else {
            return Err(TopicError::NamespaceNotFound(name.namespace().to_string()));
        };
        let policies = TopicPolicies::of_topic(&self.deps.options, &policies, name);
        if let Some(index) = name.partition() {
            let whole = name.without_partition();
            let count = namespace::partition_count(deps, &whole).await.map_err(store_error)?;
            // Without such a partitioned topic it is one that existed before, or nothing.
            let is_beyond = count.is_some_and(|count| count <= index);
            if is_beyond {
                return Err(TopicError::NotFound(name.clone()));
            }
            let create = create && count.is_some();
            return self.open(name, create, policies).await;
        }
        self.open(name, create, policies).await
    }

    async fn open(
        &self,
        name: &TopicName,
        create: bool,
        policies: Arc<TopicPolicies>,
    ) -> Result<TopicHandle, TopicError> {
        let grant = self.ownership.acquire(name);
        let deps = self.deps.clone();
        let shutdown = self.shutdown.clone();
        if name.domain() == Domain::NonPersistent {
            if !create {
                return Err(TopicError::NotFound(name.clone()));
            }
            return Ok(topic::spawn_nonpersistent(name.clone(), policies, grant, deps, shutdown));
        }
        let mut ledger = self.open_ledger(name, create, &policies).await?;
        let counted = topic::recover_index(&mut ledger, &deps).await;
        counted.map_err(|reason| {
            warn!(topic = %name, reason, "a topic was not loaded");
            unavailable(name, &reason)
        })?;
        let known = topic::recover_deduplication(&mut ledger, &policies, &deps).await;
        let known = known.map_err(|reason| {
            warn!(topic = %name, reason, "a topic was not loaded");
            topic_without(name, &reason)
        })?;
        if !grant.is_valid() {
            return Err(TopicError::NotOwned(name.clone()));
        }
        Ok(topic::spawn_persistent(name.clone(), (ledger, known), policies, grant, deps, shutdown))
    }

    /// The topic if it is loaded now.
    pub(crate) fn loaded(&self, name: &TopicName) -> Option<TopicHandle> {
        match self.lock().get(name) {
            Some(Slot::Loaded { handle, .. } | Slot::Closing { handle, .. })
                if !handle.is_gone() =>
            {
                Some(handle.clone())
            }
            _ => None,
        }
    }

    /// All topics that are loaded now, by name.
    pub(crate) fn all_loaded(&self) -> Vec<(TopicName, TopicHandle)> {
        self.loaded_where(|_| true)
    }

    /// Those that are meant.
    pub(crate) fn loaded_where(
        &self,
        is_meant: impl Fn(&TopicName) -> bool,
    ) -> Vec<(TopicName, TopicHandle)> {
        let mut slots = self.lock();
        slots.retain(|_, slot| !matches!(slot, Slot::Loaded { handle, .. } if handle.is_gone()));
        let meant = slots.iter().filter(|(name, _)| is_meant(name));
        let loaded = meant.filter_map(|(name, slot)| match slot {
            Slot::Loaded { handle, .. } | Slot::Closing { handle, .. } => {
                Some((name.clone(), handle.clone()))
            }
            Slot::Loading { .. } => None,
        });
        loaded.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicName, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frees the slot of a load, however it ends.
struct LoadGuard<'a> {
    topics: &'a Topics,
    name: &'a TopicName,
    is_settled: bool,
}

impl LoadGuard<'_> {
    fn settle(mut self, loaded: &Result<TopicHandle, TopicError>) {
        self.is_settled = true;
        let mut slots = self.topics.lock();
        match loaded {
            Ok(handle) => {
                let used_at = self.topics.deps.ledger.env.clock.now();
                let handle = handle.clone();
                slots.insert(self.name.clone(), Slot::Loaded { handle, used_at });
            }
            Err(_) => _ = slots.remove(self.name),
        }
    }
}

impl Drop for LoadGuard<'_> {
    fn drop(&mut self) {
        if !self.is_settled {
            self.topics.lock().remove(self.name);
        }
    }
}

fn check_served(name: &TopicName, served: Domains) -> Result<(), TopicError> {
    let (is_served, key) = match name.domain() {
        Domain::Persistent => (served.persistent, "enablePersistentTopics"),
        Domain::NonPersistent => (served.nonpersistent, "enableNonPersistentTopics"),
    };
    if is_served { Ok(()) } else { Err(TopicError::NotServed { topic: name.clone(), key }) }
}

fn unavailable(name: &TopicName, reason: &str) -> TopicError {
    TopicError::Unavailable { topic: name.clone(), reason: reason.to_owned() }
}

/// What a failed look into the metadata store means for whoever asked for a topic.
pub(crate) fn store_error(name: &TopicName, error: &MetadataError) -> TopicError {
    match error {
        MetadataError::Corrupt(reason) => {
            TopicError::Corrupt { topic: name.clone(), reason: reason.clone() }
        }
        error => unavailable(name, &error.to_string()),
    }
}

fn open_error(name: &TopicName, error: &OpenError) -> TopicError {
    match error {
        OpenError::NotFound { .. } => TopicError::NotFound(name.clone()),
        error => {
            warn!(topic = %name, %error, "a topic was not loaded");
            unavailable(name, &error.to_string())
        }
    }
}
