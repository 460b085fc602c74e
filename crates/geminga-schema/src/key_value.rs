//! KEY_VALUE: two schemas in one. Their definitions are in the data, each behind its length in 4 bytes,
//! big endian (−1 for none); their kinds and properties are in the properties.

use std::collections::BTreeMap;

use crate::{
    Definition, Incompatible, InvalidDefinition, Kind, Steps, Strategy, compatibility, limits,
};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Key,
    Value,
}

/// A key and a value, owned: their properties are in a text of JSON.
struct Parts<'data> {
    key: PartSchema<'data>,
    value: PartSchema<'data>,
}

struct PartSchema<'data> {
    kind: Kind,
    data: &'data [u8],
    properties: BTreeMap<String, String>,
}

/// The data of the key and of the value; `None` if it is not such a pair.
#[must_use]
pub fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = take_part(data)?;
    let (value, rest) = take_part(rest)?;
    rest.is_empty().then_some((key, value))
}

/// The two in one; `None` if one is too long.
#[must_use]
pub fn join(key: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::with_capacity(8 + key.len() + value.len());
    for part in [key, value] {
        data.extend(i32::try_from(part.len()).ok()?.to_be_bytes());
        data.extend(part);
    }
    Some(data)
}

fn take_part(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = data.split_first_chunk()?;
    match i32::from_be_bytes(*length) {
        -1 => Some((&[], rest)),
        length => rest.split_at_checked(usize::try_from(length).ok()?),
    }
}

/// Whether both parts are what they say.
pub(crate) fn check(pair: &Definition<'_>, depth: usize) -> Result<(), String> {
    if limits::KEY_VALUE_DEPTH_MAX <= depth {
        return Err(format!("pairs are nested {depth} deep, which is the limit"));
    }
    let parts = parts(pair)?;
    let check = |part: &PartSchema<'_>| part.as_definition().check_inside(depth + 1);
    let shown = |part: &'static str| move |error: InvalidDefinition| format!("its {part}: {error}");
    check(&parts.key).map_err(shown("key"))?;
    check(&parts.value).map_err(shown("value"))
}

/// Whether both parts of `new` may follow those of all of `existing`, which are of the same kind.
pub(crate) fn check_next(
    strategy: Strategy,
    existing: &[(usize, &Definition<'_>)],
    new: &Definition<'_>,
    steps: &mut Steps,
) -> Result<(), Incompatible> {
    let new = parts(new).map_err(Incompatible::new)?;
    let mut before = Vec::new();
    for (version, pair) in existing {
        let Ok(parts) = parts(pair) else { continue }; // It can't be read any more.
        for (part, own, its) in
            [(Part::Key, &new.key, &parts.key), (Part::Value, &new.value, &parts.value)]
        {
            if own.kind != its.kind {
                return Err(Incompatible::new(format!(
                    "the {} of version {version} is of type {}, the new one's of type {}",
                    part.as_str(),
                    its.kind,
                    own.kind
                )));
            }
        }
        before.push((*version, parts));
    }
    for part in [Part::Key, Part::Value] {
        let own = new.of(part).as_definition();
        let definitions: Vec<_> = before
            .iter()
            .map(|(version, parts)| (*version, parts.of(part).as_definition()))
            .filter(|(_, found)| !found.is_identical(&own))
            .collect();
        let definitions: Vec<_> =
            definitions.iter().map(|(version, found)| (*version, found)).collect();
        compatibility::check_kind_alike(strategy, &definitions, &own, steps)
            .map_err(|error| error.inside(part.as_str()))?;
    }
    Ok(())
}

/// Whether the keys of both are of one kind, and the values: their data say nothing of it. Of a pair that
/// can't be read nothing is known.
pub(crate) fn has_same_kinds(one: &Definition<'_>, other: &Definition<'_>) -> bool {
    let (Ok(one), Ok(other)) = (parts(one), parts(other)) else { return true };
    (one.key.kind, one.value.kind) == (other.key.kind, other.value.kind)
}

fn parts<'data>(pair: &Definition<'data>) -> Result<Parts<'data>, String> {
    let (key, value) = split(pair.data).ok_or("it is no key and value, each behind its length")?;
    Ok(Parts {
        key: part_schema(pair, Part::Key, key)?,
        value: part_schema(pair, Part::Value, value)?,
    })
}

fn part_schema<'data>(
    pair: &Definition<'data>,
    part: Part,
    data: &'data [u8],
) -> Result<PartSchema<'data>, String> {
    let property = |name: &str| {
        let key = format!("{}.schema.{name}", part.as_str());
        pair.properties.get(key.as_str()).copied()
    };
    let kind = match property("type") {
        None => Kind::BYTES,
        Some(name) => {
            let missing = || format!("the type of its {} is {name:?}", part.as_str());
            Kind::named(name).ok_or_else(missing)?
        }
    };
    // What is not a map of texts says nothing that is needed here.
    let properties = property("properties").map(serde_json::from_str);
    let properties = properties.and_then(Result::ok).unwrap_or_default();
    Ok(PartSchema { kind, data, properties })
}

impl Part {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Value => "value",
        }
    }
}

impl<'data> Parts<'data> {
    const fn of(&self, part: Part) -> &PartSchema<'data> {
        match part {
            Part::Key => &self.key,
            Part::Value => &self.value,
        }
    }
}

impl PartSchema<'_> {
    fn as_definition(&self) -> Definition<'_> {
        let properties = &self.properties;
        Definition {
            kind: self.kind,
            data: self.data,
            properties: properties.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_comes_apart_as_it_was_joined() {
        for (key, value) in [(&b""[..], &b""[..]), (b"k", b""), (b"", b"v"), (b"key", b"value")] {
            assert_eq!(split(&join(key, value).unwrap()), Some((key, value)));
        }
        assert_eq!(split(&[255, 255, 255, 255, 0, 0, 0, 0]), Some((&b""[..], &b""[..])));
    }

    #[test]
    fn what_is_no_pair() {
        for data in [&b""[..], b"\0\0\0", b"\0\0\0\x09x", b"\xff\xff\xff\xfe", b"\0\0\0\0\0\0\0\0x"]
        {
            assert_eq!(split(data), None, "{data:?}");
        }
    }
}
