//! Protocol versions, and what a peer of a version can do.
//!
//! Both sides of a connection use the lower of their versions. What came after version 21 is
//! announced by feature flags.

use crate::proto::FeatureFlags;

/// The version spoken here.
pub const PROTOCOL_VERSION: i32 = 21;

/// From here on clients read batches.
pub const BATCHES: i32 = 4;
/// From here on clients read checksums.
pub const CHECKSUMS: i32 = 6;
/// From here on GET_LAST_MESSAGE_ID, ACTIVE_CONSUMER_CHANGE and ACKs of several ids are understood.
pub const ACTIVE_CONSUMER_CHANGE: i32 = 12;
/// From here on GET_OR_CREATE_SCHEMA is understood.
pub const GET_OR_CREATE_SCHEMA: i32 = 15;
/// From here on an ACK with a request id is answered.
pub const ACK_RESPONSE: i32 = 17;

/// The version to use with a client that announced `client`.
#[must_use]
pub fn negotiate(client: i32) -> i32 {
    client.clamp(0, PROTOCOL_VERSION)
}

/// What both sides can do; a peer that announced nothing can do none of it.
#[must_use]
pub fn common_features(ours: &FeatureFlags, theirs: Option<&FeatureFlags>) -> FeatureFlags {
    let Some(theirs) = theirs else { return FeatureFlags::default() };
    macro_rules! both {
        ($($flag:ident),* $(,)?) => {
            FeatureFlags { $($flag: Some(ours.$flag() && theirs.$flag()),)* }
        };
    }
    both!(
        supports_auth_refresh,
        supports_broker_entry_metadata,
        supports_partial_producer,
        supports_topic_watchers,
        supports_get_partitioned_metadata_without_auto_creation,
        supports_repl_dedup_by_lid_and_eid,
        supports_topic_watcher_reconcile,
        supports_scalable_topics,
        supports_tc_metadata_discovery,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_version_is_used() {
        assert_eq!([-1, 0, 12, 21, 99].map(negotiate), [0, 0, 12, 21, 21]);
    }

    #[test]
    fn a_feature_needs_both_sides() {
        let flags = |refresh, watchers| FeatureFlags {
            supports_auth_refresh: Some(refresh),
            supports_topic_watchers: Some(watchers),
            ..FeatureFlags::default()
        };
        let both = common_features(&flags(true, true), Some(&flags(true, false)));
        assert!(both.supports_auth_refresh());
        assert!(!both.supports_topic_watchers());
        let none = common_features(&flags(true, true), None);
        assert!(!none.supports_auth_refresh());
    }
}
