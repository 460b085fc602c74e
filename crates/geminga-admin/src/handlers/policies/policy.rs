//! What one policy is: where it is served, how a value is checked, and where each level keeps it.

use geminga_broker::{Options, admin::Policies};
use serde::Serialize;
use serde_json::Value;

use crate::{failure::Failure, request::Request};

/// Changes one policy of a record.
pub(super) type Change<'a, P> = Box<dyn FnMut(&mut P) + Send + 'a>;

/// Who decides: an upper level comes before those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The namespace.
    Namespace,
    /// The broker's configuration.
    Broker,
}

/// Where a policy of a level is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The last part of the path to read it.
    pub(super) read: &'static str,
    /// The last part of the path to set or remove it.
    pub(super) set: &'static str,
    /// The method that sets it.
    pub(super) method: &'static str,
    pub(super) is_removable: bool,
}

/// A policy as a level keeps it, in records of the kind `P`.
pub(super) struct At<P, T> {
    pub(super) place: Place,
    pub(super) get: fn(&P, &Options) -> Option<T>,
    pub(super) set: fn(&mut P, &Options, Option<T>),
}

/// A policy whose values are a `T`.
pub(super) struct Policy<T> {
    /// Reads the value that is to be set, and checks it; nothing removes it.
    pub(super) given: fn(&Request, &Options) -> Result<Option<T>, Failure>,
    /// What is set to remove it.
    pub(super) removed: fn(&Request) -> Result<Option<T>, Failure>,
    /// What the configuration says.
    pub(super) of_broker: fn(&Options) -> Option<T>,
    /// Whether a value counts, or leaves the decision to the level below.
    pub(super) counts: fn(&T) -> bool,
    /// What the value of an upper level and that of those below are together.
    pub(super) join: fn(T, T) -> T,
    pub(super) namespace: At<Policies, T>,
}

/// Any policy.
pub(crate) trait Row: Sync {
    /// Where a level serves it, if it has it.
    fn place(&self, level: Level) -> Option<&Place>;

    /// What a namespace says.
    fn of_namespace(&self, policies: &Policies, options: &Options) -> Option<Value>;

    /// What counts, and the uppermost level that has a say in it.
    fn in_force(&self, namespace: &Policies, options: &Options) -> (Option<Value>, Level);

    /// Reads what a request changes.
    fn change_of_namespace<'a>(
        &self,
        is_set: bool,
        request: &Request,
        options: &'a Options,
    ) -> Result<Change<'a, Policies>, Failure>;
}

impl Place {
    /// Read, posted and deleted under one name.
    pub(super) const fn of(name: &'static str) -> Self {
        Self { read: name, set: name, method: "POST", is_removable: true }
    }

    /// Set by PUT.
    pub(super) const fn by_put(self) -> Self {
        Self { method: "PUT", ..self }
    }

    /// Never removed.
    pub(super) const fn lasting(self) -> Self {
        Self { is_removable: false, ..self }
    }

    /// Whether a method is served on a name.
    pub(super) fn has(&self, method: &str, name: &str) -> bool {
        match method {
            "GET" => name == self.read,
            "DELETE" => name == self.set && self.is_removable,
            _ => name == self.set && method == self.method,
        }
    }
}

impl<T> Policy<T> {
    /// One whose uppermost value counts, kept by namespaces.
    pub(super) const fn new(
        given: fn(&Request, &Options) -> Result<Option<T>, Failure>,
        of_broker: fn(&Options) -> Option<T>,
        namespace: At<Policies, T>,
    ) -> Self {
        let (counts, join) = (|_: &T| true, |upper: T, _: T| upper);
        Self { given, removed: |_| Ok(None), of_broker, counts, join, namespace }
    }

    fn value(&self, is_set: bool, request: &Request, options: &Options) -> Given<T> {
        if is_set { (self.given)(request, options) } else { (self.removed)(request) }
    }
}

type Given<T> = Result<Option<T>, Failure>;

impl<T: Clone + Serialize + Send + 'static> Row for Policy<T> {
    fn place(&self, level: Level) -> Option<&Place> {
        match level {
            Level::Namespace => Some(&self.namespace.place),
            Level::Broker => None,
        }
    }

    fn of_namespace(&self, policies: &Policies, options: &Options) -> Option<Value> {
        (self.namespace.get)(policies, options).map(json)
    }

    fn in_force(&self, namespace: &Policies, options: &Options) -> (Option<Value>, Level) {
        let mut found = ((self.of_broker)(options), Level::Broker);
        let uppers = [((self.namespace.get)(namespace, options), Level::Namespace)];
        for (value, level) in uppers {
            if let Some(upper) = value.filter(self.counts) {
                let joined = match found.0 {
                    Some(lower) => (self.join)(upper, lower),
                    None => upper,
                };
                found = (Some(joined), level);
            }
        }
        (found.0.map(json), found.1)
    }

    fn change_of_namespace<'a>(
        &self,
        is_set: bool,
        request: &Request,
        options: &'a Options,
    ) -> Result<Change<'a, Policies>, Failure> {
        let (value, set) = (self.value(is_set, request, options)?, self.namespace.set);
        Ok(Box::new(move |policies| set(policies, options, value.clone())))
    }
}

fn json<T: Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap_or_default() // Records of plain fields: it can be written.
}
