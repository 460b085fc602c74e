//! Geminga put together: the configuration, and the roles that it describes.
//!
//! The binary runs these on the real machine, the simulation on a simulated one.

mod admin_client;
pub mod admin_command;
mod advertise;
mod backup;
pub mod client_command;
pub mod config;
mod data_dir;
pub mod doctor;
pub mod exit;
pub mod file_limit;
pub mod perf;
mod phases;
pub mod standalone;
pub mod storage_command;
