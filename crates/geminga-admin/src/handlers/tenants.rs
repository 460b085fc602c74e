//! Tenants.

use geminga_broker::Broker;

use super::Answered;
use crate::{answer::Answer, request::Request, route::Route};

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let name = request.part(0);
    match route {
        Route::Tenants => Ok(Answer::json(&broker.tenants().await?)),
        Route::CreateTenant => {
            broker.create_tenant(name, request.json()?.unwrap_or_default()).await?;
            Ok(Answer::done())
        }
        Route::UpdateTenant => {
            broker.update_tenant(name, request.json()?.unwrap_or_default()).await?;
            Ok(Answer::done())
        }
        Route::DeleteTenant => {
            broker.delete_tenant(name, request.flag("force")).await?;
            Ok(Answer::done())
        }
        _ => Ok(Answer::json(&broker.tenant(name).await?)),
    }
}
