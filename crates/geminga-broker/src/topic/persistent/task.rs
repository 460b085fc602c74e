//! The task: waits for events, completions and time, and lets the topic decide.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use geminga_env::{Instant, Share};
use geminga_managed_ledger::ManagedLedger;
use geminga_types::TopicName;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, error, info_span, warn};

use super::{
    super::{
        TopicHandle,
        inbox::Inbox,
        mailbox::{Receiver, mailbox},
        rates::Flow,
    },
    Deduplication, Topic, TopicDeps,
    close::{Phase, letters_until},
    compaction::Compaction,
    delayed::Delayed,
    tail::Tail,
};
use crate::{ownership::Grant, policies::TopicPolicies};

/// Most events handled before completions are looked at again.
const BATCH: usize = 64;

/// What waits for a wall-clock time is looked at as often, since that clock may be set.
const CLOCK_STEPS_NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// Starts the task of a topic whose ledgers are open.
pub(in crate::topic) fn spawn(
    name: TopicName,
    (ledger, deduplication): (ManagedLedger, Option<Box<Deduplication>>),
    policies: Arc<TopicPolicies>,
    grant: Grant,
    deps: TopicDeps,
    shutdown: CancellationToken,
) -> TopicHandle {
    let (mailbox, inbox) = mailbox();
    let now = deps.ledger.env.clock.now();
    let tasks = deps.tasks.clone();
    let timers = Share::of(deps.timers.clone());
    let mut topic = Box::new(Topic {
        delayed: Delayed::new(ledger.end(), timers),
        name: name.clone(),
        next_trim: now + deps.options.trim_interval,
        audits: 0,
        unused_since: now,
        deps,
        policies,
        grant,
        backlog: super::quota::Backlog::default(),
        compaction: Compaction::new(now),
        deduplication,
        is_closing_producers: false,
        is_expiring: false,
        inbox: Inbox::default(),
        mailbox: mailbox.downgrade(),
        jobs: 0,
        pending: std::collections::VecDeque::new(),
        tail: Tail::default(),
        producers: super::super::producers::Producers::new(ledger.epoch()),
        consumers: std::collections::BTreeMap::new(),
        admission: super::super::admission::Admission::default(),
        subscriptions: std::collections::BTreeMap::new(),
        busy: std::collections::BTreeMap::new(),
        ready: std::collections::BTreeSet::new(),
        limiter: None,
        group: None,
        last_throttled: None,
        throttled: std::collections::BTreeSet::new(),
        unflushed: std::collections::BTreeSet::new(),
        snapshots: std::collections::BTreeMap::new(),
        next_key: 0,
        next_incarnation: 0,
        phase: Phase::Serving,
        flow_in: Flow::new(now),
        flow_out: Flow::new(now),
        last_publish_time: 0,
        appends: None,
        reads: None,
        terminating: Vec::new(),
        noting: std::collections::VecDeque::new(),
        truncation: super::properties::Truncation::default(),
        ledger,
    });
    topic.apply_policies();
    topic.adopt_recovered_cursors();
    topic.refresh_indexed();
    topic.release_horizon();
    let span = info_span!("topic", topic = %name);
    let run = AssertUnwindSafe(run(topic, inbox, shutdown)).catch_unwind();
    // Not an async block, which would hold the future twice.
    let guarded = run.map(move |ended| {
        if ended.is_err() {
            error!(topic = %name, "a panic closed this topic; it loads again when it is asked for");
        }
    });
    tasks.spawn(guarded.instrument(span));
    TopicHandle { mailbox }
}

async fn run(mut topic: Box<Topic>, mut mailbox: Receiver, shutdown: CancellationToken) {
    let grant = topic.grant.clone();
    let inbox = topic.inbox.clone();
    // They grow when a topic is busy: most are not.
    let mut events = Vec::new();
    let mut has_handles = true;
    topic.pump();
    while !matches!(topic.phase, Phase::Ended { .. }) {
        let timeout = topic.next_timeout();
        let is_serving = matches!(topic.phase, Phase::Serving);
        let has_snapshots = !topic.snapshots.is_empty();
        tokio::select! {
            biased;
            () = shutdown.cancelled(), if is_serving => topic.start_unload(None),
            () = grant.revoked(), if is_serving => {
                warn!(bundle = grant.bundle(), epoch = grant.epoch(), "ownership was revoked; closing");
                topic.start_unload(None);
            }
            () = inbox.arrived() => topic.on_arrived(),
            () = tokio::time::sleep_until(timeout) => {
                topic.on_timeout();
                events.shrink_to_fit();
                mailbox.shrink();
            }
            count = mailbox.recv_many(&mut events, BATCH), if has_handles => {
                if count == 0 {
                    has_handles = false;
                    topic.start_unload(None);
                }
                events.drain(..).for_each(|event| topic.on_event(event));
            }
            // Behind all else, and others have their turn too.
            () = tokio::task::yield_now(), if has_snapshots => topic.go_on_with_snapshots(),
        }
        topic.pump();
    }
    mailbox.close();
    drop(topic); // Answers who waited; then the mailbox, so that "gone" means all that.
}

impl Topic {
    fn next_timeout(&self) -> Instant {
        let now = self.now();
        let mut at = self.next_trim;
        if self.policies.compaction_threshold.is_some() {
            at = at.min(self.compaction.next_look);
        }
        if let Some(retry_at) = self.delayed.retry_at()
            && matches!(self.phase, Phase::Serving)
        {
            at = at.min(retry_at);
        }
        if let Some(timeout) = self.ledger.next_timeout() {
            at = at.min(timeout);
        }
        if let Some(timeout) = self.deduplication_timeout() {
            at = at.min(timeout);
        }
        for name in &self.unflushed {
            if let Some(flush_at) = self.subscriptions.get(name).and_then(|sub| sub.flush_at) {
                at = at.min(flush_at);
            }
        }
        let wall = self.deps.ledger.env.clock.wall().0;
        for sub in self.subscriptions.values() {
            if let Some(due) = sub.machine.next_timeout() {
                let wait = Duration::from_millis(due.saturating_sub(wall));
                at = at.min(now + wait.min(CLOCK_STEPS_NOTICED_WITHIN));
            }
        }
        match &self.phase {
            Phase::Draining { deadline, .. } if self.now() < letters_until(*deadline) => {
                at.min(letters_until(*deadline))
            }
            Phase::Draining { deadline, .. }
            | Phase::Sealing { deadline, .. }
            | Phase::Deleting { deadline, .. } => at.min(*deadline),
            Phase::Serving | Phase::Ended { .. } => at,
        }
    }

    fn on_timeout(&mut self) {
        let now = self.now();
        self.ledger.on_timeout(now);
        let wall = self.deps.ledger.env.clock.wall();
        for (name, sub) in &self.subscriptions {
            if sub.machine.next_timeout().is_some_and(|due| due <= wall.0) {
                self.ready.insert(name.clone());
            }
        }
        if self.compaction.next_look <= now {
            self.compaction.next_look = now + self.deps.options.compaction.monitor_interval;
            self.look_at_threshold();
        }
        if self.next_trim <= now {
            self.next_trim = now + self.deps.options.trim_interval;
            self.ledger.trim(self.slowest(), wall);
            self.drop_abandoned();
            self.forget_producers();
            self.delete_unused();
            self.look_for_expired();
            self.look_at_age();
            self.audit();
            self.ready.extend(self.subscriptions.keys().cloned()); // The clock may have stepped back.
            self.shrink_delayed();
            self.shrink();
        }
    }
}
