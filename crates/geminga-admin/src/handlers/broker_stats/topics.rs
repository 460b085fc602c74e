//! Stats of all loaded topics, by namespace, bundle, domain and topic: `broker-stats/topics`.
//!
//! Names are put in order first; the topics are asked while the answer is sent, some at a time.

use std::collections::BTreeMap;

use geminga_broker::Broker;
use geminga_env::BoxFuture;
use geminga_types::{Bundles, TopicName};

use crate::{
    answer::Answer,
    pieces::{PIECE_BYTES, Pieces},
    stats,
};

/// How many topics are asked at a time.
const AT_ONCE: usize = 64;

/// The answer, as far as it is not made yet.
#[derive(Debug)]
struct Topics {
    broker: Broker,
    /// Those that were loaded, in order.
    topics: std::vec::IntoIter<(Place, TopicName)>,
    /// Where the last one was that was written.
    last: Option<Place>,
    has_begun: bool,
}

/// Namespace, bundle and domain.
type Place = [String; 3];

pub(in crate::handlers) async fn topics(broker: &Broker) -> Answer {
    let mut bundles: BTreeMap<String, Option<Bundles>> = BTreeMap::new();
    let mut topics = Vec::new();
    for topic in broker.topics_in_use() {
        let namespace = topic.namespace().as_str();
        if !bundles.contains_key(namespace) {
            let found = broker.bundles(topic.namespace()).await.ok();
            bundles.insert(namespace.to_owned(), found);
        }
        let Some(Some(found)) = bundles.get(namespace) else { continue }; // It was deleted now.
        let bundle = found.of(&topic).to_string();
        let place = [namespace.to_owned(), bundle, topic.domain().to_string()];
        topics.push((place, topic));
    }
    topics.sort();
    let topics = topics.into_iter();
    Answer::large_json(Topics { broker: broker.clone(), topics, last: None, has_begun: false })
}

impl Topics {
    async fn write(&mut self, to: &mut Vec<u8>) -> bool {
        if !self.has_begun {
            self.has_begun = true;
            to.push(b'{');
        }
        while to.len() < PIECE_BYTES {
            let some: Vec<(Place, TopicName)> = self.topics.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                to.extend_from_slice(if self.last.is_some() { b"}}}}" } else { b"}" });
                return false;
            }
            let names: Vec<TopicName> = some.iter().map(|(_, topic)| topic.clone()).collect();
            let found = self.broker.stats_of_loaded(&names).await;
            for (place, topic) in some {
                let Ok(at) = found.binary_search_by(|one| one.topic.cmp(&topic)) else { continue };
                self.go_to(to, place);
                // A Vec takes everything, and each field can be written.
                _ = serde_json::to_writer(&mut *to, &topic.to_string());
                to.push(b':');
                _ = serde_json::to_writer(&mut *to, &stats::topic(&found[at]));
            }
        }
        true
    }

    /// Closes what the last topic was in and this one is not, and opens what this one is in.
    fn go_to(&mut self, to: &mut Vec<u8>, place: Place) {
        let shared = match &self.last {
            Some(last) => place.iter().zip(last).take_while(|(a, b)| a == b).count(),
            None => 0,
        };
        if self.last.is_some() {
            to.extend(std::iter::repeat_n(b'}', place.len() - shared));
            to.push(b',');
        }
        for name in &place[shared..] {
            _ = serde_json::to_writer(&mut *to, name);
            to.extend_from_slice(b":{");
        }
        self.last = Some(place);
    }
}

impl Pieces for Topics {
    fn next<'a>(&'a mut self, to: &'a mut Vec<u8>) -> BoxFuture<'a, bool> {
        Box::pin(self.write(to))
    }
}
