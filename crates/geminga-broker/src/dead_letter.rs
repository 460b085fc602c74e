//! Dead letters: what a subscription's consumers have asked for again too often is published to another
//! topic, as clients do it that have such a policy themselves, and acked.
//!
//! Each message is published on its own, with its key, properties and event time and in its schema; it
//! says where it comes from, by which its topic recognises one that is published again.

mod message;
mod policy;
mod publish;

pub(crate) use policy::DeadLetterPolicy;
pub(crate) use publish::{Letter, Outcome, TIME_MAX, Work, publish};
