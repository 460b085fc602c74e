//! The embedded metadata store, on redb.
