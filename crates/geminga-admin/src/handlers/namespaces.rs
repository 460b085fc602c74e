//! Namespaces.

use geminga_broker::{Broker, TopicsMode};
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
        _ => Ok(Answer::json(&broker.namespace_policies(&namespace).await?)),
    }
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
