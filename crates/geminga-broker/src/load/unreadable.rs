//! Topics whose memory of deduplication cannot be read: they go on without where nobody wants it, and
//! where an operator says so.

use std::sync::Arc;

use geminga_managed_ledger::{DeleteError, ManagedLedger, OpenError, is_cursor_of};
use geminga_types::TopicName;
use tracing::warn;

use super::{Topics, open_error, unavailable};
use crate::{AdminError, TopicError, policies::TopicPolicies, topic::DEDUPLICATION_CURSOR};

impl Topics {
    /// Opens a topic's managed ledger.
    pub(super) async fn open_ledger(
        &self,
        name: &TopicName,
        create: bool,
        policies: &TopicPolicies,
    ) -> Result<ManagedLedger, TopicError> {
        let deps = &self.deps.ledger;
        let open = || {
            let options = Arc::clone(&self.managed_ledger);
            geminga_managed_ledger::open(deps, name, options, create)
        };
        match open().await {
            Err(error) if !is_forgetful(name, &error) => Err(open_error(name, &error)),
            Err(error) if policies.deduplication => {
                warn!(topic = %name, %error, "a topic was not loaded");
                Err(topic_without(name, &error.to_string()))
            }
            Err(error) => {
                warn!(topic = %name, %error, "deduplication is off, and its cursor is deleted");
                let deleted = self.delete_records(name).await;
                deleted.map_err(|error| unavailable(name, &error.to_string()))?;
                open().await.map_err(|error| open_error(name, &error))
            }
            Ok(ledger) => Ok(ledger),
        }
    }

    /// Forgets what is stored in a topic that cannot be loaded because it is not known.
    ///
    /// # Errors
    ///
    /// If nothing is known, or the metadata store failed.
    pub(crate) async fn forget_deduplication(&self, name: &TopicName) -> Result<(), AdminError> {
        warn!(topic = %name, "what is stored is forgotten, as an operator wants");
        self.delete_records(name).await.map_err(|error| match error {
            DeleteError::NotFound(_) => AdminError::NotFound(format!(
                "Subscription {DEDUPLICATION_CURSOR} not found on topic {name}"
            )),
            error => AdminError::Unavailable(error.to_string()),
        })
    }

    async fn delete_records(&self, name: &TopicName) -> Result<(), DeleteError> {
        let deps = &self.deps.ledger;
        geminga_managed_ledger::delete_cursor_of(deps, name, DEDUPLICATION_CURSOR).await
    }
}

/// What an operator can do where what is known cannot be read.
pub(super) fn topic_without(name: &TopicName, reason: &str) -> TopicError {
    let reason = format!(
        "{reason}. It is not known which messages are stored; to forget that and go on, delete the \
         topic's subscription {DEDUPLICATION_CURSOR}, or switch deduplication off"
    );
    TopicError::Unreadable { topic: name.clone(), reason }
}

/// Whether the topic can be loaded once deduplication's cursor is forgotten.
fn is_forgetful(topic: &TopicName, error: &OpenError) -> bool {
    match error {
        OpenError::Corrupt { path, .. } => is_cursor_of(topic, DEDUPLICATION_CURSOR, path),
        OpenError::Cursor { name, cause, .. } => {
            **name == *DEDUPLICATION_CURSOR && cause.is_final()
        }
        _ => false,
    }
}
