//! A namespace's policies, one by one: read (204 when it is not set), set, removed.

use std::collections::BTreeMap;

use geminga_broker::{
    AdminError, Broker, InactiveMode, QuotaAction,
    admin::{
        BacklogQuota, DelayedDeliveryPolicies, DispatchRate, InactiveTopicPolicies, Policies,
        PublishRate, RetentionPolicies,
    },
};
use serde::Serialize;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

/// Changes one policy, or removes it.
type Change = Box<dyn FnMut(&mut Policies) + Send>;

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    let cluster = &broker.options().cluster;
    if let Some(shown) = show(route, &broker.namespace_policies(&namespace).await?, cluster) {
        return Ok(shown);
    }
    let mut change = change(route, request, cluster)?;
    let checked = move |policies: &mut Policies| {
        change(policies);
        check_together(policies)
    };
    broker.change_namespace_policies(&namespace, checked).await?;
    Ok(Answer::done())
}

/// The policy that is asked for; `None` if it is to be changed.
fn show(route: Route, policies: &Policies, cluster: &str) -> Option<Answer> {
    Some(match route {
        Route::NamespaceRetention => shown(policies.retention_policies.as_ref()),
        Route::NamespaceMessageTtl => shown(policies.message_ttl_in_seconds.as_ref()),
        Route::NamespaceUnackedPerConsumer => {
            shown(policies.max_unacked_messages_per_consumer.as_ref())
        }
        Route::NamespaceUnackedPerSubscription => {
            shown(policies.max_unacked_messages_per_subscription.as_ref())
        }
        Route::NamespaceSubscriptionExpiry => {
            shown(policies.subscription_expiration_time_minutes.as_ref())
        }
        Route::NamespaceDispatchRate => shown(policies.topic_dispatch_rate.get(cluster)),
        Route::NamespaceSubscriptionDispatchRate => {
            shown(policies.subscription_dispatch_rate.get(cluster))
        }
        Route::NamespacePublishRate => shown(policies.publish_rate.get(cluster)),
        Route::NamespaceProducersPerTopic => shown(policies.max_producers_per_topic.as_ref()),
        Route::NamespaceEncryptionRequired => Answer::json(&policies.encryption_required),
        Route::NamespaceDeduplication => shown(policies.deduplication_enabled.as_ref()),
        Route::NamespaceCompactionThreshold => shown(policies.compaction_threshold.as_ref()),
        Route::NamespaceDelayedDelivery => shown(policies.delayed_delivery_policies.as_ref()),
        Route::NamespaceInactiveTopics => shown(policies.inactive_topic_policies.as_ref()),
        Route::NamespaceBacklogQuotas => Answer::json(&policies.backlog_quota_map),
        _ => return None,
    })
}

