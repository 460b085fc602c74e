//! The procedures on ledgers, against bookies and a metadata store that fail on command.
#![cfg(test)] // lets clippy see helpers here as test code

mod bookie;
mod create_and_delete;
mod ensembles;
mod reading;
mod recovery;
mod schedules;
mod sealing;
mod store;
mod world;
