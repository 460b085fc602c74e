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
use geminga_managed_ledger::{ManagedLedger, OpenError};
use geminga_metadata::{MetadataError, values::policies::Policies};
use geminga_types::{BundleRange, Domain, TopicName};
use tokio::sync::{RwLock, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, info_span, warn};

use self::unreadable::topic_without;
use crate::{
    Domains, TopicError,
    creation::{AutoCreation, Purpose, check_room},
    namespace,
    ownership::Ownership,
    policies::{Changes, InMetadata, PolicyStore, TopicPolicies},
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
    policy_store: Box<dyn PolicyStore>,
    policy_changes: Changes,
    /// Who deletes a topic shares it; who changes policies of topics, which must exist, has it alone.
    deletions: RwLock<()>,
    slots: Mutex<BTreeMap<TopicName, Slot>>,
}

#[derive(Debug)]
enum Slot {
    Loading {
        purpose: Purpose,
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
            ownership,
            shutdown,
            loads: Arc::new(Semaphore::new(loads)),
            managed_ledger: Arc::new(managed_ledger),
            policy_store: Box::new(InMetadata(deps.ledger.clone())),
            policy_changes: Changes::default(),
            deletions: RwLock::new(()),
            slots: Mutex::default(),
            deps,
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

    pub(crate) fn policy_store(&self) -> &dyn PolicyStore {
        &*self.policy_store
    }

    pub(crate) const fn deletions(&self) -> &RwLock<()> {
        &self.deletions
    }

    pub(crate) const fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// The topic, loaded now if need be, and created if it does not exist and `purpose` lets it.
    pub(crate) async fn get(
        self: &Arc<Self>,
        name: &TopicName,
        purpose: Purpose,
    ) -> Result<TopicHandle, TopicError> {
        loop {
            let (joined, done) = match self.join_or_start(name, purpose) {
                Slot::Loaded { handle, .. } => return Ok(handle),
                Slot::Loading { purpose, done } => (purpose, done),
                Slot::Closing { done, .. } => {
                    _ = done.await; // Nothing is ever sent.
                    continue;
                }
            };
            match done.await {
                // Somebody else's load, who may have less than we.
                Ok(Err(TopicError::NotFound(_))) if joined != purpose => {}
                Ok(answer) => return answer,
                Err(_) => return Err(unavailable(name, "its load was given up")),
            }
        }
    }

    /// Joins the load in progress, or starts one on the tracker.
    fn join_or_start(self: &Arc<Self>, name: &TopicName, purpose: Purpose) -> Slot {
        let mut slots = self.lock();
        match slots.get_mut(name) {
            Some(Slot::Loaded { handle, used_at }) if !handle.is_gone() => {
                *used_at = self.deps.ledger.env.clock.now();
                return Slot::Loaded { handle: handle.clone(), used_at: *used_at };
            }
            Some(Slot::Loading { purpose, done }) => {
                return Slot::Loading { purpose: *purpose, done: done.clone() };
            }
            Some(Slot::Closing { handle, done }) => {
                return Slot::Closing { handle: handle.clone(), done: done.clone() };
            }
            Some(Slot::Loaded { .. }) | None => {}
        }
        let (answer, done) = oneshot::channel();
        let done = done.shared();
        slots.insert(name.clone(), Slot::Loading { purpose, done: done.clone() });
        drop(slots);
        let topics = Arc::clone(self);
        let span = info_span!("load", topic = %name);
        let owned = name.clone();
        let load = async move {
            let guard = LoadGuard::new(&topics, &owned);
            let began = topics.deps.ledger.env.clock.now();
            let changes = topics.policy_changes.count();
            let loaded = topics.load_in_time(&owned, purpose).await;
            let now = topics.deps.ledger.env.clock.now();
            topics.deps.in_all.note_load(began, now, &loaded);
            guard.settle(&loaded);
            let handle = loaded.as_ref().ok().cloned();
            _ = answer.send(loaded); // Those who asked may have gone.
            // Whoever told of a change before did not find it among those that are loaded.
            let mut seen = changes;
            while let Some(handle) = &handle
                && topics.policy_changes.count() != seen
            {
                seen = topics.policy_changes.count();
                let Some(policies) = topics.policies_of(&owned).await else { break };
                handle.set_policies(policies).await;
            }
        };
        self.deps.tasks.spawn(load.instrument(span));
        Slot::Loading { purpose, done }
    }

    async fn load_in_time(
        &self,
        name: &TopicName,
        purpose: Purpose,
    ) -> Result<TopicHandle, TopicError> {
        let limit = self.deps.options.limits.topic_load_timeout;
        match tokio::time::timeout(limit, self.load(name, purpose)).await {
            Ok(loaded) => loaded,
            Err(_) => {
                let reason = format!("loading it took more than {} s", limit.as_secs());
                Err(unavailable(name, &reason))
            }
        }
    }

    async fn load(&self, name: &TopicName, purpose: Purpose) -> Result<TopicHandle, TopicError> {
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
        let create = match purpose {
            Purpose::Administer | Purpose::Use => false,
            Purpose::UseOrCreate => AutoCreation::of(&self.deps.live.now(), &policies).allows(name),
            Purpose::Create => true,
        };
        let create = self.may_create_partition(name, purpose, create).await?;
        let create = create.then_some(&policies);
        let own = self.own_policies(name).await.map_err(store_error)?;
        let options = self.deps.live.now();
        let in_force = TopicPolicies::of_topic(&options, &policies, own.as_ref(), name);
        self.open(name, namespace::bundles(&policies).of(name), create, in_force).await
    }

    /// Whether a load may create the topic, if it is named like a partition; else as it was.
    async fn may_create_partition(
        &self,
        name: &TopicName,
        purpose: Purpose,
        create: bool,
    ) -> Result<bool, TopicError> {
        let Some(index) = name.partition() else { return Ok(create) };
        let found = namespace::partition_record(&self.deps.ledger, &name.without_partition()).await;
        let found = found.map_err(|error| store_error(name, &error))?;
        let is_client = matches!(purpose, Purpose::Use | Purpose::UseOrCreate);
        match found {
            // It is one that existed before, or nothing.
            None => Ok(false),
            // Clients would keep what is being deleted alive.
            Some(found) if found.deleted && is_client => Err(TopicError::NotFound(name.clone())),
            Some(found) if found.deleted => Ok(false),
            Some(found) if found.partitions <= index && purpose != Purpose::Create => {
                Err(TopicError::NotFound(name.clone()))
            }
            // Of one that is not stored, each partition exists as long as the whole.
            Some(_) if name.domain() == Domain::NonPersistent => {
                Ok(create || purpose == Purpose::UseOrCreate)
            }
            Some(_) => Ok(create),
        }
    }

    /// `create`: where it is created, if it may be.
    async fn open(
        &self,
        name: &TopicName,
        bundle: BundleRange,
        create: Option<&Policies>,
        policies: Arc<TopicPolicies>,
    ) -> Result<TopicHandle, TopicError> {
        let grant = self.ownership.acquire(name, bundle);
        // Asked behind that: who gets it meanwhile is known now, or revokes the grant.
        if self.deps.neighbours.owner(name).is_some() {
            return Err(TopicError::NotOwned(name.clone()));
        }
        let deps = self.deps.clone();
        let shutdown = self.shutdown.clone();
        if name.domain() == Domain::NonPersistent {
            if create.is_none() || self.is_partitioned(name).await? {
                return Err(TopicError::NotFound(name.clone()));
            }
            return Ok(topic::spawn_nonpersistent(name.clone(), policies, grant, deps, shutdown));
        }
        let mut ledger = match (self.open_ledger(name, false, &policies).await, create) {
            (Err(TopicError::NotFound(_)), Some(namespace)) => {
                self.create_ledger(name, namespace, &policies).await?
            }
            (opened, _) => opened?,
        };
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

    /// Makes a topic, unless there is one of that name with partitions.
    async fn create_ledger(
        &self,
        name: &TopicName,
        namespace: &Policies,
        policies: &TopicPolicies,
    ) -> Result<ManagedLedger, TopicError> {
        if self.is_partitioned(name).await? {
            return Err(TopicError::NotFound(name.clone()));
        }
        if name.partition().is_none() {
            let (ledger, options) = (&self.deps.ledger, self.deps.live.now());
            check_room(ledger, &options, namespace, name, 1).await?;
        }
        let ledger = self.open_ledger(name, true, policies).await?;
        // Again: whoever makes it a partitioned one looks for it only after its record is written.
        if self.is_partitioned(name).await? {
            drop(ledger);
            if let Err(error) = geminga_managed_ledger::delete(&self.deps.ledger, name).await {
                warn!(topic = %name, %error, "a topic was created beside its partitions");
            }
            return Err(TopicError::NotFound(name.clone()));
        }
        Ok(ledger)
    }

    async fn is_partitioned(&self, name: &TopicName) -> Result<bool, TopicError> {
        if name.partition().is_some() {
            return Ok(false);
        }
        let found = namespace::partition_record(&self.deps.ledger, name).await;
        Ok(found.map_err(|error| store_error(name, &error))?.is_some())
    }

    /// Waits for a load that is under way to end.
    pub(crate) async fn until_settled(&self, name: &TopicName) {
        let loading = match self.lock().get(name) {
            Some(Slot::Loading { done, .. }) => Some(done.clone()),
            _ => None,
        };
        if let Some(done) = loading {
            _ = done.await;
        }
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

    /// A topic and its partitions, as far as they are loaded now.
    pub(crate) fn loaded_parts(&self, topic: &TopicName) -> Vec<(TopicName, TopicHandle)> {
        let mut parts: Vec<_> =
            self.loaded(topic).map(|handle| (topic.clone(), handle)).into_iter().collect();
        let first = topic.with_partition(0);
        let all_begin_with = first.local().trim_end_matches('0');
        let slots = self.lock();
        // By name they are neighbours.
        let behind = slots.range(first.clone()..).take_while(|(name, _)| {
            name.namespace() == topic.namespace()
                && name.domain() == topic.domain()
                && name.local().starts_with(all_begin_with)
        });
        let partitions = behind.filter(|(name, _)| name.without_partition() == *topic);
        parts.extend(partitions.filter_map(|(name, slot)| match slot {
            Slot::Loaded { handle, .. } | Slot::Closing { handle, .. } => {
                Some((name.clone(), handle.clone()))
            }
            Slot::Loading { .. } => None,
        }));
        parts
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

impl<'a> LoadGuard<'a> {
    fn new(topics: &'a Topics, name: &'a TopicName) -> Self {
        topics.deps.in_all.begin_load();
        Self { topics, name, is_settled: false }
    }

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
        self.topics.deps.in_all.end_load();
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
