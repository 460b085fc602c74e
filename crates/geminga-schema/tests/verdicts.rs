//! What may follow what.
//!
//! `compatibility.json` is the table for AVRO and JSON. Pulsar's own client and the server it talks to are
//! held to the same table by `tests/interop/java`.

use std::collections::BTreeMap;

use geminga_schema::{Definition, Kind, Strategy, check_consumer, check_next, join_key_value};
use serde_json::Value;

fn of(kind: Kind, data: &[u8]) -> Definition<'_> {
    Definition { kind, data, properties: BTreeMap::new() }
}

fn cases() -> Vec<Value> {
    serde_json::from_str(include_str!("compatibility.json")).expect("the table is JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn texts(case: &Value) -> (Vec<String>, String) {
    let versions = list(&case["versions"]);
    (versions.iter().map(Value::to_string).collect(), case["new"].to_string())
}

fn is_accepted(case: &Value, strategy: Strategy) -> bool {
    match strategy {
        Strategy::AlwaysCompatible => true,
        Strategy::AlwaysIncompatible => list(&case["versions"]).last() == Some(&case["new"]),
        _ => list(&case["accepted_by"]).iter().any(|name| name == strategy.as_str()),
    }
}

#[test]
fn the_table_holds() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (versions, new) = texts(&case);
        for kind in case["kinds"].as_array().unwrap() {
            let kind = Kind::named(kind.as_str().unwrap()).unwrap();
            let versions: Vec<_> = versions.iter().map(|text| of(kind, text.as_bytes())).collect();
            let new = of(kind, new.as_bytes());
            assert_eq!(new.check(), Ok(()), "{case}");
            for strategy in Strategy::ALL {
                let verdict = check_next(strategy, &versions, &new);
                if verdict.is_ok() != is_accepted(&case, strategy) {
                    wrong.push(format!("{}, {kind}, {strategy}: {verdict:?}", case["name"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_may_follow_in_both_directions_is_symmetric() {
    for case in cases() {
        let (versions, new) = texts(&case);
        let old = of(Kind::AVRO, versions.last().unwrap().as_bytes());
        let new = of(Kind::AVRO, new.as_bytes());
        let is_fine = |strategy, from: &Definition<'_>, to: &Definition<'_>| {
            check_next(strategy, std::slice::from_ref(from), to).is_ok()
        };
        let back = is_fine(Strategy::Backward, &old, &new);
        let forward = is_fine(Strategy::Forward, &old, &new);
        assert_eq!(back, is_fine(Strategy::Forward, &new, &old), "{case}");
        assert_eq!(back && forward, is_fine(Strategy::Full, &old, &new), "{case}");
    }
}

#[test]
fn a_consumer_is_asked_to_read_the_last_version() {
    let old = r#"{"type":"record","name":"A","fields":[{"name":"a","type":"string"}]}"#;
    let new = r#"{"type":"record","name":"A","fields":[{"name":"a","type":"string"},{"name":"b","type":"int"}]}"#;
    let other = r#"{"type":"record","name":"A","fields":[{"name":"a","type":"int"}]}"#;
    let [old, new, other] = [old, new, other].map(|text| of(Kind::AVRO, text.as_bytes()));
    let may = |strategy, existing: &[&Definition<'_>], wanted: &Definition<'_>| {
        let existing: Vec<_> = existing.iter().map(|&found| found.clone()).collect();
        check_consumer(strategy, &existing, wanted).is_ok()
    };
    use Strategy::*;
    for strategy in [Backward, Forward, Full, ForwardTransitive] {
        assert!(may(strategy, &[&old, &new], &old), "{strategy}: it has less");
        assert!(!may(strategy, &[&new, &old], &new), "{strategy}: it needs more");
        assert!(!may(strategy, &[&old], &other), "{strategy}");
    }
    assert!(may(BackwardTransitive, &[&new, &old], &old));
    assert!(!may(BackwardTransitive, &[&old, &new], &new), "not the first");
    assert!(!may(FullTransitive, &[&new], &old), "both ways");
    assert!(may(AlwaysCompatible, &[&old], &other) && may(AlwaysCompatible, &[], &old));
    assert!(may(AlwaysIncompatible, &[&old], &old), "the topic's own");
    assert!(!may(AlwaysIncompatible, &[&old], &new));
}

#[test]
fn another_kind_follows_only_where_everything_may() {
    let text = br#"{"type":"record","name":"A","fields":[]}"#;
    for (old, new) in [(Kind::AVRO, Kind::JSON), (Kind::STRING, Kind(8)), (Kind::JSON, Kind::NONE)]
    {
        let data: &[u8] = if old == Kind::STRING { b"" } else { text };
        let (old, new) = (of(old, data), of(new, data));
        for strategy in Strategy::ALL {
            let verdict = check_next(strategy, std::slice::from_ref(&old), &new);
            assert_eq!(verdict.is_ok(), strategy == Strategy::AlwaysCompatible, "{strategy}");
        }
    }
}

#[test]
fn a_refusal_names_the_version_and_the_field() {
    let schema = |kind: &str| {
        format!(
            r#"{{"type":"record","name":"Order","fields":[{{"name":"lines","type":{{"type":"array",
            "items":{{"type":"record","name":"Line","fields":[{{"name":"count","type":"{kind}"}}]}}}}}}]}}"#
        )
    };
    let (old, new) = (schema("string"), schema("int"));
    let existing = [of(Kind::AVRO, old.as_bytes())];
    let refusal = check_next(Strategy::Full, &existing, &of(Kind::AVRO, new.as_bytes()));
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "version 0, FULL: the new schema can't read what the old one wrote, at Order.lines.count: \
         found string, expecting int"
    );
}

