//! Names, ids and units shared by every crate.
//!
//! A type belongs here when at least three crates name it and it has no behaviour beyond parsing,
//! printing and ordering. A type that belongs to one component's interface stays with the component.

mod bundle;
mod key_slot;
mod position;
mod topic_name;

pub use bundle::{BundleRange, Bundles, bundle_hash, bundle_of};
pub use key_slot::{KEY_SLOTS, key_slot};
pub use position::{BookieIndex, EntryId, LedgerId, Ordinal, Position};
pub use topic_name::{
    Domain, InvalidName, NAME_BYTES_MAX, NamespaceName, TopicName, check_subscription_name,
};
