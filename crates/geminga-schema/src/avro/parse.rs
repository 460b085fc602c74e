//! From JSON to a schema, by the rules of Avro's Java library as Pulsar's brokers use it: names may
//! hold `$`, and defaults are not looked at until one is needed.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::{Field, Form, Id, Name, Schema, Type};
use crate::limits;

/// What Avro itself reads of a type; the rest are properties.
const OF_TYPES: [&str; 10] =
    ["aliases", "doc", "fields", "items", "name", "namespace", "size", "symbols", "type", "values"];
const OF_FIELDS: [&str; 6] = ["aliases", "default", "doc", "name", "order", "type"];
const ORDERS: [&str; 3] = ["ascending", "descending", "ignore"];

type Parsed<T> = Result<T, String>;

/// Reads a definition.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn parse(definition: &[u8]) -> Parsed<Schema> {
    let json: Value = serde_json::from_slice(definition).map_err(|error| error.to_string())?;
    let schema = Schema { types: Vec::new(), root: 0, aliases: super::Aliases::default() };
    let mut parser = Parser { schema, named: BTreeMap::new() };
    parser.schema.root = parser.parse(&json, "")?;
    Ok(parser.schema)
}

struct Parser {
    schema: Schema,
    named: BTreeMap<Name, Id>,
}

impl Parser {
    /// Nesting is what the JSON's is, which its parser bounds.
    fn parse(&mut self, json: &Value, namespace: &str) -> Parsed<Id> {
        match json {
            Value::String(name) => self.reference(name, namespace),
            Value::Array(branches) => self.union(branches, namespace),
            Value::Object(object) => self.object(object, namespace),
            other => Err(format!("no schema: {other}")),
        }
    }

    fn reference(&mut self, name: &str, namespace: &str) -> Parsed<Id> {
        if let Some(form) = primitive(name) {
            return Ok(self.add(form, Map::new()));
        }
        self.find(name, namespace).ok_or_else(|| format!("undefined name: {name:?}"))
    }

    /// In the namespace, or in none.
    fn find(&self, name: &str, namespace: &str) -> Option<Id> {
        let found = self.named.get(&qualified(name, namespace).ok()?);
        found.or_else(|| self.named.get(&qualified(name, "").ok()?)).copied()
    }

