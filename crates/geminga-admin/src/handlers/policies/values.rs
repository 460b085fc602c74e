//! Values as requests bring them, and which of them make sense.

use std::collections::{BTreeMap, BTreeSet};

use geminga_broker::{
    AdminError, InactiveMode, Options, QuotaAction, SchemaStrategy, SubscriptionKind,
    admin::{
        BacklogQuota, DelayedDeliveryPolicies, DispatchRate, EntryFilters, InactiveTopicPolicies,
        PersistencePolicies, Policies, RetentionPolicies, SubscribeRate, TopicPolicies,
    },
};
use serde::de::DeserializeOwned;

use crate::{failure::Failure, request::Request};

/// No strategy: the next in line decides.
pub(super) const UNDEFINED: &str = "UNDEFINED";

/// What Pulsar's clients send with a policy that does not say it.
pub(super) const TICK_MS: i64 = 1_000;

/// In the body, or as clients say it of a topic, in the query.
pub(super) fn message_ttl(request: &Request, _: &Options) -> Result<Option<i32>, Failure> {
    let Some(given) = request.query("messageTTL") else {
        return count(request, "message TTL");
    };
    match given.parse::<i32>().ok().filter(|&seconds| 0 <= seconds) {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Failure::InvalidParameter(format!(
            "Invalid value for message TTL: messageTTL is {given:?}, it must be a number from 0 on"
        ))),
    }
}

/// Clusters, each once.
pub(super) fn clusters(request: &Request) -> Result<Vec<String>, Failure> {
    let given: Vec<String> = request.json()?.unwrap_or_default();
    let mut seen = BTreeSet::new();
    Ok(given.into_iter().filter(|cluster| seen.insert(cluster.clone())).collect())
}

/// Bytes of a message; no more than the broker takes anyway.
pub(super) fn message_size(request: &Request, options: &Options) -> Result<Option<i32>, Failure> {
    let value: Option<i32> = request.json()?;
    let limit = options.limits.message_bytes_max;
    let fits = |value: i32| usize::try_from(value).is_ok_and(|bytes| bytes <= limit);
    match value.filter(|&value| !fits(value)) {
        None => Ok(value),
        Some(value) => Err(AdminError::Invalid(format!(
            "maxMessageSize is {value}, it must be 0 or more and at most the broker's, {limit}"
        ))
        .into()),
    }
}

/// `None`, also where nothing is said, or `Prefix`.
pub(super) fn subscription_auth_mode(request: &Request) -> Result<Option<String>, Failure> {
    let given: String = request.json()?.unwrap_or_else(|| "None".to_owned());
    match given.as_str() {
        "None" | "Prefix" => Ok(Some(given)),
        _ => Err(Failure::InvalidBody(format!(
            "subscriptionAuthMode is {given:?}, it must be None or Prefix"
        ))),
    }
}

/// A count that is not negative.
pub(super) fn count(request: &Request, what: &str) -> Result<Option<i32>, Failure> {
    let value: Option<i32> = request.json()?;
    match value.filter(|&value| value < 0) {
        None => Ok(value),
        Some(value) => {
            Err(AdminError::Invalid(format!("{what} is {value}, it must be 0 or more")).into())
        }
    }
}

pub(super) fn threshold(request: &Request, _: &Options) -> Result<Option<i64>, Failure> {
    let value: Option<i64> = request.json()?;
    match value.filter(|&value| value < 0) {
        None => Ok(value),
        Some(value) => Err(AdminError::Invalid(format!(
            "compactionThreshold is {value}, it must be 0 or more"
        ))
        .into()),
    }
}

pub(super) fn delays(
    request: &Request,
    _: &Options,
) -> Result<Option<DelayedDeliveryPolicies>, Failure> {
    let value: Option<DelayedDeliveryPolicies> = request.json()?;
    let Some(mut given) = value else { return Ok(None) };
    if given.tick_time <= 0 {
        let message = format!("tickTime is {}, it must be more than 0", given.tick_time);
        return Err(AdminError::Invalid(message).into());
    }
    // As by a Pulsar broker, who leaves it out says that there is no limit.
    let limit = *given.max_delivery_delay_in_millis.get_or_insert(0);
    if limit < 0 {
        let message = format!("maxDeliveryDelayInMillis is {limit}, it must be 0 or more");
        return Err(AdminError::Invalid(message).into());
    }
    Ok(Some(given))
}

