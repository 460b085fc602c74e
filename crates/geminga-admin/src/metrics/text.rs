//! The text, made piece by piece from rows.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use geminga_broker::{ConsumerRow, ProducerRow, TopicFigures, TopicRow, admin::Survey};
use geminga_env::{BoxFuture, LatencyFigures};

use super::{
    MetricsOptions,
    families::{FAMILIES, Family, Lines, family_of},
    labels,
};
use crate::pieces::{PIECE_BYTES, Pieces};

/// Numbers that are not of topics, by their family's name.
#[derive(Debug, Default)]
pub(super) struct Singles(BTreeMap<&'static str, Vec<Single>>);

#[derive(Debug)]
struct Single {
    suffix: &'static str,
    labels: String,
    value: f64,
}

/// All of the text, as far as it is not made yet.
#[derive(Debug)]
pub(super) struct Text {
    options: MetricsOptions,
    cluster: String,
    total: TopicFigures,
    namespaces: Vec<Namespace>,
    topics: Vec<Topic>,
    silent: Vec<String>,
    singles: Singles,
    /// Which family is next, and which of its namespaces or topics.
    family: usize,
    unit: usize,
    has_head: bool,
}

#[derive(Debug)]
struct Namespace {
    labels: String,
    of_managed_ledgers: String,
    topics: u64,
    figures: TopicFigures,
}

#[derive(Debug)]
struct Topic {
    labels: String,
    row: TopicRow,
}

impl Singles {
    /// One more line. What the table of families does not know is left out: a test finds it.
    pub(super) fn add(&mut self, name: &'static str, labels: &str, value: f64) {
        if let Some(family) = family_of(name) {
            let suffix = name.strip_prefix(family.name).unwrap_or_default();
            self.push(family, suffix, labels.to_owned(), value);
        }
    }

    /// A summary in milliseconds: its quantiles, NaN if there was nothing of late, and what there ever was.
    pub(super) fn add_summary(
        &mut self,
        name: &'static str,
        labels: &str,
        figures: &LatencyFigures,
    ) {
        let Some(family) = family_of(name) else { return };
        let comma = if labels.is_empty() { "" } else { "," };
        for quantile in family.quantiles() {
            let found = quantile.parse().ok().and_then(|part| figures.quantile(part));
            let labels = format!("{labels}{comma}quantile=\"{quantile}\"");
            self.push(family, "", labels, found.map_or(f64::NAN, ms));
        }
        self.push(family, "_count", labels.to_owned(), super::count(figures.count));
        self.push(family, "_sum", labels.to_owned(), ms(figures.sum));
    }

    fn push(&mut self, family: &Family, suffix: &'static str, labels: String, value: f64) {
        self.0.entry(family.name).or_default().push(Single { suffix, labels, value });
    }
}

impl Text {
    pub(super) fn new(
        cluster: &str,
        survey: Survey,
        singles: Singles,
        options: MetricsOptions,
    ) -> Self {
        let cluster = labels::of_cluster(cluster);
        let total = survey.total();
        let mut namespaces: BTreeMap<String, Namespace> = BTreeMap::new();
        for row in &survey.rows {
            let name = row.topic.namespace().as_str();
            if !namespaces.contains_key(name) {
                let labels = labels::of_namespace(&cluster, name);
                let of_managed_ledgers = labels::of_managed_ledgers(&cluster, name);
                let figures = TopicFigures::default();
                let new = Namespace { labels, of_managed_ledgers, topics: 0, figures };
                namespaces.insert(name.to_owned(), new);
            }
            if let Some(namespace) = namespaces.get_mut(name) {
                namespace.topics += 1;
                namespace.figures.add(&row.figures);
            }
        }
        let rows = survey.rows.into_iter().filter(|_| options.topic_level);
        let topics = rows.map(|row| Topic {
            labels: labels::of_topic(&cluster, &row.topic, options.splits_partition),
            row,
        });
        let silent = survey.silent.iter();
        Self {
            total,
            namespaces: namespaces.into_values().collect(),
            topics: topics.collect(),
            silent: silent
                .map(|topic| labels::of_topic(&cluster, topic, options.splits_partition))
                .collect(),
            cluster,
            singles,
            options,
            family: 0,
            unit: 0,
            has_head: false,
        }
    }

    /// Adds about a piece. False: there is no more.
    fn write(&mut self, to: &mut Vec<u8>) -> bool {
        while let Some(family) = FAMILIES.get(self.family) {
            while self.unit < self.units(family) {
                let mut lines = Page { family, to, has_head: &mut self.has_head };
                let unit = self.unit;
                self.unit += 1;
                match family.lines {
                    Lines::Broker(value) => lines.line("", &[&self.cluster], value(&self.total)),
                    Lines::Topics => {
                        let namespace = &self.namespaces[unit];
                        lines.line("", &[&namespace.labels], super::count(namespace.topics));
                    }
                    Lines::Namespace(value) => {
                        lines.managed_ledgers(&self.namespaces[unit], &[""], |all, _| value(all));
                    }
                    Lines::Buckets { quantiles, value } => {
                        lines.managed_ledgers(&self.namespaces[unit], quantiles, value);
                    }
                    Lines::Topic(value) => {
                        let (labels, figures) = if self.options.topic_level {
                            (&self.topics[unit].labels, &self.topics[unit].row.figures)
                        } else {
                            (&self.namespaces[unit].labels, &self.namespaces[unit].figures)
                        };
                        if let Some(value) = value(figures) {
                            lines.line("", &[labels], value);
                        }
                    }
                    Lines::Subscription { each, sum } => {
                        if self.options.topic_level {
                            lines.subscriptions(&self.topics[unit], each);
                        } else if let Some(sum) = sum {
                            let namespace = &self.namespaces[unit];
                            lines.line("", &[&namespace.labels], sum(&namespace.figures));
                        }
                    }
                    Lines::Consumer(value) => lines.consumers(&self.topics[unit], value),
                    Lines::Producer(value) => lines.producers(&self.topics[unit], value),
                    Lines::Silent => lines.line("", &[&self.silent[unit]], 1.0),
                    Lines::Single => {
                        let singles = self.singles.0.get(family.name).map_or(&[][..], |it| it);
                        lines.singles(&self.cluster, singles);
                    }
                }
                if PIECE_BYTES <= to.len() {
                    return true;
                }
            }
            (self.family, self.unit, self.has_head) = (self.family + 1, 0, false);
        }
        false
    }

    /// How many parts a family is made in.
    const fn units(&self, family: &Family) -> usize {
        let by_topic =
            if self.options.topic_level { self.topics.len() } else { self.namespaces.len() };
        match family.lines {
            Lines::Broker(_) | Lines::Single => 1,
            Lines::Topics => self.namespaces.len(),
            Lines::Namespace(_) | Lines::Buckets { .. } if !self.options.managed_ledgers => 0,
            Lines::Namespace(_) | Lines::Buckets { .. } => self.namespaces.len(),
            Lines::Topic(_) | Lines::Subscription { .. } => by_topic,
            Lines::Consumer(_) if self.options.consumer_level => self.topics.len(),
            Lines::Producer(_) if self.options.producer_level => self.topics.len(),
            Lines::Consumer(_) | Lines::Producer(_) => 0,
            Lines::Silent => self.silent.len(),
        }
    }
}

impl Pieces for Text {
    fn next<'a>(&'a mut self, to: &'a mut Vec<u8>) -> BoxFuture<'a, bool> {
        Box::pin(async {
            // It waits for nothing: others are to have their turn now and then.
            tokio::task::yield_now().await;
            self.write(to)
        })
    }
}

/// Where the lines of a family go.
struct Page<'a> {
    family: &'a Family,
    to: &'a mut Vec<u8>,
    has_head: &'a mut bool,
}