fn change(route: Route, request: &Request, cluster: &str) -> Result<Change, Failure> {
    let cluster = cluster.to_owned();
    Ok(match route {
        Route::SetNamespaceRetention | Route::RemoveNamespaceRetention => {
            let value = given(route == Route::SetNamespaceRetention, || retention(request))?;
            Box::new(move |policies| policies.retention_policies = value)
        }
        Route::SetNamespaceMessageTtl | Route::RemoveNamespaceMessageTtl => {
            let is_set = route == Route::SetNamespaceMessageTtl;
            let value = given(is_set, || count(request, "message TTL"))?;
            Box::new(move |policies| policies.message_ttl_in_seconds = value)
        }
        Route::SetNamespaceSubscriptionExpiry | Route::RemoveNamespaceSubscriptionExpiry => {
            let is_set = route == Route::SetNamespaceSubscriptionExpiry;
            let value = given(is_set, || count(request, "subscription expiration time"))?;
            Box::new(move |policies| policies.subscription_expiration_time_minutes = value)
        }
        Route::SetNamespaceDeduplication | Route::RemoveNamespaceDeduplication => {
            let value = given(route == Route::SetNamespaceDeduplication, || request.json())?;
            Box::new(move |policies| policies.deduplication_enabled = value)
        }
        Route::SetNamespaceCompactionThreshold | Route::RemoveNamespaceCompactionThreshold => {
            let is_set = route == Route::SetNamespaceCompactionThreshold;
            let value = given(is_set, || threshold(request))?;
            Box::new(move |policies| policies.compaction_threshold = value)
        }
        Route::SetNamespaceDelayedDelivery | Route::RemoveNamespaceDelayedDelivery => {
            let is_set = route == Route::SetNamespaceDelayedDelivery;
            let value = given(is_set, || delays(request))?;
            Box::new(move |policies| policies.delayed_delivery_policies.clone_from(&value))
        }
        Route::SetNamespaceDispatchRate | Route::RemoveNamespaceDispatchRate => {
            let value = given(route == Route::SetNamespaceDispatchRate, || rate(request))?;
            Box::new(move |policies| {
                put(&mut policies.topic_dispatch_rate, &cluster, value.clone())
            })
        }
        Route::SetNamespaceSubscriptionDispatchRate
        | Route::RemoveNamespaceSubscriptionDispatchRate => {
            let is_set = route == Route::SetNamespaceSubscriptionDispatchRate;
            let value = given(is_set, || rate(request))?;
            Box::new(move |policies| {
                put(&mut policies.subscription_dispatch_rate, &cluster, value.clone())
            })
        }
        Route::SetNamespacePublishRate
        | Route::RemoveNamespacePublishRate
        | Route::SetNamespaceProducersPerTopic
        | Route::RemoveNamespaceProducersPerTopic
        | Route::SetNamespaceEncryptionRequired => change_of_publishing(route, request, cluster)?,
        Route::SetNamespaceInactiveTopics | Route::RemoveNamespaceInactiveTopics => {
            let value = given(route == Route::SetNamespaceInactiveTopics, || inactive(request))?;
            Box::new(move |policies| policies.inactive_topic_policies.clone_from(&value))
        }
        Route::SetNamespaceBacklogQuota | Route::RemoveNamespaceBacklogQuota => {
            let kind = quota_kind(request)?;
            let value = given(route == Route::SetNamespaceBacklogQuota, || quota(request))?;
            Box::new(move |policies| put(&mut policies.backlog_quota_map, kind, value.clone()))
        }
        Route::SetNamespaceUnackedPerConsumer | Route::RemoveNamespaceUnackedPerConsumer => {
            let is_set = route == Route::SetNamespaceUnackedPerConsumer;
            let value = given(is_set, || count(request, "maxUnackedMessagesPerConsumer"))?;
            Box::new(move |policies| policies.max_unacked_messages_per_consumer = value)
        }
        _ => {
            let is_set = route == Route::SetNamespaceUnackedPerSubscription;
            let value = given(is_set, || count(request, "maxUnackedMessagesPerSubscription"))?;
            Box::new(move |policies| policies.max_unacked_messages_per_subscription = value)
        }
    })
}

/// What is asked of producers.
fn change_of_publishing(
    route: Route,
    request: &Request,
    cluster: String,
) -> Result<Change, Failure> {
    Ok(match route {
        Route::SetNamespacePublishRate | Route::RemoveNamespacePublishRate => {
            let value: Option<PublishRate> =
                given(route == Route::SetNamespacePublishRate, || request.json())?;
            Box::new(move |policies| put(&mut policies.publish_rate, &cluster, value.clone()))
        }
        Route::SetNamespaceProducersPerTopic | Route::RemoveNamespaceProducersPerTopic => {
            let is_set = route == Route::SetNamespaceProducersPerTopic;
            let value = given(is_set, || count(request, "maxProducersPerTopic"))?;
            Box::new(move |policies| policies.max_producers_per_topic = value)
        }
        _ => {
            let value = request.json()?.ok_or_else(|| {
                Failure::InvalidBody("Request body is not valid: expected true or false".to_owned())
            })?;
            Box::new(move |policies| policies.encryption_required = value)
        }
    })
}

/// Pulsar's rule: what is kept although it is acked must be more than what may wait.
fn check_together(policies: &Policies) -> Result<(), AdminError> {
    let Some(retention) = policies.retention_policies else { return Ok(()) };
    let kept_bytes = retention.retention_size_in_mb.saturating_mul(1 << 20);
    let kept_seconds = i64::from(retention.retention_time_in_minutes) * 60;
    for quota in policies.backlog_quota_map.values() {
        let bytes = quota.limit_size.or(quota.limit).unwrap_or(-1);
        let seconds = i64::from(quota.limit_time.unwrap_or(-1));
        if 0 < kept_bytes && kept_bytes <= bytes || 0 < kept_seconds && kept_seconds <= seconds {
            return Err(AdminError::Invalid(format!(
                "Backlog Quota exceeds configured retention quota for namespace: {bytes} bytes and \
                 {seconds} s may wait, {kept_bytes} bytes and {kept_seconds} s are kept. Please \
                 increase retention quota and retry"
            )));
        }
    }
    Ok(())
}

pub(super) fn shown<T: Serialize>(value: Option<&T>) -> Answer {
    value.map_or_else(Answer::done, Answer::json)
}

/// What is to be set; nothing when it is to be removed, or set to nothing.
pub(super) fn given<T>(
    is_set: bool,
    value: impl FnOnce() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    if is_set { value() } else { Ok(None) }
}

