//! Geminga put together: the configuration, and the roles that it describes.
//!
//! The binary runs these on the real machine, the simulation on a simulated one.

mod advertise;
pub mod client_command;
pub mod config;
pub mod file_limit;
mod phases;
pub mod standalone;
