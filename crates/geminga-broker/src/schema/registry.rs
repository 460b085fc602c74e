//! What the registry does: gives, takes, compares and deletes schemas.
//!
//! Reading and comparing definitions takes time and memory when they are large or many, so it is done where
//! it holds up no other task, and a few at a time.
//!
//! # Invariants
//!
//! 1. A write changes what was compared, byte for byte, or nothing: then it is compared again.

use std::sync::Arc;

use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_metadata::{Decision, MetadataError, paths, update};
use geminga_schema::{Definition, Strategy, check_consumer, check_next};
use geminga_types::TopicName;
use tokio::sync::Semaphore;

use super::{
    Schema, SchemaFigures, SchemaPolicies, SchemaVersion, StoredSchema,
    counts::{Operation, SchemaCounts},
    versions::Versions,
};
use crate::{SchemaError, namespace};

/// How many topics' schemas are read and compared at once.
const TURNS: usize = 2;

/// Whether a schema that a topic does not have yet may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Updates {
    /// If the policies let clients do so.
    ByPolicy,
    /// It may: an administrator asks.
    Always,
}

/// The schemas of all topics.
#[derive(Debug)]
pub(crate) struct Registry {
    deps: Deps,
    turns: Arc<Semaphore>,
    counts: SchemaCounts,
}

/// What is to be stored, and the version that it makes.
struct Next {
    version: SchemaVersion,
    bytes: Bytes,
}

/// What becomes of a schema that a topic is given.
enum Given {
    Known(SchemaVersion),
    New(Next),
}

impl Registry {
    pub(crate) fn new(deps: Deps) -> Self {
        let turns = Arc::new(Semaphore::new(TURNS));
        Self { deps, turns, counts: SchemaCounts::default() }
    }

    /// What was done, by namespace.
    pub(crate) fn figures(&self) -> Vec<SchemaFigures> {
        self.counts.figures(self.deps.env.clock.now())
    }

    /// The version asked for, or the latest.
    pub(crate) async fn get(
        &self,
        topic: &TopicName,
        version: Option<SchemaVersion>,
    ) -> Result<StoredSchema, SchemaError> {
        let clock = &*self.deps.env.clock;
        let began = clock.now();
        let found = self.find(topic, version).await;
        self.counts.note(topic.namespace(), Operation::Get, (began, clock), &found);
        found
    }

    async fn find(
        &self,
        topic: &TopicName,
        version: Option<SchemaVersion>,
    ) -> Result<StoredSchema, SchemaError> {
        let topic = topic.without_partition();
        let found = self.look(&topic, move |found| found.get(version)).await?;
        found.unwrap_or(Err(SchemaError::NotFound(topic)))
    }

    /// All versions, oldest first; none if the topic has no schema.
    pub(super) async fn all(&self, topic: &TopicName) -> Result<Vec<StoredSchema>, SchemaError> {
        self.look(&topic.without_partition(), Versions::all).await?
    }

    /// Stores a schema unless the topic has it, if it may follow those before it.
    pub(super) async fn put(
        &self,
        topic: &TopicName,
        schema: Schema,
        policies: SchemaPolicies,
        updates: Updates,
    ) -> Result<SchemaVersion, SchemaError> {
        let clock = &*self.deps.env.clock;
        let began = clock.now();
        let stored = self.store(topic, schema, policies, updates).await;
        self.counts.note(topic.namespace(), Operation::Put, (began, clock), &stored);
        stored
    }

    async fn store(
        &self,
        topic: &TopicName,
        schema: Schema,
        policies: SchemaPolicies,
        updates: Updates,
    ) -> Result<SchemaVersion, SchemaError> {
        check_size(&schema)?;
        let topic = topic.without_partition();
        let may_update = updates == Updates::Always || policies.allows_update;
        let strategy = may_update.then_some(policies.strategy);
        loop {
            let (name, schema, now) = (topic.clone(), schema.clone(), self.now());
            let decide = move |found: &Versions| given(found, &name, &schema, strategy, now);
            let (compared, decided) = self.decide(&topic, decide).await?;
            if !matches!(decided, Ok(Given::Known(_))) {
                self.counts.note_compared(topic.namespace(), &decided);
            }
            match decided? {
                Given::Known(version) => return Ok(version),
                Given::New(next) => {
                    if self.replace(&topic, compared, next.bytes).await? {
                        return Ok(next.version);
                    }
                }
            }
        }
    }

