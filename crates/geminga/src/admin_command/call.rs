//! From a verb and the values that were given to the requests that are made.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::verb::{Kind, Place, Verb};

/// What was given, by the names of arguments.
pub(super) type Values = BTreeMap<&'static str, Value>;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
}

/// The requests that a verb makes. `now` is the time in milliseconds; `base` what is to be changed.
///
/// # Errors
///
/// Which argument is missing.
pub(super) fn calls(
    verb: &Verb,
    values: &Values,
    base: Option<Value>,
    now: u64,
) -> Result<Vec<Call>, String> {
    let body = body(verb, values, base);
    let query = query(verb, values);
    let mut missing = "";
    'paths: for paths in &verb.paths {
        let mut calls = Vec::new();
        for template in paths {
            match path(verb, template, values, now) {
                Ok(path) => {
                    let (method, path) = (verb.method, format!("{path}{query}"));
                    calls.push(Call { method, path, body: body.clone() });
                }
                Err(name) => {
                    missing = name;
                    continue 'paths;
                }
            }
        }
        return Ok(calls);
    }
    Err(format!("--{missing} is missing"))
}

/// The request for what is to be changed.
pub(super) fn base_call(verb: &Verb, values: &Values) -> Option<Result<Call, String>> {
    let path = path(verb, verb.base?, values, 0);
    Some(match path {
        Ok(path) => Ok(Call { method: "GET", path, body: None }),
        Err(name) => Err(format!("{name} is missing")),
    })
}

/// A path with its variable parts filled in; fails with the name of what is missing.
fn path(
    verb: &Verb,
    template: &'static str,
    values: &Values,
    now: u64,
) -> Result<String, &'static str> {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        path.push_str(before);
        path.push_str(&part(verb, name, values, now).ok_or(name)?);
        rest = after;
    }
    path.push_str(rest);
    Ok(path)
}

fn part(verb: &Verb, name: &'static str, values: &Values, now: u64) -> Option<String> {
    let (name, with_domain) = match name.strip_suffix(" without domain") {
        Some(name) => (name, false),
        None => (name, true),
    };
    let value = values.get(name)?;
    let kind = verb.arguments.iter().find(|argument| argument.name == name)?.kind;
    let text = text(value);
    Some(match kind {
        Kind::Topic => {
            let (domain, rest) = text.split_once("://")?;
            let rest: Vec<String> = rest.splitn(3, '/').map(encoded).collect();
            let rest = rest.join("/");
            if with_domain { format!("{domain}/{rest}") } else { rest }
        }
        Kind::Namespace => text.split('/').map(encoded).collect::<Vec<_>>().join("/"),
        Kind::Ago => {
            let ago = u64::try_from(value.as_i64()?).unwrap_or(0);
            now.saturating_sub(ago).to_string()
        }
        // A switch that chooses the path.
        Kind::Switch if name == "all-version" => "schemas".to_owned(),
        _ => encoded(&text),
    })
}

/// What a value is in a path.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A part of a path in which nothing is a separator.
pub(super) fn encoded(text: &str) -> String {
    // What every client leaves as it is, so that logs stay readable.
    const PART: &percent_encoding::AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, PART).to_string()
}

fn query(verb: &Verb, values: &Values) -> String {
    let given = verb.arguments.iter().filter_map(|argument| {
        let Place::Query(name) = argument.place else { return None };
        Some((name, values.get(argument.name)?))
    });
    let each = given.flat_map(|(name, value)| {
        let all = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        all.iter().map(move |value| format!("{name}={}", encoded(&text(value))))
    });
    let given: Vec<String> = each.collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

fn body(verb: &Verb, values: &Values, base: Option<Value>) -> Option<Value> {
    let is_record = |place| matches!(place, Place::Field(_));
    let mut is_one = verb.arguments.iter().any(|argument| is_record(argument.place));
    let mut record = match base {
        Some(Value::Object(record)) => record,
        _ => Map::new(),
    };
    let mut alone = None;
    for argument in &verb.arguments {
        let Some(value) = values.get(argument.name) else { continue };
        match (argument.place, value) {
            (Place::Field(name), value) => put(&mut record, name, value.clone()),
            (Place::Body, Value::Object(fields)) => {
                is_one = true;
                record.extend(fields.clone());
            }
            (Place::Body, value) => alone = Some(value.clone()),
            _ => {}
        }
    }
    let clears = values.get("clear") == Some(&Value::Bool(true));
    alone.or_else(|| (verb.method != "GET" && (is_one || clears)).then(|| record.into()))
}

/// Sets a field; dots lead to inner ones.
fn put(record: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => _ = record.insert(name.to_owned(), value),
        Some((outer, inner)) => {
            let field = record.entry(outer.to_owned()).or_insert_with(|| Map::new().into());
            if let Value::Object(fields) = field {
                put(fields, inner, value);
            }
        }
    }
}
