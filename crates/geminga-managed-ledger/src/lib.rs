//! The chain of ledgers behind a topic: appends, reads, cursors, retention, trimming.
