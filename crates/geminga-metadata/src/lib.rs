//! The metadata store trait, its typed keys and values, and the contract suite of every store.
//!
//! Paths and value formats are those that Pulsar and BookKeeper keep in ZooKeeper; what they have no
//! place for goes under `/geminga`.

mod store;

pub use store::{
    Change, Expected, Lifetime, MetadataError, MetadataStore, Page, SharedStore, Version,
    Versioned, Watch,
};