    fn union(&mut self, branches: &[Value], namespace: &str) -> Parsed<Id> {
        let mut ids = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        for branch in branches {
            let id = self.parse(branch, namespace)?;
            let form = self.schema.form(id);
            let name = form.name().map_or_else(|| form.described(), Name::full);
            if matches!(form, Form::Union(_)) {
                return Err("a union in a union".to_owned());
            }
            if !names.insert(name.clone()) {
                return Err(format!("a union with two branches {name:?}"));
            }
            ids.push(id);
        }
        Ok(self.add(Form::Union(ids), Map::new()))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Parsed<Id> {
        let kind = text(object, "type").ok_or_else(|| no("type", object))?;
        let properties = rest(object, &OF_TYPES);
        if let Some(form) = primitive(kind) {
            return Ok(self.add(form, properties));
        }
        match kind {
            "array" => {
                let items = object.get("items").ok_or_else(|| no("items", object))?;
                let items = self.parse(items, namespace)?;
                Ok(self.add(Form::Array(items), properties))
            }
            "map" => {
                let values = object.get("values").ok_or_else(|| no("values", object))?;
                let values = self.parse(values, namespace)?;
                Ok(self.add(Form::Map(values), properties))
            }
            "record" | "error" | "enum" | "fixed" => {
                self.named_type(kind, object, properties, namespace)
            }
            other => self.find(other, namespace).ok_or_else(|| format!("no type: {other:?}")),
        }
    }

    fn named_type(
        &mut self,
        kind: &str,
        object: &Map<String, Value>,
        mut properties: Map<String, Value>,
        namespace: &str,
    ) -> Parsed<Id> {
        let given = text(object, "name").ok_or_else(|| no("name", object))?;
        let name = qualified(given, text(object, "namespace").unwrap_or(namespace))?;
        check_name(&name.local)?;
        // Its own fields may refer to it.
        let id = self.add(Form::Record { name: name.clone(), fields: Vec::new() }, Map::new());
        if self.named.insert(name.clone(), id).is_some() {
            return Err(format!("{} is defined twice", name.full()));
        }
        for alias in aliases(object)? {
            let alias = qualified(alias, &name.namespace)?;
            self.schema.aliases.types.insert(alias, name.clone());
        }
        let form = match kind {
            "enum" => {
                properties.remove("default");
                enumeration(object, name)?
            }
            "fixed" => {
                let size = object.get("size").and_then(Value::as_i64);
                let size = size.and_then(|size| i32::try_from(size).ok()).filter(|&size| 0 <= size);
                let size = size.ok_or_else(|| format!("{} has no size", name.full()))?;
                Form::Fixed { name, size }
            }
            _ => {
                let fields = self.fields(object, &name)?;
                Form::Record { name, fields }
            }
        };
        self.schema.types[id] = Type { form, properties };
        Ok(id)
    }

    fn fields(&mut self, object: &Map<String, Value>, record: &Name) -> Parsed<Vec<Field>> {
        let given = object.get("fields").and_then(Value::as_array);
        let given = given.ok_or_else(|| format!("record {} has no fields", record.full()))?;
        let mut fields: Vec<Field> = Vec::new();
        let mut names = std::collections::BTreeSet::new();
        for json in given {
            let json = json.as_object().ok_or_else(|| format!("no field: {json}"))?;
            let field = self.field(json, record)?;
            if !names.insert(field.name.clone()) {
                return Err(format!("{} has two fields {:?}", record.full(), field.name));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn field(&mut self, json: &Map<String, Value>, record: &Name) -> Parsed<Field> {
        let name = text(json, "name").ok_or_else(|| no("name", json))?.to_owned();
        check_name(&name)?;
        let kind = json.get("type").ok_or_else(|| no("type", json))?;
        let kind = self.parse(kind, &record.namespace)?;
        for alias in aliases(json)? {
            limits::check_name_length(alias)?;
            let of_record = self.schema.aliases.fields.entry(record.clone()).or_default();
            of_record.insert(alias.to_owned(), name.clone());
        }
        let order = text(json, "order").map(str::to_lowercase);
        if let Some(order) = order.as_deref().filter(|order| !ORDERS.contains(order)) {
            return Err(format!("no order: {order:?}"));
        }
        let is_fraction = matches!(self.schema.form(kind), Form::Float | Form::Double);
        let default = match json.get("default") {
            Some(Value::String(text)) if is_fraction => Some(number(text)?),
            given => given.cloned(),
        };
        let order = order.filter(|order| order != "ascending"); // What is meant without it.
        let properties = rest(json, &OF_FIELDS);
        Ok(Field { name, kind, default, order, properties })
    }

    fn add(&mut self, form: Form, properties: Map<String, Value>) -> Id {
        self.schema.types.push(Type { form, properties });
        self.schema.types.len() - 1
    }
}

fn primitive(name: &str) -> Option<Form> {
    Some(match name {
        "null" => Form::Null,
        "boolean" => Form::Boolean,
        "int" => Form::Int,
        "long" => Form::Long,
        "float" => Form::Float,
        "double" => Form::Double,
        "bytes" => Form::Bytes,
        "string" => Form::String,
        _ => return None,
    })
}

fn enumeration(object: &Map<String, Value>, name: Name) -> Parsed<Form> {
    let given = object.get("symbols").and_then(Value::as_array);
    let given = given.ok_or_else(|| format!("enum {} has no symbols", name.full()))?;
    let mut symbols: Vec<String> = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for symbol in given {
        let symbol = symbol.as_str().ok_or_else(|| format!("no symbol: {symbol}"))?;
        check_name(symbol)?;
        if !known.insert(symbol) {
            return Err(format!("enum {} has two symbols {symbol:?}", name.full()));
        }
        symbols.push(symbol.to_owned());
    }
    let default = text(object, "default").map(str::to_owned);
    if let Some(default) = default.as_ref().filter(|default| !known.contains(default.as_str())) {
        return Err(format!("enum {} has no symbol {default:?}, its default", name.full()));
    }
    Ok(Form::Enum { name, symbols, default })
}

fn qualified(name: &str, namespace: &str) -> Parsed<Name> {
    let (namespace, local) = name.rsplit_once('.').unwrap_or((namespace, name));
    limits::check_name_length(namespace)?;
    limits::check_name_length(local)?;
    Ok(Name { namespace: namespace.to_owned(), local: local.to_owned() })
}

fn check_name(name: &str) -> Parsed<()> {
    limits::check_name_length(name)?;
    let is_initial = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    let mut letters = name.chars();
    let starts_well = letters.next().is_some_and(is_initial);
    if starts_well && letters.all(|c| is_initial(c) || c.is_numeric()) {
        Ok(())
    } else {
        Err(format!("no name: {name:?}"))
    }
}

fn aliases(object: &Map<String, Value>) -> Parsed<Vec<&str>> {
    let Some(given) = object.get("aliases") else { return Ok(Vec::new()) };
    let found = given.as_array().and_then(|given| given.iter().map(Value::as_str).collect());
    found.ok_or_else(|| format!("no list of aliases: {given}"))
}

/// A number written as a text; what JSON has no number for, such as NaN, stays one.
fn number(text: &str) -> Parsed<Value> {
    let number: f64 = text.trim().parse().map_err(|_| format!("no number: {text:?}"))?;
    Ok(Number::from_f64(number).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

fn text<'json>(object: &'json Map<String, Value>, key: &str) -> Option<&'json str> {
    object.get(key).and_then(Value::as_str)
}

fn rest(object: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    let is_other = |(key, _): &(&String, &Value)| !known.contains(&key.as_str());
    object.iter().filter(is_other).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Not the whole of it: a definition may be large.
fn no(key: &str, object: &Map<String, Value>) -> String {
    let keys: Vec<&str> = object.keys().map(String::as_str).take(10).collect();
    format!("no {key:?} where there is {keys:?}")
}
