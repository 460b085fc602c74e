//! Which consumers may come to a topic: of the kinds that there may be, and not too often.

use std::collections::BTreeMap;

use geminga_env::Instant;
use geminga_types::TopicName;

use crate::{SubscribeError, SubscribeRate, SubscribeRequest, policies::TopicPolicies};

/// As many consumers are remembered; those that came longest ago are forgotten.
const REMEMBERED_MAX: usize = 10_000;

/// Who comes, as Pulsar tells them apart: address, name and id.
type Visitor = (String, String, u64);

/// How often each consumer has come.
#[derive(Debug, Default)]
pub(super) struct Admission {
    visits: BTreeMap<Visitor, Visits>,
}

/// How often one has come in a period.
#[derive(Clone, Copy, Debug)]
struct Visits {
    since: Instant,
    count: u64,
}

impl Admission {
    /// Refuses a consumer of a kind that there may not be, or one that comes too often.
    pub(super) fn check(
        &self,
        topic: &TopicName,
        request: &SubscribeRequest,
        policies: &TopicPolicies,
        now: Instant,
    ) -> Result<(), SubscribeError> {
        let kind = request.kind;
        if !policies.subscription_kinds.contains(kind) {
            let enabled = policies.subscription_kinds.names().collect::<Vec<_>>().join(", ");
            return Err(SubscribeError::NotAllowed(format!(
                "Topic[{topic}] doesn't support {} sub type! Enabled are {enabled} \
                 (subscriptionTypesEnabled)",
                kind.as_str()
            )));
        }
        let Some(rate) = policies.subscribe_rate else { return Ok(()) };
        let visits = self.visits.get(&visitor(request));
        let visits = visits.filter(|visits| now < visits.since + rate.period);
        match visits.filter(|visits| rate.times <= visits.count) {
            None => Ok(()),
            Some(visits) => Err(SubscribeError::NotAllowed(format!(
                "Subscribe limited by subscribe rate limit per consumer. Consumer {} has come to {topic} \
                 {} times in {} s, the limit is {} (subscribeRate)",
                request.consumer_name,
                visits.count,
                rate.period.as_secs(),
                rate.times
            ))),
        }
    }

    /// Counts a consumer that comes.
    pub(super) fn note(&mut self, request: &SubscribeRequest, rate: SubscribeRate, now: Instant) {
        if REMEMBERED_MAX <= self.visits.len() {
            self.visits.retain(|_, visits| now < visits.since + rate.period);
        }
        if REMEMBERED_MAX <= self.visits.len() {
            let first = self.visits.iter().min_by_key(|(_, visits)| visits.since);
            let first = first.map(|(visitor, _)| visitor.clone());
            first.map(|visitor| self.visits.remove(&visitor));
        }
        let visits = self.visits.entry(visitor(request)).or_insert(Visits { since: now, count: 0 });
        if visits.since + rate.period <= now {
            *visits = Visits { since: now, count: 0 };
        }
        visits.count += 1;
    }

    /// Nothing is counted while there is no limit.
    pub(super) fn forget(&mut self) {
        self.visits = BTreeMap::new();
    }
}

fn visitor(request: &SubscribeRequest) -> Visitor {
    let host = request.address.rsplit_once(':').map_or(&*request.address, |(host, _)| host);
    (host.to_owned(), request.consumer_name.clone(), request.consumer_id)
}
