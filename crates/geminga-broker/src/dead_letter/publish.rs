//! Publishes a few dead letters, in order, as far as it goes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use geminga_env::Instant;
use geminga_subscription::{Ack, DeadLetter};
use geminga_types::{Position, TopicName};
use geminga_wire::entry::EntryMeta;

use super::{
    DeadLetterPolicy,
    message::{Dead, Origin, Rebuilt},
};
use crate::{
    ProduceError, PublishError, Schema, SchemaError, SchemaVersion, SourcePosition, batch,
    publisher::{PublisherRequest, TopicPublisher},
    topic::TopicDeps,
};

/// How long all of it may take.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(30);
/// Letters are published together up to so many bytes, as they are before compression.
const GROUP_BYTES: usize = 1 << 20;

/// A dead letter as a subscription hands it out.
pub(crate) type Letter = DeadLetter<(Position, Bytes)>;

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) policy: Arc<DeadLetterPolicy>,
    /// Where the letters come from.
    pub(crate) topic: TopicName,
    pub(crate) subscription: String,
    pub(crate) letters: Vec<Letter>,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What was stored.
    pub(crate) stored: Vec<Ack>,
    /// How many messages that is.
    pub(crate) messages: u64,
    /// Why the rest was not stored, as far as that is known.
    pub(crate) failure: Option<String>,
}

/// Publishes the letters of `work`, up to the first that cannot be.
pub(crate) async fn publish(work: Work, deps: TopicDeps) -> Outcome {
    let mut outcome = Outcome::default();
    let deadline = deps.ledger.env.clock.now() + TIME_MAX;
    let version = |letter: &Letter| schema_version(&letter.payload.1);
    for letters in work.letters.chunk_by(|one, other| version(one) == version(other)) {
        let of_schema = letters.first().and_then(version);
        let work = Run { work: &work, deps: &deps, deadline, letters };
        if let Err(failure) = work.publish(of_schema, &mut outcome).await {
            outcome.failure = Some(failure);
            break;
        }
    }
    outcome
}

/// Letters of one schema.
struct Run<'a> {
    work: &'a Work,
    deps: &'a TopicDeps,
    deadline: Instant,
    letters: &'a [Letter],
}

