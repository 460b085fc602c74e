//! Schemas over HTTP.
//!
//! A KEY_VALUE schema is one text `{"key":…,"value":…}` here and a length-prefixed pair inside; a
//! definition that is JSON is embedded as it is, byte for byte, any other as a string.

use bytes::Bytes;
use geminga_admin_model::{
    FoundSchemaVersion, GetSchemaResponse, PostSchemaPayload, PostSchemaResponse,
    SchemaCompatibility, SchemaMetadata, SchemaMetadataEntry, SchemaType, SchemaVersionLong,
};
use geminga_broker::{Broker, Schema, SchemaError, SchemaVersion, StoredSchema};
use geminga_types::{Domain, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request};

const TOPIC: usize = 2;
const VERSION: usize = 3;

pub(super) async fn get(broker: &Broker, request: &Request) -> Answered {
    let version = match request.part(VERSION) {
        "" => None,
        text => Some(SchemaVersion(text.parse().map_err(|_| {
            Failure::InvalidParameter(format!("{text:?} is not a schema version"))
        })?)),
    };
    let stored = broker.schema(&topic(request)?, version).await?;
    Ok(Answer::json(&response(&stored)))
}

pub(super) async fn all(broker: &Broker, request: &Request) -> Answered {
    let stored = broker.schemas(&topic(request)?).await?;
    Ok(Answer::json(&AllVersions { found: stored.iter().map(response).collect() }))
}

pub(super) async fn metadata(broker: &Broker, request: &Request) -> Answered {
    let topic = topic(request)?;
    let stored = broker.schemas(&topic).await?;
    let entry = |stored: &StoredSchema| SchemaMetadataEntry {
        ledger_id: -1,
        entry_id: -1,
        version: stored.version.0,
    };
    let Some(latest) = stored.last() else { return Err(SchemaError::NotFound(topic).into()) };
    let index = stored.iter().map(entry).collect();
    Ok(Answer::json(&SchemaMetadata { info: entry(latest), index }))
}

pub(super) async fn post(broker: &Broker, request: &Request) -> Answered {
    let (topic, schema) = given(broker, request).await?;
    let version = broker.post_schema(&topic, schema).await?.0;
    Ok(Answer::json(&PostSchemaResponse { version: SchemaVersionLong { version } }))
}

pub(super) async fn delete(broker: &Broker, request: &Request) -> Answered {
    let topic = topic(request)?;
    broker.namespace_policies(topic.namespace()).await?;
    let is_forced = request.query("force") == Some("true");
    Ok(Answer::json(&found_version(broker.delete_schema(&topic, is_forced).await?)))
}

pub(super) async fn check(broker: &Broker, request: &Request) -> Answered {
    let (topic, schema) = given(broker, request).await?;
    let strategy = broker.schema_strategy(&topic).await?.as_str().to_owned();
    let reason = match broker.check_schema(&topic, schema).await {
        Ok(()) => None,
        Err(SchemaError::Incompatible(reason)) => Some(reason),
        Err(error) => return Err(error.into()),
    };
    let is_compatibility = reason.is_none();
    let compatibility = is_compatibility;
    Ok(Answer::json(&SchemaCompatibility { compatibility, is_compatibility, strategy, reason }))
}

pub(super) async fn find(broker: &Broker, request: &Request) -> Answered {
    let (topic, schema) = given(broker, request).await?;
    Ok(Answer::json(&found_version(broker.schema_version_of(&topic, schema).await?)))
}

fn found_version(version: Option<SchemaVersion>) -> FoundSchemaVersion {
    let version = version.and_then(|version| i64::try_from(version.0).ok());
    version.map_or(FoundSchemaVersion::NONE, |version| FoundSchemaVersion { version })
}

/// The topic of the path, whose namespace exists, and the schema of the body.
async fn given(broker: &Broker, request: &Request) -> Result<(TopicName, Schema), Failure> {
    let topic = topic(request)?;
    let missing = || Failure::InvalidBody("a schema is expected in the body".to_owned());
    let payload: PostSchemaPayload = request.json()?.ok_or_else(missing)?;
    let data = if payload.kind == SchemaType::KEY_VALUE {
        pair_from_text(&payload.schema)?
    } else {
        Bytes::from(payload.schema)
    };
    let schema = Schema {
        name: topic.local().to_owned(),
        kind: payload.kind.number(),
        data,
        properties: payload.properties.into_iter().collect(),
    };
    broker.namespace_policies(topic.namespace()).await?;
    Ok((topic, schema))
}

