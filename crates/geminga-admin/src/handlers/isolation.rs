//! Failure domains and isolation policies of a cluster.

use std::collections::BTreeMap;

use geminga_admin_model::BrokerIsolation;
use geminga_broker::{
    AdminError, Broker,
    admin::{IsolationPolicies, check_isolation_policy},
};
use regex::Regex;

use super::{Answered, brokers};
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn failure_domains(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (cluster, name) = (request.part(0), request.part(1));
    match route {
        Route::FailureDomains => {
            let mut domains = BTreeMap::new();
            for name in broker.failure_domains(cluster).await? {
                match broker.failure_domain(cluster, &name).await {
                    Ok(domain) => _ = domains.insert(name, domain),
                    Err(AdminError::NotFound(_)) => {} // It was deleted now.
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(Answer::json(&domains))
        }
        Route::SetFailureDomain => {
            let domain = request.json()?.unwrap_or_default();
            broker.set_failure_domain(cluster, name, &domain).await?;
            Ok(Answer::done())
        }
        Route::DeleteFailureDomain => {
            broker.delete_failure_domain(cluster, name).await?;
            Ok(Answer::done())
        }
        _ => Ok(Answer::json(&broker.failure_domain(cluster, name).await?)),
    }
}

pub(super) async fn policies(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (cluster, name) = (request.part(0), request.part(1));
    match route {
        Route::IsolationPolicies => {
            broker.cluster(cluster).await?;
            return Ok(Answer::json(&broker.isolation_policies(cluster).await?));
        }
        Route::SetIsolationPolicy => {
            let policy = request.json()?.unwrap_or_default();
            check_isolation_policy(&policy).map_err(|reason| {
                let what = "Invalid format of input policy data. policy";
                Failure::InvalidBody(format!("{what}: {name}; {reason}"))
            })?;
            broker.set_isolation_policy(cluster, name, Some(&policy)).await?;
            return Ok(Answer::done());
        }
        Route::DeleteIsolationPolicy => {
            broker.set_isolation_policy(cluster, name, None).await?;
            return Ok(Answer::done());
        }
        _ => broker.require_cluster(cluster).await?,
    }
    let policies = broker.isolation_policies(cluster).await?;
    match route {
        Route::IsolatedBrokers => {
            let known = brokers::names(broker);
            let all: Vec<_> = known.iter().map(|broker| of_broker(broker, &policies)).collect();
            Ok(Answer::json(&all))
        }
        Route::IsolatedBroker => Ok(Answer::json(&of_broker(name, &policies))),
        _ => {
            let unknown = || {
                let message =
                    format!("Cannot find NamespaceIsolationPolicy {name} for cluster {cluster}");
                AdminError::NotFound(message)
            };
            Ok(Answer::json(policies.get(name).ok_or_else(unknown)?))
        }
    }
}

/// What policies say of one broker; of several the last one's name, as in Pulsar.
fn of_broker(broker: &str, policies: &IsolationPolicies) -> BrokerIsolation {
    let mut found =
        BrokerIsolation { broker_name: broker.to_owned(), ..BrokerIsolation::default() };
    for (name, policy) in policies {
        let is_primary = fits(&policy.primary, broker);
        if is_primary || fits(&policy.secondary, broker) {
            found.namespace_regex.extend(policy.namespaces.iter().cloned());
            found.primary = is_primary;
            found.policy_name = Some(name.clone());
        }
    }
    found
}

/// Whether one of some expressions is of the whole name. One that is none fits nothing.
fn fits(expressions: &[String], name: &str) -> bool {
    expressions.iter().any(|expression| {
        Regex::new(&format!("^(?:{expression})$")).is_ok_and(|found| found.is_match(name))
    })
}
