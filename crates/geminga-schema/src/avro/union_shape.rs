//! Whether two unions are of one shape: then Avro's decoder takes a writer's branches for the reader's,
//! one by one, without looking further.

use std::collections::BTreeMap;

use super::{Form, Id, resolve::Sides};
use crate::Steps;

/// Pairs of records whose shapes were compared, or are being.
type Seen = BTreeMap<(Id, Id), bool>;

/// # Errors
///
/// If it takes too much to find out.
pub(super) fn same(sides: &Sides<'_>, pair: (Id, Id), steps: &mut Steps) -> Result<bool, String> {
    compare(sides, pair, &mut Seen::new(), steps)
}

fn compare(
    sides: &Sides<'_>,
    pair: (Id, Id),
    seen: &mut Seen,
    steps: &mut Steps,
) -> Result<bool, String> {
    steps.enter()?;
    let found = compare_inside(sides, pair, seen, steps);
    steps.leave();
    found
}

fn compare_inside(
    sides: &Sides<'_>,
    (w, r): (Id, Id),
    seen: &mut Seen,
    steps: &mut Steps,
) -> Result<bool, String> {
    let (writer, reader) = (sides.writer.form(w), sides.reader.form(r));
    if !writer.is_like(reader) {
        return Ok(false);
    }
    if let (Some(writer), Some(reader)) = (sides.written_name(w), reader.name())
        && writer.local != reader.local
    {
        return Ok(false);
    }
    match (writer, reader) {
        (Form::Array(w), Form::Array(r)) | (Form::Map(w), Form::Map(r)) => {
            compare(sides, (*w, *r), seen, steps)
        }
        (Form::Fixed { size: w, .. }, Form::Fixed { size: r, .. }) => Ok(w == r),
        (Form::Enum { symbols: w, .. }, Form::Enum { symbols: r, .. }) => Ok(w == r),
        (Form::Union(w), Form::Union(r)) => all(sides, w, r, seen, steps),
        (Form::Record { fields: writer, .. }, Form::Record { fields: reader, .. }) => {
            if let Some(&known) = seen.get(&(w, r)) {
                return Ok(known);
            }
            seen.insert((w, r), true); // Until it is known.
            steps.count_all(writer.len().min(reader.len()))?;
            let is_same = sides.has_fields(w, writer, reader) && {
                let writer: Vec<Id> = writer.iter().map(|field| field.kind).collect();
                let reader: Vec<Id> = reader.iter().map(|field| field.kind).collect();
                all(sides, &writer, &reader, seen, steps)?
            };
            seen.insert((w, r), is_same);
            Ok(is_same)
        }
        _ => Ok(true),
    }
}

fn all(
    sides: &Sides<'_>,
    writer: &[Id],
    reader: &[Id],
    seen: &mut Seen,
    steps: &mut Steps,
) -> Result<bool, String> {
    if writer.len() != reader.len() {
        return Ok(false);
    }
    for (&w, &r) in writer.iter().zip(reader) {
        if !compare(sides, (w, r), seen, steps)? {
            return Ok(false);
        }
    }
    Ok(true)
}