    /// Whether a schema may be the topic's next one; nothing is stored.
    pub(super) async fn check(
        &self,
        topic: &TopicName,
        schema: Schema,
        policies: SchemaPolicies,
    ) -> Result<(), SchemaError> {
        check_size(&schema)?;
        let decide = move |found: &Versions| {
            let wanted = schema.definition();
            check_definition(&wanted)?;
            let existing = found.comparable();
            check_next(policies.strategy, &definitions(&existing), &wanted)
                .map_err(|error| SchemaError::Incompatible(error.to_string()))
        };
        let compared = self.look(&topic.without_partition(), decide).await?;
        self.counts.note_compared(topic.namespace(), &compared);
        compared
    }

    /// The version that a schema has on a topic, if it has one.
    pub(super) async fn version_of(
        &self,
        topic: &TopicName,
        schema: Schema,
    ) -> Result<Option<SchemaVersion>, SchemaError> {
        check_size(&schema)?;
        let find = move |found: &Versions| known(&found.comparable(), &schema.definition());
        self.look(&topic.without_partition(), find).await
    }

    /// Checks what a consumer expects; on an idle topic without a schema its own becomes the topic's.
    pub(super) async fn check_consumer(
        &self,
        topic: &TopicName,
        schema: Schema,
        policies: SchemaPolicies,
        is_idle: bool,
    ) -> Result<(), SchemaError> {
        check_size(&schema)?;
        let whole = topic.without_partition();
        if is_idle && !self.look(&whole, Versions::has_any).await? {
            return self.put(topic, schema, policies, Updates::ByPolicy).await.map(|_| ());
        }
        let name = whole.clone();
        let decide = move |found: &Versions| {
            let existing = found.comparable();
            if existing.is_empty() && policies.strategy != Strategy::AlwaysCompatible {
                return Err(SchemaError::Incompatible(format!(
                    "Topic {name} does not have a schema, and has messages, producers or consumers"
                )));
            }
            check_consumer(policies.strategy, &definitions(&existing), &schema.definition())
                .map_err(|error| SchemaError::Incompatible(error.to_string()))
        };
        let compared = self.look(&whole, decide).await?;
        self.counts.note_compared(topic.namespace(), &compared);
        compared
    }

    /// Refuses a producer without schema where the topic has one.
    pub(super) async fn refuse_if_any(&self, topic: &TopicName) -> Result<(), SchemaError> {
        if !self.look(&topic.without_partition(), Versions::has_any).await? {
            return Ok(());
        }
        Err(SchemaError::Incompatible(format!(
            "Producers cannot connect or send message without a schema to topic {topic} with a \
             schema when isSchemaValidationEnforced is true"
        )))
    }

    /// Deletes all versions: their numbers stay taken, unless `force`. Returns the number of the deletion,
    /// or of what was the last version; `None` if there was nothing.
    pub(super) async fn delete(
        &self,
        topic: &TopicName,
        force: bool,
    ) -> Result<Option<SchemaVersion>, SchemaError> {
        let clock = &*self.deps.env.clock;
        let began = clock.now();
        let deleted = self.forget(topic, force).await;
        self.counts.note(topic.namespace(), Operation::Delete, (began, clock), &deleted);
        deleted
    }

    async fn forget(
        &self,
        topic: &TopicName,
        force: bool,
    ) -> Result<Option<SchemaVersion>, SchemaError> {
        let topic = topic.without_partition();
        if force {
            // What can't be read can be deleted all the same.
            let last = self.look(&topic, Versions::last_live).await.unwrap_or_default();
            namespace::delete_schema(&self.deps, &topic).await?;
            return Ok(last);
        }
        loop {
            let now = self.now();
            let (compared, next) =
                self.decide(&topic, move |found: &Versions| deletion(found, now)).await?;
            let Some(next) = next? else { return Ok(None) };
            if self.replace(&topic, compared, next.bytes).await? {
                return Ok(Some(next.version));
            }
        }
    }

