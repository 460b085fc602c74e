//! Avro schemas: parsed, compared, resolved against each other.
//!
//! A schema is an arena: types are named by their index, so that recursive ones are as plain as others.

mod defaults;
mod parse;
mod resolve;
mod union_shape;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::limits;

pub(crate) use parse::parse;
pub(crate) use resolve::can_read;

/// A type's place in its schema.
pub(crate) type Id = usize;

/// A schema.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    types: Vec<Type>,
    root: Id,
    /// What readers call by another name, by what writers may call it.
    aliases: Aliases,
}

/// Two are the same if they mean the same: documentation and aliases do not count.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        (self.root, &self.types) == (other.root, &other.types)
    }
}

/// A name with the namespace it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    /// Empty for none.
    namespace: String,
    local: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Type {
    form: Form,
    /// What it says beyond what Avro reserves, such as its logical type.
    properties: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Fixed { name: Name, size: i32 },
    Enum { name: Name, symbols: Vec<String>, default: Option<String> },
    Record { name: Name, fields: Vec<Field> },
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    kind: Id,
    default: Option<Value>,
    order: Option<String>,
    properties: Map<String, Value>,
}

#[derive(Clone, Debug, Default)]
struct Aliases {
    /// Of named types.
    types: BTreeMap<Name, Name>,
    /// Of fields, by their record.
    fields: BTreeMap<Name, BTreeMap<String, String>>,
}

impl Name {
    fn full(&self) -> String {
        if self.namespace.is_empty() {
            self.local.clone()
        } else {
            format!("{}.{}", self.namespace, self.local)
        }
    }
}

impl Schema {
    fn form(&self, id: Id) -> &Form {
        &self.types[id].form
    }

    /// Whether its outermost type is a union.
    pub(crate) fn is_union(&self) -> bool {
        matches!(self.form(self.root), Form::Union(_))
    }
}

impl Form {
    /// The word for it, or the name that it was given.
    fn described(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Int => "int".to_owned(),
            Self::Long => "long".to_owned(),
            Self::Float => "float".to_owned(),
            Self::Double => "double".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::String => "string".to_owned(),
            Self::Array(_) => "array".to_owned(),
            Self::Map(_) => "map".to_owned(),
            Self::Union(_) => "union".to_owned(),
            Self::Fixed { name, size } => {
                format!("fixed {} of {size} bytes", limits::quoted(name.full()))
            }
            Self::Enum { name, .. } => format!("enum {}", limits::quoted(name.full())),
            Self::Record { name, .. } => format!("record {}", limits::quoted(name.full())),
        }
    }

    const fn name(&self) -> Option<&Name> {
        match self {
            Self::Fixed { name, .. } | Self::Enum { name, .. } | Self::Record { name, .. } => {
                Some(name)
            }
            _ => None,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
