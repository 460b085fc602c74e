//! What a topic says of one of its subscriptions: how fast it is sent to.

use geminga_broker::{
    Broker,
    admin::{DispatchRate, SubscriptionPolicies, TopicPolicies},
};

use super::{Answered, Level, found, refuse_global, values};
use crate::{answer::Answer, request::Request, route::Route};

/// Behind domain, tenant, namespace and topic.
const SUBSCRIPTION: usize = 4;
/// The same of all subscriptions of a topic.
const OF_ALL: &str = "subscriptionDispatchRate";

/// The dispatch rate of one subscription, be it there or not.
pub(in crate::handlers) async fn of_subscription(
    route: Route,
    broker: &Broker,
    request: &Request,
) -> Answered {
    let topic = request.topic()?;
    refuse_global(request)?;
    let name = request.subscription(SUBSCRIPTION);
    let options = &*broker.live_options();
    if route == Route::SubscriptionDispatchRate {
        let own = broker.topic_policies(&topic).await?;
        let policies = own.subscription_policies.get(&*name);
        if let Some(rate) = policies.and_then(|policies| policies.dispatch_rate.as_ref()) {
            return Ok(Answer::json(rate));
        }
        if !request.flag("applied") {
            return Ok(Answer::done());
        }
        let namespace = broker.namespace_policies(topic.namespace()).await?;
        let row = found(Level::Topic, Route::TopicPolicy, OF_ALL)?;
        let (value, _) = row.in_force(Some(&own), &namespace, options);
        return Ok(value.as_ref().map_or_else(Answer::done, Answer::json));
    }
    let rate = match route {
        Route::SetSubscriptionDispatchRate => values::rate(request, options)?,
        _ => None,
    };
    let change = |own: &mut TopicPolicies| {
        set(own, &name, rate.as_ref());
        Ok(())
    };
    broker.change_topic_policies(&topic, change).await?;
    Ok(Answer::done())
}

/// What says nothing goes.
fn set(own: &mut TopicPolicies, name: &str, rate: Option<&DispatchRate>) {
    let policies = own.subscription_policies.entry(name.to_owned()).or_default();
    policies.dispatch_rate = rate.cloned();
    if *policies == SubscriptionPolicies::default() {
        own.subscription_policies.remove(name);
    }
}
