//! The reader: decodes all complete frames of a wake-up and carries out their commands in order.
//!
//! SENDs are collected, and handed to their topics together once the wake-up's frames are decoded or
//! a command comes that could depend on them. ACK, FLOW, PING and PONG can't: the answer to a SEND
//! is its receipt.

use std::{pin::pin, sync::Arc};

use geminga_env::{Instant, net::Stream};
use geminga_wire::{
    frame::{Command, Frame},
    proto::Body,
};
use tokio::io::ReadHalf;
use tracing::debug;

use super::{
    Connection,
    consumers::Acks,
    end::{Ended, Violation},
    incoming::{Incoming, LARGE_FRAME_TIMEOUT},
    sends::Sends,
    unsupported,
};
use crate::permission::{Permission, required_permission};

struct Reader {
    connection: Arc<Connection>,
    sends: Sends,
    acks: Acks,
}

/// Reads until the connection ends, and says why it did.
pub(super) async fn run(
    connection: Arc<Connection>,
    mut read: ReadHalf<Stream>,
    mut incoming: Incoming,
) -> Ended {
    let keep_alive = connection.options().keep_alive;
    let mut silence = Silence::new(connection.now());
    let mut timer = pin!(tokio::time::sleep_until(connection.now() + keep_alive));
    let mut reader = Reader { connection, sends: Sends::default(), acks: Acks::default() };
    loop {
        if let Err(ended) = reader.carry_out(&mut incoming).await {
            return ended;
        }
        let large_frames = &reader.connection.options().large_frames;
        let incomplete_until = tokio::select! {
            biased;
            () = reader.connection.closed.cancelled() => return Ended::Closed,
            until = incoming.admit(large_frames, &*reader.connection.env().clock) => until,
        };
        // While frames were carried out we may have kept the client waiting: that does not count.
        silence.broken(reader.connection.now());
        loop {
            tokio::select! {
                biased;
                () = reader.connection.closed.cancelled() => return Ended::Closed,
                read = incoming.read(&mut read) => match read {
                    Ok(0) if incoming.len() == 0 => return Ended::ByPeer,
                    Ok(0) => return Ended::Truncated { bytes: incoming.len() },
                    Ok(_) => break,
                    Err(error) => return Ended::Failed(error),
                },
                () = std::future::ready(()), if reader.sends.unread.is_behind() => {
                    reader.sends.unread.caught_up();
                }
                () = at(incomplete_until) => {
                    let bytes = incoming.len();
                    return Violation::SlowFrame { bytes, limit: LARGE_FRAME_TIMEOUT }.into();
                }
                () = &mut timer, if !keep_alive.is_zero() => {
                    let now = reader.connection.now();
                    match silence.on_timer(now, keep_alive) {
                        Next::Wait(until) => timer.as_mut().reset(until),
                        Next::Ping(until) => {
                            incoming.release();
                            reader.connection.ping();
                            timer.as_mut().reset(until);
                        }
                        Next::GiveUp => return Ended::Silent { limit: keep_alive * 2 },
                    }
                }
            }
        }
    }
}

