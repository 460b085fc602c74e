//! Lookup over HTTP.

use geminga_admin_model::LookupData;
use geminga_broker::Broker;

use super::Answered;
use crate::{answer::Answer, request::Request};

pub(super) async fn lookup(broker: &Broker, request: &Request) -> Answered {
    let located = broker.lookup(&request.topic()?, request.listener()).await?;
    let broker_url = Some(located.broker_url).filter(|url| !url.is_empty());
    Ok(Answer::json(&LookupData {
        native_url: broker_url.clone(),
        broker_url,
        broker_url_tls: located.broker_url_tls,
        http_url: Some(located.http_url),
        http_url_tls: located.http_url_tls,
    }))
}

pub(super) async fn bundle(broker: &Broker, request: &Request) -> Answered {
    Ok(Answer::text(broker.bundle(&request.topic()?).await?.to_string()))
}
