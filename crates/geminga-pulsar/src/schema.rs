//! Schemas between the protocol and the broker.
//!
//! NONE, BYTES (absent, or −1) and AUTO_CONSUME say that there is no schema to register or check.

use geminga_broker::Schema;
use geminga_wire::proto::{self, KeyValue, schema::Type};

/// BYTES, which Pulsar's clients leave out; a few send its number.
const BYTES: i32 = -1;

/// The schema as the broker takes it, or `None` when it is one of those that mean none.
pub(crate) fn from_wire(schema: Option<proto::Schema>) -> Option<Schema> {
    let schema = schema?;
    let is_none = [Type::None as i32, BYTES].contains(&schema.r#type) || takes_any(Some(&schema));
    (!is_none).then(|| Schema {
        name: schema.name,
        kind: schema.r#type,
        data: schema.schema_data,
        properties: pairs(schema.properties),
    })
}

/// Whether a consumer's schema says that it takes whatever the topic's is.
pub(crate) fn takes_any(schema: Option<&proto::Schema>) -> bool {
    schema.is_some_and(|schema| schema.r#type == Type::AutoConsume as i32)
}

/// The schema as the protocol has it.
pub(crate) fn to_wire(schema: Schema) -> proto::Schema {
    let property = |(key, value)| KeyValue { key, value };
    proto::Schema {
        name: schema.name,
        schema_data: schema.data,
        r#type: schema.kind,
        properties: schema.properties.into_iter().map(property).collect(),
    }
}

/// Free-form properties as the broker takes them.
pub(crate) fn pairs(properties: Vec<KeyValue>) -> Vec<(String, String)> {
    properties.into_iter().map(|property| (property.key, property.value)).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn schema(kind: i32) -> proto::Schema {
        proto::Schema {
            name: "s".to_owned(),
            schema_data: Bytes::from_static(b"{}"),
            r#type: kind,
            properties: vec![KeyValue { key: "k".to_owned(), value: "v".to_owned() }],
        }
    }

    #[test]
    fn some_kinds_mean_none() {
        assert_eq!(from_wire(None), None);
        for kind in [0, -1, 21] {
            assert_eq!(from_wire(Some(schema(kind))), None, "kind {kind}");
        }
    }

    #[test]
    fn others_come_out_as_they_went_in() {
        for kind in [1, 2, 4, 15, 20, 22, 77] {
            let given = schema(kind);
            assert_eq!(to_wire(from_wire(Some(given.clone())).unwrap()), given);
        }
    }
}
