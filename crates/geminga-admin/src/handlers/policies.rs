//! Policies, one by one: read (204 when one is not set), set, removed. Which there are, and at which
//! levels, the [table] says.

mod broker;
mod policy;
mod table;
mod values;

use geminga_broker::{
    AdminError, Broker,
    admin::{BacklogQuota, Policies, RetentionPolicies},
};

pub(crate) use self::policy::Level;
use self::policy::Row;
use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

/// The policy of a level that has a method, by its name in the path.
pub(crate) fn named(level: Level, method: &str, name: &str) -> Option<&'static dyn Row> {
    table::TABLE.iter().copied().find(|row| row.place(level).is_some_and(|it| it.has(method, name)))
}

fn found(level: Level, route: Route, name: &str) -> Result<&'static dyn Row, Failure> {
    named(level, route.method(), name).ok_or_else(|| Failure::UnknownPath(name.to_owned()))
}

/// One policy of a namespace.
pub(super) async fn of_namespace(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    let row = found(Level::Namespace, route, request.part(2))?;
    let options = broker.options();
    if route == Route::NamespacePolicy {
        let policies = broker.namespace_policies(&namespace).await?;
        let value = match request.flag("applied") {
            true => row.in_force(&policies, options).0,
            false => row.of_namespace(&policies, options),
        };
        return Ok(value.as_ref().map_or_else(Answer::done, Answer::json));
    }
    let is_set = route != Route::RemoveNamespacePolicy;
    let mut change = row.change_of_namespace(is_set, request, options)?;
    let checked = move |policies: &mut Policies| {
        change(policies);
        let quotas = policies.backlog_quota_map.values();
        check_together("namespace", policies.retention_policies, quotas)
    };
    broker.change_namespace_policies(&namespace, checked).await?;
    Ok(Answer::done())
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
