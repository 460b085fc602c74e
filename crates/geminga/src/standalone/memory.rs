//! The memory governor's plan: one limit, and what each kind of memory may take of it.
//!
//! Without `memoryLimitMb` each kind has its own key's size. With it, the process itself and the
//! metadata's cache are taken off, and of the rest each kind has its share or its own key's size,
//! whichever is less; what is left over is for what is not counted: loaded topics, indexes.

use anyhow::Context as _;

use crate::config::Config;

const MIB: u64 = 1 << 20;
/// `maxMessagePublishBufferSizeInMB` when it is −1.
const PUBLISH_BYTES: u64 = 256 * MIB;
const READ_BYTES: u64 = 256 * MIB;
const DELIVERY_BYTES: u64 = 256 * MIB;
const ACK_STATE_BYTES: u64 = 512 * MIB;
const TIMER_BYTES: u64 = 256 * MIB;
const COMPACTION_KEYS_BYTES: u64 = 256 * MIB;
const LARGE_FRAMES_BYTES: u64 = 256 * MIB;
/// Least memory that makes sense.
const LIMIT_MIB_MIN: u64 = 128;
/// What the process takes with nothing to do.
const BASE_BYTES: u64 = 16 * MIB;
/// A client that sends the largest of messages slowly must leave room for another's.
const LARGE_FRAMES_MIN: u64 = 2;

/// Bytes for each kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Publishes that are not yet confirmed.
    pub(super) publish: u64,
    /// Reads for dispatch.
    pub(super) read: u64,
    /// What waits to be sent to clients.
    pub(super) delivery: u64,
    /// Newest entries of topics that are consumed.
    pub(super) tail_cache: u64,
    /// Entries that are not yet in an entry log.
    pub(super) write_cache: u64,
    /// Blocks of entry logs.
    pub(super) read_cache: u64,
    /// Acks of all subscriptions.
    pub(super) ack_state: u64,
    /// Messages that wait for their time.
    pub(super) timers: u64,
    /// Keys of topics that are being compacted.
    pub(super) compaction_keys: u64,
    /// Frames larger than a read block that are not yet whole.
    pub(super) large_frames: u64,
    /// What connections take beside all that; `None` without a limit.
    pub(super) connections: Option<u64>,
}

/// Makes the plan.
///
/// # Errors
///
/// If a key has a value that makes no sense; the text names it.
pub(super) fn plan(config: &Config) -> anyhow::Result<Plan> {
    let publish = match config.max_message_publish_buffer_size_in_mb {
        -1 => PUBLISH_BYTES,
        mib => u64::try_from(mib)
            .ok()
            .filter(|mib| 0 < *mib)
            .context("maxMessagePublishBufferSizeInMB: expected MiB from 1, or -1")?
            .saturating_mul(MIB),
    };
    let limit = config.memory_limit_mb;
    if (1..LIMIT_MIB_MIN).contains(&limit) {
        anyhow::bail!(
            "memoryLimitMb={limit}: expected MiB from {LIMIT_MIB_MIN}, or 0 for no limit"
        );
    }
    let mib = |mib: u64| mib.saturating_mul(MIB);
    let base = BASE_BYTES.saturating_add(mib(config.embedded_metadata_cache_size_mb));
    if limit != 0 && mib(limit) / 2 < base {
        anyhow::bail!(
            "embeddedMetadataCacheSizeMB={}: expected less than half of memoryLimitMb={limit}",
            config.embedded_metadata_cache_size_mb
        );
    }
    let share = |of_64: u64| match limit {
        0 => u64::MAX,
        limit => mib(limit).saturating_sub(base) / 64 * of_64,
    };
    let large_frames_min = config.max_message_size.saturating_mul(LARGE_FRAMES_MIN);
    Ok(Plan {
        publish: publish.min(share(8)),
        read: READ_BYTES.min(share(6)),
        delivery: DELIVERY_BYTES.min(share(8)),
        tail_cache: mib(config.managed_ledger_cache_size_mb).min(share(5)),
        write_cache: mib(config.db_storage_write_cache_max_size_mb.max(1)).min(share(8)),
        read_cache: mib(config.db_storage_read_ahead_cache_max_size_mb).min(share(4)),
        ack_state: ACK_STATE_BYTES.min(share(3)),
        timers: TIMER_BYTES.min(share(2)),
        compaction_keys: COMPACTION_KEYS_BYTES.min(share(1)),
        large_frames: LARGE_FRAMES_BYTES.min(share(2)).max(large_frames_min),
        connections: (limit != 0).then(|| share(12)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(plan: &Plan) -> u64 {
        let Plan { publish, read, delivery, tail_cache, write_cache, read_cache, .. } = plan;
        let caches = tail_cache + write_cache + read_cache;
        let machines = plan.ack_state + plan.timers + plan.compaction_keys;
        let connections = plan.large_frames + plan.connections.unwrap_or(0);
        publish + read + delivery + caches + machines + connections
    }

    #[test]
    fn without_a_limit_each_key_counts() {
        let config = Config {
            max_message_publish_buffer_size_in_mb: 3,
            managed_ledger_cache_size_mb: 5,
            db_storage_write_cache_max_size_mb: 7,
            ..Config::default()
        };
        let plan = plan(&config).unwrap();
        assert_eq!((plan.publish, plan.tail_cache, plan.write_cache), (3 * MIB, 5 * MIB, 7 * MIB));
        assert_eq!(plan.read, READ_BYTES);
    }

    #[test]
    fn with_a_limit_all_together_leave_room_and_small_keys_count() {
        for memory_limit_mb in [LIMIT_MIB_MIN, 256, 1_000, 100_000] {
            let config = Config { memory_limit_mb, ..Config::default() };
            let plan = plan(&config).unwrap();
            let all = total(&plan) + BASE_BYTES + config.embedded_metadata_cache_size_mb * MIB;
            assert!(all < memory_limit_mb * MIB, "{memory_limit_mb}: {plan:?}");
        }
        let config = Config {
            memory_limit_mb: 640,
            managed_ledger_cache_size_mb: 5,
            max_message_publish_buffer_size_in_mb: 1_000,
            ..Config::default()
        };
        let plan = plan(&config).unwrap();
        let rest = 640 - 16 - config.embedded_metadata_cache_size_mb;
        assert_eq!((plan.publish, plan.tail_cache), (rest * MIB / 8, 5 * MIB));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let small = Config { memory_limit_mb: 127, ..Config::default() };
        assert!(plan(&small).unwrap_err().to_string().starts_with("memoryLimitMb=127"));
        let large = Config {
            memory_limit_mb: 128,
            embedded_metadata_cache_size_mb: 49,
            ..Config::default()
        };
        let error = plan(&large).unwrap_err().to_string();
        assert!(error.starts_with("embeddedMetadataCacheSizeMB=49"), "{error}");
        let none = Config { max_message_publish_buffer_size_in_mb: 0, ..Config::default() };
        assert!(plan(&none).unwrap_err().to_string().contains("maxMessagePublishBufferSizeInMB"));
    }
}
