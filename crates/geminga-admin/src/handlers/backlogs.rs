//! What subscriptions have not acked, and what they are noted with.

use std::collections::BTreeMap;

use geminga_admin_model::{AnalyzeSubscriptionBacklogResult, MessageId, ResetCursorData};
use geminga_broker::Broker;
use geminga_types::Position;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route, stats};

const SUBSCRIPTION: usize = 4;
/// Behind tenant and namespace.
const BUNDLE: usize = 2;

pub(super) async fn properties(broker: &Broker, request: &Request) -> Answered {
    let name = request.subscription(SUBSCRIPTION);
    Ok(Answer::json(&broker.subscription_properties(&request.topic()?, &name).await?))
}

pub(super) async fn set_properties(broker: &Broker, request: &Request) -> Answered {
    let given: BTreeMap<String, String> = request.json()?.unwrap_or_default();
    let name = request.subscription(SUBSCRIPTION);
    broker.set_subscription_properties(&request.topic()?, &name, &given).await?;
    Ok(Answer::done())
}

/// From the position in the body on, if there is one.
pub(super) async fn analyze(broker: &Broker, request: &Request) -> Answered {
    let from: Option<ResetCursorData> = request.json()?;
    let from = from.map(|from| Position::new(from.ledger_id, from.entry_id));
    let name = request.subscription(SUBSCRIPTION);
    let found = broker.count_backlog(&request.topic()?, &name, from).await?;
    let text = |at: Position| format!("{}:{}", at.ledger_id.0, at.entry_id.0);
    Ok(Answer::json(&AnalyzeSubscriptionBacklogResult {
        entries: found.entries,
        messages: found.messages,
        filter_accepted_entries: found.entries,
        filter_accepted_messages: found.messages,
        aborted: found.is_cut,
        first_message_id: found.first.map(text),
        last_message_id: found.last.map(text),
        ..AnalyzeSubscriptionBacklogResult::default()
    }))
}

/// What is stored of one topic or partition, be it in use or not.
pub(super) async fn stored(broker: &Broker, request: &Request) -> Answered {
    let topic = request.topic()?;
    broker.require_stored_part(&topic, "its backlog").await?;
    let found = broker.topic_stats(&topic).await?;
    let by = &broker.options().advertised.http_url;
    Ok(Answer::json(&stats::stored(&found, by, broker.env().clock.wall().0)))
}

pub(super) async fn size(broker: &Broker, request: &Request) -> Answered {
    let from: Option<MessageId> = request.json()?;
    let from = from.ok_or_else(|| {
        Failure::InvalidBody("Request body is not a message id: it is empty".into())
    })?;
    let position = Position::new(from.ledger_id, from.entry_id);
    Ok(Answer::json(&broker.bytes_from(&request.topic()?, position).await?))
}

pub(super) async fn clear(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (bundle, subscription) = match route {
        Route::ClearBundleBacklogOf => {
            (Some(request.part(BUNDLE)), Some(request.subscription(BUNDLE + 1)))
        }
        Route::ClearBundleBacklog => (Some(request.part(BUNDLE)), None),
        Route::ClearNamespaceBacklogOf => (None, Some(request.subscription(BUNDLE))),
        _ => (None, None),
    };
    broker.clear_backlogs(&request.namespace()?, bundle, subscription.as_deref()).await?;
    Ok(Answer::done())
}

pub(super) async fn unsubscribe(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (bundle, subscription) = match route {
        Route::UnsubscribeBundle => (Some(request.part(BUNDLE)), request.subscription(BUNDLE + 1)),
        _ => (None, request.subscription(BUNDLE)),
    };
    broker.unsubscribe_namespace(&request.namespace()?, bundle, &subscription).await?;
    Ok(Answer::done())
}
