//! A small Pulsar client for the command line, load tests and geo-replication.