impl Run<'_> {
    async fn publish(
        &self,
        version: Option<SchemaVersion>,
        outcome: &mut Outcome,
    ) -> Result<(), String> {
        let schema = self.in_time(self.schema(version)).await??;
        let (topic, subscription) = (&self.work.topic, &self.work.subscription);
        let prefix = SourcePosition::PRODUCER_PREFIX;
        let name = format!("{prefix}dead-letter/{topic}/{subscription}");
        let mut publisher = self.open(&name, schema.as_ref()).await?;
        let version = publisher.schema_version();
        let origin = Origin {
            topic,
            subscription,
            producer_name: &name,
            schema_version: version.map(|version| Bytes::copy_from_slice(&version.to_bytes())),
            is_schema_refused: schema.is_some() && version.is_none(),
            now_wall_ms: self.deps.ledger.env.clock.wall().0,
        };
        let published_before = outcome.messages;
        for group in groups(self.letters) {
            let published = self.publish_group(&mut *publisher, &origin, group, outcome);
            match self.in_time(published).await? {
                // A topic that begins to recognise what is published again closes its publishers first.
                Err(PublishError::Closed(_)) if outcome.messages == published_before => {
                    publisher = self.open(&name, schema.as_ref()).await?;
                    let published = self.publish_group(&mut *publisher, &origin, group, outcome);
                    self.in_time(published).await?.map_err(|error| error.to_string())?;
                }
                published => published.map_err(|error| error.to_string())?,
            }
        }
        self.in_time(publisher.close()).await
    }

    /// Opens the publisher; without a schema if the topic refuses this one, so that letters in another
    /// one do not wait behind these for ever.
    async fn open(
        &self,
        name: &str,
        schema: Option<&Schema>,
    ) -> Result<Box<dyn TopicPublisher>, String> {
        let opened =
            match self.try_open(name, schema).await? {
                Err(ProduceError::Schema(
                    SchemaError::Incompatible(_) | SchemaError::Invalid(_),
                )) if schema.is_some() => self.try_open(name, None).await?,
                opened => opened,
            };
        opened.map_err(|error| format!("not opened: {error}"))
    }

    async fn try_open(
        &self,
        name: &str,
        schema: Option<&Schema>,
    ) -> Result<Result<Box<dyn TopicPublisher>, ProduceError>, String> {
        let policy = &self.work.policy;
        let request = PublisherRequest {
            name: name.to_owned(),
            schema: schema.cloned(),
            initial_subscription: policy.initial_subscription.clone(),
            partition: self.work.topic.partition().unwrap_or(0),
        };
        self.in_time(self.deps.publishers.open(&policy.topic, request)).await
    }

    /// The schema that the messages are written in, if they are in any that is still known.
    async fn schema(&self, version: Option<SchemaVersion>) -> Result<Option<Schema>, String> {
        let Some(version) = version else { return Ok(None) };
        match self.deps.schemas.get(&self.work.topic, Some(version)).await {
            Ok(found) => Ok(Some(found.schema)),
            Err(SchemaError::NotFound(_)) => Ok(None),
            Err(error) => Err(format!("the schema of a message was not found out: {error}")),
        }
    }

    async fn publish_group(
        &self,
        publisher: &mut dyn TopicPublisher,
        origin: &Origin<'_>,
        group: &[Letter],
        outcome: &mut Outcome,
    ) -> Result<(), PublishError> {
        let permit = self.deps.publishes.take(group.iter().map(size).sum()).await;
        let mut sequence_id = u64::try_from(publisher.last_sequence_id() + 1).unwrap_or(0);
        let (mut publishes, mut rebuilt) = (Vec::new(), Vec::new());
        for letter in group {
            let mut built = origin.rebuild(dead(letter), sequence_id);
            sequence_id += u64::from(built.messages);
            let count = built.publishes.len();
            publishes.append(&mut built.publishes);
            rebuilt.push((letter, built, count));
        }
        if let Some(last) = publishes.last_mut() {
            last.permit = Some(permit);
        }
        let published = publisher.publish(publishes).await;
        note(outcome, &rebuilt, published.stored);
        published.failure.map_or(Ok(()), Err)
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let result = tokio::time::timeout_at(self.deadline, work).await;
        result.map_err(|_| format!("it took more than {} s", TIME_MAX.as_secs()))
    }
}

/// Notes which letters were stored, given that so many of their messages were, in order.
fn note(outcome: &mut Outcome, rebuilt: &[(&Letter, Rebuilt, usize)], stored: usize) {
    let mut left = stored;
    for (letter, built, count) in rebuilt {
        let taken = left.min(*count);
        left -= taken;
        if taken == 0 && 0 < *count {
            return;
        }
        outcome.messages += taken as u64;
        outcome.stored.push(Ack {
            ordinal: letter.ordinal,
            ack_set: built.rest(letter.ack_set.as_deref(), taken),
            batch_size: Some(built.messages),
        });
    }
}

fn dead(letter: &Letter) -> Dead<'_> {
    let (position, entry) = &letter.payload;
    Dead {
        entry,
        position: *position,
        ack_set: letter.ack_set.as_deref(),
        messages_max: letter.messages,
    }
}

/// Bytes that a letter takes while it is published.
fn size(letter: &Letter) -> usize {
    let (_, entry) = &letter.payload;
    let plain = EntryMeta::parse(entry).map_or(0, |meta| meta.uncompressed_size);
    entry.len() + plain.min(batch::UNCOMPRESSED_MAX) as usize
}

fn schema_version(entry: &[u8]) -> Option<SchemaVersion> {
    let version = EntryMeta::parse(entry).ok()?.schema_version?;
    Some(SchemaVersion(u64::from_be_bytes(version.try_into().ok()?)))
}

/// Parts of a few letters that are not too large together; at least one each.
fn groups(letters: &[Letter]) -> impl Iterator<Item = &[Letter]> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |letter: &&Letter| {
            bytes += size(letter);
            bytes <= GROUP_BYTES
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (group, behind) = rest.split_at(count);
        rest = behind;
        (!group.is_empty()).then_some(group)
    })
}
