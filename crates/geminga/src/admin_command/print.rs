//! An answer as people read it: lists line by line, records field by field, many records as a table.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use serde_json::{Map, Value};

/// Writes a value by its form.
pub(super) fn print(value: &Value, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Null => Ok(()),
        Value::Array(rows) if are_records(rows.iter()) => {
            table(rows.iter().map(|row| (None, row)), out)
        }
        Value::Array(items) => items.iter().try_for_each(|item| writeln!(out, "{}", text(item))),
        Value::Object(fields) if are_records(fields.values()) && are_flat(fields) => {
            table(fields.iter().map(|(name, row)| (Some(name.as_str()), row)), out)
        }
        Value::Object(fields) => {
            let mut lines = Vec::new();
            flatten("", fields, &mut lines);
            columns(&lines, out)
        }
        _ => writeln!(out, "{}", text(value)),
    }
}

/// Several records: one is shown field by field.
fn are_records<'v>(mut values: impl ExactSizeIterator<Item = &'v Value>) -> bool {
    0 < values.len() && values.all(|value| matches!(value, Value::Object(row) if !row.is_empty()))
}

/// Whether the records of a record have no records themselves: a table of those would be too wide.
fn are_flat(fields: &Map<String, Value>) -> bool {
    let inner = fields.values().filter_map(Value::as_object).flat_map(Map::values);
    let is_flat = |value: &Value| !value.is_object() && !value.is_array();
    1 < fields.len() && inner.into_iter().all(is_flat)
}

fn table<'v>(
    rows: impl Iterator<Item = (Option<&'v str>, &'v Value)> + Clone,
    out: &mut impl Write,
) -> io::Result<()> {
    let records = rows.clone().filter_map(|(_, row)| row.as_object());
    let names: BTreeSet<&str> = records.flat_map(Map::keys).map(String::as_str).collect();
    let is_named = rows.clone().any(|(name, _)| name.is_some());
    let mut lines = Vec::new();
    let head = names.iter().map(|name| name.to_uppercase());
    lines.push(is_named.then(|| "NAME".to_owned()).into_iter().chain(head).collect::<Vec<_>>());
    for (name, row) in rows {
        let cell = |field: &&str| row.get(*field).map(text).unwrap_or_default();
        let cells =
            names.iter().map(cell).map(|cell| if cell.is_empty() { "-".into() } else { cell });
        lines.push(name.map(str::to_owned).into_iter().chain(cells).collect());
    }
    columns(&lines, out)
}

/// `a.b.c` and its value, for every value that is no record.
fn flatten(prefix: &str, fields: &Map<String, Value>, lines: &mut Vec<Vec<String>>) {
    for (name, value) in fields {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => flatten(&name, inner, lines),
            Value::Array(items) if are_records(items.iter()) => {
                for (index, item) in items.iter().enumerate() {
                    let inner = item.as_object().into_iter();
                    inner.for_each(|inner| flatten(&format!("{name}[{index}]"), inner, lines));
                }
            }
            _ => lines.push(vec![name, text(value)]),
        }
    }
}

fn columns(lines: &[Vec<String>], out: &mut impl Write) -> io::Result<()> {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A value on one line.
fn text(value: &Value) -> String {
    let line = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(text).collect::<Vec<_>>().join(",")
        }
        _ => value.to_string(),
    };
    // What a name holds must not move the terminal's cursor.
    line.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(value: &Value) -> String {
        let mut out = Vec::new();
        print(value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_are_lines_and_records_fields() {
        assert_eq!(printed(&json!(["a", "b"])), "a\nb\n");
        assert_eq!(printed(&json!([])), "");
        assert_eq!(printed(&Value::Null), "");
        assert_eq!(printed(&json!(3)), "3\n");
        assert_eq!(printed(&json!({})), "");
        let record = json!({"a": 1, "long": {"b": ["x", "y"], "c": [{"d": true}], "e": {}}});
        assert_eq!(
            printed(&record),
            "a            1\nlong.b       x,y\nlong.c[0].d  true\nlong.e       {}\n"
        );
    }

    #[test]
    fn records_are_a_table() {
        let rows = json!([{"a": 1, "b": "x y"}, {"b": ""}]);
        assert_eq!(printed(&rows), "A  B\n1  x y\n-  -\n");
        let named = json!({"first": {"a": 1}, "second": {"a": null}});
        assert_eq!(printed(&named), "NAME    A\nfirst   1\nsecond  -\n");
    }

    #[test]
    fn names_do_not_move_the_cursor() {
        assert_eq!(printed(&json!(["a\u{1b}[2Jb\n"])), "a\u{fffd}[2Jb\u{fffd}\n");
    }
}