    fn now(&self) -> u64 {
        self.deps.env.clock.wall().0
    }

    async fn look<T: Send + 'static>(
        &self,
        topic: &TopicName,
        look: impl FnOnce(&Versions) -> T + Send + 'static,
    ) -> Result<T, SchemaError> {
        self.decide(topic, look).await.map(|(_, found)| found)
    }

    /// Lets `decide` look at what is stored for a topic, not for one of its partitions. Returns that, too.
    async fn decide<T: Send + 'static>(
        &self,
        topic: &TopicName,
        decide: impl FnOnce(&Versions) -> T + Send + 'static,
    ) -> Result<(Option<Bytes>, T), SchemaError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await; // It is never closed.
        let path = paths::schemas(topic);
        let found = self.deps.metadata.get(&path).await?.map(|found| found.value);
        let work = move || {
            let _turn = turn; // Until it is done, be there somebody who waits for it or not.
            let versions = found.as_deref().map(|found| Versions::read(&path, found));
            let decided = decide(&versions.transpose()?.unwrap_or_default());
            Ok((found, decided))
        };
        self.deps.env.workers.blocking(work).await
    }

    /// Stores `bytes` if what is stored is still what was compared with.
    async fn replace(
        &self,
        topic: &TopicName,
        compared: Option<Bytes>,
        bytes: Bytes,
    ) -> Result<bool, SchemaError> {
        let path = paths::schemas(topic);
        let replaced = update(&*self.deps.metadata, &path, |found| {
            if found.map(|found| &found.value) == compared.as_ref() {
                Decision::Write(bytes.clone(), true)
            } else {
                Decision::Leave(false)
            }
        });
        Ok(replaced.await?)
    }
}

/// What becomes of a schema; without a strategy none is added.
fn given(
    found: &Versions,
    topic: &TopicName,
    schema: &Schema,
    strategy: Option<Strategy>,
    now: u64,
) -> Result<Given, SchemaError> {
    let wanted = schema.definition();
    let existing = found.comparable();
    // What is stored stays usable, also if it would not be stored any more.
    if let Some(version) = known(&existing, &wanted) {
        return Ok(Given::Known(version));
    }
    check_definition(&wanted)?;
    let Some(strategy) = strategy else {
        let reason = "Schema not found and schema auto updating is disabled.".to_owned();
        return Err(SchemaError::Incompatible(reason));
    };
    check_next(strategy, &definitions(&existing), &wanted)
        .map_err(|error| SchemaError::Incompatible(error.to_string()))?;
    let mut versions = found.clone();
    let version = versions.push(topic, schema, now)?;
    Ok(Given::New(Next { version, bytes: versions.write()? }))
}

fn deletion(found: &Versions, now: u64) -> Result<Option<Next>, SchemaError> {
    if !found.has_any() {
        return Ok(None);
    }
    let mut versions = found.clone();
    let version = versions.push_deletion(now);
    Ok(Some(Next { version, bytes: versions.write()? }))
}

/// Refuses what is too large before it waits for its turn, and before anybody reads it.
fn check_size(schema: &Schema) -> Result<(), SchemaError> {
    let checked = schema.definition().check_size();
    checked.map_err(|error| SchemaError::Invalid(error.to_string()))
}

fn check_definition(definition: &Definition<'_>) -> Result<(), SchemaError> {
    definition.check().map_err(|error| SchemaError::Invalid(error.to_string()))
}

/// The oldest version that means the same.
fn known(existing: &[StoredSchema], wanted: &Definition<'_>) -> Option<SchemaVersion> {
    wanted.find_same(&definitions(existing)).map(|index| existing[index].version)
}

fn definitions(stored: &[StoredSchema]) -> Vec<Definition<'_>> {
    stored.iter().map(|stored| stored.schema.definition()).collect()
}

impl From<MetadataError> for SchemaError {
    fn from(error: MetadataError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
