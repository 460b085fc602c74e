//! Whether a default is a value of its field's type.

use serde_json::Value;

use super::{Form, Id, Schema};
use crate::Steps;

/// Symbols that are compared with a default in the time of a step.
const SYMBOLS_PER_STEP: usize = 16;

/// Why a default is none; `None` when it is one. As lax as Avro's decoder: what should be an array, a map
/// or a record and is not counts as empty, but an object's values are taken for an array's items.
///
/// Nesting is the default's own, which the JSON parser bounds, except for records whose missing fields
/// have defaults: those are bounded by `steps`' depth.
pub(super) fn wrong(schema: &Schema, id: Id, value: &Value, steps: &mut Steps) -> Option<String> {
    if let Err(error) = steps.enter() {
        return Some(error);
    }
    let found = wrong_inside(schema, id, value, steps);
    steps.leave();
    found
}

fn wrong_inside(schema: &Schema, id: Id, value: &Value, steps: &mut Steps) -> Option<String> {
    let form = schema.form(id);
    if let Form::Enum { symbols, .. } = form
        && let Err(error) = steps.count_all(symbols.len() / SYMBOLS_PER_STEP)
    {
        return Some(error);
    }
    let fits = match form {
        Form::Null => value.is_null(),
        Form::Boolean => value.is_boolean(),
        Form::Int | Form::Long => value.is_number(),
        Form::Float | Form::Double => value.is_number() || value.is_string(), // NaN, and infinities.
        Form::Bytes | Form::String | Form::Fixed { .. } => value.is_string(),
        Form::Enum { symbols, .. } => {
            value.as_str().is_some_and(|value| symbols.iter().any(|symbol| symbol == value))
        }
        Form::Array(items) => {
            let of_array = value.as_array().into_iter().flatten();
            let of_object = value.as_object().into_iter().flat_map(|object| object.values());
            let mut values = of_array.chain(of_object);
            return values.find_map(|value| wrong(schema, *items, value, steps));
        }
        Form::Map(values) => {
            let mut entries = value.as_object().into_iter().flat_map(|object| object.values());
            return entries.find_map(|value| wrong(schema, *values, value, steps));
        }
        Form::Union(branches) => match branches.first() {
            Some(first) => return wrong(schema, *first, value, steps),
            None => false,
        },
        Form::Record { fields, .. } => {
            return fields.iter().find_map(|field| {
                match value.get(&field.name).or(field.default.as_ref()) {
                    Some(value) => wrong(schema, field.kind, value, steps),
                    None => Some(format!("it has no value for {:?}", field.name)),
                }
            });
        }
    };
    (!fits).then(|| unfit(form, value))
}

fn unfit(form: &Form, value: &Value) -> String {
    let text: String = value.to_string().chars().take(100).collect();
    format!("{text} is no {}", form.described())
}
