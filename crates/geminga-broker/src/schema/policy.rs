//! Which strategy governs a topic, whether its schema may change by being used, and whether producers
//! need one.
//!
//! A topic of the brokers' own has a strategy of its own. For others the topic's strategy counts, then the
//! namespace's, then the older policy that it replaced (`schema_auto_update_compatibility_strategy`), then the
//! configuration. Policies are read when a schema comes, so that a change acts at once.

use geminga_metadata::values::policies::Policies;
use geminga_schema::Strategy;
use geminga_types::TopicName;

use crate::{admin::TopicPolicies, namespace};

/// What the operator decided about schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaOptions {
    /// `schemaCompatibilityStrategy`.
    pub strategy: Strategy,
    /// `systemTopicSchemaCompatibilityStrategy`.
    pub system_strategy: Strategy,
    /// `isAllowAutoUpdateSchemaEnabled`.
    pub allows_update: bool,
    /// `isSchemaValidationEnforced`.
    pub is_validated: bool,
}

impl Default for SchemaOptions {
    fn default() -> Self {
        Self {
            strategy: Strategy::Full,
            system_strategy: Strategy::AlwaysCompatible,
            allows_update: true,
            is_validated: false,
        }
    }
}

/// What governs the schema of one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SchemaPolicies {
    /// What may follow what.
    pub(super) strategy: Strategy,
    /// Whether a new schema is taken from clients.
    pub(super) allows_update: bool,
    /// Whether a producer without schema is refused where there is one.
    pub(super) is_validated: bool,
}

impl SchemaPolicies {
    /// What governs a topic with its own policies in a namespace.
    pub(super) fn of(
        options: SchemaOptions,
        policies: &Policies,
        own: &TopicPolicies,
        topic: &TopicName,
    ) -> Self {
        let by_lower = options.is_validated || policies.schema_validation_enforced;
        Self {
            strategy: strategy(options, policies, own, topic),
            allows_update: namespace::is_system_topic(topic)
                || policies.is_allow_auto_update_schema.unwrap_or(options.allows_update),
            is_validated: own.schema_validation_enforced.unwrap_or(by_lower),
        }
    }
}

/// `UNDEFINED`, and a word of a later release, leave the decision to the next in line.
fn strategy(
    options: SchemaOptions,
    policies: &Policies,
    own: &TopicPolicies,
    topic: &TopicName,
) -> Strategy {
    if namespace::is_system_topic(topic) {
        return options.system_strategy;
    }
    let named = |name: &Option<String>| name.as_ref().and_then(|name| name.parse().ok());
    let older = policies.schema_auto_update_compatibility_strategy.as_deref();
    named(&own.schema_compatibility_strategy)
        .or_else(|| named(&policies.schema_compatibility_strategy))
        .or_else(|| older.and_then(Strategy::from_auto_update))
        .unwrap_or(options.strategy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_comes_before_the_configuration_and_new_policies_before_old() {
        let topic: TopicName = "t".parse().unwrap();
        let options = SchemaOptions { strategy: Strategy::Forward, ..SchemaOptions::default() };
        let strategy = |own: Option<&str>, older: Option<&str>| {
            let policies = Policies {
                schema_compatibility_strategy: own.map(str::to_owned),
                schema_auto_update_compatibility_strategy: older.map(str::to_owned),
                ..Policies::default()
            };
            SchemaPolicies::of(options, &policies, &TopicPolicies::default(), &topic).strategy
        };
        assert_eq!(strategy(None, None), Strategy::Forward);
        assert_eq!(strategy(Some("UNDEFINED"), None), Strategy::Forward);
        assert_eq!(strategy(Some("UNDEFINED"), Some("Backward")), Strategy::Backward);
        assert_eq!(strategy(None, Some("AutoUpdateDisabled")), Strategy::AlwaysIncompatible);
        assert_eq!(strategy(Some("FULL_TRANSITIVE"), Some("Backward")), Strategy::FullTransitive);
        assert_eq!(strategy(Some("SOME_DAY"), None), Strategy::Forward);
    }

    #[test]
    fn system_topics_have_a_strategy_of_their_own() {
        let topic: TopicName = "persistent://public/default/__change_events".parse().unwrap();
        let policies = Policies {
            schema_compatibility_strategy: Some("BACKWARD".to_owned()),
            ..Policies::default()
        };
        let own = TopicPolicies {
            schema_compatibility_strategy: Some("FORWARD".to_owned()),
            ..TopicPolicies::default()
        };
        let found = SchemaPolicies::of(SchemaOptions::default(), &policies, &own, &topic);
        assert_eq!(found.strategy, Strategy::AlwaysCompatible);
    }

    #[test]
    fn validation_is_enforced_by_either_and_updates_are_the_namespaces_to_decide() {
        let topic: TopicName = "t".parse().unwrap();
        let by = |is_validated, enforced, allows_update, update| {
            let options = SchemaOptions { is_validated, allows_update, ..SchemaOptions::default() };
            let policies = Policies {
                schema_validation_enforced: enforced,
                is_allow_auto_update_schema: update,
                ..Policies::default()
            };
            let found = SchemaPolicies::of(options, &policies, &TopicPolicies::default(), &topic);
            (found.is_validated, found.allows_update)
        };
        assert_eq!(by(false, false, true, None), (false, true));
        assert_eq!(by(true, false, true, Some(false)), (true, false));
        assert_eq!(by(false, true, false, Some(true)), (true, true));
        assert_eq!(by(false, false, false, None), (false, false));
    }

    #[test]
    fn the_topic_comes_before_the_namespace() {
        let topic: TopicName = "t".parse().unwrap();
        let policies = Policies {
            schema_compatibility_strategy: Some("BACKWARD".to_owned()),
            schema_validation_enforced: true,
            ..Policies::default()
        };
        let by = |strategy: Option<&str>, enforced| {
            let own = TopicPolicies {
                schema_compatibility_strategy: strategy.map(str::to_owned),
                schema_validation_enforced: enforced,
                ..TopicPolicies::default()
            };
            let found = SchemaPolicies::of(SchemaOptions::default(), &policies, &own, &topic);
            (found.strategy, found.is_validated)
        };
        assert_eq!(by(None, None), (Strategy::Backward, true));
        assert_eq!(by(Some("FORWARD"), Some(false)), (Strategy::Forward, false));
        assert_eq!(by(Some("UNDEFINED"), Some(true)), (Strategy::Backward, true));
    }
}
