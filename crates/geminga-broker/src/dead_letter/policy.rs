//! What a subscription's properties say of its dead letters.

use geminga_types::{Domain, TopicName, check_subscription_name};

/// All properties that begin so are about dead letters.
const PREFIX: &str = "geminga.deadLetter.";
/// How often a message may be asked for again; this turns it on.
const MAX_REDELIVER_COUNT: &str = "geminga.deadLetter.maxRedeliverCount";
/// Where dead letters go, if not to `{topic}-{subscription}-DLQ`.
const TOPIC: &str = "geminga.deadLetter.topic";
/// A subscription that is made there before the first of them.
const INITIAL_SUBSCRIPTION: &str = "geminga.deadLetter.initialSubscription";

/// What becomes of messages that are asked for again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetterPolicy {
    /// How often one may be.
    pub(crate) redeliveries_max: u32,
    /// Where they go.
    pub(crate) topic: TopicName,
    /// A subscription that is to be there before the first.
    pub(crate) initial_subscription: Option<String>,
}

impl DeadLetterPolicy {
    /// As the properties of a subscription of `source` want it, if they do; or what is wrong with them.
    pub(crate) fn wanted(
        properties: &[(String, String)],
        source: &TopicName,
        subscription: &str,
    ) -> Result<Option<Self>, String> {
        let known = [MAX_REDELIVER_COUNT, TOPIC, INITIAL_SUBSCRIPTION];
        let mut ours = properties.iter().filter(|(name, _)| name.starts_with(PREFIX)).peekable();
        let Some((first, _)) = ours.peek() else { return Ok(None) };
        if let Some((name, _)) = ours.clone().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(format!("Property {name} is not known: there are {}", known.join(", ")));
        }
        let value = |wanted: &str| {
            let found = properties.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        let Some(count) = value(MAX_REDELIVER_COUNT) else {
            return Err(format!("Property {first} has no effect without {MAX_REDELIVER_COUNT}"));
        };
        let redeliveries_max = count.parse().ok().filter(|count| (1..=i32::MAX).contains(count));
        let redeliveries_max = redeliveries_max.map(i32::unsigned_abs).ok_or_else(|| {
            let max = i32::MAX;
            format!("Property {MAX_REDELIVER_COUNT} is {count:?}, not a number from 1 to {max}")
        })?;
        let topic = target(value(TOPIC), source, subscription)?;
        let initial_subscription = value(INITIAL_SUBSCRIPTION);
        if let Some(name) = initial_subscription {
            if name.is_empty() {
                return Err(format!(
                    "Property {INITIAL_SUBSCRIPTION} is empty: it names a subscription"
                ));
            }
            check_subscription_name(name)
                .map_err(|error| format!("Property {INITIAL_SUBSCRIPTION}: {error}"))?;
        }
        let initial_subscription = initial_subscription.map(str::to_owned);
        Ok(Some(Self { redeliveries_max, topic, initial_subscription }))
    }

    /// Says it in words.
    pub(crate) fn text(&self) -> String {
        let times = self.redeliveries_max;
        format!("asked for again more than {times} times, a message goes to {}", self.topic)
    }
}

fn target(
    wanted: Option<&str>,
    source: &TopicName,
    subscription: &str,
) -> Result<TopicName, String> {
    let source = source.without_partition();
    let topic = match wanted {
        Some(name) => name.parse::<TopicName>(),
        None => {
            let local = format!("{}-{subscription}-DLQ", source.local());
            TopicName::new(Domain::Persistent, source.namespace().clone(), &local)
        }
    };
    let topic = topic.map_err(|error| format!("Property {TOPIC}: {error}"))?;
    if topic.domain() != Domain::Persistent {
        return Err(format!("Property {TOPIC} is {topic}, which stores nothing"));
    }
    if topic.without_partition() == source {
        return Err(format!("Property {TOPIC} is {topic}, the subscription's own topic"));
    }
    Ok(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(properties: &[(&str, &str)]) -> Result<Option<DeadLetterPolicy>, String> {
        let owned = |&(name, value): &(&str, &str)| (format!("{PREFIX}{name}"), value.to_owned());
        let properties: Vec<_> = properties.iter().map(owned).collect();
        let source = "persistent://public/default/t-partition-1".parse().unwrap();
        DeadLetterPolicy::wanted(&properties, &source, "s")
    }

    #[test]
    fn a_count_turns_it_on_and_the_topic_is_named_as_by_clients() {
        assert_eq!(wanted(&[]), Ok(None));
        let policy = wanted(&[("maxRedeliverCount", "3")]).unwrap().unwrap();
        assert_eq!(policy.redeliveries_max, 3);
        assert_eq!(policy.topic.to_string(), "persistent://public/default/t-s-DLQ");
        assert_eq!(policy.initial_subscription, None);
        let policy = wanted(&[
            ("maxRedeliverCount", "1"),
            ("topic", "graveyard"),
            ("initialSubscription", "mourners"),
        ]);
        let policy = policy.unwrap().unwrap();
        assert_eq!(policy.topic.to_string(), "persistent://public/default/graveyard");
        assert_eq!(policy.initial_subscription.as_deref(), Some("mourners"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_name_limit_and_value() {
        for count in ["0", "-1", "x", "", "1.5", "2147483648"] {
            let refusal = wanted(&[("maxRedeliverCount", count)]).unwrap_err();
            let expected = format!(
                "Property geminga.deadLetter.maxRedeliverCount is {count:?}, not a number from 1 to \
                 2147483647"
            );
            assert_eq!(refusal, expected);
        }
        let on = ("maxRedeliverCount", "1");
        for (properties, part) in [
            (&[("topic", "x")][..], "geminga.deadLetter.topic has no effect without"),
            (&[on, ("maxRedeliveryCount", "1")], "maxRedeliveryCount is not known: there are"),
            (&[on, ("topic", "t")], "the subscription's own topic"),
            (&[on, ("topic", "t-partition-0")], "the subscription's own topic"),
            (&[on, ("topic", "non-persistent://public/default/x")], "stores nothing"),
            (&[on, ("topic", "a/b")], "geminga.deadLetter.topic: "),
            (&[on, ("initialSubscription", "")], "geminga.deadLetter.initialSubscription is empty"),
        ] {
            let refusal = wanted(properties).unwrap_err();
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
