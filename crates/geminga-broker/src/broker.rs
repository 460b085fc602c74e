//! The broker: what front doors call.

use std::sync::{
    Arc, Mutex, Weak,
    atomic::{AtomicU64, Ordering},
};

use geminga_env::{Env, Gauge};
use geminga_metadata::{MetadataError, paths};
use geminga_types::{Domain, NamespaceName, TopicName, check_subscription_name};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use crate::{
    AdminError, Budget, Consumer, InAllFigures, LookupError, Options, Outbox, ProduceError,
    Producer, ProducerRequest, SubscribeError, SubscribeRequest, TopicError,
    admin::Deletions,
    consumer::OpenConsumer,
    creation::{AutoCreation, Purpose},
    dynamic::LiveOptions,
    formats,
    load::{Topics, store_error},
    namespace,
    neighbours::{Alone, Neighbours},
    ownership::Ownership,
    producer::OpenProducer,
    publish_gate::PublishLimiter,
    publisher::Publishers,
    rate::Limiter,
    resource_groups::{ResourceGroupUse, ResourceGroups},
    schema::{Registry, SchemaFigures},
    topic::{TopicDeps, TopicHandle},
    unacked::UnackedInAll,
};

/// How many topics are compacted at a time.
const COMPACTIONS_AT_ONCE: usize = 2;
/// How many topics are read at a time for their delayed messages.
const DELAYED_SCANS_AT_ONCE: usize = 2;

/// What a broker is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The world, the metadata store and the bookies.
    pub ledger: geminga_ledger::Deps,
    /// Where its tasks run; wait for it after the shutdown.
    pub tasks: TaskTracker,
    /// Ends its tasks, gracefully.
    pub shutdown: CancellationToken,
}

/// Why a broker did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The metadata store did not answer, or holds what this version cannot read.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// The cluster keeps something in a form that this broker does not. Nothing was changed.
    #[error(
        "this cluster keeps its {kind} in form {form:?} version {version} (metadata key {key:?}); \
         this broker keeps them in form \"geminga\" version 1 only and must not serve it"
    )]
    OtherFormat {
        /// What.
        kind: &'static str,
        /// Where that is recorded.
        key: String,
        /// The form.
        form: String,
        /// Its version.
        version: u32,
    },
    /// The cluster keeps something that this broker does not know. Nothing was changed.
    #[error(
        "metadata key {key:?} is about state that this broker does not know: the cluster is used by \
         a newer version, which must serve it"
    )]
    UnknownFormat {
        /// The key.
        key: String,
    },
    /// What an interrupted deletion left could not be read.
    #[error("interrupted deletions could not be resumed: {0}")]
    Tombstones(String),
}

/// Where a topic is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// `pulsar://host:port`.
    pub broker_url: String,
    /// `pulsar+ssl://host:port`, if TLS is served.
    pub broker_url_tls: Option<String>,
    /// `http://host:port`.
    pub http_url: String,
    /// `https://host:port`, if TLS is served.
    pub http_url_tls: Option<String>,
}

/// One kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Its name.
    pub name: &'static str,
    /// How many bytes it may take.
    pub budget_bytes: u64,
    /// How many it takes.
    pub used_bytes: u64,
}

/// Which topics of a namespace to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicsMode {
    /// Those that are stored.
    Persistent,
    /// Those that are not and are loaded.
    NonPersistent,
    /// Both.
    All,
}

/// A broker; clones are the same one.
#[derive(Clone, Debug)]
pub struct Broker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    deps: TopicDeps,
    topics: Arc<Topics>,
    publishes: Budget,
    parked: Budget,
    deliveries: Gauge,
    deletions: Deletions,
    connections: AtomicU64,
    shutdown: CancellationToken,
}

/// A broker that may have stopped.
#[derive(Clone, Debug)]
pub(crate) struct WeakBroker(Weak<Inner>);

impl WeakBroker {
    /// The broker, if it is still there.
    pub(crate) fn upgrade(&self) -> Option<Broker> {
        self.0.upgrade().map(Broker)
    }
}

