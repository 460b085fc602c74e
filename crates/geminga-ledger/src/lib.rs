//! Quorum client: writes, reads, fences and recovers ledgers on bookies.
