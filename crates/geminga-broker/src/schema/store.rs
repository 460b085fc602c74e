//! Where schemas are kept: all versions of a topic's schema in one metadata key, so that no schema
//! can block a topic, and adding one is a compare-and-set.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use geminga_ledger::Deps;
use geminga_metadata::{MetadataError, paths};
use geminga_types::TopicName;
use serde::{Deserialize, Serialize};

use super::{Schema, SchemaVersion, StoredSchema};
use crate::{SchemaError, namespace::record};

/// The value of the key: versions in order, the first is version 0.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Versions {
    versions: Vec<Stored>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    name: String,
    #[serde(rename = "type")]
    kind: i32,
    /// Base64.
    data: String,
    properties: BTreeMap<String, String>,
    timestamp: u64,
}

/// The version asked for, or the latest.
pub(crate) async fn get(
    deps: &Deps,
    topic: &TopicName,
    version: Option<SchemaVersion>,
) -> Result<StoredSchema, SchemaError> {
    let topic = topic.without_partition();
    let found = record::read::<Versions>(deps, &paths::schemas(&topic)).await?;
    let versions = found.map(|(versions, _)| versions.versions).unwrap_or_default();
    let latest = (versions.len() as u64).checked_sub(1);
    let version = version.map(|version| version.0).or(latest);
    let stored = version.and_then(|version| versions.get(usize::try_from(version).ok()?));
    match (version, stored) {
        (Some(version), Some(stored)) => stored.decode(SchemaVersion(version)),
        _ => Err(SchemaError::NotFound(topic)),
    }
}

/// Stores a schema unless the topic has it; a schema of another type is refused.
pub(crate) async fn put(
    deps: &Deps,
    topic: &TopicName,
    schema: Schema,
) -> Result<SchemaVersion, SchemaError> {
    let topic = topic.without_partition();
    let mut version = SchemaVersion(0);
    let now = deps.env.clock.wall().0;
    record::change::<Versions, SchemaError>(deps, &paths::schemas(&topic), |found| {
        let mut versions = found.cloned().unwrap_or_default();
        if let Some(latest) = versions.versions.last() {
            latest.check_kind(&topic, &schema)?;
        }
        let known = versions.versions.iter().position(|stored| stored.is_same(&schema));
        let index = known.unwrap_or(versions.versions.len());
        version = SchemaVersion(index as u64);
        if known.is_some() {
            return Ok(None);
        }
        versions.versions.push(Stored::encode(&schema, now));
        Ok(Some(versions))
    })
    .await?;
    Ok(version)
}

/// Checks what a consumer expects: another type is refused; on an idle topic without a schema its
/// own becomes the topic's.
pub(crate) async fn check_consumer(
    deps: &Deps,
    topic: &TopicName,
    schema: &Schema,
    is_idle: bool,
) -> Result<(), SchemaError> {
    let whole = topic.without_partition();
    let found = record::read::<Versions>(deps, &paths::schemas(&whole)).await?;
    match found.and_then(|(versions, _)| versions.versions.last().cloned()) {
        Some(latest) => latest.check_kind(&whole, schema),
        None if is_idle => put(deps, topic, schema.clone()).await.map(|_| ()),
        None => Err(SchemaError::Incompatible(format!(
            "Topic {whole} does not have a schema, and has messages, producers or consumers"
        ))),
    }
}

/// Refuses a producer without schema where the topic has one.
pub(crate) async fn refuse_if_any(deps: &Deps, topic: &TopicName) -> Result<(), SchemaError> {
    match get(deps, topic, None).await {
        Ok(_) => Err(SchemaError::Incompatible(format!(
            "Producers cannot connect or send message without a schema to topic {topic} with a \
             schema when isSchemaValidationEnforced is true"
        ))),
        Err(SchemaError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Stored {
    fn encode(schema: &Schema, timestamp: u64) -> Self {
        Self {
            name: schema.name.clone(),
            kind: schema.kind,
            data: STANDARD.encode(&schema.data),
            properties: schema.properties.iter().cloned().collect(),
            timestamp,
        }
    }

    fn decode(&self, version: SchemaVersion) -> Result<StoredSchema, SchemaError> {
        let data = STANDARD.decode(&self.data).map_err(|error| {
            SchemaError::Unavailable(format!("stored schema {} is damaged: {error}", version.0))
        })?;
        let schema = Schema {
            name: self.name.clone(),
            kind: self.kind,
            data: Bytes::from(data),
            properties: self.properties.clone().into_iter().collect(),
        };
        Ok(StoredSchema { version, timestamp: self.timestamp, schema })
    }

    fn check_kind(&self, topic: &TopicName, schema: &Schema) -> Result<(), SchemaError> {
        if self.kind == schema.kind {
            return Ok(());
        }
        Err(SchemaError::Incompatible(format!(
            "topic {topic} has a schema of type {}, not of type {}",
            self.kind, schema.kind
        )))
    }

    fn is_same(&self, schema: &Schema) -> bool {
        self.kind == schema.kind && self.data == STANDARD.encode(&schema.data)
    }
}

impl From<MetadataError> for SchemaError {
    fn from(error: MetadataError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
