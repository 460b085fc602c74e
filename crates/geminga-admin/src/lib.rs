//! The front door for the admin REST API, lookup over HTTP, and metrics.
//!
//! Paths, bodies and status codes are Pulsar's (`/admin/v2`, `/lookup/v2`, `/metrics`). The door
//! sees the broker's public API only. [`route`] is the table of everything that is served, with the
//! permission each route needs; `failure.rs` is the one place that knows status codes of errors.
//!
//! # Invariants
//!
//! 1. Nothing a peer sends ends more than its own connection.
//! 2. Connections, header bytes, body bytes and the time for each are bounded by [`Options`].
//! 3. Every answer that is not a success has a JSON body `{"reason": …}`.

mod answer;
mod failure;
mod handlers;
mod header_case;
mod listener;
mod message_headers;
pub mod metrics;
mod openapi;
mod options;
mod pieces;
mod process;
mod request;
pub mod route;
mod stats;

pub use listener::serve;
pub use options::Options;
pub use process::{LatencyMetric, Metric, Process};
