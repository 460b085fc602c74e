//! Namespaces.

use std::collections::BTreeMap;

use geminga_broker::{AdminError, Broker, TopicsMode, admin::Policies};
use geminga_types::Domain;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    if route == Route::Namespaces {
        return Ok(Answer::json(&broker.namespaces(request.part(0)).await?));
    }
    let namespace = request.namespace()?;
    match route {
        Route::CreateNamespace => {
            broker.create_namespace(&namespace, request.json_or_empty()?).await?;
            Ok(Answer::done())
        }
        Route::DeleteNamespace => {
            broker.delete_namespace(&namespace, request.flag("force")).await?;
            Ok(Answer::done())
        }
        Route::NamespaceTopics => {
            let mode = mode(request)?;
            if !request.flag("includeSystemTopic") {
                return Ok(Answer::json(&broker.topics(&namespace, mode).await?));
            }
            let mut names = Vec::new();
            for domain in domains(mode) {
                names.extend(broker.topic_names(&namespace, *domain, true).await?);
            }
            Ok(Answer::json(&names))
        }
        Route::NamespaceBundles => {
            let policies = broker.namespace_policies(&namespace).await?;
            Ok(Answer::json(&policies.bundles.unwrap_or_default()))
        }
        Route::UnloadNamespace => {
            broker.unload_namespace(&namespace).await?;
            Ok(Answer::done())
        }
        Route::UnloadBundle => {
            broker.unload_bundle(&namespace, request.part(2)).await?;
            Ok(Answer::done())
        }
        Route::SplitBundle | Route::DeleteBundle => {
            broker.refuse_to_change_bundle(&namespace, request.part(2)).await?;
            Ok(Answer::done())
        }
        Route::Replication => {
            let policies = broker.namespace_policies(&namespace).await?;
            Ok(Answer::json(&policies.replication_clusters))
        }
        Route::SetReplication => {
            let clusters = request.json()?.unwrap_or_default();
            broker.set_replication_clusters(&namespace, clusters).await?;
            Ok(Answer::done())
        }
        _ => Ok(Answer::json(&broker.namespace_policies(&namespace).await?)),
    }
}

/// What users noted about a namespace.
pub(super) async fn properties(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (namespace, key) = (request.namespace()?, request.part(2).to_owned());
    let found = broker.namespace_policies(&namespace).await?.properties;
    let text = |found: Option<&String>| found.cloned().map_or_else(Answer::done, Answer::text);
    let change = async |change: &(dyn Fn(&mut BTreeMap<String, String>) + Send + Sync)| {
        let changed = |policies: &mut Policies| {
            change(&mut policies.properties);
            Ok(())
        };
        broker.change_namespace_policies(&namespace, changed).await
    };
    match route {
        Route::NamespaceProperties => return Ok(Answer::json(&found)),
        Route::NamespaceProperty => return Ok(text(found.get(&key))),
        Route::SetNamespaceProperties => {
            let given: BTreeMap<String, String> = request.json()?.unwrap_or_default();
            change(&|properties| properties.extend(given.clone())).await?;
        }
        Route::SetNamespaceProperty => {
            let value = request.part(3);
            change(&|properties| _ = properties.insert(key.clone(), value.to_owned())).await?;
        }
        Route::RemoveNamespaceProperty => {
            change(&|properties| _ = properties.remove(&key)).await?;
            return Ok(text(found.get(&key)));
        }
        _ => change(&BTreeMap::clear).await?,
    }
    Ok(Answer::done())
}

/// The resource group that a namespace is in.
pub(super) async fn resource_group(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    let group = match route {
        Route::NamespaceGroup => {
            let found = broker.namespace_policies(&namespace).await?.resource_group_name;
            return Ok(found.map_or_else(Answer::done, Answer::text));
        }
        Route::SetNamespaceGroup => {
            let name = request.part(2);
            match broker.resource_group(name).await {
                Err(AdminError::NotFound(reason)) => return Err(AdminError::Invalid(reason).into()),
                found => found?,
            };
            Some(name.to_owned())
        }
        _ => None,
    };
    let changed = |policies: &mut Policies| {
        policies.resource_group_name.clone_from(&group);
        Ok(())
    };
    broker.change_namespace_policies(&namespace, changed).await?;
    Ok(Answer::done())
}

const fn domains(mode: TopicsMode) -> &'static [Domain] {
    match mode {
        TopicsMode::Persistent => &[Domain::Persistent],
        TopicsMode::NonPersistent => &[Domain::NonPersistent],
        TopicsMode::All => &[Domain::Persistent, Domain::NonPersistent],
    }
}

fn mode(request: &Request) -> Result<TopicsMode, Failure> {
    match request.query("mode") {
        None | Some("PERSISTENT") => Ok(TopicsMode::Persistent),
        Some("NON_PERSISTENT") => Ok(TopicsMode::NonPersistent),
        Some("ALL") => Ok(TopicsMode::All),
        Some(other) => Err(Failure::InvalidParameter(format!(
            "mode is {other:?}, it must be PERSISTENT, NON_PERSISTENT or ALL"
        ))),
    }
}