/// All versions, oldest first.
#[derive(Serialize)]
struct AllVersions {
    #[serde(rename = "getSchemaResponses")]
    found: Vec<GetSchemaResponse>,
}

fn topic(request: &Request) -> Result<TopicName, Failure> {
    Ok(TopicName::new(Domain::Persistent, request.namespace()?, request.part(TOPIC))?)
}

fn response(stored: &StoredSchema) -> GetSchemaResponse {
    let kind = SchemaType::of_number(stored.schema.kind);
    let data = if kind == SchemaType::KEY_VALUE {
        text_from_pair(&stored.schema.data)
    } else {
        String::from_utf8_lossy(&stored.schema.data).into_owned()
    };
    GetSchemaResponse {
        version: stored.version.0,
        kind,
        timestamp: stored.timestamp,
        data,
        properties: stored.schema.properties.iter().cloned().collect(),
    }
}

#[derive(Serialize, Deserialize)]
struct Pair {
    key: Box<RawValue>,
    value: Box<RawValue>,
}

/// What is not a pair is shown as it is.
fn text_from_pair(data: &[u8]) -> String {
    let as_it_is = || String::from_utf8_lossy(data).into_owned();
    let Some((key, value)) = geminga_schema::split_key_value(data) else { return as_it_is() };
    let (Some(key), Some(value)) = (embedded(key), embedded(value)) else { return as_it_is() };
    serde_json::to_string(&Pair { key, value }).unwrap_or_else(|_| as_it_is())
}

fn embedded(definition: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(definition).ok()?;
    let is_structured = text.trim_start().starts_with(['{', '[']);
    match RawValue::from_string(text.to_owned()) {
        Ok(raw) if is_structured => Some(raw),
        _ => RawValue::from_string(serde_json::to_string(text).ok()?).ok(),
    }
}

fn pair_from_text(text: &str) -> Result<Bytes, Failure> {
    let pair: Pair = serde_json::from_str(text)
        .map_err(|error| SchemaError::Invalid(format!("not a key and a value: {error}")))?;
    let definition = |part: &RawValue| match serde_json::from_str::<String>(part.get()) {
        Ok(text) => text,
        Err(_) => part.get().to_owned(),
    };
    let (key, value) = (definition(&pair.key), definition(&pair.value));
    let data = geminga_schema::join_key_value(key.as_bytes(), value.as_bytes());
    Ok(data.ok_or_else(|| SchemaError::Invalid("too long".to_owned()))?.into())
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;

    #[test]
    fn a_pair_comes_back_byte_for_byte() {
        let key = r#"{"type":"record","name":"B","a":1,  "Z":[ ]}"#;
        for (key, value) in [(key, ""), ("", ""), ("", key), ("plain text \"", "1.50")] {
            let mut data = BytesMut::new();
            for part in [key, value] {
                data.put_i32(i32::try_from(part.len()).unwrap());
                data.put_slice(part.as_bytes());
            }
            let text = text_from_pair(&data);
            assert_eq!(pair_from_text(&text).unwrap(), data.freeze(), "{text}");
        }
    }

    #[test]
    fn what_is_no_pair_is_shown_and_not_taken() {
        for data in [&b""[..], b"\0\0\0", b"\0\0\0\x09x", b"\xff\xff\xff\xfe", b"abcd\0\0\0\0"] {
            assert_eq!(text_from_pair(data), String::from_utf8_lossy(data));
        }
        assert_eq!(text_from_pair(&[255, 255, 255, 255, 0, 0, 0, 0]), r#"{"key":"","value":""}"#);
        for text in ["", "{}", "[]", r#"{"key":1}"#, "x"] {
            assert_eq!(pair_from_text(text).unwrap_err().answer().status, 422, "{text}");
        }
    }
}
