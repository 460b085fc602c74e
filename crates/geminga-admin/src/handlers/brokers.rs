//! Brokers.

use std::collections::BTreeMap;

use geminga_admin_model::{BrokerInfo, NamespaceOwnershipStatus};
use geminga_broker::{AdminError, Broker};

use super::Answered;
use crate::{Options, answer::Answer, failure::Failure, request::Request};

/// Healthy is who can read metadata, without which no topic is served, and takes messages.
pub(super) async fn health(broker: &Broker, options: &Options) -> Answered {
    broker.clusters().await?;
    let refuses = options.process.as_ref().and_then(|process| process.refuses_messages());
    if let Some(reason) = refuses {
        return Err(Failure::RefusesMessages(reason));
    }
    Ok(Answer::text("ok"))
}

pub(super) fn leader(broker: &Broker) -> Answer {
    let service_url = broker.options().advertised.http_url.clone();
    Answer::json(&BrokerInfo { broker_id: id(&service_url).to_owned(), service_url })
}

pub(super) fn list(broker: &Broker) -> Answer {
    Answer::json(&names(broker))
}

/// All brokers there are.
pub(super) fn names(broker: &Broker) -> [String; 1] {
    [id(&broker.options().advertised.http_url).to_owned()]
}

pub(super) async fn of_cluster(broker: &Broker, request: &Request) -> Answered {
    let cluster = request.part(0);
    if cluster == broker.options().cluster {
        return Ok(list(broker));
    }
    broker.cluster(cluster).await?;
    let message = format!("Brokers of cluster {cluster} are not known here: ask that cluster");
    Err(AdminError::NotAllowed(message).into())
}

/// Bundles that topics in use are in, and how this broker has them.
pub(super) async fn owned_namespaces(broker: &Broker, request: &Request) -> Answered {
    let (cluster, asked) = (request.part(0), request.part(1));
    if cluster != broker.options().cluster {
        return of_cluster(broker, request).await;
    }
    if asked != id(&broker.options().advertised.http_url) {
        let message = format!("Broker {asked} is not one of cluster {cluster}");
        return Err(AdminError::NotFound(message).into());
    }
    Ok(Answer::json(&bundles_in_use(broker).await))
}

/// The bundles that have topics in use, as `tenant/namespace/0x…_0x…`.
pub(super) async fn bundles_in_use(broker: &Broker) -> BTreeMap<String, NamespaceOwnershipStatus> {
    let mut found = BTreeMap::new();
    for topic in broker.topics_in_use() {
        let Ok(bundle) = broker.bundle(&topic).await else { continue }; // It was deleted now.
        let status = NamespaceOwnershipStatus {
            broker_assignment: "shared".to_owned(),
            is_controlled: false,
            is_active: true,
        };
        found.insert(format!("{}/{bundle}", topic.namespace()), status);
    }
    found
}

/// A broker is a process here, which ends itself for nobody that can reach its port.
pub(super) fn shut_down() -> Answered {
    let message =
        "A broker is not shut down by REST: end its process with SIGTERM, it stops gracefully";
    Err(AdminError::NotAllowed(message.to_owned()).into())
}

/// `host:port`, by which Pulsar names a broker.
fn id(http_url: &str) -> &str {
    let rest = http_url.split_once("://").map_or(http_url, |(_, rest)| rest);
    rest.trim_end_matches('/')
}
