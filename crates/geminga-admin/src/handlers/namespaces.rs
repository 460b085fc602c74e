//! Namespaces.

use std::collections::{BTreeMap, BTreeSet};

use geminga_broker::{
    AdminError, Broker, TopicsMode,
    admin::{BundleSplit, Policies},
};
use geminga_types::{Domain, NamespaceName, TopicName};
use serde_json::json;

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
        Route::SplitBundle | Route::TopicHashPositions => bundle(route, broker, request).await,
        Route::DeleteBundle => {
            let is_forced = request.flag("force");
            broker.give_up_bundle(&namespace, request.part(2), is_forced).await?;
            Ok(Answer::done())
        }
        _ => shown(broker, &namespace).await,
    }
}

/// With what is said of it in this cluster alone.
async fn shown(broker: &Broker, namespace: &NamespaceName) -> Answered {
    let mut policies = broker.namespace_policies(namespace).await?;
    let local = broker.local_policies(namespace).await?.unwrap_or_default();
    policies.rest.insert("migrated".to_owned(), local.migrated.into());
    Ok(Answer::json(&policies))
}

/// The clusters that a namespace may be in; none: all of the tenant's.
pub(super) async fn allowed_clusters(route: Route, broker: &Broker, request: &Request) -> Answered {
    let namespace = request.namespace()?;
    if route == Route::AllowedClusters {
        let policies = broker.namespace_policies(&namespace).await?;
        return Ok(Answer::json(&policies.allowed_clusters));
    }
    let clusters = request.json()?.unwrap_or_default();
    broker.set_allowed_clusters(&namespace, clusters).await?;
    Ok(Answer::done())
}

/// Nothing is moved to cold storage here, so a scan of it finds nothing.
pub(super) async fn offloaded_ledgers(broker: &Broker, request: &Request) -> Answered {
    broker.namespace_policies(&request.namespace()?).await?;
    Ok(Answer::json(&json!({"objects": [], "total": 0, "errors": 0, "unknown": 0})))
}

/// Splits a bundle, or tells where its topics are.
async fn bundle(route: Route, broker: &Broker, request: &Request) -> Answered {
    let (namespace, range) = (request.namespace()?, request.part(2));
    if route == Route::SplitBundle {
        let how = split(request)?;
        let range = match range {
            "LARGEST" => broker.largest_bundle(&namespace).await?,
            "HOT" => broker.hot_bundle(&namespace).await?,
            range => range.to_owned(),
        };
        broker.split_bundle(&namespace, &range, &how, request.flag("unload")).await?;
        return Ok(Answer::done());
    }
    let mut positions = broker.topic_hash_positions(&namespace, range).await?;
    let asked: Vec<&str> = request.queries("topics").collect();
    if !asked.is_empty() {
        let asked = asked.into_iter().filter_map(|name| name.parse::<TopicName>().ok());
        let asked: BTreeSet<TopicName> = asked.collect();
        positions
            .retain(|name, _| asked.contains(name) || asked.contains(&name.without_partition()));
    }
    let positions: BTreeMap<String, u32> =
        positions.into_iter().map(|(name, hash)| (name.to_string(), hash)).collect();
    Ok(Answer::json(&json!({
        "namespace": namespace.to_string(),
        "bundle": range,
        "topicHashPositions": positions,
    })))
}

/// Where a bundle is to be cut.
fn split(request: &Request) -> Result<BundleSplit, Failure> {
    const SUPPORTED: &str = "[range_equally_divide, topic_count_equally_divide, \
                             specified_positions_divide, flow_or_qps_equally_divide]";
    let positions = request.json::<Vec<i64>>()?.unwrap_or_default();
    let refused = |reason: String| Err(AdminError::Invalid(reason).into());
    match request.query("splitAlgorithmName").map_or("", str::trim) {
        "" | "range_equally_divide" => Ok(BundleSplit::Range),
        "topic_count_equally_divide" => Ok(BundleSplit::TopicCount),
        "flow_or_qps_equally_divide" => Ok(BundleSplit::Load),
        "specified_positions_divide" if positions.is_empty() => refused(
            "With specified_positions_divide split algorithm, splitBoundaries must not be empty"
                .to_owned(),
        ),
        "specified_positions_divide" => Ok(BundleSplit::Positions(positions)),
        _ => refused(format!(
            "Unsupported namespace bundle split algorithm, supported algorithms are {SUPPORTED}"
        )),
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
