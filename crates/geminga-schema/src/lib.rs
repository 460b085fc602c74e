//! Schemas, without storage: whether a definition is one of its kind, and whether it may follow the
//! versions before it.
//!
//! The verdicts are those of Pulsar's brokers. For AVRO, JSON and PROTOBUF, whose definitions are Avro
//! schemas, that is what Avro's decoder finds when it resolves a writer's schema against a reader's.
//!
//! # Invariants
//!
//! 1. Nothing here panics or overflows the stack, whatever a definition holds: nesting is bounded by
//!    the JSON parser and by [`limits::DEPTH_MAX`], work by [`limits::STEPS_MAX`].
//! 2. A version that can't be read (any more) forbids nothing: it is left out of comparisons.

mod avro;
mod compatibility;
mod content;
mod definition;
mod json;
mod key_value;
mod kind;
pub mod limits;
mod protobuf;
mod strategy;

pub use compatibility::{Incompatible, Steps, check_consumer, check_next};
pub use definition::{Definition, InvalidDefinition};
pub use key_value::{join as join_key_value, split as split_key_value};
pub use kind::Kind;
pub use strategy::{Strategy, UnknownStrategy};
