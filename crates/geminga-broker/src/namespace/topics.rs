//! Which topics exist, by their records.

use std::collections::BTreeMap;

use geminga_ledger::Deps;
use geminga_metadata::{MetadataError, paths};
use geminga_types::{Domain, NamespaceName, TopicName};

use super::{partitions::partition_count, record};

const SYSTEM_TOPICS: [&str; 5] = [
    "__change_events",
    "__transaction_buffer_snapshot",
    "__transaction_buffer_snapshot_segments",
    "__transaction_buffer_snapshot_indexes",
    "transaction_coordinator_assign",
];

/// Whether a persistent topic has a record: it was created, and not deleted since.
pub(crate) async fn topic_exists(deps: &Deps, topic: &TopicName) -> Result<bool, MetadataError> {
    Ok(deps.metadata.get(&paths::managed_ledger(topic)).await?.is_some())
}

/// Creates a persistent topic that has nothing stored.
pub(crate) async fn create_topic_record(
    deps: &Deps,
    topic: &TopicName,
    properties: &BTreeMap<String, String>,
) -> Result<record::Created, MetadataError> {
    let record = geminga_managed_ledger::new_record(deps.env.clock.wall(), properties);
    record::create_bytes(deps, &paths::managed_ledger(topic), record).await
}

/// Deletes all versions of a topic's schema.
pub(crate) async fn delete_schema(deps: &Deps, topic: &TopicName) -> Result<(), MetadataError> {
    let path = paths::schemas(topic);
    for version in record::children(deps, &path).await? {
        record::delete_any(deps, &format!("{path}/{version}")).await?;
    }
    record::delete_any(deps, &path).await?;
    Ok(())
}

/// All persistent topics of a namespace that have a record, partitions one by one, in order.
pub(crate) async fn stored_topics(
    deps: &Deps,
    namespace: &NamespaceName,
) -> Result<Vec<TopicName>, MetadataError> {
    list(
        deps,
        namespace,
        Domain::Persistent,
        &paths::managed_ledgers(namespace, Domain::Persistent),
    )
    .await
}

/// Full names of those that are wanted, sorted. There may be a million, so no [`TopicName`] of each is
/// kept.
pub(crate) async fn stored_names(
    deps: &Deps,
    namespace: &NamespaceName,
    wanted: impl Fn(&TopicName) -> bool,
) -> Result<Vec<String>, MetadataError> {
    let folder = paths::managed_ledgers(namespace, Domain::Persistent);
    let mut names = Vec::new();
    record::each_page(deps, &folder, |page| {
        let topics = decoded(&page, namespace, Domain::Persistent);
        names.extend(topics.filter(&wanted).map(|topic| topic.to_string()));
    })
    .await?;
    let sorted = move || {
        names.sort_unstable();
        names
    };
    Ok(deps.env.workers.blocking(sorted).await)
}

/// How many persistent topics of a namespace have a record, partitions one by one, without those that
/// brokers keep for themselves.
pub(crate) async fn count_topics(
    deps: &Deps,
    namespace: &NamespaceName,
) -> Result<u64, MetadataError> {
    let folder = paths::managed_ledgers(namespace, Domain::Persistent);
    let mut count = 0;
    record::each_page(deps, &folder, |page| {
        let topics = decoded(&page, namespace, Domain::Persistent);
        count += topics.filter(|topic| !is_system_topic(topic)).count() as u64;
    })
    .await?;
    Ok(count)
}

/// All partitioned topics of a namespace and domain, in order, without those being deleted.
pub(crate) async fn partitioned_topics(
    deps: &Deps,
    namespace: &NamespaceName,
    domain: Domain,
) -> Result<Vec<(TopicName, u32)>, MetadataError> {
    let mut found = Vec::new();
    for topic in partitioned_names(deps, namespace, domain).await? {
        if let Some(count) = partition_count(deps, &topic).await? {
            found.push((topic, count));
        }
    }
    Ok(found)
}

/// The same with those being deleted, and without their counts.
pub(crate) async fn partitioned_names(
    deps: &Deps,
    namespace: &NamespaceName,
    domain: Domain,
) -> Result<Vec<TopicName>, MetadataError> {
    list(deps, namespace, domain, &paths::partitioned_topics(namespace, domain)).await
}

/// Whether a topic is the brokers' own and hidden from listings.
pub(crate) fn is_system_topic(topic: &TopicName) -> bool {
    let topic = topic.without_partition();
    let local = topic.local();
    SYSTEM_TOPICS.contains(&local)
        || local.starts_with("__transaction_log_")
        || local.ends_with("__transaction_pending_ack")
}

async fn list(
    deps: &Deps,
    namespace: &NamespaceName,
    domain: Domain,
    folder: &str,
) -> Result<Vec<TopicName>, MetadataError> {
    let mut topics = Vec::new();
    record::each_page(deps, folder, |page| topics.extend(decoded(&page, namespace, domain)))
        .await?;
    Ok(topics)
}

fn decoded(
    page: &[String],
    namespace: &NamespaceName,
    domain: Domain,
) -> impl Iterator<Item = TopicName> {
    page.iter().filter_map(move |encoded| {
        let local = paths::decode(encoded)?;
        TopicName::new(domain, namespace.clone(), &local).ok()
    })
}
