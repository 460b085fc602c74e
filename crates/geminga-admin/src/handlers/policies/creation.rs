//! Values of the policies about what comes into being by being used.

use geminga_broker::{
    AdminError, Options,
    admin::{AutoSubscriptionCreationOverride, AutoTopicCreationOverride},
};

use crate::{failure::Failure, request::Request};

const PARTITIONED: &str = "partitioned";
const PLAIN: &str = "non-partitioned";

/// Pulsar's rules: of what is not created nothing else counts.
pub(super) fn topics(
    request: &Request,
    options: &Options,
) -> Result<Option<AutoTopicCreationOverride>, Failure> {
    let partitions_max = options.topics.partitions_max();
    let value: AutoTopicCreationOverride = request.json()?.ok_or_else(|| invalid("it is null"))?;
    if !value.allow_auto_topic_creation {
        return Ok(Some(value));
    }
    match (value.topic_type.as_deref(), value.default_num_partitions) {
        (Some(PLAIN), None) => Ok(Some(value)),
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
        (Some(PARTITIONED), Some(_)) => Ok(Some(value)),
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

pub(super) fn subscriptions(
    request: &Request,
) -> Result<Option<AutoSubscriptionCreationOverride>, Failure> {
    let value: Option<AutoSubscriptionCreationOverride> = request.json()?;
    let missing = || AdminError::Invalid("autoSubscriptionCreationOverride is null".to_owned());
    Ok(Some(value.ok_or_else(missing)?))
}

/// What the configuration says of topics.
#[expect(clippy::unnecessary_wraps, reason = "a column of the table")]
pub(super) fn topics_of_broker(options: &Options) -> Option<AutoTopicCreationOverride> {
    let count = options.auto_partitions;
    Some(AutoTopicCreationOverride {
        allow_auto_topic_creation: options.auto_topic_creation,
        topic_type: Some(count.map_or(PLAIN, |_| PARTITIONED).to_owned()),
        default_num_partitions: count.and_then(|count| i32::try_from(count).ok()),
    })
}