pub(super) fn count(request: &Request, what: &str) -> Result<Option<i32>, Failure> {
    let value: Option<i32> = request.json()?;
    match value.filter(|&value| value < 0) {
        None => Ok(value),
        Some(value) => {
            Err(AdminError::Invalid(format!("{what} is {value}, it must be 0 or more")).into())
        }
    }
}

fn put<T>(map: &mut BTreeMap<String, T>, key: &str, value: Option<T>) {
    match value {
        Some(value) => _ = map.insert(key.to_owned(), value),
        None => _ = map.remove(key),
    }
}

fn threshold(request: &Request) -> Result<Option<i64>, Failure> {
    let value: Option<i64> = request.json()?;
    match value.filter(|&value| value < 0) {
        None => Ok(value),
        Some(value) => Err(AdminError::Invalid(format!(
            "compactionThreshold is {value}, it must be 0 or more"
        ))
        .into()),
    }
}

fn delays(request: &Request) -> Result<Option<DelayedDeliveryPolicies>, Failure> {
    let value: Option<DelayedDeliveryPolicies> = request.json()?;
    match value.as_ref().map(|given| given.tick_time).filter(|&tick| tick <= 0) {
        None => Ok(value),
        Some(tick) => {
            Err(AdminError::Invalid(format!("tickTime is {tick}, it must be more than 0")).into())
        }
    }
}

fn inactive(request: &Request) -> Result<Option<InactiveTopicPolicies>, Failure> {
    let value: Option<InactiveTopicPolicies> = request.json()?;
    let Some(given) = &value else { return Ok(None) };
    let mode = &given.inactive_topic_delete_mode;
    if InactiveMode::named(mode).is_none() {
        return Err(AdminError::Invalid(format!(
            "inactiveTopicDeleteMode is {mode:?}, it must be delete_when_no_subscriptions or \
             delete_when_subscriptions_caught_up"
        ))
        .into());
    }
    let seconds = given.max_inactive_duration_seconds;
    if seconds < 0 || seconds == 0 && given.delete_while_inactive {
        return Err(AdminError::Invalid(format!(
            "maxInactiveDurationSeconds is {seconds}, it must be more than 0"
        ))
        .into());
    }
    Ok(value)
}

fn rate(request: &Request) -> Result<Option<DispatchRate>, Failure> {
    let value: Option<DispatchRate> = request.json()?;
    match value.as_ref().map(|rate| rate.rate_period_in_second).filter(|&seconds| seconds < 1) {
        None => Ok(value),
        Some(seconds) => Err(AdminError::Invalid(format!(
            "ratePeriodInSecond is {seconds}, it must be 1 or more"
        ))
        .into()),
    }
}

fn quota_kind(request: &Request) -> Result<&'static str, Failure> {
    match request.query("backlogQuotaType") {
        None | Some("destination_storage") => Ok("destination_storage"),
        Some("message_age") => Ok("message_age"),
        Some(other) => Err(Failure::InvalidParameter(format!(
            "backlogQuotaType is {other:?}, it must be destination_storage or message_age"
        ))),
    }
}

fn quota(request: &Request) -> Result<Option<BacklogQuota>, Failure> {
    let mut value: Option<BacklogQuota> = request.json()?;
    if let Some(quota) = &mut value
        && quota.limit.or(quota.limit_size).is_none()
    {
        quota.limit_size = Some(-1); // Java's admin client insists on a number.
    }
    let policy = value.as_ref().and_then(|quota| quota.policy.as_deref());
    if let Some(policy) = policy.filter(|policy| QuotaAction::named(policy).is_none()) {
        return Err(AdminError::Invalid(format!(
            "policy is {policy:?}, it must be producer_request_hold, producer_exception or \
             consumer_backlog_eviction"
        ))
        .into());
    }
    Ok(value)
}

/// Pulsar's rule: -1 is no limit, and 0 is for both or for none.
fn retention(request: &Request) -> Result<Option<RetentionPolicies>, Failure> {
    let value: Option<RetentionPolicies> = request.json()?;
    let Some(RetentionPolicies { retention_time_in_minutes: time, retention_size_in_mb: size }) =
        value
    else {
        return Ok(None);
    };
    if time < -1 || size < -1 || (time == 0) != (size == 0) {
        return Err(AdminError::Invalid(format!(
            "retentionTimeInMinutes is {time} and retentionSizeInMB {size}: they must be -1 (no \
             limit) or more, and both 0 (nothing is kept) or neither"
        ))
        .into());
    }
    Ok(value)
}
