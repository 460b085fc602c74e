//! What one policy is: where it is served, how a value is checked, and where each level keeps it.

use geminga_broker::{
    Options,
    admin::{Policies, TopicPolicies},
};
use serde::Serialize;
use serde_json::Value;

use crate::{failure::Failure, request::Request};

/// Changes one policy of a record.
pub(super) type Change<'a, P> = Box<dyn FnMut(&mut P) + Send + 'a>;

/// Who decides: an upper level comes before those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The topic itself.
    Topic,
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
    /// The last part of the path to set it.
    pub(super) set: &'static str,
    /// The last part of the path to remove it.
    pub(super) remove: &'static str,
    /// The method that sets it.
    pub(super) method: &'static str,
    pub(super) is_removable: bool,
}

/// A policy as a level keeps it, in records of the kind `P`.
pub(super) struct At<P, T> {
    place: Place,
    /// What is shown.
    get: fn(&P, &Options) -> Option<T>,
    /// What counts; if nothing, the level below does.
    said: fn(&P, &Options) -> Option<T>,
    set: fn(&mut P, &Options, Option<T>),
}

/// A policy whose values are a `T`.
pub(super) struct Policy<T> {
    /// Reads the value that is to be set, and checks it; nothing removes it.
    pub(super) given: fn(&Request, &Options) -> Result<Option<T>, Failure>,
    /// What is set to remove it.
    pub(super) removed: fn(&Request) -> Result<Option<T>, Failure>,
    /// What the configuration says.
    pub(super) of_broker: fn(&Options) -> Option<T>,
    /// What the value of an upper level and that of those below are together.
    pub(super) join: fn(T, T) -> T,
    pub(super) namespace: Option<At<Policies, T>>,
    pub(super) topic: Option<At<TopicPolicies, T>>,
}

/// Any policy.
pub(crate) trait Row: Sync {
    /// What it is called, at the uppermost level that has it.
    fn name(&self) -> &'static str;

    /// Where a level serves it, if it has it.
    fn place(&self, level: Level) -> Option<&Place>;

    /// What a namespace shows.
    fn of_namespace(&self, policies: &Policies, options: &Options) -> Option<Value>;

    /// What a topic shows.
    fn of_topic(&self, policies: &TopicPolicies, options: &Options) -> Option<Value>;

    /// What counts, and the uppermost level that has a say in it.
    fn in_force(
        &self,
        topic: Option<&TopicPolicies>,
        namespace: &Policies,
        options: &Options,
    ) -> (Option<Value>, Level);

    /// Reads what a request changes in a namespace.
    fn change_of_namespace<'a>(
        &self,
        is_set: bool,
        request: &Request,
        options: &'a Options,
    ) -> Result<Change<'a, Policies>, Failure>;

    /// Reads what a request changes in a topic.
    fn change_of_topic<'a>(
        &self,
        is_set: bool,
        request: &Request,
        options: &'a Options,
    ) -> Result<Change<'a, TopicPolicies>, Failure>;
}

impl Place {
    /// Read, posted and deleted under one name.
    pub(super) const fn of(name: &'static str) -> Self {
        Self { read: name, set: name, remove: name, method: "POST", is_removable: true }
    }

    /// Set by PUT.
    pub(super) const fn by_put(self) -> Self {
        Self { method: "PUT", ..self }
    }

    /// Removed under another name.
    pub(super) const fn removed_by(self, remove: &'static str) -> Self {
        Self { remove, ..self }
    }

    /// Never removed.
    pub(super) const fn lasting(self) -> Self {
        Self { is_removable: false, ..self }
    }

    /// Whether a method is served on a name.
    pub(super) fn has(&self, method: &str, name: &str) -> bool {
        self.name_for(method) == Some(name)
    }

    /// The name on which a method is served, if it is.
    pub(super) fn name_for(&self, method: &str) -> Option<&'static str> {
        match method {
            "GET" => Some(self.read),
            "DELETE" => Some(self.remove).filter(|_| self.is_removable),
            _ => Some(self.set).filter(|_| method == self.method),
        }
    }
}

