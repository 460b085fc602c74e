//! A schema as clients give it, and whether it is one of its kind.

use std::collections::BTreeMap;

use crate::{Kind, avro, content::Content, key_value, limits};

/// A schema's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition<'data> {
    /// Its kind.
    pub kind: Kind,
    /// What defines it.
    pub data: &'data [u8],
    /// Free-form; of a KEY_VALUE they hold the kinds of its parts.
    pub properties: BTreeMap<&'data str, &'data str>,
}

/// Why a definition is none of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid schema definition data for {kind} schema: {reason}")]
pub struct InvalidDefinition {
    kind: Kind,
    reason: String,
}

impl Definition<'_> {
    /// Checks that it is what its kind asks for.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), InvalidDefinition> {
        self.check_inside(0)
    }

    /// The first of those that means the same: then it is no new version. Data and kinds decide for all
    /// kinds, and for those that Avro defines what the data say.
    #[must_use]
    pub fn find_same(&self, among: &[Self]) -> Option<usize> {
        if let Some(found) = among.iter().position(|other| other.is_identical(self)) {
            return Some(found);
        }
        if !self.kind.is_defined_by_avro() {
            return None;
        }
        let own = avro::parse(self.data).ok()?;
        among.iter().position(|other| {
            other.kind == self.kind && avro::parse(other.data).is_ok_and(|other| other == own)
        })
    }

    /// Whether both have the same data, of the same kinds.
    pub(crate) fn is_identical(&self, other: &Definition<'_>) -> bool {
        self.kind == other.kind
            && self.data == other.data
            && (self.kind != Kind::KEY_VALUE || key_value::has_same_kinds(self, other))
    }

    pub(crate) fn check_inside(&self, depth: usize) -> Result<(), InvalidDefinition> {
        self.verify(depth).map_err(|reason| self.invalid(reason))
    }

    fn invalid(&self, reason: String) -> InvalidDefinition {
        InvalidDefinition { kind: self.kind, reason: limits::shortened(reason) }
    }

    /// Whether it is small enough to be looked into; the same that [`Self::check`] asks first.
    ///
    /// # Errors
    ///
    /// Its size, and the limit.
    pub fn check_size(&self) -> Result<(), InvalidDefinition> {
        self.verify_size().map_err(|reason| self.invalid(reason))
    }

    fn verify_size(&self) -> Result<(), String> {
        let of_properties = self.properties.iter().map(|(key, value)| key.len() + value.len());
        let length = self.data.len() + of_properties.sum::<usize>();
        if limits::DEFINITION_BYTES_MAX < length {
            return Err(format!(
                "it has {length} bytes, the limit is {}",
                limits::DEFINITION_BYTES_MAX
            ));
        }
        Ok(())
    }

    fn verify(&self, depth: usize) -> Result<(), String> {
        self.verify_size()?;
        match self.kind {
            Kind::NONE | Kind::BYTES | Kind::EXTERNAL => Ok(()),
            // Python's client sends this word.
            Kind::STRING if self.data == b"null" => Ok(()),
            kind if kind.is_primitive() || kind == Kind::STRING => {
                if self.data.is_empty() {
                    Ok(())
                } else {
                    Err(format!("it should be empty and has {} bytes", self.data.len()))
                }
            }
            Kind::AVRO | Kind::JSON | Kind::PROTOBUF | Kind::PROTOBUF_NATIVE => {
                match Content::read(self)? {
                    Content::Avro(schema) if self.kind == Kind::AVRO && schema.is_union() => {
                        Err("its outermost type is a union".to_owned())
                    }
                    _ => Ok(()),
                }
            }
            Kind::KEY_VALUE => key_value::check(self, depth),
            Kind::AUTO_CONSUME => Err("it is for clients alone".to_owned()),
            Kind(number) => Err(format!("there is no such type: {number}")),
        }
    }
}
