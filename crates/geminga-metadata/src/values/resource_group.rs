//! What a group of namespaces may take together: Pulsar's JSON, and a priority of our own.
//!
//! # Invariants
//!
//! 1. What a value holds beyond the fields named here is in `rest` and is written back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::policies::JsonValue;

/// A resource group. At [`crate::paths::resource_group`]. A rate that is absent, zero or negative is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceGroup {
    /// Messages published in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_rate_in_msgs: Option<i32>,
    /// Bytes published in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish_rate_in_bytes: Option<i64>,
    /// Messages dispatched in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_rate_in_msgs: Option<i32>,
    /// Bytes dispatched in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_rate_in_bytes: Option<i64>,
    /// Among groups that want what others leave, the highest is served first. Geminga's own; 0 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl JsonValue for ResourceGroup {
    const KIND: &'static str = "resource group";
}

impl ResourceGroup {
    /// Takes over whatever a change names, as Pulsar does: −1 and what is absent leave it as it is.
    pub fn change(&mut self, with: Self) {
        let named = |rate: &i64| *rate != -1;
        let narrow = |rate: &i32| *rate != -1;
        self.publish_rate_in_msgs =
            with.publish_rate_in_msgs.filter(narrow).or(self.publish_rate_in_msgs);
        self.publish_rate_in_bytes =
            with.publish_rate_in_bytes.filter(named).or(self.publish_rate_in_bytes);
        self.dispatch_rate_in_msgs =
            with.dispatch_rate_in_msgs.filter(narrow).or(self.dispatch_rate_in_msgs);
        self.dispatch_rate_in_bytes =
            with.dispatch_rate_in_bytes.filter(named).or(self.dispatch_rate_in_bytes);
        self.priority = with.priority.or(self.priority);
        self.rest.extend(with.rest);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(value: Value) -> ResourceGroup {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_read_modify_write_loses_nothing() {
        let stored = json!({
            "publishRateInMsgs": 1, "publishRateInBytes": 2, "dispatchRateInMsgs": 3,
            "dispatchRateInBytes": 4, "priority": 5, "replicationDispatchRateInMsgs": 6
        });
        let read = ResourceGroup::decode(stored.to_string().as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&read.encode()).unwrap();
        assert_eq!(written, stored);
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let mut changed =
            group(json!({"publishRateInMsgs": 1, "dispatchRateInBytes": 4, "priority": 5}));
        changed.change(group(json!({"publishRateInMsgs": -1, "dispatchRateInBytes": 7, "x": 1})));
        let wanted =
            json!({"publishRateInMsgs": 1, "dispatchRateInBytes": 7, "priority": 5, "x": 1});
        assert_eq!(changed, group(wanted));
    }
}
