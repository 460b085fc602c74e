//! Pulsar's binary protocol: frames, commands, entries, checksums; no I/O, no clock.
