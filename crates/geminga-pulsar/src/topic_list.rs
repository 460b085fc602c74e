//! Lists of topics as clients with a topic pattern ask for them: filter and hash.
//!
//! The client may filter itself: a pattern that can't be used here leaves the list as it is, and the
//! answer says that it was not filtered.

use geminga_checksum::Sum;
use regex::{Regex, RegexBuilder};

const SCHEME: &str = "://";
const PARTITION: &str = "-partition-";

/// Patterns longer than this are left to the client.
const PATTERN_LEN_MAX: usize = 1_024;
/// Bound on a compiled pattern's memory.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A topic pattern: it must match all of a name, without scheme and partition.
#[derive(Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`, or `None` when it can't be used here.
    pub(crate) fn new(text: &str) -> Option<Self> {
        if PATTERN_LEN_MAX < text.len() {
            return None;
        }
        let text = without_domain(text)?;
        let whole = format!(r"\A(?:{text})\z");
        RegexBuilder::new(&whole).size_limit(PATTERN_BYTES_MAX).build().ok().map(Self)
    }

    /// Whether `topic`, a full name, is meant.
    pub(crate) fn matches(&self, topic: &str) -> bool {
        let name = topic.split_once(SCHEME).map_or(topic, |(_, name)| name);
        self.0.is_match(without_partition(name))
    }
}

/// The hash by which a client tells whether the list has changed: CRC32C of the sorted names joined
/// by commas, its bytes in little endian as hexadecimal digits.
pub(crate) fn hash(topics: &[String]) -> String {
    let mut sorted: Vec<&str> = topics.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut sum = Sum::EMPTY;
    for (index, topic) in sorted.iter().enumerate() {
        if index != 0 {
            sum = sum.append(b",");
        }
        sum = sum.append(topic.as_bytes());
    }
    format!("{:08x}", sum.crc().swap_bytes())
}

/// Takes `persistent://` or `non-persistent://` out of a pattern, anchors before it stay.
fn without_domain(pattern: &str) -> Option<String> {
    let Some((before, after)) = pattern.split_once(SCHEME) else {
        return Some(pattern.to_owned());
    };
    let before =
        before.strip_suffix("non-persistent").or_else(|| before.strip_suffix("persistent"))?;
    Some(format!("{before}{after}"))
}

fn without_partition(name: &str) -> &str {
    match name.rsplit_once(PARTITION) {
        Some((topic, index))
            if !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            topic
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, topic: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(topic)
    }

    #[test]
    fn the_whole_name_must_match() {
        assert!(matches("public/default/a.*", "persistent://public/default/abc"));
        assert!(!matches("public/default/a", "persistent://public/default/abc"));
        assert!(!matches("default/a.*", "persistent://public/default/abc"));
        assert!(matches("public/default/(a|b)", "non-persistent://public/default/b"));
        assert!(!matches("public/default/a|x", "persistent://public/default/ax"));
    }

    #[test]
    fn domains_and_partitions_do_not_count() {
        for pattern in [
            "persistent://public/default/t",
            "non-persistent://public/default/t",
            "^persistent://public/default/t$",
        ] {
            assert!(matches(pattern, "persistent://public/default/t-partition-3"), "{pattern}");
        }
        assert!(!matches("public/default/t", "persistent://public/default/t-partition-x"));
    }

    #[test]
    fn a_pattern_that_can_not_be_used_is_left_to_the_client() {
        assert!(Pattern::new("(").is_none());
        assert!(Pattern::new("http://public/default/t").is_none());
        assert!(Pattern::new(&"a".repeat(PATTERN_LEN_MAX + 1)).is_none());
        assert!(Pattern::new("a{1000}{1000}{1000}").is_none());
    }

    #[test]
    fn the_hash_is_of_the_sorted_names() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(hash(&names(&["b", "a"])), hash(&names(&["a", "b"])));
        assert_ne!(hash(&names(&["a", "b"])), hash(&names(&["ab"])));
        assert_eq!(hash(&[]), "00000000");
        // The published check value of CRC32C, 0xe3069283.
        assert_eq!(hash(&names(&["123456789"])), "839206e3");
    }
}
