//! The topic's end: unload, deletion, loss of ownership; and termination, which is no end.

use geminga_env::Instant;
use geminga_types::Position;
use std::time::Duration;
use tracing::{error, info, warn};

use super::{
    super::{Reply, consumers::refuse_in_use},
    Topic,
    background::Lost,
};
use crate::AdminError;

/// How long an unload or a deletion waits for what is in flight.
pub(super) const UNLOAD_TIME_MAX: Duration = Duration::from_secs(10);

/// Where the topic is in its life.
pub(super) enum Phase {
    /// Open for everything.
    Serving,
    /// Takes no more messages; waits for those in flight, so that each gets its receipt.
    Draining { replies: Vec<Reply<()>>, deadline: Instant },
    /// Nobody is attached; acks and ledgers are being closed.
    Sealing { replies: Vec<Reply<()>>, deadline: Instant },
    /// Nobody is attached; jobs are being counted out, so that none writes after the deletion.
    Deleting {
        asked: Vec<Reply<Result<(), AdminError>>>,
        replies: Vec<Reply<()>>,
        deadline: Instant,
    },
    /// The task ends.
    Ended { replies: Vec<Reply<()>> },
}

impl Phase {
    const fn replies(&mut self) -> Option<&mut Vec<Reply<()>>> {
        match self {
            Self::Serving => None,
            Self::Draining { replies, .. }
            | Self::Sealing { replies, .. }
            | Self::Deleting { replies, .. }
            | Self::Ended { replies } => Some(replies),
        }
    }
}

/// How long an unload that ends at `deadline` waits for dead letters that are being published: their
/// topic may hang, and the acks of others are still to be stored.
pub(super) fn letters_until(deadline: Instant) -> Instant {
    deadline - UNLOAD_TIME_MAX / 2
}

