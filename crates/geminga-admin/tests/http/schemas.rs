//! Schemas.

use serde_json::{Value, json};

use crate::server::with_server;

const TOPIC: &str = "/admin/v2/persistent/public/default/t";
const SCHEMAS: &str = "/admin/v2/schemas/public/default/t";
const SCHEMA: &str = "/admin/v2/schemas/public/default/t/schema";
const NAMESPACE: &str = "/admin/v2/namespaces/public/default";
const RECORD: &str = r#"{"type":"record","name":"A","fields":[]}"#;

fn payload(kind: &str, schema: &str) -> String {
    json!({"type": kind, "schema": schema, "properties": {"a": "b"}}).to_string()
}

/// A record with a field of that type, with a default if one is given.
fn record(kind: &str, default: Option<Value>) -> String {
    let mut field = json!({"name": "a", "type": kind});
    if let Some(default) = default {
        field["default"] = default;
    }
    json!({"type": "record", "name": "A", "fields": [field]}).to_string()
}

#[test]
fn versions_are_kept_and_found() {
    with_server(async |server| {
        server.put(TOPIC, "").await.is(204);
        server.get(SCHEMA).await.is(404);
        server.get(&format!("{SCHEMAS}/metadata")).await.is(404);
        let all = server.get(&format!("{SCHEMA}s")).await.is(200).json();
        assert_eq!(all, json!({"getSchemaResponses": []}));
        let texts = [RECORD.to_owned(), record("int", Some(json!(1)))];
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
            let path = format!("{SCHEMAS}/version");
            let found = server.post(&path, &payload("AVRO", text)).await.is(200).json();
            assert_eq!(found, json!({"version": version}));
        }
        let unknown = payload("AVRO", &record("string", None));
        let found = server.post(&format!("{SCHEMAS}/version"), &unknown).await.is(200).json();
        assert_eq!(found, json!({"version": -1}));
        server.get(&format!("{SCHEMA}/2")).await.is(404);
        server.get(&format!("{SCHEMA}/x")).await.is(412);
        let all = server.get(&format!("{SCHEMA}s")).await.is(200).json();
        assert_eq!(all["getSchemaResponses"].as_array().unwrap().len(), 2);
        let metadata = server.get(&format!("{SCHEMAS}/metadata")).await.is(200).json();
        assert_eq!(metadata["info"]["version"], 1);
        assert_eq!(metadata["index"].as_array().unwrap().len(), 2);
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
        server.post(SCHEMA, &payload("STRING", "x")).await.is(422);
        let refusal = server.post(SCHEMA, &payload("JSON", &record("int", None))).await.is(409);
        let reason = refusal.json()["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("field \"a\"") && reason.contains("FULL"), "{reason}");
        let nowhere = "/admin/v2/schemas/public/none/t/schema";
        server.post(nowhere, &payload("JSON", RECORD)).await.is(404);
        server.get(nowhere).await.is(404);
    });
}

#[test]
fn compatibility_is_told_and_nothing_stored() {
    with_server(async |server| {
        let path = format!("{SCHEMAS}/compatibility");
        let (old, new) = (RECORD, record("int", None));
        for text in [old, &new] {
            let verdict = server.post(&path, &payload("AVRO", text)).await.is(200).json();
            assert_eq!(verdict["compatibility"], true, "the first");
        }
        server.post(SCHEMA, &payload("AVRO", old)).await.is(200);
        for (strategy, is_fine) in [("FULL", false), ("FORWARD", true), ("BACKWARD", false)] {
            let path_of_policy = format!("{NAMESPACE}/schemaCompatibilityStrategy");
            server.put(&path_of_policy, &format!("\"{strategy}\"")).await.is(204);
            let verdict = server.post(&path, &payload("AVRO", &new)).await.is(200).json();
            assert_eq!(verdict["compatibility"], is_fine, "{strategy}");
            assert_eq!(verdict["isCompatibility"], is_fine, "{strategy}");
            assert_eq!(verdict["schemaCompatibilityStrategy"], strategy);
            assert_eq!(verdict["reason"].is_null(), is_fine, "{verdict}");
        }
        server.post(&path, &payload("AVRO", "x")).await.is(422);
        assert_eq!(server.get(SCHEMA).await.is(200).json()["version"], 0);
    });
}

