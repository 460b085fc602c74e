//! Clusters.

use geminga_admin_model::ClusterPolicies;
use geminga_broker::{AdminError, Broker, admin::ClusterData};

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
        Route::Peers => {
            let peers = broker.cluster(name).await?.peer_cluster_names;
            Ok(peers.as_ref().map_or_else(Answer::done, Answer::json))
        }
        Route::SetPeers => {
            broker.set_peers(name, request.json()?.unwrap_or_default()).await?;
            Ok(Answer::done())
        }
        Route::Migration => {
            broker.cluster(name).await?;
            Ok(Answer::json(&ClusterPolicies { migrated: false }))
        }
        Route::Migrate => {
            broker.cluster(name).await?;
            if request.flag("migrated") {
                let message = "This broker does not move clients to another cluster";
                return Err(AdminError::NotAllowed(message.to_owned()).into());
            }
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