impl Broker {
    /// Starts a broker: resumes interrupted deletions and makes what a first start must make.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start(parts: Parts, options: Options) -> Result<Self, StartError> {
        Self::start_among(parts, options, Arc::new(Alone)).await
    }

    /// As [`Self::start`], one of several brokers.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub async fn start_among(
        parts: Parts,
        options: Options,
        neighbours: Arc<dyn Neighbours>,
    ) -> Result<Self, StartError> {
        let Parts { ledger, tasks, shutdown } = parts;
        formats::ensure(&ledger).await?;
        geminga_managed_ledger::replay_tombstones(&ledger)
            .await
            .map_err(|error| StartError::Tombstones(error.to_string()))?;
        let bundles = options.bundles_default;
        namespace::ensure_defaults(&ledger, &options.cluster, &options.advertised, bundles).await?;
        let publishes = Budget::new("publish", options.limits.publish_buffer_bytes);
        let reads = Budget::new("read", options.limits.read_buffer_bytes);
        let deliveries = Gauge::new(options.limits.delivery_buffer_bytes);
        let ack_states = Gauge::new(options.limits.ack_state_bytes);
        let timers = Gauge::new(options.limits.timer_bytes);
        let compaction_keys = Gauge::new(options.compaction.key_bytes);
        let compactions = Arc::new(Semaphore::new(COMPACTIONS_AT_ONCE));
        let options = Arc::new(options);
        let live = Arc::new(LiveOptions::load(&ledger, Arc::clone(&options)).await?);
        let rate = options.dispatch.broker;
        let dispatch = rate
            .is_limited()
            .then(|| Arc::new(Mutex::new(Limiter::new(rate, ledger.env.clock.now()))));
        let clock = Arc::clone(&ledger.env.clock);
        let publish_rate = Arc::new(PublishLimiter::new(clock, live.now().publishing.broker_rate));
        let clock = Arc::clone(&ledger.env.clock);
        let resource_groups = Arc::new(ResourceGroups::new(clock, options.resource_groups_lend));
        let unacked = UnackedInAll::new(options.limits.unacked_per_broker_max);
        let repairs = Arc::new(AtomicU64::new(0));
        let publishers = Arc::new(Publishers::new(Arc::clone(&neighbours)));
        let schemas = Arc::new(Registry::new(ledger.clone()));
        let deps = TopicDeps {
            ledger,
            schemas,
            options,
            live,
            reads,
            ack_states,
            timers,
            dispatch,
            publish_rate,
            resource_groups,
            repairs,
            unacked,
            compaction_keys,
            compactions,
            delayed_scans: Arc::new(Semaphore::new(DELAYED_SCANS_AT_ONCE)),
            tasks,
            publishes: publishes.clone(),
            publishers: Arc::clone(&publishers),
            neighbours,
            dead_letters: Arc::default(),
            silences: Arc::default(),
            in_all: Arc::default(),
        };
        let ownership = Ownership::standalone();
        let topics = Arc::new(Topics::new(deps.clone(), ownership, shutdown.child_token()));
        begin_tasks(&deps, &topics, &shutdown);
        let connections = AtomicU64::new(0);
        let parked = Budget::new("parked", publishes.limit() / 2);
        let deletions = Deletions::default();
        let inner =
            Inner { deps, topics, publishes, parked, deliveries, deletions, connections, shutdown };
        let broker = Self(Arc::new(inner));
        publishers.begin(WeakBroker(Arc::downgrade(&broker.0)), broker.next_connection_id());
        broker.resume_deletions().await?;
        Ok(broker)
    }

    /// How often the books of a subscription did not balance since the start, and it delivered everything
    /// again that was not acked.
    #[must_use]
    pub fn repairs(&self) -> u64 {
        self.0.deps.repairs.load(Ordering::Relaxed)
    }

    /// What is counted over all topics.
    #[must_use]
    pub fn in_all(&self) -> InAllFigures {
        self.0.deps.in_all.figures(self.env().clock.now())
    }

    /// What was done with schemas, by namespace.
    #[must_use]
    pub fn schemas_used(&self) -> Vec<SchemaFigures> {
        self.0.deps.schemas.figures()
    }

    /// Messages that were published as dead letters since the start, and how often that failed.
    #[must_use]
    pub fn dead_letters(&self) -> (u64, u64) {
        let counts = &self.0.deps.dead_letters;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (count(&counts.published), count(&counts.failures))
    }

    /// What each resource group has used, by name.
    #[must_use]
    pub fn resource_groups_used(&self) -> Vec<ResourceGroupUse> {
        self.0.deps.resource_groups.used()
    }

    /// What the operator decided at the start.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.0.deps.options
    }

    /// The world it lives in.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.0.deps.ledger.env
    }

    /// Bytes of publishes in flight, to be taken before a publish is queued.
    #[must_use]
    pub fn publish_budget(&self) -> &Budget {
        &self.0.publishes
    }

    /// Bytes of those that wait for a publish rate, so that they leave room for others.
    #[must_use]
    pub fn parked_budget(&self) -> &Budget {
        &self.0.parked
    }

    /// An outbox for a connection, within what all connections may hold.
    #[must_use]
    pub fn outbox(&self, high_water_bytes: usize) -> Outbox {
        Outbox::within(self.0.deliveries.clone(), high_water_bytes)
    }

    /// What each kind of memory may take, and takes.
    #[must_use]
    pub fn memory(&self) -> Vec<MemoryUse> {
        let budget = |budget: &Budget| MemoryUse {
            name: budget.name(),
            budget_bytes: budget.limit() as u64,
            used_bytes: budget.used() as u64,
        };
        let gauge = |name, gauge: &Gauge| MemoryUse {
            name,
            budget_bytes: gauge.limit() as u64,
            used_bytes: gauge.used() as u64,
        };
        let own = [
            budget(&self.0.publishes),
            budget(&self.0.deps.reads),
            gauge("delivery", &self.0.deliveries),
            gauge("tail_cache", &self.options().managed_ledger.tail_caches),
            gauge("ack_state", &self.0.deps.ack_states),
            gauge("timers", &self.0.deps.timers),
            gauge("compaction_keys", &self.0.deps.compaction_keys),
        ];
        let others = self.options().memory_parts.iter().map(|part| MemoryUse {
            name: part.name,
            budget_bytes: part.budget_bytes,
            used_bytes: (part.used_bytes)(),
        });
        own.into_iter().chain(others).collect()
    }

    /// A number that no other connection has had.
    #[must_use]
    pub fn next_connection_id(&self) -> u64 {
        self.0.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// Where a topic is served, as the listener `listener` shows it.
    ///
    /// # Errors
    ///
    /// See [`LookupError`].
    pub async fn lookup(
        &self,
        topic: &TopicName,
        listener: Option<&str>,
    ) -> Result<Located, LookupError> {
        let policies = namespace::policies(self.deps(), topic.namespace()).await;
        if policies.map_err(|error| store_error(topic, &error))?.is_none() {
            let namespace = topic.namespace().to_string();
            return Err(TopicError::NamespaceNotFound(namespace).into());
        }
        let other = self.0.deps.neighbours.owner(topic);
        let advertised = other.as_deref().unwrap_or_else(|| &self.options().advertised);
        let (broker_url, broker_url_tls) = match listener.filter(|name| !name.is_empty()) {
            None => (advertised.broker_url.clone(), advertised.broker_url_tls.clone()),
            Some(name) => match advertised.listeners.get(name) {
                Some(found) => (found.url.clone().unwrap_or_default(), found.url_tls.clone()),
                None => return Err(LookupError::UnknownListener(name.to_owned())),
            },
        };
        Ok(Located {
            broker_url,
            broker_url_tls,
            http_url: advertised.http_url.clone(),
            http_url_tls: advertised.http_url_tls.clone(),
        })
    }

    /// Full names of a namespace's topics in order, partitions one by one, without system topics.
    ///
    /// # Errors
    ///
    /// If the namespace does not exist or the store is away.
    pub async fn topics(
        &self,
        namespace: &NamespaceName,
        mode: TopicsMode,
    ) -> Result<Vec<String>, AdminError> {
        let mut names = Vec::new();
        if mode != TopicsMode::NonPersistent {
            names.extend(self.topic_names(namespace, Domain::Persistent, false).await?);
        }
        if mode != TopicsMode::Persistent {
            names.extend(self.topic_names(namespace, Domain::NonPersistent, false).await?);
        }
        // Two sorted parts at most: one pass.
        names.sort();
        Ok(names)
    }

    /// Opens a producer. Its results go to `outbox`.
    ///
    /// # Errors
    ///
    /// See [`ProduceError`].
    pub async fn produce(
        &self,
        topic: &TopicName,
        mut request: ProducerRequest,
        outbox: &Outbox,
    ) -> Result<Producer, ProduceError> {
        if let Some(name) = &request.initial_subscription {
            check_subscription_name(name)
                .map_err(|error| ProduceError::NotAllowed(error.to_string()))?;
        }
        let handle = self.topic(topic, Purpose::UseOrCreate).await?;
        // Not kept: it may be large.
        let schema_version = self.schema_of_producer(topic, request.schema.take()).await?;
        // As in Pulsar, one that does not store anything has none.
        let is_persistent = topic.domain() == Domain::Persistent;
        if let Some(name) = request.initial_subscription.as_ref().filter(|_| is_persistent) {
            if !request.is_internal {
                self.check_may_create_subscription(topic, &handle, name).await?;
            }
            let at = crate::topic::StartAt::Earliest;
            let made = handle.create_subscription(name.clone(), at, Vec::new()).await;
            if let Err(error) = made
                && !matches!(error, AdminError::Conflict(_))
            {
                let reason = error.to_string();
                return Err(match error {
                    AdminError::Unavailable(_) => {
                        TopicError::Unavailable { topic: topic.clone(), reason }.into()
                    }
                    _ => ProduceError::NotAllowed(reason),
                });
            }
        }
        let name = match &request.name {
            Some(name) => name.clone(),
            None => self.unique_producer_name(topic).await?,
        };
        let open = OpenProducer { request, name, schema_version, outbox: outbox.clone() };
        handle.open_producer(open, || TopicError::NotOwned(topic.clone())).await
    }

    /// Refuses a subscription that would come into being by being used where none may.
    async fn check_may_create_subscription(
        &self,
        topic: &TopicName,
        handle: &TopicHandle,
        name: &str,
    ) -> Result<(), ProduceError> {
        let found = namespace::policies(self.deps(), topic.namespace()).await;
        let found = found.map_err(|error| store_error(topic, &error))?;
        let policies =
            found.ok_or_else(|| TopicError::NamespaceNotFound(topic.namespace().to_string()))?;
        let own = self.0.topics.own_policies(topic).await;
        let own = own.map_err(|error| store_error(topic, &error))?;
        let own = own.as_ref().and_then(|own| own.auto_subscription_creation_override);
        let of_namespace = || AutoCreation::of(&self.live_options(), &policies).subscriptions;
        if own.map_or_else(of_namespace, |own| own.allow_auto_subscription_creation) {
            return Ok(());
        }
        let stats = handle.stats().await.map_err(|_| TopicError::NotOwned(topic.clone()))?;
        if stats.subscriptions.iter().any(|found| found.name == name) {
            return Ok(());
        }
        Err(ProduceError::NotAllowed(format!(
            "Could not create the initial subscription {name} of topic {topic}: subscriptions are not \
             created by being used here"
        )))
    }

    /// Unique for all time: the sequence is durable before it is returned.
    async fn unique_producer_name(&self, topic: &TopicName) -> Result<String, TopicError> {
        let number = self.deps().metadata.next_in_sequence(paths::PRODUCER_NAMES).await;
        let number = number.map_err(|error| store_error(topic, &error))?;
        Ok(format!("{}-0-{number}", self.options().cluster))
    }

    /// Subscribes. Messages go to `outbox` once there are permits.
    ///
    /// # Errors
    ///
    /// See [`SubscribeError`].
    pub async fn subscribe(
        &self,
        topic: &TopicName,
        mut request: SubscribeRequest,
        outbox: &Outbox,
    ) -> Result<Consumer, SubscribeError> {
        check_subscription_name(&request.subscription)
            .map_err(|error| SubscribeError::NotAllowed(error.to_string()))?;
        let purpose = if request.create_topic { Purpose::UseOrCreate } else { Purpose::Use };
        let handle = self.topic(topic, purpose).await?;
        // Not kept: it may be large.
        if let Some(schema) = request.schema.take() {
            let is_idle = handle.is_idle().await;
            let is_idle = is_idle.ok_or_else(|| TopicError::NotOwned(topic.clone()))?;
            self.check_schema_of_consumer(topic, schema, is_idle).await?;
        }
        let open = OpenConsumer { request, outbox: outbox.clone() };
        handle.open_consumer(open, || TopicError::NotOwned(topic.clone())).await
    }

    /// Takes the bundle of `topic` away from this broker, as a balancer would: its topics close,
    /// and load again when clients come back.
    pub fn revoke_ownership(&self, topic: &TopicName) {
        self.0.topics.ownership().revoke(topic);
    }

    /// Closes every topic: receipts for what is in flight, acks durable, ledgers sealed.
    pub async fn shutdown(&self) {
        let topics = self.loaded_topics();
        info!(topics = topics.len(), "closing topics");
        let unloads = topics.iter().map(|(_, handle)| handle.unload());
        futures_util::future::join_all(unloads).await;
        self.0.shutdown.cancel();
    }

    /// The topic, loaded now if need be, and created if it does not exist and `purpose` lets it.
    pub(crate) async fn topic(
        &self,
        name: &TopicName,
        purpose: Purpose,
    ) -> Result<TopicHandle, TopicError> {
        self.0.topics.get(name, purpose).await
    }

    /// Forgets what is stored in a topic that cannot be loaded because it is not known.
    pub(crate) async fn forget_deduplication(&self, name: &TopicName) -> Result<(), AdminError> {
        self.0.topics.forget_deduplication(name).await
    }

    /// The topic if it is loaded now.
    pub(crate) fn loaded_topic(&self, name: &TopicName) -> Option<TopicHandle> {
        self.0.topics.loaded(name)
    }

    /// All topics that are loaded now, by name.
    pub(crate) fn loaded_topics(&self) -> Vec<(TopicName, TopicHandle)> {
        self.0.topics.all_loaded()
    }

    /// Its topics.
    pub(crate) fn loader(&self) -> &Topics {
        &self.0.topics
    }

    /// Where its tasks run.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.0.deps.tasks
    }

    /// The deletions that run here.
    pub(crate) fn deletions(&self) -> &Deletions {
        &self.0.deletions
    }

    /// Ends its tasks.
    pub(crate) fn shutdown_token(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    pub(crate) fn live(&self) -> &LiveOptions {
        &self.0.deps.live
    }

    pub(crate) fn publish_limiter(&self) -> &PublishLimiter {
        &self.0.deps.publish_rate
    }

    pub(crate) fn schema_registry(&self) -> &Registry {
        &self.0.deps.schemas
    }

    pub(crate) fn groups(&self) -> &ResourceGroups {
        &self.0.deps.resource_groups
    }

    /// What every part of it works with.
    pub(crate) fn deps(&self) -> &geminga_ledger::Deps {
        &self.0.deps.ledger
    }
}

/// What runs for as long as the broker does.
fn begin_tasks(deps: &TopicDeps, topics: &Arc<Topics>, shutdown: &CancellationToken) {
    if let Some(idle) = deps.options.unload_idle_after {
        deps.tasks.spawn(Arc::clone(topics).put_to_sleep(idle));
    }
    deps.tasks.spawn(Arc::clone(topics).delete_inactive());
    let changes = deps.ledger.metadata.watch(paths::POLICIES);
    deps.tasks.spawn(Arc::clone(topics).follow_policies(changes));
    let changes = deps.ledger.metadata.watch(paths::RESOURCE_GROUPS);
    let groups = Arc::clone(&deps.resource_groups);
    deps.tasks.spawn(groups.follow(deps.ledger.clone(), changes, shutdown.child_token()));
}