#[test]
fn versions_are_deleted_with_their_numbers_or_without() {
    with_server(async |server| {
        assert_eq!(server.delete(SCHEMA).await.is(200).json(), json!({"version": -1}));
        server.post(SCHEMA, &payload("AVRO", RECORD)).await.is(200);
        assert_eq!(server.delete(SCHEMA).await.is(200).json(), json!({"version": 1}));
        server.get(SCHEMA).await.is(404);
        server.get(&format!("{SCHEMA}/0")).await.is(404);
        let again = server.post(SCHEMA, &payload("AVRO", RECORD)).await.is(200).json();
        assert_eq!(again, json!({"version": {"version": 2}}));
        let forced = server.delete(&format!("{SCHEMA}?force=true")).await.is(200).json();
        assert_eq!(forced, json!({"version": 2}));
        let again = server.post(SCHEMA, &payload("AVRO", RECORD)).await.is(200).json();
        assert_eq!(again, json!({"version": {"version": 0}}));
        server.delete("/admin/v2/schemas/public/none/t/schema").await.is(404);
    });
}

#[test]
fn policies_are_set_and_shown() {
    with_server(async |server| {
        let path = |policy: &str| format!("{NAMESPACE}/{policy}");
        let shown = async |policy: &str| server.get(&path(policy)).await.is(200).json();
        let (strategy, older) =
            ("schemaCompatibilityStrategy", "schemaAutoUpdateCompatibilityStrategy");
        let (validation, updates) = ("schemaValidationEnforced", "isAllowAutoUpdateSchema");
        assert_eq!(shown(strategy).await, "UNDEFINED");
        server.get(&path(older)).await.is(204);
        assert_eq!(shown(validation).await, false);
        assert_eq!(shown(updates).await, true);

        for name in ["FULL_TRANSITIVE", "ALWAYS_INCOMPATIBLE", "UNDEFINED"] {
            server.put(&path(strategy), &format!("\"{name}\"")).await.is(204);
            assert_eq!(shown(strategy).await, name);
        }
        for bad in ["\"SOME\"", "", "FULL", "7"] {
            server.put(&path(strategy), bad).await.is(400);
        }
        server.put(&path(older), "\"Backward\"").await.is(204);
        assert_eq!(shown(older).await, "Backward");
        server.put(&path(older), "\"BACKWARD\"").await.is(412);
        server.post(SCHEMA, &payload("AVRO", RECORD)).await.is(200);
        server.post(SCHEMA, &payload("AVRO", &record("int", None))).await.is(409);
        server.put(&path(older), "\"Forward\"").await.is(204);
        server.post(SCHEMA, &payload("AVRO", &record("int", None))).await.is(200);
        server.put(&path(older), "null").await.is(204);
        server.get(&path(older)).await.is(204);

        server.post(&path(validation), "true").await.is(204);
        assert_eq!(shown(validation).await, true);
        server.post(&path(updates), "false").await.is(204);
        assert_eq!(shown(updates).await, false);
        server.post(&path(validation), "1").await.is(400);
        server.post(&path(updates), "").await.is(400);
        let policies = server.get(NAMESPACE).await.is(200).json();
        assert_eq!(policies["schema_validation_enforced"], true);
        assert_eq!(policies["is_allow_auto_update_schema"], false);
        assert_eq!(policies["schema_compatibility_strategy"], "UNDEFINED");
        for policy in [strategy, older, validation, updates] {
            let nowhere = format!("/admin/v2/namespaces/public/none/{policy}");
            server.get(&nowhere).await.is(404);
        }
    });
}

#[test]
fn a_key_value_schema_travels_as_one_text() {
    with_server(async |server| {
        let text = r#"{"key":{"name":"K","type":"record","fields":[]},"value":""}"#;
        let properties = json!({"key.schema.type": "AVRO", "value.schema.type": "STRING"});
        let body = json!({"type": "KEY_VALUE", "schema": text, "properties": properties});
        server.post(SCHEMA, &body.to_string()).await.is(200);
        let found = server.get(SCHEMA).await.is(200).json();
        assert_eq!((&found["type"], &found["data"]), (&json!("KEY_VALUE"), &json!(text)));
        let stored = server.broker.schema(&"t".parse().unwrap(), None).await.unwrap();
        assert_eq!(&stored.schema.data[..4], [0, 0, 0, 40]);
    });
}

#[test]
fn a_schema_goes_with_its_topic() {
    with_server(async |server| {
        for (path, body) in [(TOPIC.to_owned(), ""), (format!("{TOPIC}/partitions"), "2")] {
            server.put(&path, body).await.is(204);
            server.post(SCHEMA, &payload("JSON", RECORD)).await.is(200);
            server.delete(&path).await.is(204);
            let missing: Value = server.get(SCHEMA).await.is(404).json();
            assert!(missing["reason"].as_str().unwrap().contains("public/default/t"));
        }
    });
}
