//! Who may do what: of namespaces, of subscriptions, of topics.

use std::collections::BTreeSet;

use geminga_admin_model::TopicPermission;
use geminga_broker::{Broker, admin::AuthAction};
use geminga_types::TopicName;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn of_namespace(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (namespace, role) = (request.namespace()?, request.part(2));
    if route == Route::Permissions {
        return Ok(Answer::json(&broker.auth_policies(&namespace).await?.namespace_auth));
    }
    let granted = match route {
        Route::GrantPermission => Some(actions(request)?),
        _ => None,
    };
    let change = |kept: &mut geminga_broker::admin::AuthPolicies| {
        match &granted {
            Some(actions) => _ = kept.namespace_auth.insert(role.to_owned(), actions.clone()),
            None => _ = kept.namespace_auth.remove(role),
        }
        Ok(())
    };
    broker.change_auth_policies(&namespace, change).await?;
    Ok(Answer::done())
}

pub(super) async fn of_subscription(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (namespace, subscription) = (request.namespace()?, request.part(2));
    if route == Route::SubscriptionPermissions {
        return Ok(Answer::json(&broker.auth_policies(&namespace).await?.subscription_auth_roles));
    }
    let granted: Option<BTreeSet<String>> = match route {
        Route::GrantSubscriptionPermission => {
            let missing = || Failure::InvalidBody("Roles should not be null".to_owned());
            Some(request.json()?.ok_or_else(missing)?)
        }
        _ => None,
    };
    let change = |kept: &mut geminga_broker::admin::AuthPolicies| {
        let all = &mut kept.subscription_auth_roles;
        match &granted {
            Some(roles) => _ = all.insert(subscription.to_owned(), roles.clone()),
            None => {
                if let Some(roles) = all.get_mut(subscription) {
                    roles.remove(request.part(3));
                }
                all.retain(|_, roles| !roles.is_empty());
            }
        }
        Ok(())
    };
    broker.change_auth_policies(&namespace, change).await?;
    Ok(Answer::done())
}

pub(super) async fn of_topic(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (topic, role) = (request.topic()?, request.part(4));
    match route {
        Route::TopicPermissions => {
            return Ok(Answer::json(&broker.topic_permissions(&topic).await?));
        }
        Route::GrantTopicPermission => {
            broker.grant_topic_permission(&topic, role, &actions(request)?).await?;
        }
        _ => broker.revoke_topic_permission(&topic, role).await?,
    }
    Ok(Answer::done())
}

/// Several at once. The first that fails ends it; those before it are done.
pub(super) async fn of_topics(route: Route, broker: &Broker, request: &Request) -> Answered {
    let given: Vec<TopicPermission<AuthAction>> = request.json()?.unwrap_or_default();
    for TopicPermission { topic, role, actions } in given {
        let topic: TopicName = topic.parse()?;
        if route == Route::GrantTopicsPermissions {
            broker.grant_topic_permission(&topic, &role, &actions).await?;
        } else {
            broker.revoke_topic_permission(&topic, &role).await?;
        }
    }
    Ok(Answer::done())
}

fn actions(request: &Request) -> Result<BTreeSet<AuthAction>, Failure> {
    let missing = || Failure::InvalidBody("Actions should not be null".to_owned());
    request.json()?.ok_or_else(missing)
}
