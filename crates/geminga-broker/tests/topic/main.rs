#![cfg(test)]
//! Topics through the broker's public API, on a bookie and a store that do what a test says.

mod acking;
mod activity;
mod bookie;
mod broker_metadata;
mod bundles;
mod client;
mod compacting;
mod compacting_model;
mod counting;
mod creating;
mod dead_letters;
mod deduplicating;
mod deduplicating_model;
mod deduplication_switches;
mod delayed;
mod deleting;
mod deletion_jobs;
mod exclusive;
mod formats;
mod keyed;
mod life;
mod limits;
mod lost_answers;
mod nonpersistent;
mod policies;
mod rates;
mod schemas;
mod seeking;
mod snapshots;
mod store;
mod subscribing;
mod topic_policies;
mod world;
