#![cfg(test)]
//! The HTTP door over loopback, before a real broker on a memory store and a memory bookie.
//!
//! Goal: each route answers with Pulsar's status and body, and does what it says.
//! Method: a request in raw HTTP/1.1, then another that shows the effect.

mod backlogs;
mod bookie;
mod brokers;
mod bundles;
mod cold_and_remote;
mod cursors;
mod hostile;
mod messages;
mod metrics;
mod namespaces;
mod partitions;
mod permissions;
mod placement;
mod probes;
mod resource_groups;
mod schemas;
mod server;
mod stats;
mod subscriptions;
mod topic_policies;
mod topics;
