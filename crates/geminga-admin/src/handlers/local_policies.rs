//! What is said of a namespace in this cluster alone.

use geminga_broker::{AdminError, Broker, admin::BookieAffinityGroup};

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn anti_affinity(route: Route, broker: &Broker, request: &Request) -> Answered {
    if matches!(route, Route::AntiAffinityNamespaces | Route::AntiAffinityNamespacesOld) {
        let missing = || Failure::InvalidParameter("Tenant should not be null".to_owned());
        let tenant = request.query("tenant").or_else(|| request.query("property"));
        broker.require_cluster(request.part(0)).await?;
        let found = broker.anti_affinity_namespaces(tenant.ok_or_else(missing)?, request.part(1));
        return Ok(Answer::json(&found.await?));
    }
    let namespace = request.namespace()?;
    let group = match route {
        Route::AntiAffinity => {
            let found = broker.local_policies(&namespace).await?;
            let group = found.and_then(|found| found.anti_affinity_group);
            return Ok(group.map_or_else(Answer::done, Answer::text));
        }
        Route::SetAntiAffinity => Some(request.text()),
        _ => None,
    };
    if group.as_ref().is_some_and(String::is_empty) {
        return Err(AdminError::Invalid("antiAffinityGroup can't be empty".to_owned()).into());
    }
    let change = |kept: &mut geminga_broker::admin::LocalPolicies| {
        kept.anti_affinity_group.clone_from(&group);
    };
    broker.change_local_policies(&namespace, change).await?;
    Ok(Answer::done())
}

/// Noted as by a Pulsar broker whose cluster has no other one to send clients to: they stay.
pub(super) async fn migration(broker: &Broker, request: &Request) -> Answered {
    let migrated = request.json()?.unwrap_or_default();
    let change = |kept: &mut geminga_broker::admin::LocalPolicies| kept.migrated = migrated;
    broker.change_local_policies(&request.namespace()?, change).await?;
    Ok(Answer::done())
}

pub(super) async fn bookie_affinity(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    let group: Option<BookieAffinityGroup> = match route {
        Route::BookieAffinity => {
            let none =
                || AdminError::NotFound("Namespace local-policies does not exist".to_owned());
            let found = broker.local_policies(&namespace).await?.ok_or_else(none)?;
            let group = found.bookie_affinity_group;
            return Ok(group.as_ref().map_or_else(Answer::done, Answer::json));
        }
        Route::SetBookieAffinity => request.json()?,
        _ => None,
    };
    let change = |kept: &mut geminga_broker::admin::LocalPolicies| {
        kept.bookie_affinity_group.clone_from(&group);
    };
    broker.change_local_policies(&namespace, change).await?;
    Ok(Answer::done())
}
