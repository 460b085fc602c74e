#![cfg(test)]
//! The front door before a whole broker, spoken to in raw frames.
//!
//! Goal: what clients and strangers send is answered as Pulsar's clients expect, and never harms
//! anybody else. Method: broker, bookie and door run in a simulated world with virtual time; the
//! client here knows nothing but frames, so that it can break every rule.

mod access;
mod broker_metadata;
mod client;
mod consuming;
mod handshake;
mod incarnations;
mod limits;
mod malformed;
mod neighbours;
mod opening;
mod panics;
mod producing;
mod publish_rates;
mod requests;
mod server;
mod storage;
mod stuck;