impl Topic {
    /// Whether it is open for everything.
    pub(super) const fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving)
    }

    pub(super) fn start_unload(&mut self, reply: Option<Reply<()>>) {
        match self.phase.replies() {
            Some(replies) => replies.extend(reply),
            None => {
                info!(topic = %self.name, "unloading");
                self.cancel_compaction();
                self.cancel_indexing();
                let deadline = self.now() + UNLOAD_TIME_MAX;
                self.phase = Phase::Draining { replies: reply.into_iter().collect(), deadline };
            }
        }
    }

    pub(super) fn prepare_delete(&mut self, force: bool, reply: Reply<Result<(), AdminError>>) {
        let (producers, consumers) = (self.producers.len(), self.consumers.len());
        if !force && let Err(refusal) = refuse_in_use(&self.name, producers, consumers) {
            _ = reply.send(Err(refusal));
            return;
        }
        if let Phase::Deleting { asked, .. } = &mut self.phase {
            asked.push(reply);
            return;
        }
        if matches!(self.phase, Phase::Ended { .. }) {
            _ = reply.send(Ok(()));
            return;
        }
        self.close_all();
        self.cancel_compaction();
        self.ledger.abandon();
        self.cancel_indexing();
        let replies = self.phase.replies().map(std::mem::take).unwrap_or_default();
        let deadline = self.now() + UNLOAD_TIME_MAX;
        self.phase = Phase::Deleting { asked: vec![reply], replies, deadline };
    }

    /// Ends the task once every job has answered. Until then the topic is neither deleted nor loaded
    /// again: what a job still writes would be found by a topic of the same name. True: it moved.
    fn count_out(&mut self) -> bool {
        let now = self.now();
        while let Some(job) = self.ledger.poll_job() {
            self.spawn_job(job);
        }
        let Phase::Deleting { asked, replies, deadline } = &mut self.phase else { return false };
        if self.jobs == 0 && !self.compaction.has_pass() && !self.delayed.has_pass() {
            for reply in std::mem::take(asked) {
                _ = reply.send(Ok(()));
            }
            self.end();
            return true;
        }
        if now < *deadline {
            return false;
        }
        let jobs = self.jobs;
        warn!(topic = %self.name, jobs, "not deleted: jobs have not ended in time");
        for reply in std::mem::take(asked) {
            let text = format!("Topic {} is not deleted: {jobs} jobs have not ended", self.name);
            _ = reply.send(Err(AdminError::Unavailable(text)));
        }
        if replies.is_empty() {
            *deadline = now + UNLOAD_TIME_MAX;
            return false;
        }
        self.end();
        true
    }

    /// A job will not answer, which its managed ledger waits for: only another load helps.
    pub(super) fn on_job_lost(&mut self, job: &'static str, lost: Lost) {
        error!(topic = %self.name, job, %lost, "a job was lost; the topic closes and loads again");
        if let Phase::Deleting { asked, .. } = &mut self.phase {
            for reply in std::mem::take(asked) {
                let text = format!("Topic {} is not deleted: job {job}: {lost}", self.name);
                _ = reply.send(Err(AdminError::Unavailable(text)));
            }
        }
        self.close_all();
        self.end();
    }

    /// Moves on through the phases of an unload, as far as it can now. False: it did not move.
    pub(super) fn move_phase(&mut self) -> bool {
        self.tell_end_of_topic();
        self.answer_terminations();
        if matches!(self.phase, Phase::Deleting { .. }) {
            return self.count_out();
        }
        if self.ledger.is_fenced() && !matches!(self.phase, Phase::Ended { .. }) {
            warn!(topic = %self.name, "another owner has taken over; closing");
            self.close_all();
            self.end();
            return true;
        }
        let now = self.now();
        let has_dead_letters_out = self.has_dead_letters_out();
        if let Phase::Draining { replies, deadline } = &mut self.phase
            && (self.pending.is_empty()
                && !(has_dead_letters_out && now < letters_until(*deadline))
                || *deadline <= now)
        {
            self.phase = Phase::Sealing { replies: std::mem::take(replies), deadline: *deadline };
            self.close_all();
            let names: Vec<_> = self.unflushed.iter().cloned().collect();
            names.iter().for_each(|name| self.flush_acks(name));
            self.store_records();
            return true;
        }
        if let Phase::Sealing { deadline, .. } = &self.phase {
            let deadline = *deadline;
            let is_quiet = self.subscriptions.values().all(|sub| sub.in_flight.is_empty())
                && !self.compaction.has_pass()
                && !self.delayed.has_pass()
                && self.deduplication.as_ref().is_none_or(|it| it.is_quiet());
            if is_quiet && !self.has_busy_names() {
                self.ledger.close();
            }
            if deadline <= now {
                warn!(topic = %self.name, "not sealed in time; the next load recovers it");
                self.end();
                return true;
            }
        }
        false
    }

    /// Ends the task once nothing is left to be sealed, which may be as soon as jobs were polled.
    pub(super) fn end_if_sealed(&mut self) -> bool {
        let is_sealed = matches!(self.phase, Phase::Sealing { .. }) && self.ledger.is_closed();
        if is_sealed {
            self.end();
        }
        is_sealed
    }

    fn end(&mut self) {
        let replies = self.phase.replies().map(std::mem::take).unwrap_or_default();
        self.phase = Phase::Ended { replies };
    }

    /// Closes every producer and consumer from our side; clients look the topic up again.
    pub(super) fn close_all(&mut self) {
        self.producers.close_all(self.closing());
        let names: Vec<_> = self.subscriptions.keys().cloned().collect();
        names.iter().for_each(|name| self.close_consumers_of(name));
        self.subscriptions.values_mut().for_each(|sub| sub.view = None);
        self.fail_busy();
    }

    pub(super) fn terminate(&mut self, reply: Reply<Result<Position, AdminError>>) {
        self.ledger.terminate();
        self.terminating.push(reply);
    }

    fn answer_terminations(&mut self) {
        if !self.terminating.is_empty() && self.ledger.is_terminated() && self.pending.is_empty() {
            let last = self.ledger.last_position().unwrap_or(Position::EARLIEST);
            for reply in std::mem::take(&mut self.terminating) {
                _ = reply.send(Ok(last));
            }
        }
    }
}

impl Drop for Topic {
    /// However the task ends, a panic included, nobody is left attached to nothing.
    fn drop(&mut self) {
        self.producers.close_all(self.closing());
        self.consumers.values().for_each(|consumer| consumer.tell_closed());
        for sub in self.subscriptions.values_mut() {
            sub.fail_waiters("the topic was closed");
        }
        if let Phase::Ended { replies } = &mut self.phase {
            for reply in std::mem::take(replies) {
                _ = reply.send(());
            }
        }
    }
}
