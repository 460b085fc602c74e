//! Drives one consumer: receives, times and acks.

use std::sync::Arc;

use anyhow::Result;
use geminga_client::{Consumer, Message, MessageId, consumer::ReceiveError};

use super::{
    figures::Figures,
    payload::Payload,
    run::{Run, Window},
};

pub(super) struct Receiver {
    pub(super) run: Arc<Run>,
    pub(super) consumer: Consumer,
    /// What tells when a message was due; otherwise its publish time, in milliseconds, does.
    pub(super) due_in: Option<Payload>,
}

/// Messages taken at a time.
const TAKE_MAX: usize = 256;

impl Receiver {
    /// Receives until the run is finished.
    pub(super) async fn run(mut self) -> Result<Figures> {
        let mut figures = Figures::new();
        let (mut messages, mut ids) = (Vec::new(), Vec::new());
        let run = Arc::clone(&self.run);
        loop {
            tokio::select! {
                biased;
                () = run.finished() => break,
                received = self.consumer.receive_many(&mut messages, TAKE_MAX) => match received {
                    Ok(()) => {}
                    Err(ReceiveError::Closed) => break,
                    Err(error @ ReceiveError::Unreadable { .. }) => figures.failed(error),
                    Err(error) => return Err(error.into()),
                }
            }
            let window = run.start();
            ids.extend(messages.iter().map(|message: &Message| message.id));
            self.record(&mut messages, &window, &mut figures);
            self.ack(&mut ids).await?;
        }
        // A server that is stuck must not hold up the report.
        _ = tokio::time::timeout(super::GRACE, self.consumer.close()).await;
        Ok(figures)
    }

    fn record(&self, messages: &mut Vec<Message>, window: &Window, figures: &mut Figures) {
        let count = u64::try_from(messages.len()).unwrap_or(0);
        let now = self.run.now();
        let wall = self.run.env.clock.wall().0;
        for message in messages.drain(..) {
            let due = match &self.due_in {
                Some(payload) => match payload.read(&message.payload) {
                    Some(due) => due,
                    None => continue, // Of another run.
                },
                None => {
                    let age_ms = wall.saturating_sub(message.publish_time.0);
                    now.saturating_sub(age_ms.saturating_mul(1_000_000))
                }
            };
            let size = u64::try_from(message.payload.len()).unwrap_or(0);
            figures.done(window, due, now, size);
        }
        if self.run.on_received(count) && self.due_in.is_none() {
            self.run.stop();
        }
    }

    async fn ack(&self, ids: &mut Vec<MessageId>) -> Result<()> {
        let outcome = self.consumer.control().ack_many(ids).await;
        ids.clear();
        Ok(outcome?)
    }
}
