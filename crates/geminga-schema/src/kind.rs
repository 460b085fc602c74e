//! The kinds of schemas.

use std::fmt;

/// A kind of schema: its number in Pulsar's protocol (`Schema.Type`). Any number can be one, since a
/// stored schema may be of a kind that this release does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub i32);

const NAMES: [(&str, i32); 24] = [
    ("BYTES", -1),
    ("NONE", 0),
    ("STRING", 1),
    ("JSON", 2),
    ("PROTOBUF", 3),
    ("AVRO", 4),
    ("BOOLEAN", 5),
    ("INT8", 6),
    ("INT16", 7),
    ("INT32", 8),
    ("INT64", 9),
    ("FLOAT", 10),
    ("DOUBLE", 11),
    ("DATE", 12),
    ("TIME", 13),
    ("TIMESTAMP", 14),
    ("KEY_VALUE", 15),
    ("INSTANT", 16),
    ("LOCAL_DATE", 17),
    ("LOCAL_TIME", 18),
    ("LOCAL_DATE_TIME", 19),
    ("PROTOBUF_NATIVE", 20),
    ("AUTO_CONSUME", 21),
    ("EXTERNAL", 22),
];

impl Kind {
    /// No schema; clients leave it out, a few send its number.
    pub const BYTES: Self = Self(-1);
    /// No schema.
    pub const NONE: Self = Self(0);
    /// Text.
    pub const STRING: Self = Self(1);
    /// JSON, defined by an Avro schema (or, by clients of old, by a JSON schema).
    pub const JSON: Self = Self(2);
    /// Protobuf, defined by an Avro schema.
    pub const PROTOBUF: Self = Self(3);
    /// Avro.
    pub const AVRO: Self = Self(4);
    /// The last of the kinds without definition that follow each other.
    const TIMESTAMP: Self = Self(14);
    /// A key and a value, each with a schema.
    pub const KEY_VALUE: Self = Self(15);
    const INSTANT: Self = Self(16);
    const LOCAL_DATE_TIME: Self = Self(19);
    /// Protobuf, defined by file descriptors.
    pub const PROTOBUF_NATIVE: Self = Self(20);
    /// A consumer that takes whatever there is: no schema.
    pub const AUTO_CONSUME: Self = Self(21);
    /// Defined in a registry elsewhere; opaque.
    pub const EXTERNAL: Self = Self(22);

    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| Self(*number))
    }

    /// Its name, if it is one that this release knows.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }

    /// Whether it needs no definition: booleans, numbers, dates and times.
    pub(crate) fn is_primitive(self) -> bool {
        (5..=Self::TIMESTAMP.0).contains(&self.0)
            || (Self::INSTANT.0..=Self::LOCAL_DATE_TIME.0).contains(&self.0)
    }

    /// Whether its definition is an Avro schema.
    pub(crate) const fn is_defined_by_avro(self) -> bool {
        matches!(self, Self::AVRO | Self::JSON | Self::PROTOBUF)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_belong_together() {
        for (name, number) in NAMES {
            assert_eq!(Kind::named(name), Some(Kind(number)));
            assert_eq!(Kind(number).to_string(), name);
        }
        assert_eq!(Kind::named("avro"), None);
        assert_eq!(Kind(77).to_string(), "77");
    }

    #[test]
    fn what_is_primitive() {
        let primitive = NAMES.iter().filter(|(_, number)| Kind(*number).is_primitive());
        assert_eq!(primitive.count(), 14);
        assert!(!Kind::STRING.is_primitive() && !Kind::KEY_VALUE.is_primitive());
    }
}
