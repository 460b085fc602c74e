//! A bookie's storage: journal, write cache, entry log, index, reads, GC, recovery.
