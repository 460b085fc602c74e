#![cfg(test)]
//! Managed ledgers over bookies and a metadata store in memory, on a paused clock.

mod appends;
mod bookie;
mod crashes;
mod cursors;
mod lifecycle;
mod outages;
mod owners;
mod trimming;
mod world;