/// Waits until then; for ever, if there is no such time.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Reader {
    /// Carries out every complete frame.
    async fn carry_out(&mut self, incoming: &mut Incoming) -> Result<(), Ended> {
        while let Some(frame) = incoming.next()? {
            self.on_frame(frame).await?;
        }
        self.flush().await;
        if self.connection.answers_are_read().await {
            return Ok(());
        }
        let limit = self.connection.options().outbox_high_water_bytes;
        Err(Violation::AnswersUnread { limit }.into())
    }

    async fn flush(&mut self) {
        self.sends.flush(&self.connection).await;
        self.acks.flush(&self.connection).await;
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<(), Ended> {
        let Frame { command, payload } = frame;
        match command {
            Command::Send(send) => {
                let entry = payload.unwrap_or_default();
                self.sends.add(&self.connection, send, entry).await?;
            }
            Command::Ack(ack) => self.connection.on_ack(ack, &mut self.acks).await,
            Command::Flow(flow) => {
                self.acks.flush(&self.connection).await;
                self.connection.on_flow(flow).await;
            }
            Command::Ping => self.connection.answer_ping(),
            Command::Pong => {} // That anything came is what counts.
            Command::Other(body) => {
                self.flush().await;
                // Boxed, as these are rare and what they need would be held by every connection.
                Box::pin(self.on_body(*body)).await?;
            }
        }
        Ok(())
    }

    async fn on_body(&mut self, body: Body) -> Result<(), Ended> {
        let connection = &self.connection;
        if required_permission(body.kind()) == Permission::ServerOnly {
            return Err(Violation::ServerOnly(body.kind()).into());
        }
        match body {
            Body::Connect(_) => return Err(Violation::ConnectedTwice.into()),
            Body::Producer(command) => connection.on_producer(command).await,
            Body::CloseProducer(command) => connection.on_close_producer(&command),
            Body::Subscribe(command) => connection.on_subscribe(command).await,
            Body::CloseConsumer(command) => connection.on_close_consumer(&command),
            Body::RedeliverUnacknowledgedMessages(command) => {
                connection.on_redeliver(command).await;
            }
            Body::Unsubscribe(command) => connection.on_unsubscribe(command).await,
            Body::Seek(command) => connection.on_seek(command).await,
            Body::GetLastMessageId(command) => connection.on_get_last_message_id(command).await,
            Body::ConsumerStats(command) => connection.on_consumer_stats(command).await,
            Body::LookupTopic(command) => connection.on_lookup(command).await,
            Body::PartitionMetadata(command) => connection.on_partitioned_metadata(command).await,
            Body::GetTopicsOfNamespace(command) => connection.on_get_topics(command).await,
            Body::WatchTopicList(command) => connection.on_watch_topics(command),
            Body::WatchTopicListClose(command) => connection.on_close_watch(&command),
            Body::GetSchema(command) => connection.on_get_schema(command).await,
            Body::GetOrCreateSchema(command) => connection.on_get_or_create_schema(command).await,
            other => match unsupported::refuse(&other) {
                Some(Some(answer)) => connection.answer(answer),
                Some(None) => {}
                None => debug!(peer = %connection.peer, kind = ?other.kind(), "ignored"),
            },
        }
        Ok(())
    }
}

/// How long nothing has come.
#[derive(Debug)]
struct Silence {
    since: Instant,
    is_pinged: bool,
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait(Instant),
    Ping(Instant),
    GiveUp,
}

impl Silence {
    const fn new(now: Instant) -> Self {
        Self { since: now, is_pinged: false }
    }

    const fn broken(&mut self, now: Instant) {
        self.since = now;
        self.is_pinged = false;
    }

    fn on_timer(&mut self, now: Instant, keep_alive: std::time::Duration) -> Next {
        let ping_at = self.since + keep_alive;
        let give_up_at = ping_at + keep_alive;
        if now < ping_at {
            Next::Wait(ping_at)
        } else if !self.is_pinged {
            self.is_pinged = true;
            Next::Ping(now + keep_alive)
        } else if now < give_up_at {
            Next::Wait(give_up_at)
        } else {
            Next::GiveUp
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use geminga_env::{Clock as _, sim::SimClock};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_pinged_once_and_given_up() {
        let keep_alive = Duration::from_secs(30);
        let start = SimClock::new().now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(start);
        silence.broken(at(10));
        assert_eq!(silence.on_timer(at(30), keep_alive), Next::Wait(at(40)));
        assert_eq!(silence.on_timer(at(40), keep_alive), Next::Ping(at(70)));
        assert_eq!(silence.on_timer(at(69), keep_alive), Next::Wait(at(70)));
        assert_eq!(silence.on_timer(at(70), keep_alive), Next::GiveUp);
    }

    #[tokio::test(start_paused = true)]
    async fn any_byte_breaks_the_silence() {
        let keep_alive = Duration::from_secs(30);
        let start = SimClock::new().now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::new(start);
        assert_eq!(silence.on_timer(at(30), keep_alive), Next::Ping(at(60)));
        silence.broken(at(31));
        assert_eq!(silence.on_timer(at(60), keep_alive), Next::Wait(at(61)));
        assert_eq!(silence.on_timer(at(61), keep_alive), Next::Ping(at(91)));
    }
}
