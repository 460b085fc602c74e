//! When and where older data would be offloaded to: kept, and checked as far as that makes sense without.

use geminga_broker::{AdminError, Options};
use serde_json::{Map, Value};

use crate::{failure::Failure, request::Request};

/// Pulsar's `OffloadPolicies`, of which nothing but the driver is known here.
pub(super) type OffloadPolicies = Map<String, Value>;

/// Pulsar's drivers; their names are compared without regard to case.
const DRIVERS: &[&str] =
    &["S3", "aws-s3", "google-cloud-storage", "filesystem", "azureblob", "aliyun-oss"];

pub(super) fn policies(request: &Request, _: &Options) -> Result<Option<OffloadPolicies>, Failure> {
    let value: Option<OffloadPolicies> = request.json()?;
    let driver = value.as_ref().and_then(|given| given.get("managedLedgerOffloadDriver"));
    match driver {
        None | Some(Value::Null) => Ok(value),
        Some(Value::String(name)) if DRIVERS.iter().any(|it| it.eq_ignore_ascii_case(name)) => {
            Ok(value)
        }
        Some(other) => Err(AdminError::Invalid(format!(
            "managedLedgerOffloadDriver is {other}, it must be one of {}",
            DRIVERS.join(", ")
        ))
        .into()),
    }
}

/// Any number; a negative one is none.
pub(super) fn threshold(request: &Request, what: &str) -> Result<Option<i64>, Failure> {
    super::values::required(request, &format!("the number {what}"))
}

pub(super) fn deletion_lag(request: &Request, _: &Options) -> Result<Option<i64>, Failure> {
    super::values::required(request, "a number of milliseconds")
}
