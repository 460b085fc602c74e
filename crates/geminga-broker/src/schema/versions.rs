//! All versions of a topic's schema, as they are stored: in one metadata key, so that adding one is a
//! compare-and-set, and no schema can block a topic.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use geminga_metadata::key::VALUE_BYTES_MAX;
use geminga_schema::Kind;
use geminga_types::TopicName;
use serde::{Deserialize, Serialize};

use super::{Schema, SchemaVersion, StoredSchema};
use crate::SchemaError;

/// What a version takes beside its texts, at most.
const ENVELOPE_BYTES: usize = 256;

/// The value of the key: versions in order, the first is version 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions {
    versions: Vec<Stored>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    name: String,
    #[serde(rename = "type")]
    kind: i32,
    /// Base64.
    data: String,
    properties: BTreeMap<String, String>,
    timestamp: u64,
    /// No schema: it says that those before it were deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_deletion: bool,
}

impl Versions {
    /// Reads the value of a key.
    ///
    /// # Errors
    ///
    /// If it is damaged.
    pub(super) fn read(path: &str, value: &[u8]) -> Result<Self, SchemaError> {
        serde_json::from_slice(value)
            .map_err(|error| SchemaError::Unavailable(format!("{path:?} is damaged: {error}")))
    }

    /// The value of the key.
    ///
    /// # Errors
    ///
    /// None that can happen: all keys are texts.
    pub(super) fn write(&self) -> Result<Bytes, SchemaError> {
        let value = serde_json::to_vec(self);
        value.map(Bytes::from).map_err(|error| SchemaError::Unavailable(error.to_string()))
    }

    /// The version asked for, or the latest; `None` if there is none, or it was deleted.
    pub(super) fn get(
        &self,
        version: Option<SchemaVersion>,
    ) -> Option<Result<StoredSchema, SchemaError>> {
        let (first, live) = self.live();
        let index = match version {
            None => live.len().checked_sub(1)?,
            Some(version) => usize::try_from(version.0).ok()?.checked_sub(first)?,
        };
        Some(live.get(index)?.decode(SchemaVersion((first + index) as u64)))
    }

    /// Those that were not deleted, oldest first.
    pub(super) fn all(&self) -> Result<Vec<StoredSchema>, SchemaError> {
        let (first, live) = self.live();
        let numbered = (first as u64..).zip(live);
        numbered.map(|(version, stored)| stored.decode(SchemaVersion(version))).collect()
    }

    /// The same for comparing them: one that is damaged is there, and can't be read.
    pub(super) fn comparable(&self) -> Vec<StoredSchema> {
        let (first, live) = self.live();
        let numbered = (first as u64..).zip(live);
        numbered.map(|(version, stored)| stored.decoded(SchemaVersion(version))).collect()
    }

    /// Adds one.
    ///
    /// # Errors
    ///
    /// If that is more than may be stored.
    pub(super) fn push(
        &mut self,
        topic: &TopicName,
        schema: &Schema,
        timestamp: u64,
    ) -> Result<SchemaVersion, SchemaError> {
        self.versions.push(Stored::encode(schema, timestamp));
        let bytes: usize = self.versions.iter().map(Stored::bytes).sum();
        if VALUE_BYTES_MAX < bytes {
            return Err(SchemaError::Invalid(format!(
                "all versions of the schema of topic {topic} would take {bytes} bytes, the limit is \
                 {VALUE_BYTES_MAX}; delete the schema to begin anew"
            )));
        }
        Ok(self.last())
    }

    /// Notes that all there are were deleted; the next has the next number all the same.
    pub(super) fn push_deletion(&mut self, timestamp: u64) -> SchemaVersion {
        let none = Schema {
            name: String::new(),
            kind: Kind::NONE.0,
            data: Bytes::new(),
            properties: Vec::new(),
        };
        // Only what is needed for the next number stays of those before.
        for stored in &mut self.versions {
            *stored = Stored { is_deletion: true, ..Stored::encode(&none, stored.timestamp) };
        }
        let deletion = Stored { is_deletion: true, ..Stored::encode(&none, timestamp) };
        self.versions.push(deletion);
        self.last()
    }

    /// Whether there is one that was not deleted.
    pub(super) fn has_any(&self) -> bool {
        !self.live().1.is_empty()
    }

    /// The number of the last one that was not deleted.
    pub(super) fn last_live(&self) -> Option<SchemaVersion> {
        self.has_any().then(|| self.last())
    }

