//! Schemas of topics: stored with all their versions, given back as they came.
//!
//! What may follow what is `geminga_schema`'s to say, by the strategy that governs the topic.

mod counts;
mod policy;
mod registry;
mod served;
mod versions;

use bytes::Bytes;
use geminga_schema::{Definition, Kind};

pub use counts::SchemaFigures;
pub use policy::SchemaOptions;
use policy::SchemaPolicies;
pub(crate) use registry::Registry;

/// A schema as a client gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// Its type: the number of Pulsar's protocol (`Schema.Type`).
    pub kind: i32,
    /// Its definition, opaque.
    pub data: Bytes,
    /// Free-form.
    pub properties: Vec<(String, String)>,
}

/// Version of a schema on its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion(pub u64);

/// A schema with what the registry knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSchema {
    /// Its version.
    pub version: SchemaVersion,
    /// When it was stored, wall-clock milliseconds.
    pub timestamp: u64,
    /// The schema.
    pub schema: Schema,
}

impl SchemaVersion {
    /// As it travels: 8 bytes, big endian.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Schema {
    /// What defines it.
    fn definition(&self) -> Definition<'_> {
        let properties = self.properties.iter();
        Definition {
            kind: Kind(self.kind),
            data: &self.data,
            properties: properties.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        }
    }
}
