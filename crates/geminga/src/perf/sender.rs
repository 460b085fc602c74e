//! Drives the producers of one connection.

use std::sync::Arc;

use anyhow::Result;
use geminga_client::{
    OutgoingMetadata, Producer,
    producer::{Outcome, OutgoingMessage, Receipts},
};

use super::{
    GRACE,
    alarm::Alarm,
    figures::Figures,
    options::Sending,
    payload::Payload,
    run::{Run, Window, nanos},
    schedule::{Due, Pace, Schedule},
};

pub(super) struct Sender {
    run: Arc<Run>,
    producers: Vec<Producer>,
    schedule: Schedule,
    /// Which of how many senders, and how far apart all their messages are.
    pace: Option<(f64, f64)>,
    in_flight: u32,
    count_max: Option<u64>,
    messages: Messages,
    figures: Figures,
}

/// What is sent.
struct Messages {
    payload: Payload,
    keys: Vec<String>,
    next_key: usize,
}

/// A token is when the message was due, and behind it, in so many bits, whose it is.
const LANE_BITS: u32 = 20;

impl Sender {
    pub(super) fn new(
        run: &Arc<Run>,
        producers: Vec<Producer>,
        sending: &Sending,
        (index, count): (usize, usize),
        payload: Payload,
    ) -> Self {
        let (nth, all) = (whole(index), whole(count));
        let nanos_per_second = 1e9;
        let pace = (0.0 < sending.rate).then(|| {
            let apart = nanos_per_second / sending.rate;
            (apart * f64::from(nth), apart * f64::from(all))
        });
        // What can't be divided goes to the first.
        let count_max = run.messages_max().map(|messages| {
            let (nth, all) = (u64::from(nth), u64::from(all).max(1));
            messages / all + u64::from(nth < messages % all)
        });
        Self {
            run: Arc::clone(run),
            producers,
            schedule: Schedule::new(Pace::Free, 0, 0, None),
            pace,
            in_flight: sending.in_flight,
            count_max,
            messages: Messages {
                payload,
                keys: (0..sending.keys).map(|index| format!("key-{index}")).collect(),
                next_key: 0,
            },
            figures: Figures::new(),
        }
    }

    /// Sends until all is sent, or it was long enough, and waits for the receipts.
    pub(super) async fn run(mut self) -> Result<Figures> {
        let window = self.run.window().await;
        self.schedule = self.new_schedule(window.start);
        let alarm = Alarm::new()?;
        let mut receipts = Receipts::new();
        let (mut due, mut outcomes) = (Vec::new(), Vec::new());
        let last = window.to.map(|to| self.run.instant(to));
        let run = Arc::clone(&self.run);
        let mut give_up_at = None;
        while !self.schedule.is_done() {
            self.schedule.take(run.now(), &mut due);
            self.send(&mut due, &receipts).await;
            let next = self.schedule.next_due().map(|at| run.instant(at));
            let has_more = self.schedule.has_ready();
            tokio::select! {
                biased;
                () = run.stopped(), if give_up_at.is_none() => {
                    give_up_at = Some(self.stop());
                }
                () = receipts.take(&mut outcomes) => self.take(&mut outcomes, &window),
                () = sleep_until(last), if give_up_at.is_none() => give_up_at = Some(self.stop()),
                () = sleep_until(give_up_at) => break,
                woken = alarm.at(&run.env, next), if !has_more => woken?,
                () = tokio::task::yield_now(), if has_more => {}
            }
        }
        Ok(self.figures)
    }

    fn new_schedule(&self, start: u64) -> Schedule {
        #[expect(clippy::cast_precision_loss, reason = "a run's times are far below 2^52 ns")]
        let pace = self.pace.map_or(Pace::Free, |(offset, interval)| Pace::Every {
            first: start as f64 + offset,
            interval,
        });
        Schedule::new(pace, self.producers.len(), self.in_flight, self.count_max)
    }

    /// No more; when what is on its way is given up.
    fn stop(&mut self) -> geminga_env::Instant {
        self.figures.unsent += self.schedule.held_up();
        self.schedule.stop();
        self.run.instant(self.run.now().saturating_add(nanos(GRACE)))
    }

    async fn send(&mut self, due: &mut Vec<Due>, receipts: &Receipts) {
        let mut rest = due.as_slice();
        while let Some(first) = rest.first() {
            let lane = first.lane;
            let same = rest.iter().take_while(|due| due.lane == lane).count();
            let (now, later) = rest.split_at(same);
            rest = later;
            let Some(producer) = self.producers.get(lane) else { continue };
            let messages = now.iter().copied().map(|due| self.messages.next(due));
            producer.send_many(messages, receipts).await;
        }
        due.clear();
    }

    fn take(&mut self, outcomes: &mut Vec<Outcome>, window: &Window) {
        let (now, size) = (self.run.now(), self.messages.payload.len());
        for Outcome { token, result } in outcomes.drain(..) {
            let lane = token & ((1 << LANE_BITS) - 1);
            self.schedule.answered(usize::try_from(lane).unwrap_or(usize::MAX));
            match result {
                Ok(_) => self.figures.done(window, token >> LANE_BITS, now, size),
                Err(error) => self.figures.failed(error),
            }
        }
    }
}

impl Messages {
    fn next(&mut self, due: Due) -> OutgoingMessage {
        let key = self.keys.get(self.next_key).cloned();
        self.next_key = (self.next_key + 1) % self.keys.len().max(1);
        OutgoingMessage {
            token: due.at << LANE_BITS | u64::from(whole(due.lane)),
            metadata: OutgoingMetadata { key, ..OutgoingMetadata::default() },
            payload: self.payload.write(due.at),
        }
    }
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

async fn sleep_until(at: Option<geminga_env::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
