//! Message deduplication as a pure state machine: which sends are stored already.
//!
//! A topic asks [`Dedup::judge`] about each send before it appends it, and says what became of the
//! append ([`Dedup::on_stored`], [`Dedup::on_failed`]). What is known is kept as small records, one for
//! each producer name, that the topic stores now and then ([`Dedup::take_changes`]); after a crash the
//! entries behind the stored records are gone through again ([`Dedup::replay`]). No I/O, no clock.
//!
//! There are two forms. A client's message is known by its *sequence*, which grows
//! ([`Identity::Sequence`]). A message that a broker publishes for another topic is known by its
//! *source*, a position there, which does not grow ([`Identity::Source`]); its metadata says so by the
//! property [`SourcePosition::PROPERTY`] and a producer name with [`SourcePosition::PRODUCER_PREFIX`].
//!
//! # Invariants
//!
//! 1. What counts as stored moves only when an append is confirmed, or found at a replay.
//! 2. A message is let through only if it is neither stored nor on its way.

mod dedup;
mod identity;
mod mark;
mod names;
mod record;
mod sequences;
mod window;

pub use dedup::{Changes, Dedup, Options, Ticket, Verdict};
pub use identity::{Chunk, Identity, NotAPosition, Sequence, SourcePosition};
pub use record::{Change, RecordError};

/// The longest producer name, in bytes: what is kept of a producer must stay small.
pub const NAME_BYTES_MAX: usize = 16 * 1024;

/// How many of its newest messages a publisher with sources is remembered by.
///
/// The publisher promises that the source of its message number k is durably acked before it publishes
/// number k + 1,000 for the first time: then what it may publish again is always among the last 1,000
/// that were stored.
pub const WINDOW: usize = 1_000;
