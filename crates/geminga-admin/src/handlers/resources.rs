//! Resource quotas of bundles, and resource groups.

use geminga_broker::Broker;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn quotas(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = match route {
        Route::ResourceQuota | Route::SetResourceQuota => None,
        _ => Some(request.namespace()?),
    };
    let bundle = namespace.as_ref().map(|namespace| (namespace, request.part(2)));
    match route {
        Route::ResourceQuota | Route::BundleQuota => {
            return Ok(Answer::json(&broker.resource_quota(bundle).await?));
        }
        Route::RemoveBundleQuota => broker.set_resource_quota(bundle, None).await?,
        _ => {
            let missing = || Failure::InvalidBody("a resource quota is missing".to_owned());
            let quota = request.json()?.ok_or_else(missing)?;
            broker.set_resource_quota(bundle, Some(quota)).await?;
        }
    }
    Ok(Answer::done())
}

pub(super) async fn groups(route: Route, broker: &Broker, request: &Request) -> Answered {
    let name = request.part(0);
    match route {
        Route::ResourceGroups => Ok(Answer::json(&broker.resource_groups().await?)),
        Route::SetResourceGroup => {
            broker.set_resource_group(name, request.json()?.unwrap_or_default()).await?;
            Ok(Answer::done())
        }
        Route::DeleteResourceGroup => {
            broker.delete_resource_group(name).await?;
            Ok(Answer::done())
        }
        _ => Ok(Answer::json(&broker.resource_group(name).await?)),
    }
}
