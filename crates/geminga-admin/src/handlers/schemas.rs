//! Schemas over HTTP.
//!
//! A KEY_VALUE schema is one text `{"key":…,"value":…}` here and a length-prefixed pair inside; a
//! definition that is JSON is embedded as it is, byte for byte, any other as a string.

use bytes::{BufMut, Bytes, BytesMut};
use geminga_admin_model::{
    GetSchemaResponse, PostSchemaPayload, PostSchemaResponse, SchemaType, SchemaVersionLong,
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
    let topic = topic(request)?;
    let latest = broker.schema(&topic, None).await?;
    let mut found = Vec::new();
    for version in 0..latest.version.0 {
        found.push(response(&broker.schema(&topic, Some(SchemaVersion(version))).await?));
    }
    found.push(response(&latest));
    Ok(Answer::json(&AllVersions { found }))
}

pub(super) async fn post(broker: &Broker, request: &Request) -> Answered {
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
    let version = broker.post_schema(&topic, schema).await?.0;
    Ok(Answer::json(&PostSchemaResponse { version: SchemaVersionLong { version } }))
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
    let Some((key, rest)) = take_part(data) else { return as_it_is() };
    let Some((value, [])) = take_part(rest) else { return as_it_is() };
    let (Some(key), Some(value)) = (embedded(key), embedded(value)) else { return as_it_is() };
    serde_json::to_string(&Pair { key, value }).unwrap_or_else(|_| as_it_is())
}

/// A length of 4 bytes, big endian, then as many bytes; −1 for none.
fn take_part(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk()?;
    match i32::from_be_bytes(*length) {
        -1 => Some((&[], rest)),
        length => rest.split_at_checked(usize::try_from(length).ok()?),
    }
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
    let mut data = BytesMut::new();
    for part in [pair.key, pair.value] {
        let definition = match serde_json::from_str::<String>(part.get()) {
            Ok(text) => text,
            Err(_) => part.get().to_owned(),
        };
        let too_long = |_| SchemaError::Invalid("too long".to_owned());
        data.put_i32(i32::try_from(definition.len()).map_err(too_long)?);
        data.put_slice(definition.as_bytes());
    }
    Ok(data.freeze())
}

#[cfg(test)]
mod tests {
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
