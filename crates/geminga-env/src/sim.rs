//! Simulated twins: a paused clock, a seeded random source, a disk that loses what was not synced,
//! and a net in memory.
