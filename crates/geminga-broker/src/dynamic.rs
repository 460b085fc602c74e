//! Dynamic configuration: keys that can be set while the broker runs.
//!
//! What was set is kept in metadata, under Pulsar's path and in its form, a JSON object of texts. It
//! comes before what the configuration says, also at the next start, until it is deleted.
//!
//! # Invariants
//!
//! 1. Only keys in the table here are set: each acts at once, on topics in use too.
//! 2. What counts is the start's options with all that is stored on top, never with something that was
//!    there in between: so a key that is deleted is as the configuration has it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use geminga_metadata::{MetadataError, paths};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use crate::{AdminError, Broker, Options, namespace::record};

/// Names and values.
pub(crate) type Overrides = BTreeMap<String, String>;

/// The options that count now.
#[derive(Debug)]
pub(crate) struct LiveOptions {
    at_start: Arc<Options>,
    now: Mutex<Arc<Options>>,
    /// One permit: who changes something has it until it has happened, so that what counts is what was
    /// stored last.
    turns: Semaphore,
}

/// A key: its name and what its value does; what the value should be if it is none.
type Key = (&'static str, fn(&mut Options, &str) -> Result<(), &'static str>);

const FLAG: &str = "true or false";
const COUNT: &str = "a whole number, not negative";
const NUMBER: &str = "a whole number";
const KIND: &str = "non-partitioned or partitioned";
const POSITIVE: &str = "a whole number from 1";

const AUTO_KIND: &str = "allowAutoTopicCreationType";
const AUTO_PARTITIONS: &str = "defaultNumPartitions";

/// All of them, by name.
static KEYS: &[Key] = &[
    ("allowAutoSubscriptionCreation", |o, v| set(&mut o.auto_subscription_creation, flag(v))),
    ("allowAutoTopicCreation", |o, v| set(&mut o.auto_topic_creation, flag(v))),
    (AUTO_KIND, |_, v| matches!(v, "non-partitioned" | "partitioned").then_some(()).ok_or(KIND)),
    ("brokerDeleteInactivePartitionedTopicMetadataEnabled", |o, v| {
        set(&mut o.topics.deletes_inactive_partitioned, flag(v))
    }),
    ("brokerPublisherThrottlingMaxByteRate", |o, v| {
        set(&mut o.publishing.broker_rate.bytes, limit(v))
    }),
    ("brokerPublisherThrottlingMaxMessageRate", |o, v| {
        set(&mut o.publishing.broker_rate.messages, limit(v))
    }),
    (AUTO_PARTITIONS, |_, v| v.parse().ok().filter(|&n: &u32| 0 < n).map(drop).ok_or(POSITIVE)),
    ("defaultNumberOfNamespaceBundles", |o, v| {
        set(&mut o.bundles_default, v.parse().ok().filter(|&n: &u32| 0 < n).ok_or(POSITIVE))
    }),
    ("dispatchThrottlingRatePerSubscriptionInByte", |o, v| {
        set(&mut o.dispatch.subscription.bytes, limit(v))
    }),
    ("dispatchThrottlingRatePerSubscriptionInMsg", |o, v| {
        set(&mut o.dispatch.subscription.messages, limit(v))
    }),
    ("dispatchThrottlingRatePerTopicInByte", |o, v| set(&mut o.dispatch.topic.bytes, limit(v))),
    ("dispatchThrottlingRatePerTopicInMsg", |o, v| set(&mut o.dispatch.topic.messages, limit(v))),
    ("dispatchThrottlingRateRelativeToPublishRate", |o, v| {
        set(&mut o.dispatch.topic.is_relative, flag(v))?;
        set(&mut o.dispatch.subscription.is_relative, flag(v))
    }),
    ("isAllowAutoUpdateSchemaEnabled", |o, v| set(&mut o.schema.allows_update, flag(v))),
    ("maxNamespacesPerTenant", |o, v| set(&mut o.tenants.namespaces_max, count(v))),
    ("maxNumPartitionsPerPartitionedTopic", |o, v| {
        set(&mut o.topics.partitions_max, v.parse().map_err(|_| COUNT))
    }),
    ("maxPublishRatePerTopicInBytes", |o, v| set(&mut o.publishing.topic_rate.bytes, limit(v))),
    ("maxPublishRatePerTopicInMessages", |o, v| {
        set(&mut o.publishing.topic_rate.messages, limit(v))
    }),
    ("maxTenants", |o, v| set(&mut o.tenants.tenants_max, count(v))),
    ("maxTopicsPerNamespace", |o, v| set(&mut o.topics.per_namespace_max, count(v))),
];

fn set<T>(place: &mut T, value: Result<T, &'static str>) -> Result<(), &'static str> {
    *place = value?;
    Ok(())
}

fn flag(value: &str) -> Result<bool, &'static str> {
    value.parse().map_err(|_| FLAG)
}

fn count(value: &str) -> Result<u64, &'static str> {
    value.parse().map_err(|_| COUNT)
}

/// 0 and less is no limit.
fn limit(value: &str) -> Result<Option<u64>, &'static str> {
    let value: i64 = value.parse().map_err(|_| NUMBER)?;
    Ok(u64::try_from(value).ok().filter(|&limit| 0 < limit))
}

