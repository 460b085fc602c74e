//! What a definition says: read once, then compared with many.

use serde_json::Value;

use crate::{Definition, Kind, avro, json, protobuf};

/// What a definition says that counts when it is compared with others of its kind.
#[derive(Debug)]
pub(crate) enum Content {
    /// An Avro schema.
    Avro(avro::Schema),
    /// JSON Schema, by which clients of old defined JSON; the class it is about, if it says so.
    LegacyJson { id: Option<Value> },
    /// Descriptors of protobuf; the full name of the message.
    Native { root: String },
    /// Nothing: the kind says it all, or the definition is nobody's to read here.
    Opaque,
}

impl Content {
    /// # Errors
    ///
    /// What is wrong with the definition.
    pub(crate) fn read(definition: &Definition<'_>) -> Result<Self, String> {
        let data = definition.data;
        match definition.kind {
            Kind::JSON => avro::parse(data).map(Self::Avro).or_else(|error| {
                let legacy = json::read_legacy(data).ok_or(error)?;
                Ok(Self::LegacyJson { id: legacy.get("id").cloned() })
            }),
            Kind::AVRO | Kind::PROTOBUF => avro::parse(data).map(Self::Avro),
            Kind::PROTOBUF_NATIVE => protobuf::root_message(data).map(|root| Self::Native { root }),
            _ => Ok(Self::Opaque),
        }
    }
}
