//! Work that the topic starts on its tracker and whose answer it waits for.
//!
//! # Invariants
//!
//! 1. Each work is answered exactly once, however it ends: by itself, at its deadline, or, after a
//!    panic or when it is dropped, by its guard.
//! 2. An answer names the attempt that it is for; one for another attempt has no effect.

use std::{sync::Arc, time::Duration};

use geminga_managed_ledger::{Job, JobDone};
use geminga_subscription::{ReadFailed, ReadId};
use geminga_types::Ordinal;

use super::{
    super::inbox::Inbox,
    SubscriptionName, Topic,
    compacted_view::Found,
    compaction::{Chosen, Written},
    delayed::{LoadError, Loaded, Made},
    expiry::Expired,
    expiry_by_request::ExpiryFound,
};
use crate::dead_letter::Outcome;

/// How long a read may take, the wait for its budget included.
pub(super) const READ_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a job of the managed ledger may take.
const JOB_TIME_MAX: Duration = Duration::from_secs(120);

/// What comes back.
#[derive(Debug)]
pub(super) enum Answer {
    Job {
        name: &'static str,
        /// Boxed: it is far larger than the others.
        result: Result<Box<JobDone>, Lost>,
    },
    Read {
        subscription: SubscriptionName,
        incarnation: u64,
        id: ReadId,
        result: Result<Found, ReadFailed>,
    },
    /// What the index of delayed entries has.
    Loaded {
        subscription: SubscriptionName,
        incarnation: u64,
        id: ReadId,
        result: Result<Loaded, LoadError>,
    },
    /// A bucket of that index. Boxed: it is larger than the others.
    Bucket {
        attempt: u64,
        result: Result<Box<Made>, String>,
    },
    SeekFound {
        subscription: SubscriptionName,
        attempt: u64,
        result: Result<Ordinal, String>,
    },
    /// What is past its time; `None`: that was not found out.
    Expired {
        found: Option<Expired>,
    },
    /// Boxed: it is larger than the others.
    ExpiryFound(Box<ExpiryFound>),
    /// The oldest unacked entry, and when it was published, if that was found out.
    Oldest {
        found: Option<(Ordinal, u64)>,
    },
    /// The first pass of a compaction. Boxed: it is far larger than the others.
    Chosen {
        attempt: u64,
        result: Result<Box<Chosen>, String>,
    },
    /// The second.
    Written {
        attempt: u64,
        result: Result<Box<Written>, String>,
    },
    /// Boxed: it is larger than the others.
    DeadLetters {
        subscription: SubscriptionName,
        incarnation: u64,
        outcome: Box<Outcome>,
    },
    StartFound {
        subscription: SubscriptionName,
        attempt: u64,
        result: Result<Ordinal, String>,
    },
}

/// Why work has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Lost {
    #[error("it took more than {} s", .0.as_secs())]
    TooLong(Duration),
    #[error("it ended without a result")]
    Ended,
}

/// Makes an answer of a result, or of there being none.
type Making<T> = Box<dyn FnOnce(Result<T, Lost>) -> Answer + Send>;

/// Answers once: with what it is given, or when it is dropped.
struct Guard<T> {
    inbox: Inbox<Answer>,
    making: Option<Making<T>>,
}

impl<T> Guard<T> {
    fn put(&mut self, result: Result<T, Lost>) {
        if let Some(making) = self.making.take() {
            self.inbox.put_answer(making(result));
        }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        self.put(Err(Lost::Ended));
    }
}

impl Topic {
    /// Runs `work` for at most `time_max`. What `making` makes of its result comes to
    /// [`Self::on_answer`].
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        time_max: Duration,
        work: impl Future<Output = T> + Send + 'static,
        making: impl FnOnce(Result<T, Lost>) -> Answer + Send + 'static,
    ) {
        let mut guard = Guard { inbox: self.inbox.clone(), making: Some(Box::new(making)) };
        let deadline = self.now() + time_max;
        self.deps.tasks.spawn(async move {
            let result = tokio::time::timeout_at(deadline, work).await;
            guard.put(result.map_err(|_| Lost::TooLong(time_max)));
        });
    }

    pub(super) fn spawn_job(&mut self, job: Job) {
        self.jobs += 1;
        let deps = self.deps.ledger.clone();
        let options = Arc::clone(&self.deps.options);
        let name = job.name();
        let work = async move {
            options.trace(name, true);
            let done = job.run(&deps).await;
            options.trace(name, false);
            Box::new(done)
        };
        self.spawn(JOB_TIME_MAX, work, move |result| Answer::Job { name, result });
    }

    pub(super) fn on_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Job { name, result } => {
                debug_assert!(0 < self.jobs, "an answer for each job");
                self.jobs = self.jobs.saturating_sub(1);
                match result {
                    Ok(done) => self.on_job_done(*done),
                    Err(lost) => self.on_job_lost(name, lost),
                }
            }
            Answer::Read { subscription, incarnation, id, result } => {
                self.note_stored_read(&result);
                if let Ok(found) = &result {
                    self.delayed.note_damaged(found.damaged);
                }
                if let Some(sub) = self.sub_mut(&subscription)
                    && sub.incarnation == incarnation
                {
                    sub.on_read(id, result);
                    self.ready.insert(subscription);
                }
            }
            Answer::Loaded { subscription, incarnation, id, result } => {
                self.on_loaded(subscription, incarnation, id, result);
            }
            Answer::Bucket { attempt, result } => self.on_bucket_made(attempt, result),
            Answer::SeekFound { subscription, attempt, result } => {
                self.on_seek_found(&subscription, attempt, result);
            }
            Answer::Expired { found } => self.on_expired(found.as_ref()),
            Answer::ExpiryFound(found) => self.on_expiry_found(*found),
            Answer::Oldest { found } => self.on_oldest(found),
            Answer::Chosen { attempt, result } => self.on_chosen(attempt, result),
            Answer::Written { attempt, result } => self.on_written(attempt, result),
            Answer::DeadLetters { subscription, incarnation, outcome } => {
                self.on_dead_letters(&subscription, incarnation, *outcome);
            }
            Answer::StartFound { subscription, attempt, result } => {
                self.on_start_found(&subscription, attempt, result);
            }
        }
    }

    fn on_job_done(&mut self, done: JobDone) {
        let (now, first) = (self.now(), self.ledger.first());
        self.ledger.on_job_done(done, now);
        if self.ledger.first() != first {
            self.note_trimmed();
        }
    }
}
