//! What is a definition of its kind, and what is not.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use geminga_schema::{Definition, Kind, Strategy, check_next, join_key_value, limits};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::Type,
};

fn of(kind: Kind, data: &[u8]) -> Definition<'_> {
    Definition { kind, data, properties: BTreeMap::new() }
}

fn is_same(one: &Definition<'_>, other: &Definition<'_>) -> bool {
    one.find_same(std::slice::from_ref(other)).is_some()
}

fn is_avro(text: &str) -> bool {
    of(Kind::PROTOBUF, text.as_bytes()).check().is_ok()
}

#[test]
fn what_is_an_avro_schema() {
    for text in [
        r#""string""#,
        r#"{"type":"int","logicalType":"date"}"#,
        r#"["null","int",{"type":"array","items":"int"}]"#,
        r#"{"type":"map","values":{"type":"fixed","name":"F","size":0}}"#,
        r#"{"type":"enum","name":"E","symbols":["A","B"],"default":"B"}"#,
        r#"{"type":"record","name":"x.y.R$","fields":[{"name":"_a$1","type":["null","R$"]}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"n.R"}]}"#,
        r#"{"type":"error","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"float","default":"NaN"}]}"#,
    ] {
        assert!(is_avro(text), "{text}");
    }
}

#[test]
fn what_is_none() {
    for text in [
        "",
        "{}",
        "1",
        r#""text""#,
        r#""string" 1"#,
        r#"{"type":"array"}"#,
        r#"{"type":"map"}"#,
        r#"{"type":{"type":"string"}}"#,
        r#"["int","int"]"#,
        r#"[["int"]]"#,
        r#"{"type":"fixed","name":"F"}"#,
        r#"{"type":"fixed","name":"F","size":-1}"#,
        r#"{"type":"fixed","name":"F","size":2147483648}"#,
        r#"{"type":"enum","name":"E"}"#,
        r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
        r#"{"type":"enum","name":"E","symbols":["1"]}"#,
        r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#,
        r#"{"type":"record","name":"R"}"#,
        r#"{"type":"record","fields":[]}"#,
        r#"{"type":"record","name":"","fields":[]}"#,
        r#"{"type":"record","name":"1","fields":[]}"#,
        r#"{"type":"record","name":"a-b","fields":[]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"type":"int"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"S"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","order":"x"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":"x"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
        r#"{"type":"record","name":"R","aliases":"S","fields":[]}"#,
        r#"[{"type":"fixed","name":"R","size":1},{"type":"record","name":"R","fields":[]}]"#,
    ] {
        assert!(!is_avro(text), "{text}");
    }
}

