//! Schemas.

use serde_json::{Value, json};

use crate::server::with_server;

const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const SCHEMA: &str = "/admin/v2/schemas/public/default/t/schema";
const RECORD: &str = r#"{"type":"record","name":"A","fields":[]}"#;

fn payload(kind: &str, schema: &str) -> String {
    json!({"type": kind, "schema": schema, "properties": {"a": "b"}}).to_string()
}

#[test]
fn versions_are_kept_and_found() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        server.get(SCHEMA).await.is(404);
        let texts = [RECORD, r#"{"type":"record","name":"B","fields":[]}"#];
        for (version, text) in texts.iter().enumerate() {
            for _ in 0..2 {
                let answer = server.post(SCHEMA, &payload("AVRO", text)).await.is(200).json();
                assert_eq!(answer, json!({"version": {"version": version}}));
            }
        }
        let latest = server.get(SCHEMA).await.is(200).json();
        assert_eq!(latest["data"], texts[1]);
        assert_eq!(latest["type"], "AVRO");
        assert_eq!(latest["version"], 1);
        assert_eq!(latest["properties"], json!({"a": "b"}));
        assert!(0 < latest["timestamp"].as_u64().unwrap());
        for (version, text) in texts.iter().enumerate() {
            let found = server.get(&format!("{SCHEMA}/{version}")).await.is(200).json();
            assert_eq!(found["data"], *text);
        }
        server.get(&format!("{SCHEMA}/2")).await.is(404);
        server.get(&format!("{SCHEMA}/x")).await.is(412);
        let all = server.get(&format!("{SCHEMA}s")).await.is(200).json();
        assert_eq!(all["getSchemaResponses"].as_array().unwrap().len(), 2);
        let of_partition = "/admin/v2/schemas/public/default/t-partition-3/schema";
        assert_eq!(server.get(of_partition).await.is(200).json(), latest);
    });
}

#[test]
fn bad_schemas_are_refused() {
    with_server(async |server| {
        server.post(SCHEMA, &payload("JSON", RECORD)).await.is(200);
        server.post(SCHEMA, &payload("AVRO", RECORD)).await.is(409);
        server.post(SCHEMA, &payload("JSON", "{}")).await.is(422);
        server.post(SCHEMA, &payload("WRONG", "{}")).await.is(400);
        server.post(SCHEMA, "").await.is(400);
        server.post(SCHEMA, &payload("KEY_VALUE", "x")).await.is(422);
        let nowhere = "/admin/v2/schemas/public/none/t/schema";
        server.post(nowhere, &payload("JSON", "{}")).await.is(404);
        server.get(nowhere).await.is(404);
    });
}

#[test]
fn a_key_value_schema_travels_as_one_text() {
    with_server(async |server| {
        let text = r#"{"key":{"name":"K","type":"record"},"value":""}"#;
        server.post(SCHEMA, &payload("KEY_VALUE", text)).await.is(200);
        let found = server.get(SCHEMA).await.is(200).json();
        assert_eq!((&found["type"], &found["data"]), (&json!("KEY_VALUE"), &json!(text)));
        let stored = server.broker.schema(&"t".parse().unwrap(), None).await.unwrap();
        assert_eq!(&stored.schema.data[..4], [0, 0, 0, 28]);
    });
}

#[test]
fn a_schema_goes_with_its_topic() {
    with_server(async |server| {
        for path in [TOPIC.to_owned(), format!("{TOPIC}/partitions")] {
            server.put(&path, "2").await.is(204);
            server.post(SCHEMA, &payload("JSON", RECORD)).await.is(200);
            server.delete(&path).await.is(204);
            let missing: Value = server.get(SCHEMA).await.is(404).json();
            assert!(missing["reason"].as_str().unwrap().contains("public/default/t"));
        }
    });
}
