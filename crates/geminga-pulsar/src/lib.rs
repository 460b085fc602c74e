//! The front door for Pulsar's binary protocol.