#[test]
fn what_each_kind_asks_for() {
    let record: &[u8] = br#"{"type":"record","name":"R","fields":[]}"#;
    let union: &[u8] = br#"["null","int"]"#;
    assert!(of(Kind::AVRO, record).check().is_ok());
    assert!(of(Kind::AVRO, union).check().is_err());
    assert!(of(Kind::JSON, union).check().is_ok());
    assert!(of(Kind::JSON, b"{}").check().is_err());
    assert!(of(Kind::JSON, br#"{"type":"object"}"#).check().is_ok());
    for number in [1, 5, 9, 14, 16, 19] {
        assert!(of(Kind(number), b"").check().is_ok(), "{number}");
        assert!(of(Kind(number), b"x").check().is_err(), "{number}");
    }
    assert!(of(Kind::STRING, b"null").check().is_ok());
    assert!(of(Kind(7), b"null").check().is_err());
    assert!(of(Kind::EXTERNAL, b"whatever").check().is_ok());
    for number in [21, 23, 77, -2, i32::MIN] {
        assert!(of(Kind(number), b"").check().is_err(), "{number}");
    }
}

#[test]
fn what_a_pair_asks_for() {
    let record: &[u8] = br#"{"type":"record","name":"R","fields":[]}"#;
    let data = join_key_value(b"", record).unwrap();
    let check = |key, value| {
        let properties = BTreeMap::from([("key.schema.type", key), ("value.schema.type", value)]);
        Definition { kind: Kind::KEY_VALUE, data: &data, properties }.check()
    };
    assert_eq!(check("STRING", "AVRO"), Ok(()));
    assert_eq!(check("BYTES", "BYTES"), Ok(()));
    assert!(check("AVRO", "AVRO").unwrap_err().to_string().contains("its key"));
    assert!(check("STRING", "INT32").unwrap_err().to_string().contains("its value"));
    assert!(check("STRING", "WHAT").is_err() && check("AUTO_CONSUME", "AVRO").is_err());
    assert_eq!(of(Kind::KEY_VALUE, &data).check(), Ok(()), "bytes, if nothing is said");
    assert!(of(Kind::KEY_VALUE, b"\0\0\0\x09x").check().is_err());
}

#[test]
fn formatting_documentation_and_aliases_make_no_new_version() {
    let one = r#"{"type":"record","name":"n.R","fields":[{"name":"a","type":"int"}]}"#;
    let same = r#" {"fields":[{"type":{"type":"int"},"name":"a","doc":"x","order":"ascending"}],
        "name":"R", "namespace":"n", "type":"record", "aliases":["S"]}"#;
    let changed = [
        one.replace("int", "long"),
        one.replace("n.R", "n.S"),
        one.replace("n.R", "R"),
        one.replace(r#""int""#, r#""int","default":1"#),
        one.replace(r#""int""#, r#"{"type":"int","logicalType":"date"}"#),
    ];
    for kind in [Kind::AVRO, Kind::JSON, Kind::PROTOBUF] {
        assert!(is_same(&of(kind, one.as_bytes()), &of(kind, same.as_bytes())));
        for changed in &changed {
            let (one, changed) = (of(kind, one.as_bytes()), of(kind, changed.as_bytes()));
            assert!(!is_same(&one, &changed), "{changed:?}");
        }
    }
    assert!(!is_same(&of(Kind::AVRO, one.as_bytes()), &of(Kind::JSON, one.as_bytes())));
    assert!(!is_same(&of(Kind::EXTERNAL, b"{}"), &of(Kind::EXTERNAL, b"{ }")));
    assert!(is_same(&of(Kind::AVRO, b"{"), &of(Kind::AVRO, b"{")));
}

#[test]
fn pairs_with_the_same_data_and_other_kinds_are_not_the_same() {
    let data = join_key_value(b"", b"").unwrap();
    let pair = |key, value, encoding| {
        let properties = BTreeMap::from([
            ("key.schema.type", key),
            ("value.schema.type", value),
            ("kv.encoding.type", encoding),
        ]);
        Definition { kind: Kind::KEY_VALUE, data: &data, properties }
    };
    let (texts, numbers) = (pair("STRING", "STRING", "INLINE"), pair("STRING", "INT32", "INLINE"));
    assert!(is_same(&texts, &pair("STRING", "STRING", "SEPARATED")));
    assert!(!is_same(&texts, &numbers));
    let refusal = check_next(Strategy::Full, &[texts], &numbers).unwrap_err().to_string();
    assert!(refusal.contains("type STRING, the new one's of type INT32"), "{refusal}");
}

fn native(set: &FileDescriptorSet, message: &str) -> Vec<u8> {
    let set = STANDARD.encode(set.encode_to_vec());
    let json = serde_json::json!({
        "fileDescriptorSet": set,
        "rootMessageTypeName": message,
        "rootFileDescriptorName": "a.proto",
    });
    json.to_string().into_bytes()
}

fn files() -> FileDescriptorSet {
    let field = FieldDescriptorProto {
        name: Some("f".to_owned()),
        number: Some(1),
        r#type: Some(Type::Message.into()),
        type_name: Some(".other.C".to_owned()),
        ..FieldDescriptorProto::default()
    };
    let message =
        |name: &str| DescriptorProto { name: Some(name.to_owned()), ..DescriptorProto::default() };
    FileDescriptorSet {
        file: vec![
            FileDescriptorProto {
                name: Some("a.proto".to_owned()),
                package: Some("p".to_owned()),
                dependency: vec!["c.proto".to_owned()],
                message_type: vec![
                    DescriptorProto {
                        field: vec![field],
                        nested_type: vec![message("B")],
                        ..message("A")
                    },
                    message("D"),
                ],
                ..FileDescriptorProto::default()
            },
            FileDescriptorProto {
                name: Some("c.proto".to_owned()),
                package: Some("other".to_owned()),
                message_type: vec![message("C")],
                ..FileDescriptorProto::default()
            },
        ],
    }
}

#[test]
fn descriptors_are_whole_and_keep_their_root() {
    let whole = files();
    for message in ["p.A", "p.A.B", "p.D"] {
        let data = native(&whole, message);
        assert_eq!(of(Kind::PROTOBUF_NATIVE, &data).check(), Ok(()), "{message}");
    }
    for message in ["A", "p.B", "", "other.C"] {
        let data = native(&whole, message);
        assert!(of(Kind::PROTOBUF_NATIVE, &data).check().is_err(), "{message}");
    }
    let mut lacking = files();
    lacking.file.pop();
    let data = native(&lacking, "p.A");
    let error = of(Kind::PROTOBUF_NATIVE, &data).check().unwrap_err().to_string();
    assert!(error.contains("c.proto"), "{error}");
    lacking.file[0].dependency.clear();
    let data = native(&lacking, "p.A");
    let error = of(Kind::PROTOBUF_NATIVE, &data).check().unwrap_err().to_string();
    assert!(error.contains("other.C"), "{error}");

    let (a, d) = (native(&whole, "p.A"), native(&whole, "p.D"));
    let mut grown = files();
    grown.file[1].message_type[0].field.push(FieldDescriptorProto::default());
    let grown = native(&grown, "p.A");
    for strategy in Strategy::ALL {
        let old = [of(Kind::PROTOBUF_NATIVE, &a)];
        let next = |data| check_next(strategy, &old, &of(Kind::PROTOBUF_NATIVE, data)).is_ok();
        assert_eq!(next(&d), strategy == Strategy::AlwaysCompatible, "{strategy}");
        assert_eq!(next(&grown), strategy != Strategy::AlwaysIncompatible, "{strategy}");
        let damaged = [of(Kind::PROTOBUF_NATIVE, b"x")];
        let over = check_next(strategy, &damaged, &of(Kind::PROTOBUF_NATIVE, &a));
        assert_eq!(over.is_ok(), strategy != Strategy::AlwaysIncompatible, "{strategy}");
    }
}

/// A chain of records, each with a field of the one before: as deep as it is long, without nesting.
fn chain(length: usize, kind: &str) -> String {
    let mut fields = vec![format!(
        r#"{{"name":"f0","type":{{"type":"record","name":"R0","fields":[{{"name":"a","type":"{kind}"}}]}}}}"#
    )];
    for n in 1..length {
        let before = n - 1;
        fields.push(format!(
            r#"{{"name":"f{n}","default":{{}},"type":{{"type":"record","name":"R{n}","fields":[
            {{"name":"a","type":"R{before}","default":{{}}}}]}}}}"#
        ));
    }
    format!(r#"{{"type":"record","name":"Top","fields":[{}]}}"#, fields.join(","))
}

