//! Brokers.

use geminga_admin_model::BrokerInfo;
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
    Answer::json(&[id(&broker.options().advertised.http_url)])
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

/// `host:port`, by which Pulsar names a broker.
fn id(http_url: &str) -> &str {
    let rest = http_url.split_once("://").map_or(http_url, |(_, rest)| rest);
    rest.trim_end_matches('/')
}
