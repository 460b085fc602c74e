//! Asking all loaded topics at once. One that does not answer holds nobody up: it is named, and counted.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use geminga_types::TopicName;

use super::TopicStats;
use crate::{
    AdminError, Broker, TopicFigures, TopicRow,
    topic::{Gone, TopicHandle},
    topic_row::RowDetail,
};

/// How many topics are asked at a time.
const AT_ONCE: usize = 512;
/// How long a topic may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// The same once as many as are asked at a time were silent: then more than a topic is wrong, and whoever asks
/// is to hear of the others while that still helps.
const HURRIED_TIME_MAX: Duration = Duration::from_millis(10);
/// How long whoever asks for one topic waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The loaded topics in few numbers.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Those that answered, by name.
    pub rows: Vec<TopicRow>,
    /// Those that did not, by name.
    pub silent: Vec<TopicName>,
}

impl Survey {
    /// What the topics have together.
    #[must_use]
    pub fn total(&self) -> TopicFigures {
        let mut total = TopicFigures::default();
        self.rows.iter().for_each(|row| total.add(&row.figures));
        total
    }
}

impl Broker {
    /// Asks every topic that is loaded here for its row. Loads none.
    pub async fn survey(&self, detail: RowDetail) -> Survey {
        let asked = self.loaded_topics();
        let (mut rows, silent) =
            ask_all(asked, |handle| async move { handle.row(detail).await }).await;
        self.note_silent(&silent);
        rows.sort_by(|a, b| a.topic.cmp(&b.topic));
        Survey { rows, silent }
    }

    /// Rows of those of these topics that are loaded and answer in time.
    pub(super) async fn rows_of<'a>(
        &self,
        topics: impl Iterator<Item = &'a TopicName>,
    ) -> Vec<TopicRow> {
        let loaded = |topic: &TopicName| Some((topic.clone(), self.loaded_topic(topic)?));
        let asked = topics.filter_map(loaded).collect();
        let ask = |handle: TopicHandle| async move { handle.row(RowDetail::default()).await };
        let (rows, silent) = ask_all(asked, ask).await;
        self.note_silent(&silent);
        rows
    }

    /// Stats of those of these topics that are loaded and answer in time, by name.
    pub async fn stats_of_loaded(&self, topics: &[TopicName]) -> Vec<TopicStats> {
        let loaded = |topic: &TopicName| Some((topic.clone(), self.loaded_topic(topic)?));
        let asked = topics.iter().filter_map(loaded).collect();
        let (mut stats, silent) =
            ask_all(asked, |handle| async move { handle.stats().await }).await;
        self.note_silent(&silent);
        stats.sort_by(|a, b| a.topic.cmp(&b.topic));
        stats
    }

    /// How often a topic did not answer in time since the start.
    #[must_use]
    pub fn silences(&self) -> u64 {
        self.loader().deps().silences.load(Ordering::Relaxed)
    }

    fn note_silent(&self, silent: &[TopicName]) {
        self.loader().deps().silences.fetch_add(silent.len() as u64, Ordering::Relaxed);
    }

    /// One topic's answer.
    pub(super) async fn ask_one<T>(
        &self,
        topic: &TopicName,
        answer: impl Future<Output = Result<T, Gone>>,
    ) -> Result<T, AdminError> {
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                self.loader().deps().silences.fetch_add(1, Ordering::Relaxed);
                let seconds = PATIENCE.as_secs();
                let message = format!("Topic {topic} did not answer within {seconds} s");
                Err(AdminError::Unavailable(message))
            }
        }
    }
}

/// Answers in the order in which they come, and who is silent, by name. Those that end meanwhile are in
/// neither.
async fn ask_all<T, F: Future<Output = Result<T, Gone>>>(
    topics: Vec<(TopicName, TopicHandle)>,
    ask: impl Fn(TopicHandle) -> F,
) -> (Vec<T>, Vec<TopicName>) {
    let (mut answers, mut silent) = (Vec::with_capacity(topics.len()), Vec::new());
    let silences = AtomicUsize::new(0);
    let asked = stream::iter(topics).map(|(name, handle)| {
        let (ask, silences) = (&ask, &silences);
        async move {
            let is_hurried = AT_ONCE <= silences.load(Ordering::Relaxed);
            let time_max = if is_hurried { HURRIED_TIME_MAX } else { ANSWER_TIME_MAX };
            let answer = tokio::time::timeout(time_max, ask(handle)).await;
            answer.map(Result::ok).map_err(|_| {
                silences.fetch_add(1, Ordering::Relaxed);
                name
            })
        }
    });
    let mut asked = std::pin::pin!(asked.buffer_unordered(AT_ONCE));
    while let Some(answer) = asked.next().await {
        match answer {
            Ok(answer) => answers.extend(answer),
            Err(name) => silent.push(name),
        }
    }
    silent.sort();
    (answers, silent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::StuckTopic;

    fn topics(count: usize) -> Vec<(TopicName, StuckTopic)> {
        let name = |index| format!("persistent://a/b/t-{index:05}").parse().unwrap();
        (0..count).map(|index| (name(index), StuckTopic::new())).collect()
    }

    /// Who asks those, and how many seconds it takes.
    async fn ask(topics: &[(TopicName, StuckTopic)]) -> (usize, Vec<TopicName>, f64) {
        let clock = geminga_env::sim::World::new(1).env().clock;
        let began = clock.now();
        let asked = topics.iter().map(|(name, topic)| (name.clone(), topic.handle())).collect();
        let found =
            ask_all(asked, |handle| async move { handle.row(RowDetail::default()).await }).await;
        (found.0.len(), found.1, (clock.now() - began).as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_topic_is_named_and_one_that_ended_is_not() {
        let mut topics = topics(3);
        topics[1].1.end();
        let (answers, silent, took) = ask(&topics).await;
        assert_eq!((answers, silent), (0, vec![topics[0].0.clone(), topics[2].0.clone()]));
        assert!((2.0..2.1).contains(&took), "{took}");
    }

    #[tokio::test(start_paused = true)]
    async fn very_many_silent_topics_are_waited_for_only_a_little_longer() {
        let topics = topics(20 * AT_ONCE);
        let (_, silent, took) = ask(&topics).await;
        assert_eq!(silent.len(), topics.len());
        assert!(silent.is_sorted());
        assert!((2.0..5.0).contains(&took), "{took}");
    }
}
