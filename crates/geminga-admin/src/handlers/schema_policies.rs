//! A namespace's policies about schemas: always shown, since there is always one that counts.

use geminga_broker::{AdminError, Broker, SchemaStrategy, admin::Policies};
use serde::de::DeserializeOwned;

use super::Answered;
use crate::{answer::Answer, failure::Failure, request::Request, route::Route};

/// No strategy: the next in line decides.
const UNDEFINED: &str = "UNDEFINED";

pub(super) async fn handle(route: Route, broker: &Broker, request: &Request) -> Answered {
    match route {
        Route::SetNamespaceSchemaStrategy => {
            let strategy = strategy(request)?;
            change(broker, request, |policies| {
                policies.schema_compatibility_strategy = Some(strategy.clone());
            })
            .await
        }
        Route::SetNamespaceSchemaUpdateStrategy => {
            let strategy = update_strategy(request)?;
            change(broker, request, |policies| {
                policies.schema_auto_update_compatibility_strategy.clone_from(&strategy);
            })
            .await
        }
        Route::SetNamespaceSchemaValidation => {
            let enforced = body::<bool>(request, "true or false")?;
            change(broker, request, |policies| policies.schema_validation_enforced = enforced).await
        }
        Route::SetNamespaceSchemaUpdates => {
            let allowed = body::<bool>(request, "true or false")?;
            change(broker, request, |policies| {
                policies.is_allow_auto_update_schema = Some(allowed);
            })
            .await
        }
        _ => show(route, broker, request).await,
    }
}

async fn show(route: Route, broker: &Broker, request: &Request) -> Answered {
    let policies = broker.namespace_policies(&request.namespace()?).await?;
    let options = broker.options().schema;
    Ok(match route {
        Route::NamespaceSchemaStrategy => {
            let own = policies.schema_compatibility_strategy;
            Answer::json(&own.as_deref().unwrap_or(UNDEFINED))
        }
        Route::NamespaceSchemaUpdateStrategy => {
            match &policies.schema_auto_update_compatibility_strategy {
                Some(strategy) => Answer::json(strategy),
                None => Answer::done(),
            }
        }
        Route::NamespaceSchemaValidation => {
            let is_applied = request.query("applied") == Some("true");
            let by_broker = is_applied && options.is_validated;
            Answer::json(&(policies.schema_validation_enforced || by_broker))
        }
        _ => Answer::json(&policies.is_allow_auto_update_schema.unwrap_or(options.allows_update)),
    })
}

async fn change(
    broker: &Broker,
    request: &Request,
    mut set: impl FnMut(&mut Policies) + Send,
) -> Answered {
    let set = move |policies: &mut Policies| {
        set(policies);
        Ok(())
    };
    broker.change_namespace_policies(&request.namespace()?, set).await?;
    Ok(Answer::done())
}

fn strategy(request: &Request) -> Result<String, Failure> {
    let name: String = body(request, "the name of a strategy")?;
    if name != UNDEFINED {
        name.parse::<SchemaStrategy>().map_err(|error| Failure::InvalidBody(error.to_string()))?;
    }
    Ok(name)
}

/// Nothing takes it away.
fn update_strategy(request: &Request) -> Result<Option<String>, Failure> {
    let Some(name) = request.json::<String>()? else { return Ok(None) };
    if SchemaStrategy::from_auto_update(&name).is_none() {
        let known = SchemaStrategy::ALL.map(SchemaStrategy::as_auto_update).join(", ");
        return Err(AdminError::Invalid(format!(
            "schemaAutoUpdateCompatibilityStrategy is {name:?}, it must be one of {known}"
        ))
        .into());
    }
    Ok(Some(name))
}

fn body<T: DeserializeOwned>(request: &Request, what: &str) -> Result<T, Failure> {
    let missing = || Failure::InvalidBody(format!("the body should be {what}"));
    request.json()?.ok_or_else(missing)
}
