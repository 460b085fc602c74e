//! JSON schemas as clients of old defined them: by JSON Schema instead of Avro.

use serde_json::Value;

const FORMS: [&str; 8] =
    ["any", "array", "boolean", "integer", "null", "number", "object", "string"];

/// A definition that is one of those.
pub(crate) fn read_legacy(definition: &[u8]) -> Option<Value> {
    let json: Value = serde_json::from_slice(definition).ok()?;
    let form = json.get("type").and_then(Value::as_str)?;
    FORMS.contains(&form).then_some(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_one() {
        assert!(read_legacy(br#"{"type":"object","id":"urn:jsonschema:a:B"}"#).is_some());
        for none in [&b"{}"[..], b"", b"[]", br#"{"type":"record"}"#, br#"{"type":[]}"#] {
            assert_eq!(read_legacy(none), None, "{none:?}");
        }
    }
}
