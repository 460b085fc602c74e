//! Producers that wait to be opened: what is told them, and how they are judged, must not change.

use geminga_dedup::NAME_BYTES_MAX;
use geminga_env::Instant;

use super::{
    super::{
        super::{Reply, producers::OPENING_TIME_MAX},
        Topic,
    },
    Deduplication,
    switch::Stage,
};
use crate::{DeduplicationOptions, ProduceError, Producer, TopicError, producer::OpenProducer};

/// Somebody who waits for an answer to PRODUCER.
#[derive(Debug)]
pub(in super::super) struct Opening {
    pub(in super::super) open: OpenProducer,
    pub(in super::super) reply: Reply<Result<Producer, ProduceError>>,
    /// When it waits no longer.
    pub(super) until: Instant,
}

impl Opening {
    /// Whether a client that had exclusive access asks for it again.
    fn is_made_again_by(&self, other: &Self) -> bool {
        let of = |opening: &Self| {
            let OpenProducer { request, name, .. } = &opening.open;
            request.topic_epoch.map(|epoch| (name.clone(), request.access_mode, epoch))
        };
        of(self).is_some() && of(self) == of(other)
    }
}

impl Deduplication {
    /// Why the name cannot be opened yet.
    fn obstacle(&self, name: &str, options: &DeduplicationOptions) -> Option<&'static str> {
        let is_awaited = self.awaiting.contains(name);
        let name = name.as_bytes();
        if self.machine.is_in_flight(name) || 0 < self.unjudged {
            Some("what was sent before is not decided")
        } else if !self.is_settled() || (is_awaited && !matches!(self.stage, Stage::There)) {
            Some("it is being switched")
        } else if self.machine.is_going(name) {
            Some("the name is being forgotten")
        } else if (is_awaited || self.machine.judges_sequences()) && self.is_behind(options) {
            Some("its records are not stored")
        } else {
            None
        }
    }

    /// Whether a load would judge clients' messages as they are judged now.
    fn is_settled(&self) -> bool {
        match self.stage {
            Stage::There => self.machine.is_recorded(),
            Stage::Missing => !self.machine.judges_sequences(),
            Stage::Creating { is_judging } => !is_judging && !self.machine.judges_sequences(),
            Stage::Deleting => false,
        }
    }
}

impl Topic {
    /// Has a producer wait if it cannot be opened yet.
    pub(in super::super) fn wait_to_open(
        &mut self,
        open: OpenProducer,
        reply: Reply<Result<Producer, ProduceError>>,
    ) -> Option<(OpenProducer, Reply<Result<Producer, ProduceError>>)> {
        let until = self.now() + OPENING_TIME_MAX;
        let opening = Opening { open, reply, until };
        let obstacle = self.obstacle_to(&opening.open);
        let Some(deduplication) = self.deduplication.as_mut().filter(|_| obstacle.is_some()) else {
            return Some((opening.open, opening.reply));
        };
        // One that its client sends again, having got no answer: nobody waits for the first.
        let is_again = |before: &&mut Opening| before.is_made_again_by(&opening);
        if let Some(before) = deduplication.opening.iter_mut().find(is_again) {
            *before = opening; // Whoever waited is told that nobody answers.
        } else {
            deduplication.opening.push(opening);
        }
        None
    }

    /// Why a producer has to wait before it is told anything.
    fn obstacle_to(&self, open: &OpenProducer) -> Option<&'static str> {
        self.obstacle(&open.name).filter(|_| !self.producers.is_taken(open))
    }

    /// Why nobody may be opened under that name yet.
    pub(in super::super) fn obstacle(&self, name: &str) -> Option<&'static str> {
        let deduplication = self.deduplication.as_ref().filter(|_| self.is_serving())?;
        deduplication.obstacle(name, &self.deps.options.deduplication)
    }

    /// Refuses who claims exclusive access and has waited for too long. False: it has not.
    pub(in super::super) fn refuse_late_claim(&mut self, why: &str) -> bool {
        let is_late = self.producers.claim_until().is_some_and(|until| until <= self.now());
        if is_late {
            self.producers.refuse_claim(self.not_ready(why).into());
        }
        is_late
    }

    fn not_ready(&self, why: &str) -> TopicError {
        let reason = format!("deduplication is not ready: {why}");
        TopicError::Unavailable { topic: self.name.clone(), reason }
    }

    /// Opens producers that waited, if they can be by now. False: none was.
    pub(in super::super) fn settle_opening(&mut self) -> bool {
        let now = self.now();
        let Some(deduplication) = &mut self.deduplication else { return false };
        if deduplication.opening.is_empty() {
            return false;
        }
        let waiting = std::mem::take(&mut deduplication.opening);
        let waited = waiting.len();
        let mut still = Vec::new();
        for opening in waiting.into_iter().filter(|opening| !opening.reply.is_closed()) {
            match self.obstacle_to(&opening.open) {
                None => self.open_now(opening.open, opening.reply),
                Some(why) if opening.until <= now => {
                    _ = opening.reply.send(Err(self.not_ready(why).into()));
                }
                Some(_) => still.push(opening),
            }
        }
        let has_any = still.len() < waited;
        if let Some(deduplication) = &mut self.deduplication {
            deduplication.opening = still;
        }
        has_any
    }

    /// What a producer that opens is told, −1 without deduplication.
    pub(in super::super) fn last_sequence_id(&self, name: &str) -> Result<i64, ProduceError> {
        if NAME_BYTES_MAX < name.len() {
            let len = name.len();
            return Err(ProduceError::NotAllowed(format!(
                "Producer name has {len} bytes, the limit is {NAME_BYTES_MAX}"
            )));
        }
        let last =
            self.deduplication.as_ref().and_then(|it| it.machine.last_sequence_id(name.as_bytes()));
        Ok(last.map_or(-1, u64::cast_signed))
    }
}