/// Sets one key.
fn apply(options: &mut Options, name: &str, value: &str) -> Result<(), AdminError> {
    let Ok(index) = KEYS.binary_search_by_key(&name, |(known, _)| known) else {
        return Err(AdminError::Invalid(match options.configuration.contains_key(name) {
            true => format!(
                "Cannot update non-dynamic configuration: {name} is read at the start only, set it in \
                 the configuration file and start again"
            ),
            false => format!(
                "Cannot update non-dynamic configuration: {name} is no key that this broker has"
            ),
        }));
    };
    (KEYS[index].1)(options, value).map_err(|expected| {
        AdminError::Invalid(format!(
            "Invalid dynamic-config value: {name} is {value:?}, it must be {expected}"
        ))
    })
}

/// What counts with `overrides`; of those that cannot be, the first.
fn with(at_start: &Options, overrides: &Overrides) -> (Options, Option<AdminError>) {
    let (mut options, mut refused) = (at_start.clone(), None);
    for (name, value) in overrides {
        if let Err(error) = apply(&mut options, name, value) {
            refused.get_or_insert(error);
        }
    }
    if overrides.contains_key(AUTO_KIND) || overrides.contains_key(AUTO_PARTITIONS) {
        let text = |name: &str| {
            overrides.get(name).or_else(|| at_start.configuration.get(name)).map(String::as_str)
        };
        let partitions = text(AUTO_PARTITIONS).and_then(|count| count.parse().ok()).unwrap_or(1);
        options.auto_partitions = (text(AUTO_KIND) == Some("partitioned")).then_some(partitions);
    }
    (options, refused)
}

impl LiveOptions {
    /// Those of the start, with what is stored on top. What is stored and makes no sense to this broker is
    /// said, and has no effect.
    pub(crate) async fn load(
        deps: &geminga_ledger::Deps,
        at_start: Arc<Options>,
    ) -> Result<Self, MetadataError> {
        let stored = record::read::<Overrides>(deps, paths::DYNAMIC_CONFIGURATION).await?;
        let stored = stored.map(|(stored, _)| stored).unwrap_or_default();
        let (now, refused) = with(&at_start, &stored);
        if let Some(reason) = refused {
            warn!(%reason, "a stored dynamic configuration has no effect");
        }
        Ok(Self { at_start, now: Mutex::new(Arc::new(now)), turns: Semaphore::new(1) })
    }

    /// What counts now.
    pub(crate) fn now(&self) -> Arc<Options> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, options: Options) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
    }
}

impl Broker {
    /// Names of the keys that can be set while the broker runs.
    #[must_use]
    pub fn dynamic_keys() -> Vec<&'static str> {
        KEYS.iter().map(|(name, _)| *name).collect()
    }

    /// The options that count now, with what was set since the start.
    #[must_use]
    pub fn live_options(&self) -> Arc<Options> {
        self.live().now()
    }

    /// Keys that were set while a broker ran.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn dynamic_configuration(&self) -> Result<BTreeMap<String, String>, AdminError> {
        let stored = record::read(self.deps(), paths::DYNAMIC_CONFIGURATION).await?;
        Ok(stored.map(|(stored, _)| stored).unwrap_or_default())
    }

    /// Every key with the value that counts now.
    ///
    /// # Errors
    ///
    /// [`AdminError::Unavailable`] only.
    pub async fn runtime_configuration(&self) -> Result<BTreeMap<String, String>, AdminError> {
        let mut found = self.options().configuration.clone();
        for (name, value) in self.dynamic_configuration().await? {
            if KEYS.binary_search_by_key(&name.as_str(), |(known, _)| known).is_ok() {
                found.insert(name, value);
            }
        }
        Ok(found)
    }

    /// Sets a key (`None`: it is as the configuration has it again), durably. Topics in use follow before
    /// this returns.
    ///
    /// # Errors
    ///
    /// If it is none that can be set while the broker runs, or the value makes no sense. Nothing was
    /// changed then.
    pub async fn set_dynamic_configuration(
        &self,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), AdminError> {
        let live = self.live();
        let _one_at_a_time = live.turns.acquire().await;
        match value {
            Some(value) => apply(&mut Options::clone(&live.at_start), name, value)?,
            None if KEYS.binary_search_by_key(&name, |(known, _)| known).is_ok() => {}
            // One that an earlier version knew may go; of others the reason is said.
            None if self.dynamic_configuration().await?.contains_key(name) => {}
            None => apply(&mut Options::clone(&live.at_start), name, "")?,
        }
        let stored = record::change(
            self.deps(),
            paths::DYNAMIC_CONFIGURATION,
            |found: Option<&Overrides>| {
                let mut wanted = found.cloned().unwrap_or_default();
                match value {
                    Some(value) => _ = wanted.insert(name.to_owned(), value.to_owned()),
                    None => _ = wanted.remove(name),
                }
                Ok::<_, AdminError>((found != Some(&wanted)).then_some(wanted))
            },
        )
        .await?;
        let (now, _) = with(&live.at_start, &stored.unwrap_or_default());
        let rate = now.publishing.broker_rate;
        live.replace(now);
        info!(key = name, value, "dynamic configuration was changed");
        self.publish_limiter().set_rate(rate);
        self.loader().follow_configuration().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_and_each_once() {
        assert!(KEYS.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
