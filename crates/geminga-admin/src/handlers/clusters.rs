//! Clusters.

use geminga_broker::{Broker, admin::ClusterData};

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let name = request.part(0);
    match route {
        Route::Clusters => Ok(Answer::json(&broker.clusters().await?)),
        Route::CreateCluster => {
            broker.create_cluster(name, &data(request)?).await?;
            Ok(Answer::done())
        }
        Route::UpdateCluster => {
            broker.update_cluster(name, &data(request)?).await?;
            Ok(Answer::done())
        }
        Route::DeleteCluster => {
            broker.delete_cluster(name).await?;
            Ok(Answer::done())
        }
        _ => Ok(Answer::json(&broker.cluster(name).await?)),
    }
}

fn data(request: &Request) -> Result<ClusterData, Failure> {
    let data: ClusterData = request.json()?.unwrap_or_default();
    if data.service_url.is_none() && data.broker_service_url.is_none() {
        let message = "a cluster needs a serviceUrl or a brokerServiceUrl";
        return Err(Failure::InvalidBody(message.to_owned()));
    }
    Ok(data)
}