#[test]
fn a_default_is_as_lax_as_the_decoder_takes_it() {
    let items = |kind: &str, default: &str| {
        format!(
            r#"{{"type":"record","name":"A","fields":[{{"name":"a","default":{default},"type":
            {{"type":"{kind}","items":"int","values":"int"}}}}]}}"#
        )
    };
    let old = [of(Kind::AVRO, br#"{"type":"record","name":"A","fields":[]}"#)];
    for (kind, default, is_fine) in [
        ("array", "[1]", true),
        ("array", "[true]", false),
        ("array", "7", true),
        ("array", r#"{"x":1}"#, true),
        ("array", r#"{"x":true}"#, false),
        ("map", r#"{"x":1}"#, true),
        ("map", r#"{"x":true}"#, false),
        ("map", "[true]", true),
    ] {
        let new = items(kind, default);
        let verdict = check_next(Strategy::Full, &old, &of(Kind::AVRO, new.as_bytes()));
        assert_eq!(verdict.is_ok(), is_fine, "{kind} {default}: {verdict:?}");
    }
}

#[test]
fn a_version_that_cannot_be_read_forbids_nothing() {
    let new = of(Kind::AVRO, br#"{"type":"record","name":"A","fields":[]}"#);
    for strategy in Strategy::ALL {
        let damaged = [of(Kind::AVRO, b"{"), of(Kind::AVRO, b"")];
        let verdict = check_next(strategy, &damaged, &new);
        assert_eq!(verdict.is_ok(), strategy != Strategy::AlwaysIncompatible, "{strategy}");
    }
    let pair = Definition {
        kind: Kind::KEY_VALUE,
        data: &join_key_value(b"", b"").unwrap(),
        properties: BTreeMap::new(),
    };
    assert_eq!(check_next(Strategy::Full, &[of(Kind::KEY_VALUE, b"x")], &pair), Ok(()));
}

#[test]
fn json_schemas_of_old_and_avro_follow_each_other() {
    let avro = of(Kind::JSON, br#"{"type":"record","name":"A","fields":[]}"#);
    let legacy = of(Kind::JSON, br#"{"type":"object","id":"urn:a","properties":{}}"#);
    let more = of(Kind::JSON, br#"{"type":"object","id":"urn:a","properties":{"x":{}}}"#);
    let other = of(Kind::JSON, br#"{"type":"object","id":"urn:b"}"#);
    let may = |old: &Definition<'_>, new: &Definition<'_>| {
        assert_eq!(new.check(), Ok(()));
        check_next(Strategy::Full, std::slice::from_ref(old), new).is_ok()
    };
    assert!(may(&avro, &legacy) && may(&legacy, &avro) && may(&legacy, &more));
    assert!(!may(&legacy, &other));
}

#[test]
fn both_parts_of_a_pair_count() {
    let avro = |kind: &str| {
        format!(r#"{{"type":"record","name":"A","fields":[{{"name":"a","type":"{kind}"}}]}}"#)
    };
    let typed =
        |key, value| BTreeMap::from([("key.schema.type", key), ("value.schema.type", value)]);
    let pair = |key: &str, value: &str| join_key_value(key.as_bytes(), value.as_bytes()).unwrap();
    let (old, key, value) = (
        pair(&avro("int"), &avro("int")),
        pair(&avro("string"), &avro("int")),
        pair(&avro("int"), &avro("string")),
    );
    let wider = pair(&avro("long"), &avro("int"));
    let of_avro =
        |data| Definition { kind: Kind::KEY_VALUE, data, properties: typed("AVRO", "AVRO") };
    let check = |strategy, new: &Definition<'_>| check_next(strategy, &[of_avro(&old)], new);
    assert_eq!(check(Strategy::Backward, &of_avro(&wider)), Ok(()));
    assert!(check(Strategy::Forward, &of_avro(&wider)).is_err());
    let refusal = check(Strategy::Backward, &of_avro(&key)).unwrap_err().to_string();
    assert!(refusal.starts_with("its key: version 0, BACKWARD:"), "{refusal}");
    let refusal = check(Strategy::Backward, &of_avro(&value)).unwrap_err().to_string();
    assert!(refusal.starts_with("its value: version 0, BACKWARD:"), "{refusal}");

    let text = pair("", &avro("int"));
    let other =
        Definition { kind: Kind::KEY_VALUE, data: &text, properties: typed("STRING", "AVRO") };
    assert_eq!(other.check(), Ok(()));
    let refusal = check(Strategy::Full, &other).unwrap_err().to_string();
    assert!(refusal.contains("type AVRO, the new one's of type STRING"), "{refusal}");
    assert_eq!(check(Strategy::AlwaysCompatible, &other), Ok(()));
}
