//! What the operator decides.

use std::{sync::Arc, time::Duration};

use crate::{Process, metrics::MetricsOptions};

/// Limits of the HTTP door.
#[derive(Clone, Debug)]
pub struct Options {
    /// `maxHttpServerConnections`: more are closed at once.
    pub connections_max: usize,
    /// `httpMaxRequestHeaderSize`: bytes of one request's head, at least 8 KiB.
    pub head_bytes_max: usize,
    /// Bytes of one request's body.
    pub body_bytes_max: usize,
    /// `httpServerIdleTimeout`: longest time for a request's head to arrive, also on a connection
    /// that is kept open between requests.
    pub head_timeout: Duration,
    /// Longest time for a request's body to arrive and the answer to be made.
    pub request_timeout: Duration,
    /// How long requests in progress may take at shutdown.
    pub drain_timeout: Duration,
    /// What `/metrics` tells of.
    pub metrics: MetricsOptions,
    /// What `brokers/version` answers.
    pub version: String,
    /// What else there is in the process.
    pub process: Option<Arc<dyn Process>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections_max: 2_048,
            head_bytes_max: 64 << 10,
            body_bytes_max: 5 << 20,
            head_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(5),
            metrics: MetricsOptions::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: None,
        }
    }
}
