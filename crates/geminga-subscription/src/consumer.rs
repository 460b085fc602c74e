//! Who consumes: a consumer's identity and terms, and why it may be refused.

use std::{ops::RangeInclusive, sync::Arc};

/// Names a consumer while it is attached; chosen by the caller, and never reused by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerKey(pub u64);

/// Subscription type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// One consumer, in order.
    Exclusive,
    /// One active consumer, in order; the others stand by.
    Failover,
    /// Each entry to one of the consumers.
    Shared,
    /// Each key to one of the consumers, in order of the key.
    KeyShared,
}

/// How a `Key_Shared` subscription divides its slots. The same for all consumers attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySharedMode {
    /// The broker divides them among the consumers.
    AutoSplit,
    /// The consumer takes these slots, of `0..=65535`.
    Sticky(Vec<RangeInclusive<u32>>),
}

/// A `Key_Shared` consumer's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySharedOptions {
    /// How the slots are divided.
    pub mode: KeySharedMode,
    /// Whether a key may move to another consumer before its messages are acked.
    pub allow_out_of_order: bool,
}

/// A consumer as it asks to be attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// Its name, not always unique.
    pub name: Arc<str>,
    /// Lower numbers are served first.
    pub priority: i32,
    /// The subscription type it wants.
    pub kind: Kind,
    /// Terms for `Key_Shared`; `None` is automatic, in order. Of a reader, which is Exclusive: the slots
    /// that it wants to see, if not all.
    pub key_shared: Option<KeySharedOptions>,
}

/// Why a consumer was not attached. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// An Exclusive consumer is attached already, or this key is.
    #[error("Exclusive consumer is already connected")]
    ConsumerBusy,
    /// Consumers of another type, or with other `Key_Shared` terms, are attached.
    #[error("Subscription is of different type")]
    KindMismatch {
        /// The type of those attached.
        attached: Kind,
    },
    /// It is Exclusive or Failover, and the subscription has dead letters.
    #[error("Subscription has a dead-letter policy, which needs Shared or Key_Shared consumers")]
    NotShared,
    /// The slots it asks for are empty, invalid or taken.
    #[error("{0}")]
    Assign(String),
}
