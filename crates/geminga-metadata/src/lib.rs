//! The metadata store trait, its typed keys and values, and the contract suite of every store.
//!
//! Paths and value formats are those that Pulsar and BookKeeper keep in ZooKeeper; what they have no
//! place for goes under `/geminga`.
//!
//! A store's author needs [`key`] (validation, order of keys, listings) and [`Watchers`], and runs
//! the `contract` suite (feature `contract`) on it. A store's user needs [`MetadataStore`],
//! [`paths`], [`values`] and, for read-modify-write, [`update`].

#[cfg(any(test, feature = "contract"))]
pub mod adversary;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod key;
mod memory;
pub mod paths;
mod store;
mod update;
pub mod values;
mod watchers;

pub use memory::MemoryStore;
pub use store::{
    Change, Expected, Lifetime, MetadataError, MetadataStore, Page, SharedStore, Version,
    Versioned, Watch,
};
pub use update::{Decision, update};
pub use watchers::Watchers;
