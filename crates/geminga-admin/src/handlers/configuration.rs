//! The broker's configuration: what counts, and what can be set while it runs.

use geminga_admin_model::InternalConfiguration;
use geminga_broker::Broker;

use super::Answered;
use crate::{answer::Answer, request::Request, route::Route};

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let name = request.part(0);
    match route {
        Route::DynamicKeys => Ok(Answer::json(&Broker::dynamic_keys())),
        Route::DynamicConfiguration => Ok(Answer::json(&broker.dynamic_configuration().await?)),
        Route::RuntimeConfiguration => Ok(Answer::json(&broker.runtime_configuration().await?)),
        Route::SetDynamicConfiguration => {
            broker.set_dynamic_configuration(name, Some(request.part(1))).await?;
            Ok(Answer::done())
        }
        Route::RemoveDynamicConfiguration => {
            broker.set_dynamic_configuration(name, None).await?;
            Ok(Answer::done())
        }
        _ => Ok(Answer::json(&internal())),
    }
}

/// The store is in the process: there is nowhere that a tool could connect to.
fn internal() -> InternalConfiguration {
    InternalConfiguration {
        zookeeper_servers: String::new(),
        configuration_store_servers: String::new(),
        ledgers_root_path: "/ledgers".to_owned(),
    }
}
