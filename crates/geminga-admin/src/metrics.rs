//! Prometheus text, with Pulsar's metric names and labels so that its dashboards work, and
//! `geminga_` ones for what Pulsar does not have.
//!
//! [`FAMILIES`] is the table of everything that there is: the text, its page in the documentation and the check
//! of the dashboards are made of it. The text is made from a [`Survey`](geminga_broker::admin::Survey) of the loaded topics, family by family as
//! Prometheus wants it, while it is sent.

mod absent;
mod families;
mod labels;
mod page;
mod text;

use geminga_broker::{Broker, MemoryUse, ResourceGroupUse, RowDetail, SchemaFigures};

use self::text::{Singles, Text};
pub use self::{
    absent::{ABSENT, Absent},
    families::{FAMILIES, Family, Kind},
};
use crate::{LatencyMetric, Metric, Options, answer::Answer};
pub use page::page;

/// What `/metrics` tells of, by Pulsar's names of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the configuration")]
pub struct MetricsOptions {
    /// `exposeTopicLevelMetricsInPrometheus`: each topic; if not, their sums by namespace.
    pub topic_level: bool,
    /// `exposeConsumerLevelMetricsInPrometheus`: each consumer too.
    pub consumer_level: bool,
    /// `exposeProducerLevelMetricsInPrometheus`: each producer too.
    pub producer_level: bool,
    /// `exposeManagedLedgerMetricsInPrometheus`: managed ledgers, by namespace.
    pub managed_ledgers: bool,
    /// `splitTopicAndPartitionLabelInPrometheus`: a partition's index is a label of its own.
    pub splits_partition: bool,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self {
            topic_level: true,
            consumer_level: false,
            producer_level: false,
            managed_ledgers: true,
            splits_partition: false,
        }
    }
}

/// Answer of `/metrics`.
pub(crate) async fn metrics(broker: &Broker, options: &Options) -> Answer {
    let wanted = options.metrics;
    let detail = RowDetail {
        producers: wanted.topic_level && wanted.producer_level,
        consumers: wanted.topic_level && wanted.consumer_level,
    };
    let survey = broker.survey(detail).await;
    let cluster = &broker.options().cluster;
    Answer::metrics(Text::new(cluster, survey, singles(broker, options), wanted))
}

/// What is not of topics.
fn singles(broker: &Broker, options: &Options) -> Singles {
    let mut singles = Singles::default();
    for MemoryUse { name, budget_bytes, used_bytes } in broker.memory() {
        let labels = format!("budget=\"{name}\"");
        singles.add("geminga_memory_budget_bytes", &labels, count(budget_bytes));
        singles.add("geminga_memory_used_bytes", &labels, count(used_bytes));
        if name == "tail_cache" {
            singles.add("pulsar_ml_cache_used_size", "", count(used_bytes));
        }
    }
    let (published, failures) = broker.dead_letters();
    singles.add("geminga_subscription_repairs_total", "", count(broker.repairs()));
    singles.add("geminga_dead_letters_total", "", count(published));
    singles.add("geminga_dead_letter_failures_total", "", count(failures));
    singles.add("geminga_topic_silences_total", "", count(broker.silences()));
    broker.schemas_used().iter().for_each(|found| add_schemas(&mut singles, found));
    broker.resource_groups_used().iter().for_each(|group| add_group(&mut singles, group));
    add_broker(&mut singles, broker, options);
    if let Some(process) = &options.process {
        let of_connections = labels::of_connections(&broker.options().advertised.broker_url);
        for Metric { name, labels, value } in process.metrics() {
            let is_of_connections = families::is_of_connections(name);
            singles.add(name, if is_of_connections { &of_connections } else { labels }, value);
        }
        for LatencyMetric { name, labels, figures } in process.latencies() {
            if name == "pulsar_broker_lookup" {
                singles.add("pulsar_broker_lookup_answers_total", labels, count(figures.count));
            }
            singles.add_summary(name, labels, &figures);
        }
    }
    singles
}

fn add_broker(singles: &mut Singles, broker: &Broker, options: &Options) {
    let found = broker.in_all();
    let version = format!("version=\"{}\"", labels::escaped(&options.version));
    singles.add("pulsar_version_info", &version, 1.0);
    singles.add_summary("pulsar_broker_publish_latency", "", &found.published);
    singles.add_summary("pulsar_topic_load_times", "", &found.loaded);
    singles.add("topic_load_failed_total", "", count(found.loads_failed));
    singles.add("pulsar_broker_topic_load_pending_requests", "", count(found.loading));
}

fn add_schemas(singles: &mut Singles, found: &SchemaFigures) {
    let labels = format!("namespace=\"{}\"", labels::escaped(found.namespace.as_str()));
    let names = [
        ("pulsar_schema_get_ops_latency", "pulsar_schema_get_ops_failed_total"),
        ("pulsar_schema_put_ops_latency", "pulsar_schema_put_ops_failed_total"),
        ("pulsar_schema_del_ops_latency", "pulsar_schema_del_ops_failed_total"),
    ];
    for ((latency, failures), (done, &failed)) in
        names.into_iter().zip(found.done.iter().zip(&found.failed))
    {
        singles.add_summary(latency, &labels, done);
        singles.add(failures, &labels, count(failed));
    }
    singles.add("pulsar_schema_compatible_total", &labels, count(found.compatible));
    singles.add("pulsar_schema_incompatible_total", &labels, count(found.incompatible));
}

fn add_group(singles: &mut Singles, group: &ResourceGroupUse) {
    let name = labels::escaped(&group.name);
    for (class, used) in [("Publish", &group.publish), ("Dispatch", &group.dispatch)] {
        let labels = format!("ResourceGroup=\"{name}\",MonitoringClass=\"{class}\"");
        singles.add("pulsar_resource_group_bytes_used_total", &labels, count(used.bytes));
        singles.add("pulsar_resource_group_messages_used_total", &labels, count(used.messages));
        singles.add("geminga_resource_group_lent_bytes_total", &labels, count(used.lent_bytes));
        singles.add(
            "geminga_resource_group_lent_messages_total",
            &labels,
            count(used.lent_messages),
        );
        if let Some(rate) = used.byte_rate {
            singles.add("geminga_resource_group_bytes_limit", &labels, count(rate));
        }
        if let Some(rate) = used.message_rate {
            singles.add("geminga_resource_group_messages_limit", &labels, count(rate));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has floating point only")]
const fn count(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod dashboard_tests;
#[cfg(test)]
mod tests;
