//! A namespace's policies, one by one: read (204 when it is not set), set, removed.

use geminga_broker::{
    AdminError, Broker, QuotaAction,
    admin::{BacklogQuota, Policies, RetentionPolicies},
};
use serde::Serialize;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    let mut change: Box<dyn FnMut(&mut Policies) + Send> = match route {
        Route::NamespaceRetention => {
            return shown(&broker.namespace_policies(&namespace).await?.retention_policies);
        }
        Route::NamespaceMessageTtl => {
            return shown(&broker.namespace_policies(&namespace).await?.message_ttl_in_seconds);
        }
        Route::NamespaceUnackedPerConsumer => {
            let policies = broker.namespace_policies(&namespace).await?;
            return shown(&policies.max_unacked_messages_per_consumer);
        }
        Route::NamespaceUnackedPerSubscription => {
            let policies = broker.namespace_policies(&namespace).await?;
            return shown(&policies.max_unacked_messages_per_subscription);
        }
        Route::SetNamespaceRetention | Route::RemoveNamespaceRetention => {
            let value = given(route == Route::SetNamespaceRetention, || retention(request))?;
            Box::new(move |policies| policies.retention_policies = value)
        }
        Route::SetNamespaceMessageTtl | Route::RemoveNamespaceMessageTtl => {
            let is_set = route == Route::SetNamespaceMessageTtl;
            let value = given(is_set, || count(request, "message TTL"))?;
            Box::new(move |policies| policies.message_ttl_in_seconds = value)
        }
        Route::NamespaceSubscriptionExpiry => {
            let policies = broker.namespace_policies(&namespace).await?;
            return shown(&policies.subscription_expiration_time_minutes);
        }
        Route::SetNamespaceSubscriptionExpiry | Route::RemoveNamespaceSubscriptionExpiry => {
            let is_set = route == Route::SetNamespaceSubscriptionExpiry;
            let value = given(is_set, || count(request, "subscription expiration time"))?;
            Box::new(move |policies| policies.subscription_expiration_time_minutes = value)
        }
        Route::NamespaceBacklogQuotas => {
            let policies = broker.namespace_policies(&namespace).await?;
            return Ok(Answer::json(&policies.backlog_quota_map));
        }
        Route::SetNamespaceBacklogQuota | Route::RemoveNamespaceBacklogQuota => {
            let kind = quota_kind(request)?;
            let is_set = route == Route::SetNamespaceBacklogQuota;
            let value = given(is_set, || quota(request))?;
            Box::new(move |policies| {
                let quotas = &mut policies.backlog_quota_map;
                match value.clone() {
                    Some(quota) => _ = quotas.insert(kind.to_owned(), quota),
                    None => _ = quotas.remove(kind),
                }
            })
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
    };
    let checked = move |policies: &mut Policies| {
        change(policies);
        check_together(policies)
    };
    broker.change_namespace_policies(&namespace, checked).await?;
    Ok(Answer::done())
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

fn shown<T: Serialize>(value: &Option<T>) -> Answered {
    Ok(value.as_ref().map_or_else(Answer::done, Answer::json))
}

/// What is to be set; nothing when it is to be removed, or set to nothing.
fn given<T>(
    is_set: bool,
    value: impl FnOnce() -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    if is_set { value() } else { Ok(None) }
}

fn count(request: &Request, what: &str) -> Result<Option<i32>, Failure> {
    let value: Option<i32> = request.json()?;
    match value.filter(|&value| value < 0) {
        None => Ok(value),
        Some(value) => {
            Err(AdminError::Invalid(format!("{what} is {value}, it must be 0 or more")).into())
        }
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
