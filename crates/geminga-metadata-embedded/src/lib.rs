//! The embedded metadata store: one redb file, written by one worker.
//!
//! Writers put requests into a bounded queue; the worker takes all that wait, applies them in order
//! in one transaction, commits it durably, and answers. Reads go to the file's last commit directly.
//! Ephemeral keys and what is left of reserved sequence numbers are in memory.
//!
//! # Invariants
//!
//! 1. No answer before the commit that it is of. One commit at a time.
//! 2. A failed commit or read is final: what the file then holds is known only after a restart.
//!    From then on every call answers `Unavailable`, and [`EmbeddedStore::failed`] says why.
//! 3. Every record carries a checksum over key, version and value, and the file a sum over all
//!    records, so that a damaged or missing record is found: before it is served, or soon after when
//!    the file is large. A damaged record is never handed out.
//!
//! The file's tables are `keys` (path with zero bytes for `/` → checksum, version, value),
//! `sequences` (path → checksum, first number not reserved) and `meta` (`format`, `records`,
//! `checksums`).

mod backend;
mod batch;
mod format;
mod memory;
mod open;
mod snapshot;
mod store;
mod verify;
mod writer;

pub use open::{OpenError, Options, open};
pub use snapshot::{Snapshot, read};
pub use store::EmbeddedStore;
