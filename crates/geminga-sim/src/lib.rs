//! Seeded worlds: the whole standalone on a simulated clock, disk and net.
//!
//! `tests/standalone` runs them: raw-protocol clients, faults of disk and net, and an oracle. Nothing
//! here is part of the product.