    fn last(&self) -> SchemaVersion {
        SchemaVersion(self.versions.len().saturating_sub(1) as u64)
    }

    /// Those after the last deletion, and the number of the first of them.
    fn live(&self) -> (usize, &[Stored]) {
        let deleted = self.versions.iter().rposition(|stored| stored.is_deletion);
        let first = deleted.map_or(0, |index| index + 1);
        (first, &self.versions[first..])
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
            is_deletion: false,
        }
    }

    fn decode(&self, version: SchemaVersion) -> Result<StoredSchema, SchemaError> {
        if let Err(error) = STANDARD.decode(&self.data) {
            let reason = format!("stored schema {} is damaged: {error}", version.0);
            return Err(SchemaError::Unavailable(reason));
        }
        Ok(self.decoded(version))
    }

    fn decoded(&self, version: SchemaVersion) -> StoredSchema {
        let schema = Schema {
            name: self.name.clone(),
            kind: self.kind,
            data: Bytes::from(STANDARD.decode(&self.data).unwrap_or_default()),
            properties: self.properties.clone().into_iter().collect(),
        };
        StoredSchema { version, timestamp: self.timestamp, schema }
    }

    /// What it takes as JSON, at least: a quote or a control character takes more than one byte.
    fn bytes(&self) -> usize {
        let json = |text: &str| {
            let bytes = text.bytes().map(|byte| match byte {
                b'"' | b'\\' => 2,
                0..0x20 => 6,
                _ => 1,
            });
            bytes.sum::<usize>() + 6
        };
        let properties = self.properties.iter().map(|(key, value)| json(key) + json(value));
        ENVELOPE_BYTES + self.data.len() + json(&self.name) + properties.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(data: impl Into<Bytes>) -> Schema {
        Schema { name: "s".to_owned(), kind: 4, data: data.into(), properties: Vec::new() }
    }

    fn texts(versions: &Versions) -> Vec<(u64, Bytes)> {
        let all = versions.all().unwrap();
        all.into_iter().map(|stored| (stored.version.0, stored.schema.data)).collect()
    }

    #[test]
    fn numbers_go_on_after_a_deletion() {
        let topic = "t".parse().unwrap();
        let mut versions = Versions::default();
        assert!(versions.get(None).is_none() && !versions.has_any());
        for (number, text) in ["a", "b"].into_iter().enumerate() {
            assert_eq!(versions.push(&topic, &schema(text), 1).unwrap().0, number as u64);
        }
        assert_eq!(versions.push_deletion(2), SchemaVersion(2));
        assert!(versions.get(None).is_none() && !versions.has_any());
        assert!((0..4).all(|version| versions.get(Some(SchemaVersion(version))).is_none()));
        assert_eq!(versions.push(&topic, &schema("a"), 3), Ok(SchemaVersion(3)));
        assert_eq!(texts(&versions), [(3, Bytes::from("a"))]);
        let read: Versions =
            serde_json::from_slice(&serde_json::to_vec(&versions).unwrap()).unwrap();
        assert_eq!(read, versions);
        assert_eq!(read.get(Some(SchemaVersion(3))).unwrap().unwrap().schema.data, "a");
        assert!(read.get(Some(SchemaVersion(2))).is_none());
    }

    #[test]
    fn what_is_too_much_is_refused_and_what_is_not_can_be_stored() {
        let topic = "t".parse().unwrap();
        let mut versions = Versions::default();
        let refusal = loop {
            let before = versions.clone();
            let data = vec![b'"'; 300_000];
            let mut schema = schema(data);
            schema.properties.push(("\"\n".repeat(100), "x".to_owned()));
            if let Err(refusal) = versions.push(&topic, &schema, 1) {
                versions = before;
                break refusal;
            }
        };
        assert!(refusal.to_string().contains("4194304"), "{refusal}");
        assert!(9 < texts(&versions).len());
        assert!(serde_json::to_vec(&versions).unwrap().len() <= VALUE_BYTES_MAX);
    }

    #[test]
    fn a_damaged_version_is_told_and_forbids_nothing() {
        let topic = "t".parse().unwrap();
        let mut versions = Versions::default();
        versions.push(&topic, &schema("a"), 1).unwrap();
        versions.versions[0].data = "?".to_owned();
        assert!(matches!(versions.get(None), Some(Err(SchemaError::Unavailable(_)))));
        assert_eq!(versions.comparable()[0].schema.data, "");
    }
}
