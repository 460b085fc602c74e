//! What numbers a key may have, where not any of its type will do.

const YEAR_SECONDS: i128 = 366 * 24 * 60 * 60;
/// Sizes in MiB, up to a tebibyte.
const MIB_MAX: i128 = 1 << 20;
/// Counts that memory is reserved for.
const COUNT_MAX: i128 = 1 << 24;

/// Key, least and most.
const RANGES: &[(&str, i128, i128)] = &[
    ("maxMessageSize", 1, (u32::MAX / 2) as i128),
    ("keepAliveIntervalSeconds", 0, YEAR_SECONDS),
    ("maxConcurrentLookupRequest", 0, COUNT_MAX),
    ("maxConcurrentTopicLoadRequest", 1, COUNT_MAX),
    ("topicLoadTimeoutSeconds", 1, YEAR_SECONDS),
    ("maxPendingPublishRequestsPerConnection", 1, COUNT_MAX),
    ("maxConcurrentNonPersistentMessagePerConnection", 1, COUNT_MAX),
    ("maxMessagePublishBufferSizeInMB", -1, MIB_MAX),
    ("defaultNumPartitions", 1, 10_000),
    ("maxNumPartitionsPerPartitionedTopic", 0, 10_000),
    ("defaultNumberOfNamespaceBundles", 1, 4_096),
    ("keySharedLookAheadMsgInReplayThresholdPerConsumer", 0, COUNT_MAX),
    ("keySharedLookAheadMsgInReplayThresholdPerSubscription", 0, COUNT_MAX),
    ("maxUnackedMessagesPerBroker", 0, i64::MAX as i128),
    ("activeConsumerFailoverDelayTimeMillis", 0, YEAR_SECONDS * 1_000),
    ("subscriptionKeySharedConsistentHashingReplicaPoints", 1, 10_000),
    ("dispatcherMaxRoundRobinBatchSize", 1, COUNT_MAX),
    ("dispatcherMaxReadBatchSize", 1, COUNT_MAX),
    ("dispatcherMaxReadSizeBytes", 1, i64::MAX as i128),
    ("managedLedgerMaxEntriesPerLedger", 1, i64::MAX as i128),
    ("managedLedgerMaxSizePerLedgerMbytes", 1, MIB_MAX),
    ("managedLedgerMinLedgerRolloverTimeMinutes", 0, YEAR_SECONDS),
    ("managedLedgerMaxLedgerRolloverTimeMinutes", 1, YEAR_SECONDS),
    ("managedLedgerCursorMaxEntriesPerLedger", 1, i64::MAX as i128),
    ("subscriptionExpirationTimeMinutes", 0, YEAR_SECONDS),
    ("subscribeRatePeriodPerConsumerInSecond", 1, YEAR_SECONDS),
    ("brokerDeleteInactiveTopicsFrequencySeconds", 1, YEAR_SECONDS),
    ("backlogQuotaDefaultLimitBytes", -1, i64::MAX as i128),
    ("backlogQuotaDefaultLimitSecond", -1, i32::MAX as i128),
    ("ttlDurationDefaultInSeconds", 0, i32::MAX as i128),
    ("defaultRetentionTimeInMinutes", -1, YEAR_SECONDS),
    ("defaultRetentionSizeInMB", -1, i64::MAX as i128 >> 20),
    ("brokerServiceCompactionThresholdInBytes", 0, i64::MAX as i128),
    ("brokerServiceCompactionMonitorIntervalInSeconds", 1, YEAR_SECONDS),
    ("delayedDeliveryMinIndexCountPerBucket", 1, COUNT_MAX),
    ("delayedDeliveryMaxNumBuckets", -1, COUNT_MAX),
    ("delayedDeliveryMaxDelayInMillis", 0, i64::MAX as i128),
    ("delayedDeliveryTickTimeMillis", 1, YEAR_SECONDS * 1_000),
    ("brokerDeduplicationEntriesInterval", 1, COUNT_MAX),
    ("brokerDeduplicationSnapshotIntervalSeconds", 1, YEAR_SECONDS),
    ("brokerDeduplicationSnapshotFrequencyInSeconds", 0, YEAR_SECONDS),
    ("brokerDeduplicationMaxNumberOfProducers", 1, COUNT_MAX),
    ("brokerDeduplicationProducerInactivityTimeoutMinutes", 1, YEAR_SECONDS),
    ("retentionCheckIntervalInSeconds", 1, YEAR_SECONDS),
    ("journalMaxSizeMB", 1, MIB_MAX),
    ("journalMaxBackups", 0, COUNT_MAX),
    ("dbStorage_writeCacheMaxSizeMb", 1, MIB_MAX),
    ("dbStorage_readAheadCacheMaxSizeMb", 0, MIB_MAX),
    ("flushInterval", 1, YEAR_SECONDS * 1_000),
    ("logSizeLimit", 1 << 20, 1 << 40),
    ("gcWaitTime", 1, YEAR_SECONDS * 1_000),
    ("minorCompactionInterval", -1, YEAR_SECONDS),
    ("majorCompactionInterval", -1, YEAR_SECONDS),
];

/// The range of a key, if it has one.
pub(super) fn of(key: &str) -> Option<(i128, i128)> {
    RANGES.iter().find(|(known, ..)| *known == key).map(|(_, least, most)| (*least, *most))
}

/// What a value should be, if it is a number that its key can't have.
pub(super) fn refusal(key: &str, value: &str) -> Option<String> {
    let (least, most) = of(key)?;
    let number: i128 = value.parse().ok()?;
    (!(least..=most).contains(&number)).then(|| format!("a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, KEYS, Remarks};

    #[test]
    fn every_range_is_of_a_key_and_has_its_default() {
        for (name, least, most) in RANGES {
            let key = KEYS.iter().find(|key| key.key == *name).unwrap_or_else(|| panic!("{name}"));
            let default: i128 = key.default.parse().unwrap();
            assert!((*least..=*most).contains(&default), "{name}");
        }
    }

    #[test]
    fn a_number_out_of_range_is_refused_with_the_range() {
        for (name, least, most) in RANGES {
            for value in [least - 1, most + 1] {
                let setting = [((*name).to_owned(), value.to_string())];
                let refused = Config::default().apply("test", &setting, &mut Remarks::default());
                let text = refused.unwrap_err().to_string();
                assert!(text.contains(&format!("{name}={value}")), "{text}");
            }
            for value in [least, most] {
                let setting = [((*name).to_owned(), value.to_string())];
                Config::default().apply("test", &setting, &mut Remarks::default()).unwrap();
            }
        }
    }
}
