//! WATCH_TOPIC_LIST: tells a client which stored topics match its pattern, and then which come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError},
    time::Duration,
};

use geminga_broker::{TopicChange, TopicWatch, TopicsMode};
use geminga_types::NamespaceName;
use geminga_wire::proto::{
    CommandWatchTopicList, CommandWatchTopicListClose, CommandWatchTopicListSuccess,
    CommandWatchTopicUpdate,
};
use tokio_util::sync::CancellationToken;

use super::{Connection, answer::frame, producers::refusal};
use crate::{errors::Refusal, topic_list};

/// Watchers of one connection, at most.
const WATCHERS_MAX: usize = 100;
/// Changes that come so soon after each other are told together.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long after a failed list the next is asked for.
const RETRY: Duration = Duration::from_secs(1);

/// The watchers of a connection: what ends each.
#[derive(Debug, Default)]
pub(super) struct Watchers(BTreeMap<u64, CancellationToken>);

/// What one watcher is about.
struct Watched {
    watcher_id: u64,
    namespace: NamespaceName,
    pattern: topic_list::Pattern,
    /// What the client knows.
    topics: BTreeSet<String>,
}

impl Connection {
    pub(super) fn on_watch_topics(self: &Arc<Self>, command: CommandWatchTopicList) {
        let request_id = command.request_id;
        let (namespace, pattern) = match watched(&command) {
            Ok(watched) => watched,
            Err(refusal) => return self.answer_error(request_id, refusal),
        };
        let Some(stop) = self.add_watcher(command.watcher_id) else {
            let message =
                format!("Too many topic watchers on this connection, the limit is {WATCHERS_MAX}");
            return self.answer_error(request_id, Refusal::not_allowed(message));
        };
        let me = Arc::clone(self);
        let watched =
            Watched { watcher_id: command.watcher_id, namespace, pattern, topics: BTreeSet::new() };
        self.door.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = me.closed.cancelled() => {}
                () = stop.cancelled() => {}
                () = me.watch_topics(&command, watched) => me.remove_watcher(command.watcher_id),
            }
        });
    }

    pub(super) fn on_close_watch(&self, command: &CommandWatchTopicListClose) {
        self.remove_watcher(command.watcher_id);
        self.answer_success(command.request_id);
    }

    /// Answers with the list, then tells of changes until there is nobody to tell.
    async fn watch_topics(&self, command: &CommandWatchTopicList, mut watched: Watched) {
        let mut watch = self.door.broker.watch_topics(&watched.namespace); // Before the list is read.
        match self.matching(&watched).await {
            Ok(topics) => watched.topics = topics,
            Err(refusal) => return self.answer_error(command.request_id, refusal),
        }
        let topics: Vec<String> = watched.topics.iter().cloned().collect();
        let topics_hash = topic_list::hash(&topics);
        let is_known = command.topics_hash.as_ref() == Some(&topics_hash);
        let answer = frame(CommandWatchTopicListSuccess {
            request_id: command.request_id,
            watcher_id: command.watcher_id,
            topic: if is_known { Vec::new() } else { topics },
            topics_hash,
        });
        let (bytes, frame_max) = (answer.len(), self.options().max_frame);
        if frame_max < bytes {
            let (count, namespace) = (watched.topics.len(), &watched.namespace);
            return self.answer_error(command.request_id, Refusal::not_allowed(format!(
                "The names of the {count} topics of namespace {namespace} that match take {bytes} bytes, \
                 which is more than a frame of {frame_max} bytes: watch with a narrower pattern"
            )));
        }
        self.answer_frame(answer);
        while let Some(topics) = self.next_topics(&mut watch, &watched).await {
            let update = update(&watched, &topics);
            watched.topics = topics;
            if update.new_topics.is_empty() && update.deleted_topics.is_empty() {
                continue;
            }
            if !self.answers_are_read().await {
                return; // The reader gives it up.
            }
            self.answer(update);
        }
    }

    /// What is there after the next changes; `None` once the broker is gone.
    async fn next_topics(
        &self,
        watch: &mut TopicWatch,
        watched: &Watched,
    ) -> Option<BTreeSet<String>> {
        let mut changes = vec![watch.next().await?];
        let deadline = self.now() + TOGETHER;
        while let Ok(change) = tokio::time::timeout_at(deadline, watch.next()).await {
            changes.push(change?);
        }
        loop {
            match self.changed(&changes, watched).await {
                Ok(topics) => return Some(topics),
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    async fn changed(
        &self,
        changes: &[TopicChange],
        watched: &Watched,
    ) -> Result<BTreeSet<String>, Refusal> {
        let mut topics = watched.topics.clone();
        for change in changes {
            let TopicChange::Topic(topic) = change else { return self.matching(watched).await };
            let name = topic.to_string();
            if !self.door.broker.is_stored(topic).await.map_err(refusal)? {
                topics.remove(&name);
            } else if watched.pattern.matches(&name) {
                topics.insert(name);
            }
        }
        Ok(topics)
    }

    async fn matching(&self, watched: &Watched) -> Result<BTreeSet<String>, Refusal> {
        let listed = self.door.broker.topics(&watched.namespace, TopicsMode::Persistent).await;
        let mut topics = listed.map_err(refusal)?;
        topics.retain(|topic| watched.pattern.matches(topic));
        Ok(topics.into_iter().collect())
    }

    /// Notes a watcher, in the place of one that had its id; `None`: there are too many.
    fn add_watcher(&self, id: u64) -> Option<CancellationToken> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if WATCHERS_MAX <= watchers.0.len() && !watchers.0.contains_key(&id) {
            return None;
        }
        let stop = CancellationToken::new();
        if let Some(before) = watchers.0.insert(id, stop.clone()) {
            before.cancel();
        }
        Some(stop)
    }

    fn remove_watcher(&self, id: u64) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = watchers.0.remove(&id) {
            stop.cancel();
        }
    }
}

fn watched(
    command: &CommandWatchTopicList,
) -> Result<(NamespaceName, topic_list::Pattern), Refusal> {
    let namespace = command.namespace.parse().map_err(refusal)?;
    let pattern = topic_list::Pattern::new(&command.topics_pattern).ok_or_else(|| {
        Refusal::not_allowed(format!(
            "The topic pattern {:?} can't be watched with: it is too long or no regular expression of \
             linear time",
            command.topics_pattern
        ))
    })?;
    Ok((namespace, pattern))
}

fn update(watched: &Watched, topics: &BTreeSet<String>) -> CommandWatchTopicUpdate {
    let names: Vec<String> = topics.iter().cloned().collect();
    CommandWatchTopicUpdate {
        watcher_id: watched.watcher_id,
        new_topics: topics.difference(&watched.topics).cloned().collect(),
        deleted_topics: watched.topics.difference(topics).cloned().collect(),
        topics_hash: topic_list::hash(&names),
    }
}