pub(super) fn inactive(
    request: &Request,
    _: &Options,
) -> Result<Option<InactiveTopicPolicies>, Failure> {
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

pub(super) fn rate(request: &Request, _: &Options) -> Result<Option<DispatchRate>, Failure> {
    let value: Option<DispatchRate> = request.json()?;
    match value.as_ref().map(|rate| rate.rate_period_in_second).filter(|&seconds| seconds < 1) {
        None => Ok(value),
        Some(seconds) => Err(AdminError::Invalid(format!(
            "ratePeriodInSecond is {seconds}, it must be 1 or more"
        ))
        .into()),
    }
}

/// No limit is a number below 1.
pub(super) fn subscribe_rate(
    request: &Request,
    _: &Options,
) -> Result<Option<SubscribeRate>, Failure> {
    let value: Option<SubscribeRate> = request.json()?;
    let is_limit = |rate: &SubscribeRate| 0 < rate.subscribe_throttling_rate_per_consumer;
    let seconds = value.filter(is_limit).map(|rate| rate.rate_period_in_second);
    match seconds.filter(|&seconds| seconds < 1) {
        None => Ok(value),
        Some(seconds) => Err(AdminError::Invalid(format!(
            "ratePeriodInSecond is {seconds}, it must be 1 or more"
        ))
        .into()),
    }
}

pub(super) fn subscription_types(
    request: &Request,
    _: &Options,
) -> Result<Option<BTreeSet<String>>, Failure> {
    let value: Option<BTreeSet<String>> = required(request, "a list of subscription types")?;
    let unknown = |name: &&String| SubscriptionKind::named(name).is_none();
    match value.iter().flatten().find(unknown) {
        None => Ok(value),
        Some(name) => Err(Failure::InvalidBody(format!(
            "subscriptionTypesEnabled has {name:?}, which must be one of {}",
            SubscriptionKind::ALL.map(SubscriptionKind::as_str).join(", ")
        ))),
    }
}

/// A set that says something.
pub(super) fn not_empty(names: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    Some(names).filter(|names| !names.is_empty()).cloned()
}

pub(super) fn persistence(
    request: &Request,
    _: &Options,
) -> Result<Option<PersistencePolicies>, Failure> {
    let value: Option<PersistencePolicies> = required(request, "persistence policies")?;
    let Some(given) = &value else { return Ok(None) };
    let (ensemble, write) = (given.bookkeeper_ensemble, given.bookkeeper_write_quorum);
    let ack = given.bookkeeper_ack_quorum;
    if ack == 0 || write < ack || ensemble < write {
        return Err(AdminError::Invalid(format!(
            "Bookkeeper Ensemble >= WriteQuorum >= AckQuorum > 0 must hold: they are {ensemble}, \
             {write} and {ack}"
        ))
        .into());
    }
    let rate = given.managed_ledger_max_mark_delete_rate;
    if rate < 0.0 {
        return Err(AdminError::Invalid(format!(
            "managedLedgerMaxMarkDeleteRate is {rate}, it must be 0 or more"
        ))
        .into());
    }
    Ok(value)
}

pub(super) fn entry_filters(
    request: &Request,
    _: &Options,
) -> Result<Option<EntryFilters>, Failure> {
    let value: Option<EntryFilters> = required(request, "entry filters")?;
    let names = value.as_ref().map_or("", |given| &given.entry_filter_names);
    if names.split(',').any(|name| name.trim().is_empty()) {
        return Err(AdminError::Invalid(format!(
            "entryFilterNames is {names:?}, it must be names with commas between them"
        ))
        .into());
    }
    Ok(value)
}

/// Quotas to be set, or removed, by kind.
pub(super) type Quotas = BTreeMap<String, Option<BacklogQuota>>;

fn quota_kind(request: &Request) -> Result<String, Failure> {
    match request.query("backlogQuotaType") {
        None => Ok("destination_storage".to_owned()),
        Some(kind @ ("destination_storage" | "message_age")) => Ok(kind.to_owned()),
        Some(other) => Err(Failure::InvalidParameter(format!(
            "backlogQuotaType is {other:?}, it must be destination_storage or message_age"
        ))),
    }
}

/// One quota less.
pub(super) fn no_quota(request: &Request) -> Result<Option<Quotas>, Failure> {
    Ok(Some(Quotas::from([(quota_kind(request)?, None)])))
}

pub(super) fn quota(request: &Request, _: &Options) -> Result<Option<Quotas>, Failure> {
    let kind = quota_kind(request)?;
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
    Ok(Some(Quotas::from([(kind, value)])))
}

/// Delayed delivery, which a topic keeps in three fields.
pub(super) fn delays_of_topic(policies: &TopicPolicies) -> Option<DelayedDeliveryPolicies> {
    Some(DelayedDeliveryPolicies {
        active: policies.delayed_delivery_enabled?,
        tick_time: policies.delayed_delivery_tick_time_millis.unwrap_or(TICK_MS),
        max_delivery_delay_in_millis: policies.delayed_delivery_max_delay_in_millis,
        ..DelayedDeliveryPolicies::default()
    })
}

/// The other way round.
pub(super) fn set_delays_of_topic(
    policies: &mut TopicPolicies,
    delays: Option<DelayedDeliveryPolicies>,
) {
    policies.delayed_delivery_enabled = delays.as_ref().map(|delays| delays.active);
    policies.delayed_delivery_tick_time_millis = delays.as_ref().map(|delays| delays.tick_time);
    policies.delayed_delivery_max_delay_in_millis =
        delays.and_then(|delays| delays.max_delivery_delay_in_millis);
}

/// What counts of a namespace's strategies.
pub(super) fn strategy_of_namespace(policies: &Policies) -> Option<String> {
    let own = policies.schema_compatibility_strategy.clone().filter(|name| name != UNDEFINED);
    let older = policies.schema_auto_update_compatibility_strategy.as_deref();
    let older = older.and_then(SchemaStrategy::from_auto_update);
    own.or_else(|| older.map(|strategy| strategy.to_string()))
}

/// What the body must hold.
pub(super) fn required<T: DeserializeOwned>(
    request: &Request,
    what: &str,
) -> Result<Option<T>, Failure> {
    let missing = || Failure::InvalidBody(format!("Request body is not valid: expected {what}"));
    Ok(Some(request.json()?.ok_or_else(missing)?))
}

/// A strategy for schemas, or none: the next in line decides.
pub(super) fn strategy(request: &Request) -> Result<Option<String>, Failure> {
    let name: Option<String> = required(request, "the name of a strategy")?;
    if let Some(name) = name.as_deref().filter(|&name| name != UNDEFINED) {
        name.parse::<SchemaStrategy>().map_err(|error| Failure::InvalidBody(error.to_string()))?;
    }
    Ok(name)
}

/// A strategy in the words of the older policy. Nothing takes it away.
pub(super) fn update_strategy(request: &Request) -> Result<Option<String>, Failure> {
    let Some(name) = request.json::<String>()? else { return Ok(None) };
    if SchemaStrategy::from_auto_update(&name).is_none() {
        let known = SchemaStrategy::ALL.map(SchemaStrategy::as_auto_update).join(", ");
        return Err(AdminError::Invalid(format!(
            "schemaAutoUpdateCompatibilityStrategy is {name:?}, it must be one of {known}"
        ))
        .into());
    }
    Ok(Some(name))
}

/// Pulsar's rule: -1 is no limit, and 0 is for both or for none.
pub(super) fn retention(
    request: &Request,
    _: &Options,
) -> Result<Option<RetentionPolicies>, Failure> {
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
