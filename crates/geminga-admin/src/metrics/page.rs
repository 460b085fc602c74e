//! The table of families as a page of the documentation.

use std::fmt::Write as _;

use super::{ABSENT, FAMILIES};

const HEAD: &str = "\
# Metrics

Generated from the table of families by `cargo run -p geminga-admin --example metrics-reference`; do not edit.

`/metrics` is Prometheus' text, made while it is sent, and compressed if the request has `Accept-Encoding: gzip`.
Names and labels are Pulsar's where Pulsar has the thing; what it does not have begins with `geminga_`. Metrics of
the bookie are on the same page, as there is one process. A name that is not here is one that Geminga does not have:
nothing is told that is always 0.

Loaded topics are told of, nothing is loaded to be. A topic that does not answer within 2 s is left out, and
named by `geminga_topic_silent`.

Rates do not depend on who asks, or how often: they go by the last 10 s, or up to 20 s of which the older count
less. What Pulsar counts by the minute is that of the last whole minute, or of the first as far as it goes.

With `exposeTopicLevelMetricsInPrometheus=false` what is of topics is summed by namespace and has no label
`topic`; of what is of subscriptions there are `pulsar_subscription_delayed`, `pulsar_out_messages_total` and
`pulsar_out_bytes_total`. With `exposeConsumerLevelMetricsInPrometheus=true` and
`exposeProducerLevelMetricsInPrometheus=true` there is a line for each consumer and producer too. With
`splitTopicAndPartitionLabelInPrometheus=true` a partition's `topic` is the topic with partitions, and `partition`
its index, −1 for none. `exposeManagedLedgerMetricsInPrometheus=false` leaves the `pulsar_ml_…` of namespaces out.

Pulsar's page says `gauge` of almost everything; here what only grows is a `counter`. Its `pulsar_ml_…` have the
namespace with `/persistent` behind, and so they have here. Summaries have quantiles of the last minute, as
there, which are estimated from counts by ranges of time; a quantile of nothing is NaN. Those of the bookie say
`success=\"true\"`: what failed has no line.

Pulsar documents its resource groups' counters without the `_total` that they have on its page; here they are as
on the page. It gives consumers lines of `pulsar_out_messages_total` and `pulsar_out_bytes_total` too, which a
sum counts twice; here they have none.

| name | type | labels | unit | meaning |
|---|---|---|---|---|
";

const TAIL: &str = "
## What Pulsar has and Geminga has not

Every family of the page of Pulsar 4.2.4's standalone is in one of the two tables, and what is known of its other
pages and of BookKeeper's. `*` stands for anything.

| names | why |
|---|---|
";

/// The page.
#[must_use]
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for family in FAMILIES {
        let (name, kind) = (family.name, family.kind.as_str());
        let (labels, unit, meaning) = (family.labels, family.unit, family.meaning);
        // A String takes everything.
        _ = writeln!(page, "| `{name}` | {kind} | {labels} | {unit} | {meaning} |");
    }
    page += TAIL;
    for group in ABSENT {
        let names: Vec<String> = group.names.iter().map(|name| format!("`{name}`")).collect();
        _ = writeln!(page, "| {} | {} |", names.join(", "), group.why);
    }
    page
}