impl Page<'_> {
    /// A line of a family, or of what its suffix says. The head goes before the first.
    fn line(&mut self, suffix: &str, labels: &[&str], value: f64) {
        let (name, to) = (self.family.name, &mut *self.to);
        if !*self.has_head {
            *self.has_head = true;
            to.extend_from_slice(b"# TYPE ");
            to.extend_from_slice(name.as_bytes());
            to.push(b' ');
            to.extend_from_slice(self.family.kind.as_str().as_bytes());
            to.push(b'\n');
        }
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(suffix.as_bytes());
        if labels.iter().any(|part| !part.is_empty()) {
            to.push(b'{');
            labels.iter().for_each(|part| to.extend_from_slice(part.as_bytes()));
            to.push(b'}');
        }
        to.push(b' ');
        number(to, value);
        to.push(b'\n');
    }

    /// A line for each quantile, if anything of the namespace has a managed ledger.
    fn managed_ledgers(
        &mut self,
        namespace: &Namespace,
        quantiles: &[&str],
        value: impl Fn(&TopicFigures, usize) -> f64,
    ) {
        if namespace.figures.managed_ledgers == 0 {
            return;
        }
        for (at, quantile) in quantiles.iter().enumerate() {
            let value = value(&namespace.figures, at);
            if quantile.is_empty() {
                self.line("", &[&namespace.of_managed_ledgers], value);
            } else {
                let labels = [&namespace.of_managed_ledgers, ",quantile=\"", quantile, "\""];
                self.line("", &labels, value);
            }
        }
    }

    fn subscriptions(&mut self, topic: &Topic, value: fn(&geminga_broker::SubscriptionRow) -> f64) {
        for found in &topic.row.subscriptions {
            let labels = [&topic.labels, ",subscription=\"", &labels::escaped(&found.name), "\""];
            self.line("", &labels, value(found));
        }
    }

    fn consumers(&mut self, topic: &Topic, value: fn(&ConsumerRow) -> f64) {
        for subscription in &topic.row.subscriptions {
            let subscription_name = labels::escaped(&subscription.name);
            for found in &subscription.consumers {
                let labels = [
                    &topic.labels,
                    ",subscription=\"",
                    &subscription_name,
                    "\",consumer_name=\"",
                    &labels::escaped(&found.name),
                    "\",consumer_id=\"",
                    &found.consumer_id.to_string(),
                    "\"",
                ];
                self.line("", &labels, value(found));
            }
        }
    }

    fn producers(&mut self, topic: &Topic, value: fn(&ProducerRow) -> f64) {
        for found in &topic.row.producers {
            let labels = [
                &topic.labels,
                ",producer_name=\"",
                &labels::escaped(&found.name),
                "\",producer_id=\"",
                &found.producer_id.to_string(),
                "\"",
            ];
            self.line("", &labels, value(found));
        }
    }

    /// What Pulsar tells of a broker has its cluster; what is of a bookie, or ours, has not.
    fn singles(&mut self, cluster: &str, singles: &[Single]) {
        let has_cluster = self.family.labels.starts_with("cluster");
        let cluster = if has_cluster { cluster } else { "" };
        for Single { suffix, labels, value } in singles {
            let comma = if !has_cluster || labels.is_empty() { "" } else { "," };
            self.line(suffix, &[cluster, comma, labels], *value);
        }
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Most numbers are whole, and far quicker to write as such.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
fn number(to: &mut Vec<u8>, value: f64) {
    // A Vec takes everything.
    _ = if value.fract() == 0.0 && value.abs() < 1e15 {
        write!(to, "{}", value as i64)
    } else {
        write!(to, "{value}")
    };
}
