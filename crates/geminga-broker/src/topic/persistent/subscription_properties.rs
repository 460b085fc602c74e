//! Properties of a subscription that exists are changed.
//!
//! They are given to its cursor when that is made. What replaces them later is a record in the cursor's log
//! ([`RECORD`], JSON), until the next snapshot has them.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use geminga_managed_ledger::{CursorDelta, CursorState};
use tracing::warn;

use super::{
    super::Reply,
    Topic,
    ack::AckWaiter,
    subscriptions::{is_reserved, reserved},
};
use crate::{AdminError, dead_letter::DeadLetterPolicy, feedback::Feedback};

/// The record that has them.
const RECORD: &[u8] = b"properties";
/// Bytes of all properties of a subscription.
const BYTES_MAX: usize = 64 << 10;

impl Topic {
    /// The properties that a cursor was left with.
    pub(super) fn recovered_properties(
        &self,
        name: &str,
        state: &mut CursorState,
    ) -> Vec<(String, String)> {
        let made_with = std::mem::take(&mut state.cursor_properties);
        let Some(record) = state.records.get(RECORD) else {
            return made_with.into_iter().collect();
        };
        let found = serde_json::from_slice(record).unwrap_or_else(|error| {
            let topic = &self.name;
            warn!(%topic, subscription = name, %error, "its properties are those it was made with");
            made_with
        });
        found.into_iter().collect()
    }

    /// Puts these in place of all that were there.
    pub(super) fn set_subscription_properties(
        &mut self,
        name: &str,
        properties: BTreeMap<String, String>,
        reply: Reply<Result<(), AdminError>>,
    ) {
        let properties: Vec<(String, String)> = properties.into_iter().collect();
        let (name, record) = match self.check_subscription_properties(name, &properties) {
            Ok(found) => found,
            Err(error) => {
                _ = reply.send(Err(error));
                return;
            }
        };
        let now = self.now();
        let Some(sub) = self.subscriptions.get_mut(&*name) else { return };
        sub.feedback = Feedback::wanted(&properties, now);
        sub.properties = properties;
        let records = vec![(Bytes::from_static(RECORD), Some(record))];
        let part = CursorDelta { records, ..CursorDelta::default() };
        self.note_delta(&name, part, Some(AckWaiter::Admin(reply)));
        self.ready.insert(name);
    }

    fn check_subscription_properties(
        &self,
        name: &str,
        properties: &[(String, String)],
    ) -> Result<(Arc<str>, Bytes), AdminError> {
        if !self.is_serving() {
            return Err(AdminError::Unavailable(self.closing().to_string()));
        }
        let found = self.subscriptions.get_key_value(name);
        let (name, sub) = found.ok_or_else(|| self.no_subscription(name))?;
        if is_reserved(name) {
            return Err(AdminError::NotAllowed(reserved(name)));
        }
        let wanted = DeadLetterPolicy::wanted(properties, &self.name, name);
        let wanted = wanted.map_err(AdminError::Invalid)?.filter(|_| sub.is_durable);
        let present = sub.dead_letters.as_ref().map(|found| &*found.policy);
        if wanted.as_ref() != present {
            return Err(AdminError::Invalid(format!(
                "Subscription {name} of topic {} keeps the dead letters that it was made with: its \
                 properties geminga.deadLetter.* cannot be changed",
                self.name
            )));
        }
        let bytes: usize = properties.iter().map(|(key, value)| key.len() + value.len()).sum();
        if BYTES_MAX < bytes {
            return Err(AdminError::Invalid(format!(
                "Properties of subscription {name} take {bytes} bytes, they may take {BYTES_MAX}"
            )));
        }
        let all: BTreeMap<&String, &String> =
            properties.iter().map(|(key, value)| (key, value)).collect();
        let record =
            serde_json::to_vec(&all).map_err(|error| AdminError::Invalid(error.to_string()))?;
        Ok((Arc::clone(name), record.into()))
    }
}
