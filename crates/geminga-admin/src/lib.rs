//! The front door for the admin REST API, lookup over HTTP, and metrics.
