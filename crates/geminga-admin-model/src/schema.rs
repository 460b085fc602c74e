//! Schemas over HTTP.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// A schema as `GET …/schema` answers it: every key is present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetSchemaResponse {
    /// From 0.
    pub version: u64,
    /// Its type's name.
    #[serde(rename = "type")]
    pub kind: SchemaType,
    /// When it was stored, wall-clock milliseconds.
    pub timestamp: u64,
    /// Its definition; for KEY_VALUE the text `{"key":…,"value":…}`.
    pub data: String,
    /// Free-form.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A schema as `POST …/schema` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostSchemaPayload {
    /// Its type's name.
    #[serde(rename = "type")]
    pub kind: SchemaType,
    /// Its definition.
    #[serde(default, deserialize_with = "given")]
    pub schema: String,
    /// Free-form.
    #[serde(default, deserialize_with = "given")]
    pub properties: BTreeMap<String, String>,
}

/// What is given, where clients send `null` for nothing.
fn given<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// What `POST …/schema` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostSchemaResponse {
    /// The version the schema has now.
    pub version: SchemaVersionLong,
}

/// A schema's version inside [`PostSchemaResponse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaVersionLong {
    /// From 0.
    pub version: u64,
}

/// What `POST …/version` and `DELETE …/schema` answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSchemaVersion {
    /// From 0; −1 if there is none.
    pub version: i64,
}

impl FoundSchemaVersion {
    /// None.
    pub const NONE: Self = Self { version: -1 };
}

/// What `POST …/compatibility` answers. Clients look for the verdict under two names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaCompatibility {
    /// Whether the schema could be the next one, for Java's client.
    pub compatibility: bool,
    /// The same, for Go's.
    #[serde(rename = "isCompatibility")]
    pub is_compatibility: bool,
    /// The strategy by which they were compared.
    #[serde(rename = "schemaCompatibilityStrategy")]
    pub strategy: String,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What `GET …/metadata` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaMetadata {
    /// The latest version.
    pub info: SchemaMetadataEntry,
    /// All versions, oldest first.
    pub index: Vec<SchemaMetadataEntry>,
}

/// Where a version is stored. In Pulsar that is a ledger's entry; here it is in the metadata store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaMetadataEntry {
    /// −1: no ledger.
    pub ledger_id: i64,
    /// −1: no entry.
    pub entry_id: i64,
    /// From 0.
    pub version: u64,
}

/// Names of Pulsar's schema types, with the numbers of its protocol (`Schema.Type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaType(i32);

/// A name that is no schema type's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSchemaType(String);

const NAMES: [(&str, i32); 22] = [
    ("NONE", 0),
    ("STRING", 1),
    ("JSON", 2),
    ("PROTOBUF", 3),
    ("AVRO", 4),
    ("BOOLEAN", 5),
    ("INT8", 6),
    ("INT16", 7),
    ("INT32", 8),
    ("INT64", 9),
    ("FLOAT", 10),
    ("DOUBLE", 11),
    ("DATE", 12),
    ("TIME", 13),
    ("TIMESTAMP", 14),
    ("KEY_VALUE", 15),
    ("INSTANT", 16),
    ("LOCAL_DATE", 17),
    ("LOCAL_TIME", 18),
    ("LOCAL_DATE_TIME", 19),
    ("PROTOBUF_NATIVE", 20),
    ("EXTERNAL", 22),
];

impl SchemaType {
    /// KEY_VALUE.
    pub const KEY_VALUE: Self = Self(15);

    /// The type of a protocol number; one this page does not name is NONE.
    #[must_use]
    pub fn of_number(number: i32) -> Self {
        NAMES.iter().find(|(_, n)| *n == number).map_or(Self(0), |(_, n)| Self(*n))
    }

    /// Its number in the protocol.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, n)| *n == self.0).map_or("NONE", |(name, _)| name)
    }
}

impl FromStr for SchemaType {
    type Err = UnknownSchemaType;

    fn from_str(name: &str) -> Result<Self, UnknownSchemaType> {
        let found = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, n)| Self(*n)).ok_or_else(|| UnknownSchemaType(name.to_owned()))
    }
}

impl TryFrom<String> for SchemaType {
    type Error = UnknownSchemaType;

    fn try_from(name: String) -> Result<Self, UnknownSchemaType> {
        name.parse()
    }
}

impl From<SchemaType> for String {
    fn from(kind: SchemaType) -> Self {
        kind.name().to_owned()
    }
}

impl fmt::Display for UnknownSchemaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
        write!(f, "Unknown schema type {:?}, expected one of {}", self.0, names.join(", "))
    }
}
