//! How messages, acks and what is known of producers are stored, and what goes to other clusters.

use super::{Policy, option, policy, rate, seconds};
use crate::admin_command::verb::{Kind, Place};

pub(super) fn persistence() -> Policy {
    let count =
        |names, field, about| option(names, Kind::Number, Place::Field(field), about).or("2");
    let (rate, class) = ("managedLedgerMaxMarkDeleteRate", "managedLedgerStorageClassName");
    policy("persistence", "persistence", "how many bookies have each message")
        .with(count("--bookkeeper-ensemble -e", "bookkeeperEnsemble", "Bookies of a ledger."))
        .with(count("--bookkeeper-write-quorum -w", "bookkeeperWriteQuorum", "Copies."))
        .with(count("--bookkeeper-ack-quorum -a", "bookkeeperAckQuorum", "Copies to wait for."))
        .with(
            option(
                "--ml-mark-delete-max-rate -r",
                Kind::Decimal,
                Place::Field(rate),
                "How often in a second acks are stored; 0 for no limit.",
            )
            .or("0"),
        )
        .with(option("--ml-storage-class -c", Kind::Text, Place::Field(class), "Storage class."))
}

pub(super) fn deduplication_snapshots() -> Policy {
    policy(
        "deduplication-snapshot-interval",
        "deduplicationSnapshotInterval",
        "how often what is known of producers is stored",
    )
    .with(seconds("--interval -i"))
}

pub(super) fn entry_filters(name: &'static str) -> Policy {
    let names = Place::Field("entryFilterNames");
    policy(name, "entryFilters", "which filters entries go through").with(
        option("--entry-filters-name -efn", Kind::Text, names, "Names, with commas between.")
            .required(),
    )
}

pub(super) fn pause_on_ack_state() -> Policy {
    policy(
        "dispatcher-pause-on-ack-state-persistent",
        "dispatcherPauseOnAckStatePersistent",
        "whether delivery waits for acks to be stored",
    )
}

pub(super) fn replicator_rate() -> Policy {
    rate(
        "replicator-dispatch-rate",
        "replicatorDispatchRate",
        "how fast other clusters are sent to",
    )
}

pub(super) fn replication_clusters() -> Policy {
    policy("replication-clusters", "replication", "the clusters it is replicated to")
        .with(option("--clusters -c", Kind::List, Place::Body, "Clusters.").required())
}