#[test]
fn what_is_too_deep_or_too_much_is_refused_and_nothing_overflows() {
    let nested = "[".repeat(100_000);
    assert!(!is_avro(&nested));
    let nested = r#"{"type":"array","items":"#.repeat(100) + r#""int""# + &"}".repeat(100);
    let nested = nested.as_bytes();
    let same = of(Kind::PROTOBUF, nested);
    assert_eq!(same.check(), Ok(()));
    assert_eq!(check_next(Strategy::Full, std::slice::from_ref(&same), &same), Ok(()));

    let (old, new) = (chain(5_000, "int"), chain(5_000, "string"));
    let last = r#"{"name":"f4999""#;
    // The deepest first: the reader's own order does not count.
    let reordered = new.replacen(last, r#"{"name":"first""#, 1);
    for new in [new, reordered] {
        let verdict = check_next(
            Strategy::Full,
            &[of(Kind::AVRO, old.as_bytes())],
            &of(Kind::AVRO, new.as_bytes()),
        );
        assert!(verdict.is_err());
    }

    let wide: Vec<String> = (0..1_000)
        .map(|n| {
            format!(
                r#"{{"type":"record","name":"R{n}","fields":[{{"name":"x{n}","type":"int"}}]}}"#
            )
        })
        .collect();
    let (old, new) = (format!("[{}]", wide.join(",")), format!(r#"["null",{}]"#, wide.join(",")));
    let renamed = new.replace("\"R", "\"S");
    for new in [new, renamed] {
        let _bounded = check_next(
            Strategy::FullTransitive,
            &[of(Kind::JSON, old.as_bytes()), of(Kind::JSON, old.as_bytes())],
            &of(Kind::JSON, new.as_bytes()),
        );
    }

    let large = vec![b' '; limits::DEFINITION_BYTES_MAX + 1];
    let error = of(Kind::EXTERNAL, &large).check().unwrap_err().to_string();
    assert!(error.contains("1048577") && error.contains("1048576"), "{error}");
}

/// A record whose fields are looked at from the innermost outwards, the last alone is chosen: every look is
/// short, and the way inwards through what was looked at is long.
fn long_way(length: usize, is_reader: bool) -> String {
    let inwards = |n: usize| match n.checked_sub(1) {
        None => r#""int""#.to_owned(),
        Some(before) => {
            let name = if is_reader { 'R' } else { 'W' };
            r#"{"type":"array","items":"#.repeat(50)
                + &format!("\"{name}{before}\"")
                + &"}".repeat(50)
        }
    };
    let record = |name: char, n: usize| {
        let kind = inwards(n);
        format!(r#"{{"type":"record","name":"{name}{n}","fields":[{{"name":"a","type":{kind}}}]}}"#)
    };
    let fields = (0..length).map(|n| {
        let kind = if is_reader {
            let chosen = format!(r#"{{"type":"record","name":"W{n}","fields":[]}}"#);
            format!("[{},{chosen}]", record('R', n))
        } else {
            record('W', n)
        };
        format!(r#"{{"name":"f{n}","type":{kind}}}"#)
    });
    let fields: Vec<String> = fields.collect();
    let last = format!("{}{}", if is_reader { 'R' } else { 'W' }, length - 1);
    format!(
        r#"{{"type":"record","name":"Top","fields":[{},{{"name":"last","type":"{last}"}}]}}"#,
        fields.join(",")
    )
}

#[test]
fn a_long_way_through_what_was_looked_at_is_refused() {
    let verdict = |length| {
        let (old, new) = (long_way(length, false), long_way(length, true));
        let old = of(Kind::AVRO, old.as_bytes());
        check_next(Strategy::Backward, &[old], &of(Kind::AVRO, new.as_bytes()))
    };
    assert_eq!(verdict(3), Ok(()));
    let refusal = verdict(250).unwrap_err().to_string();
    assert!(refusal.contains("nested more than 256 deep"), "{refusal}");
}

/// Goal: a small definition does not become a large one by what its types share.
#[test]
fn long_names_are_refused_before_they_are_copied() {
    let long = "n".repeat(limits::NAME_BYTES_MAX + 1);
    let aliases: Vec<String> = (0..50_000).map(|number| format!("a{number}")).collect();
    let record = serde_json::json!({
        "type": "record", "name": "R", "namespace": long, "aliases": aliases, "fields": []});
    assert!(!is_avro(&record.to_string()));
    let symbols = serde_json::json!({"type": "enum", "name": long, "symbols": ["A"]});
    assert!(!is_avro(&symbols.to_string()));
    let field = serde_json::json!({"name": "a", "type": "int", "aliases": [long]});
    let record = serde_json::json!({"type": "record", "name": "R", "fields": [field]});
    assert!(!is_avro(&record.to_string()));
    let most = "n".repeat(limits::NAME_BYTES_MAX);
    let record = serde_json::json!({"type": "record", "name": most, "fields": []});
    assert!(is_avro(&record.to_string()));
}

/// Goal: the same, of a package with very many messages.
#[test]
fn descriptors_whose_names_take_too_much_are_refused() {
    let message =
        |name: &str| DescriptorProto { name: Some(name.to_owned()), ..DescriptorProto::default() };
    let mut messages = vec![message("M")];
    messages.resize(100_000, message(""));
    let file = FileDescriptorProto {
        name: Some("f.proto".to_owned()),
        package: Some("p".repeat(300_000)),
        message_type: messages,
        ..FileDescriptorProto::default()
    };
    let set = FileDescriptorSet { file: vec![file] };
    let data = native(&set, "M");
    assert!(data.len() < limits::DEFINITION_BYTES_MAX);
    let refused = of(Kind::PROTOBUF_NATIVE, &data).check().unwrap_err().to_string();
    assert!(refused.contains("full names"), "{refused}");
}

#[test]
fn a_refusal_is_short_whatever_it_is_about() {
    let name = "x".repeat(100_000);
    let text = format!(r#"{{"type":"array","items":"{name}"}}"#);
    let error = of(Kind::AVRO, text.as_bytes()).check().unwrap_err().to_string();
    assert!(error.contains("xxx") && error.len() < 2_000, "{}", error.len());
    let record = |kind: &str| {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{name}","type":"{kind}"}}]}}"#)
    };
    let (old, new) = (record("int"), record("string"));
    let old = of(Kind::AVRO, old.as_bytes());
    let error = check_next(Strategy::Full, &[old], &of(Kind::AVRO, new.as_bytes())).unwrap_err();
    assert!(error.to_string().len() < 2_000);
}

#[test]
fn pairs_in_pairs_end() {
    let mut data = join_key_value(b"", b"").unwrap();
    let mut properties = String::from("{}");
    for _ in 0..limits::KEY_VALUE_DEPTH_MAX + 1 {
        properties = serde_json::json!({
            "key.schema.type": "KEY_VALUE",
            "key.schema.properties": properties,
        })
        .to_string();
        data = join_key_value(&data, b"").unwrap();
    }
    let properties: BTreeMap<String, String> = serde_json::from_str(&properties).unwrap();
    let properties = properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let pair = Definition { kind: Kind::KEY_VALUE, data: &data, properties };
    assert!(pair.check().unwrap_err().to_string().contains("nested 8 deep"));
    assert!(check_next(Strategy::Full, std::slice::from_ref(&pair), &pair).is_ok());
}

fn avro() -> impl proptest::strategy::Strategy<Value = serde_json::Value> {
    use proptest::strategy::Strategy as _;
    use serde_json::json;
    let name = || proptest::sample::select(vec!["A", "B", "x.A", "int"]);
    let leaf = prop_oneof![
        proptest::sample::select(vec!["null", "int", "long", "string", "bytes", "A", "B", "x.A"])
            .prop_map(|name| json!(name)),
        Just(json!({"type": "enum", "name": "E", "symbols": ["P", "Q"]})),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let field = (name(), inner.clone(), any::<bool>()).prop_map(|(name, kind, has_default)| {
            let mut field = json!({"name": name.replace('.', ""), "type": kind});
            if has_default {
                field["default"] = json!(1);
            }
            field
        });
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            proptest::collection::vec(inner, 0..4).prop_map(serde_json::Value::Array),
            (name(), name(), proptest::collection::vec(field, 0..4)).prop_map(
                |(name, alias, fields)| {
                    json!({"type": "record", "name": name, "aliases": [alias], "fields": fields})
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_has_a_verdict(old in avro(), new in avro()) {
        let (old, new) = (old.to_string(), new.to_string());
        for strategy in Strategy::ALL {
            let (old, new) = (of(Kind::JSON, old.as_bytes()), of(Kind::JSON, new.as_bytes()));
            let _ends = check_next(strategy, std::slice::from_ref(&old), &new);
            prop_assert!(check_next(strategy, std::slice::from_ref(&new), &new).is_ok());
        }
    }

    #[test]
    fn bytes_are_checked_without_panic(kind in -2_i32..25, data: Vec<u8>) {
        let definition = of(Kind(kind), &data);
        let _either = definition.check();
        prop_assert!(is_same(&definition, &definition));
    }
}