impl<P, T> At<P, T> {
    /// One that counts as it is shown.
    pub(super) const fn new(
        place: Place,
        get: fn(&P, &Options) -> Option<T>,
        set: fn(&mut P, &Options, Option<T>),
    ) -> Self {
        Self { place, get, said: get, set }
    }

    /// What counts of it is something else.
    pub(super) const fn saying(self, said: fn(&P, &Options) -> Option<T>) -> Self {
        Self { said, ..self }
    }

    fn change<'a>(&self, value: Option<T>, options: &'a Options) -> Change<'a, P>
    where
        P: 'a,
        T: Clone + Send + 'a,
    {
        let set = self.set;
        Box::new(move |policies| set(policies, options, value.clone()))
    }
}

impl<T> Policy<T> {
    /// One whose uppermost value counts.
    pub(super) const fn new(
        given: fn(&Request, &Options) -> Result<Option<T>, Failure>,
        of_broker: fn(&Options) -> Option<T>,
        namespace: Option<At<Policies, T>>,
        topic: Option<At<TopicPolicies, T>>,
    ) -> Self {
        let (removed, join) = (|_: &Request| Ok(None), |upper: T, _: T| upper);
        Self { given, removed, of_broker, join, namespace, topic }
    }

    fn value(
        &self,
        is_set: bool,
        request: &Request,
        options: &Options,
    ) -> Result<Option<T>, Failure> {
        if is_set { (self.given)(request, options) } else { (self.removed)(request) }
    }
}

impl<T: Clone + Serialize + Send + 'static> Row for Policy<T> {
    fn name(&self) -> &'static str {
        let place = self.place(Level::Topic).or_else(|| self.place(Level::Namespace));
        place.map_or("", |place| place.read)
    }

    fn place(&self, level: Level) -> Option<&Place> {
        match level {
            Level::Topic => self.topic.as_ref().map(|at| &at.place),
            Level::Namespace => self.namespace.as_ref().map(|at| &at.place),
            Level::Broker => None,
        }
    }

    fn of_namespace(&self, policies: &Policies, options: &Options) -> Option<Value> {
        self.namespace.as_ref().and_then(|at| (at.get)(policies, options)).map(json)
    }

    fn of_topic(&self, policies: &TopicPolicies, options: &Options) -> Option<Value> {
        self.topic.as_ref().and_then(|at| (at.get)(policies, options)).map(json)
    }

    fn in_force(
        &self,
        topic: Option<&TopicPolicies>,
        namespace: &Policies,
        options: &Options,
    ) -> (Option<Value>, Level) {
        let of_namespace = self.namespace.as_ref().and_then(|at| (at.said)(namespace, options));
        let of_topic = topic.zip(self.topic.as_ref());
        let of_topic = of_topic.and_then(|(policies, at)| (at.said)(policies, options));
        let mut found = ((self.of_broker)(options), Level::Broker);
        for (said, level) in [(of_namespace, Level::Namespace), (of_topic, Level::Topic)] {
            found = match (said, found) {
                (None, found) => found,
                (Some(upper), (Some(lower), _)) => (Some((self.join)(upper, lower)), level),
                (upper, (None, _)) => (upper, level),
            };
        }
        (found.0.map(json), found.1)
    }

    fn change_of_namespace<'a>(
        &self,
        is_set: bool,
        request: &Request,
        options: &'a Options,
    ) -> Result<Change<'a, Policies>, Failure> {
        let at = self.namespace.as_ref().ok_or_else(|| not_there(self.name()))?;
        Ok(at.change(self.value(is_set, request, options)?, options))
    }

    fn change_of_topic<'a>(
        &self,
        is_set: bool,
        request: &Request,
        options: &'a Options,
    ) -> Result<Change<'a, TopicPolicies>, Failure> {
        let at = self.topic.as_ref().ok_or_else(|| not_there(self.name()))?;
        Ok(at.change(self.value(is_set, request, options)?, options))
    }
}

fn not_there(name: &str) -> Failure {
    Failure::UnknownPath(name.to_owned())
}

fn json<T: Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap_or_default() // Records of plain fields: it can be written.
}
