//! A namespace's policies about what comes into being by being used, and how many topics there may be.

use geminga_broker::{
    AdminError, Broker,
    admin::{AutoSubscriptionCreationOverride, AutoTopicCreationOverride, Policies},
};

use serde::Serialize;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

const PARTITIONED: &str = "partitioned";
const PLAIN: &str = "non-partitioned";

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    match route {
        Route::SetNamespaceAutoTopics | Route::RemoveNamespaceAutoTopics => {
            let max = broker.options().topics.partitions_max();
            let is_set = route == Route::SetNamespaceAutoTopics;
            let value = given(is_set, || topics(request, max).map(Some))?;
            change(broker, request, |policies| {
                policies.auto_topic_creation_override.clone_from(&value);
            })
            .await
        }
        Route::SetNamespaceAutoSubscriptions | Route::RemoveNamespaceAutoSubscriptions => {
            let is_set = route == Route::SetNamespaceAutoSubscriptions;
            let value = given(is_set, || subscriptions(request).map(Some))?;
            change(broker, request, |policies| {
                policies.auto_subscription_creation_override = value;
            })
            .await
        }
        Route::SetNamespaceTopicsMax | Route::RemoveNamespaceTopicsMax => {
            let is_set = route == Route::SetNamespaceTopicsMax;
            let value = given(is_set, || count(request, "maxTopicsPerNamespace"))?;
            change(broker, request, |policies| policies.max_topics_per_namespace = value).await
        }
        _ => show(route, broker, request).await,
    }
}

async fn show(route: Route, broker: &Broker, request: &Request) -> Answered {
    let policies = broker.namespace_policies(&request.namespace()?).await?;
    Ok(match route {
        Route::NamespaceAutoTopics => shown(policies.auto_topic_creation_override.as_ref()),
        Route::NamespaceAutoSubscriptions => {
            shown(policies.auto_subscription_creation_override.as_ref())
        }
        _ => shown(policies.max_topics_per_namespace.as_ref()),
    })
}

async fn change(
    broker: &Broker,
    request: &Request,
    mut change: impl FnMut(&mut Policies) + Send,
) -> Answered {
    let changed = move |policies: &mut Policies| {
        change(policies);
        Ok(())
    };
    broker.change_namespace_policies(&request.namespace()?, changed).await?;
    Ok(Answer::done())
}

/// Pulsar's rules: of what is not created nothing else counts.
fn topics(request: &Request, partitions_max: u32) -> Result<AutoTopicCreationOverride, Failure> {
    let value: AutoTopicCreationOverride = request.json()?.ok_or_else(|| invalid("it is null"))?;
    if !value.allow_auto_topic_creation {
        return Ok(value);
    }
    match (value.topic_type.as_deref(), value.default_num_partitions) {
        (Some(PLAIN), None) => Ok(value),
        (Some(PLAIN), Some(_)) => Err(invalid(
            "defaultNumPartitions is not allowed to be set when the type is non-partition",
        )),
        (Some(PARTITIONED), None) => {
            Err(invalid("defaultNumPartitions cannot be null when the type is partitioned"))
        }
        (Some(PARTITIONED), Some(count)) if count < 1 => Err(invalid(&format!(
            "defaultNumPartitions is {count}, it cannot be less than 1 for partition type"
        ))),
        (Some(PARTITIONED), Some(count)) if i64::from(partitions_max) < i64::from(count) => {
            Err(AdminError::OutOfRange(format!(
                "Number of partitions should be less than or equal to {partitions_max}, got {count}"
            ))
            .into())
        }
        (Some(PARTITIONED), Some(_)) => Ok(value),
        (other, _) => {
            let other = other.unwrap_or("null");
            Err(invalid(&format!(
                "unknown topic type {other:?}, it must be {PARTITIONED} or {PLAIN}"
            )))
        }
    }
}

fn invalid(detail: &str) -> Failure {
    let message = format!("Invalid configuration for autoTopicCreationOverride: {detail}");
    AdminError::Invalid(message).into()
}

fn subscriptions(request: &Request) -> Result<AutoSubscriptionCreationOverride, Failure> {
    request.json()?.ok_or_else(|| {
        AdminError::Invalid("autoSubscriptionCreationOverride is null".to_owned()).into()
    })
}

fn shown<T: Serialize>(value: Option<&T>) -> Answer {
    value.map_or_else(Answer::done, Answer::json)
}

/// What is to be set; nothing when it is to be removed.
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
