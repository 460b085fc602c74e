//! Policies, one by one: read (204 when one is not set), set, removed. Which there are, and at which
//! levels, the [table] says.

mod broker;
mod creation;
mod offload;
mod policy;
mod subscription;
mod table;
mod values;

use std::collections::BTreeMap;

use geminga_broker::{
    AdminError, Broker,
    admin::{BacklogQuota, Policies, RetentionPolicies, TopicPolicies},
};
use serde::Serialize;
use serde_json::Value;

pub(crate) use self::policy::Level;
use self::policy::Row;
pub(super) use self::subscription::of_subscription;
use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

/// The policy of a level that has a method, by its name in the path.
pub(crate) fn named(level: Level, method: &str, name: &str) -> Option<&'static dyn Row> {
    table::TABLE.iter().copied().find(|row| row.place(level).is_some_and(|it| it.has(method, name)))
}

/// Names in the path of all policies of a level that have a method.
pub(crate) fn names(level: Level, method: &str) -> Vec<&'static str> {
    let places = table::TABLE.iter().filter_map(|row| row.place(level));
    places.filter_map(|place| place.name_for(method)).collect()
}

/// Its clusters are compared with those that there are.
const REPLICATION: &str = "replication";

fn found(level: Level, route: Route, name: &str) -> Result<&'static dyn Row, Failure> {
    named(level, route.method(), name).ok_or_else(|| Failure::UnknownPath(name.to_owned()))
}

/// One policy of a namespace.
pub(super) async fn of_namespace(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    let row = found(Level::Namespace, route, request.part(2))?;
    let options = &*broker.live_options();
    if route == Route::NamespacePolicy {
        let policies = broker.namespace_policies(&namespace).await?;
        let value = match request.flag("applied") {
            true => row.in_force(None, &policies, options).0,
            false => row.of_namespace(&policies, options),
        };
        return Ok(value.as_ref().map_or_else(Answer::done, Answer::json));
    }
    let is_set = route != Route::RemoveNamespacePolicy;
    if is_set && row.name() == REPLICATION {
        broker.check_replication_clusters(&namespace, &values::clusters(request)?).await?;
    }
    let mut change = row.change_of_namespace(is_set, request, options)?;
    let checked = move |policies: &mut Policies| {
        change(policies);
        let quotas = policies.backlog_quota_map.values();
        check_together("namespace", policies.retention_policies, quotas)
    };
    broker.change_namespace_policies(&namespace, checked).await?;
    Ok(Answer::done())
}

/// One policy of a topic.
pub(super) async fn of_topic(route: Route, broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    refuse_global(request)?;
    let row = found(Level::Topic, route, request.part(4))?;
    let options = &*broker.live_options();
    if route == Route::TopicPolicy {
        let own = broker.topic_policies(&topic).await?;
        let value = match request.flag("applied") {
            true => {
                let namespace = broker.namespace_policies(topic.namespace()).await?;
                row.in_force(Some(&own), &namespace, options).0
            }
            false => row.of_topic(&own, options),
        };
        return Ok(value.as_ref().map_or_else(Answer::done, Answer::json));
    }
    let is_set = route != Route::RemoveTopicPolicy;
    if is_set && row.name() == REPLICATION {
        let clusters = values::clusters(request)?;
        broker.check_replication_clusters(topic.namespace(), &clusters).await?;
    }
    let mut change = row.change_of_topic(is_set, request, options)?;
    let namespace = broker.namespace_policies(topic.namespace()).await?;
    let checked = move |own: &mut TopicPolicies| {
        change(own);
        let retention = own.retention_policies.or(namespace.retention_policies);
        let mut quotas: BTreeMap<_, _> = namespace.backlog_quota_map.iter().collect();
        quotas.extend(&own.backlog_quota_map);
        check_together("topic", retention, quotas.into_values())
    };
    broker.change_topic_policies(&topic, checked).await?;
    Ok(Answer::done())
}

/// What counts of one policy.
#[derive(Serialize)]
struct InForce {
    value: Value,
    level: Level,
}

/// All policies of a topic as they count, each with the level that it comes from.
pub(super) async fn in_force(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    let own = broker.topic_policies(&topic).await?;
    let namespace = broker.namespace_policies(topic.namespace()).await?;
    let options = broker.live_options();
    let all = table::TABLE.iter().filter_map(|row| {
        let (value, level) = row.in_force(Some(&own), &namespace, &options);
        Some((row.name(), InForce { value: value?, level }))
    });
    let mut all: BTreeMap<_, _> = all.collect();
    if !own.subscription_policies.is_empty() {
        let value = serde_json::to_value(&own.subscription_policies).unwrap_or_default();
        all.insert("subscriptionPolicies", InForce { value, level: Level::Topic });
    }
    Ok(Answer::json(&all))
}

/// Policies for all clusters are not served.
fn refuse_global(request: &Request) -> Result<(), Failure> {
    if !request.flag("isGlobal") {
        return Ok(());
    }
    Err(Failure::InvalidParameter("isGlobal is true: policies are of this cluster only".to_owned()))
}

/// Pulsar's rule: what is kept although it is acked must be more than what may wait.
fn check_together<'a>(
    whose: &str,
    retention: Option<RetentionPolicies>,
    quotas: impl IntoIterator<Item = &'a BacklogQuota>,
) -> Result<(), AdminError> {
    let Some(retention) = retention else { return Ok(()) };
    let kept_bytes = retention.retention_size_in_mb.saturating_mul(1 << 20);
    let kept_seconds = i64::from(retention.retention_time_in_minutes) * 60;
    for quota in quotas {
        let bytes = quota.limit_size.or(quota.limit).unwrap_or(-1);
        let seconds = i64::from(quota.limit_time.unwrap_or(-1));
        if 0 < kept_bytes && kept_bytes <= bytes || 0 < kept_seconds && kept_seconds <= seconds {
            return Err(AdminError::Invalid(format!(
                "Backlog Quota exceeds configured retention quota for {whose}: {bytes} bytes and \
                 {seconds} s may wait, {kept_bytes} bytes and {kept_seconds} s are kept. Please \
                 increase retention quota and retry"
            )));
        }
    }
    Ok(())
}
