//! Subscriptions as pure state machines: dispatch, acks, permits, redelivery.
//!
//! No I/O, no clock, no tasks: the owner says what happened (`attach`, `flow`, `ack_…`, `on_read`),
//! then polls [`Subscription::next_action`] until it is dry, does what that says, and calls again at
//! [`Subscription::next_timeout`]. Entries are named by their [`Ordinal`](geminga_types::Ordinal);
//! payloads are handed through.
//!
//! [`Subscription`] serves persistent topics; [`nonpersistent::Dispatch`] those that store nothing.

mod acks;
mod action;
mod allowance;
mod backoff;
mod consumer;
mod dead_letters;
pub mod explain;
mod hand_over;
mod intervals;
mod lanes;
mod members;
pub mod nonpersistent;
mod options;
mod parked;
mod pending;
mod queue;
mod reader;
mod slots;
mod stats;
mod subscription;

pub use acks::{Ack, AckChange, AckState, NotCumulative};
pub use action::{
    Action, Chunk, DeadLetter, DelayedEntry, Delivery, Entry, LoadedDelayed, ParkedEntries,
    ReadFailed, ReadId,
};
pub use allowance::Allowance;
pub use consumer::{AttachError, ConsumerInfo, ConsumerKey, KeySharedMode, KeySharedOptions, Kind};
pub use dead_letters::DeadLetterOptions;
pub use options::{AutoSplit, Options};
pub use stats::{ConsumerStats, Held, Scarce, Stats};
pub use subscription::{AckPart, Redelivered, Subscription};
