//! Keys in an ordered store: a path with a zero byte for every `/`.
//!
//! A zero byte sorts before every other, so that a key is followed by all that lies below it and
//! then by its next sibling. (As text, `/a/b-c` would sort between `/a/b` and `/a/b/c`.)
//!
//! # Invariants
//!
//! 1. Children of one parent sort by name, each right before its own descendants.
//! 2. A listing makes one seek per child, however many descendants that has.

use crate::{MetadataError, Page};

/// Longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Encodes a path as a key.
///
/// # Errors
///
/// `Invalid` unless it begins with `/`, has no empty part and no zero byte, and is not too long.
pub fn encode(path: &str) -> Result<Vec<u8>, MetadataError> {
    let invalid = |reason: &str| Err(invalid(path, reason));
    if path.len() > PATH_BYTES_MAX {
        return invalid("it is too long");
    }
    if path.contains('\0') {
        return invalid("it has a zero byte");
    }
    match path.strip_prefix('/') {
        None => invalid("it does not begin with /"),
        Some(rest) if rest.split('/').any(str::is_empty) => invalid("it has an empty part"),
        Some(_) => Ok(path.bytes().map(|byte| if byte == b'/' { 0 } else { byte }).collect()),
    }
}

/// Checks a value's size.
///
/// # Errors
///
/// `Invalid` if it is above [`VALUE_BYTES_MAX`].
pub fn check_value(path: &str, value: &[u8]) -> Result<(), MetadataError> {
    if value.len() > VALUE_BYTES_MAX {
        let reason = format!("its value of {} bytes is above {VALUE_BYTES_MAX}", value.len());
        return Err(invalid(path, &reason));
    }
    Ok(())
}

/// Lists children as [`crate::MetadataStore::children`] promises. `seek` gives the first key that is
/// not before its argument.
///
/// # Errors
///
/// `Invalid` for a bad path or `after`, and whatever `seek` answers.
pub fn list_children(
    path: &str,
    after: Option<&str>,
    limit: usize,
    mut seek: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, MetadataError>,
) -> Result<Page, MetadataError> {
    let mut prefix = if path == "/" { Vec::new() } else { encode(path)? };
    prefix.push(0);
    let mut from = prefix.clone();
    if let Some(after) = after {
        if after.is_empty() || after.contains(['/', '\0']) {
            return Err(invalid(path, "a listing goes on after a child's name"));
        }
        from = behind(&prefix, after.as_bytes());
    }
    let mut names = Vec::new();
    while let Some(key) = seek(&from)? {
        let Some(rest) = key.strip_prefix(prefix.as_slice()) else { break };
        if names.len() == limit {
            return Ok(Page { names, more: true });
        }
        let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
        from = behind(&prefix, name);
        let name = String::from_utf8(name.to_vec())
            .map_err(|_| MetadataError::Corrupt(format!("a key below {path:?} is no text")))?;
        names.push(name);
    }
    Ok(Page { names, more: false })
}

/// The least key behind a child and everything below it.
fn behind(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    [prefix, name, &[1]].concat()
}

pub(crate) fn invalid(path: &str, reason: &str) -> MetadataError {
    MetadataError::Invalid { path: path.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn list(
        keys: &BTreeSet<Vec<u8>>,
        path: &str,
        after: Option<&str>,
        limit: usize,
    ) -> (Page, usize) {
        let mut seeks = 0;
        let page = list_children(path, after, limit, |from| {
            seeks += 1;
            Ok(keys.range(from.to_vec()..).next().cloned())
        });
        (page.unwrap(), seeks)
    }

    #[test]
    fn bad_paths_are_refused() {
        for path in ["", "a", "/", "//", "/a/", "/a//b", "a/b", "/a\0b"] {
            assert!(matches!(encode(path), Err(MetadataError::Invalid { .. })), "{path:?}");
        }
        assert!(encode(&format!("/{}", "x".repeat(PATH_BYTES_MAX))).is_err());
        assert_eq!(encode("/a/ü b").unwrap(), "\0a\0ü b".as_bytes());
    }

    #[test]
    fn a_listing_skips_what_lies_below_the_children() {
        let mut keys = BTreeSet::new();
        for child in 0..10 {
            for grandchild in 0..1_000 {
                keys.insert(encode(&format!("/t/{child}/{grandchild}")).unwrap());
            }
        }
        let (page, seeks) = list(&keys, "/t", None, 100);
        assert_eq!(page.names.len(), 10);
        assert_eq!(seeks, 11);
    }

    /// Goal: a listing is right for names that sort around the separator.
    /// Method: a model that splits every path.
    #[test]
    fn listings_match_a_model() {
        let parts = ["a", "a-", "a.b", "a0", "b", "a!", "ab", "a\u{1}", "ä"];
        for seed in 0..1_000 {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut keys = BTreeSet::new();
            let mut model: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for _ in 0..rng.random_range(0..25) {
                let mut path = String::new();
                for _ in 0..rng.random_range(1..4) {
                    let name = parts[rng.random_range(0..parts.len())];
                    let parent = if path.is_empty() { "/" } else { &path };
                    model.entry(parent.to_owned()).or_default().insert(name.to_owned());
                    path = format!("{path}/{name}");
                }
                keys.insert(encode(&path).unwrap());
            }
            for path in model.keys().map(String::as_str).chain(["/none"]) {
                let limit = rng.random_range(1..5);
                let mut names = Vec::new();
                loop {
                    let (page, _) = list(&keys, path, names.last().map(String::as_str), limit);
                    assert!(page.names.len() <= limit);
                    names.extend(page.names);
                    if !page.more {
                        break;
                    }
                }
                let expected: Vec<_> = model.get(path).into_iter().flatten().cloned().collect();
                assert_eq!(names, expected, "seed {seed} below {path}");
            }
        }
    }
}
