//! Error feedback: a subscription whose consumers give much of what they get back is sent less, and more
//! again as they recover.
//!
//! Each second half of the rate is taken away while too large a part is asked for again (by nacks and ack
//! timeouts), and a quarter is given back while it is not, until the rate at which it began.

use std::time::Duration;

use geminga_env::Instant;

use crate::rate::{DispatchRate, Left, Limiter};

/// The subscription property that turns it on: the largest part that may be asked for again, such as
/// `0.1`.
pub(crate) const PROPERTY: &str = "geminga.errorFeedback";

const WINDOW: Duration = Duration::from_secs(1);
/// Of fewer entries in a window nothing is concluded.
const SAMPLE_MIN: u64 = 10;
/// Windows without anything that count at most: the rate is free again after as many.
const WINDOWS_MAX: u32 = 64;

/// What is known of one subscription.
#[derive(Debug)]
pub(crate) struct Feedback {
    share_max: f64,
    since: Instant,
    sent_entries: u64,
    sent_messages: u64,
    again_entries: u64,
    /// The part that was asked for again in the last window with enough in it.
    share: f64,
    slowed: Option<Slowed>,
}

#[derive(Debug)]
struct Slowed {
    limiter: Limiter,
    rate: u64,
    /// The rate at which it began.
    from: u64,
}

impl Feedback {
    /// As the subscription's properties want it, if they do.
    pub(crate) fn wanted(properties: &[(String, String)], now: Instant) -> Option<Box<Self>> {
        let (_, value) = properties.iter().find(|(key, _)| key == PROPERTY)?;
        let share_max: f64 = value.parse().ok().filter(|share| (0.0..1.0).contains(share))?;
        let (sent_entries, sent_messages, again_entries) = (0, 0, 0);
        Some(Box::new(Self {
            share_max,
            since: now,
            sent_entries,
            sent_messages,
            again_entries,
            share: 0.0,
            slowed: None,
        }))
    }

    pub(crate) fn left(&mut self, now: Instant) -> Left {
        self.roll(now);
        self.slowed.as_ref().map_or(Left::ALL, |slowed| slowed.limiter.left(now))
    }

    pub(crate) fn note_sent(&mut self, now: Instant, entries: u64, messages: u64) {
        self.roll(now);
        self.sent_entries += entries;
        self.sent_messages += messages;
        if let Some(slowed) = &mut self.slowed {
            slowed.limiter.take(now, messages, 0);
        }
    }

    pub(crate) fn note_again(&mut self, now: Instant, entries: u64) {
        self.roll(now);
        self.again_entries += entries;
    }

    pub(crate) fn is_used_up(&self, now: Instant) -> bool {
        self.slowed.as_ref().is_some_and(|slowed| slowed.limiter.left(now).again_at.is_some())
    }

    /// What it does now, in words.
    pub(crate) fn text(&self) -> String {
        let (share, max) = (self.share.min(1.0) * 100.0, self.share_max * 100.0);
        let why = format!("{share:.0} % were asked for again, {max:.0} % may be");
        match &self.slowed {
            Some(Slowed { rate, from, .. }) => {
                format!("error feedback: {rate} messages in 1 s, it began at {from}; {why}")
            }
            None => format!("error feedback: no limit now; {why}"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a part of a count needs no 53 bits")]
    fn roll(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return;
        }
        let sent =
            self.sent_messages * 1_000 / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let is_much = SAMPLE_MIN <= self.sent_entries + self.again_entries;
        if is_much {
            self.share = self.again_entries as f64 / self.sent_entries.max(1) as f64;
        }
        if is_much && self.share_max < self.share {
            self.slow_down(sent, now);
        } else {
            let windows = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX).min(WINDOWS_MAX);
            (0..windows).for_each(|_| self.speed_up(now));
        }
        self.since = now;
        (self.sent_entries, self.sent_messages, self.again_entries) = (0, 0, 0);
    }

    fn slow_down(&mut self, sent: u64, now: Instant) {
        let before = self.slowed.as_ref().map(|slowed| (slowed.rate, slowed.from));
        let (rate, from) = before.unwrap_or((sent, sent));
        // What was given back may have been sent in the window before.
        if 0 < sent || before.is_some() {
            self.hold((rate / 2).max(1), from, now);
        }
    }

    fn speed_up(&mut self, now: Instant) {
        let Some(Slowed { rate, from, .. }) = &self.slowed else { return };
        let (rate, from) = (rate + rate / 4 + 1, *from);
        if rate < from { self.hold(rate, from, now) } else { self.slowed = None }
    }

    fn hold(&mut self, rate: u64, from: u64, now: Instant) {
        let limit = DispatchRate { messages: Some(rate), ..DispatchRate::UNLIMITED };
        let slowed = self.slowed.get_or_insert_with(|| {
            let limiter = Limiter::new(limit, now);
            Slowed { limiter, rate, from }
        });
        slowed.limiter.change(now, rate);
        (slowed.rate, slowed.from) = (rate, from);
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::sim;

    use super::*;

    fn feedback(share: &str) -> (Option<Box<Feedback>>, Instant) {
        let now = sim::World::new(1).env().clock.now();
        let properties = [(PROPERTY.to_owned(), share.to_owned())];
        (Feedback::wanted(&properties, now), now)
    }

    /// Messages that are sent in each of so many seconds, of which every `nth` is given back.
    fn run(feedback: &mut Feedback, now: &mut Instant, seconds: u64, nth: u64) -> Vec<u64> {
        let mut sent = Vec::new();
        for _ in 0..seconds {
            let mut count = 0;
            for _ in 0..1_000 {
                *now += Duration::from_millis(1);
                if 0 < feedback.left(*now).messages {
                    feedback.note_sent(*now, 1, 1);
                    count += 1;
                    if 0 < nth && count % nth == 0 {
                        feedback.note_again(*now, 1);
                    }
                }
            }
            sent.push(count);
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn consumers_that_fail_are_sent_less_and_more_again_when_they_recover() {
        let (feedback, mut now) = feedback("0.1");
        let mut feedback = feedback.unwrap();
        let failing = run(&mut feedback, &mut now, 12, 2);
        assert!(failing[0] == 1_000 && failing[11] <= 10, "{failing:?}");
        assert!(feedback.text().contains("it began at 99"), "{}", feedback.text());
        let recovering = run(&mut feedback, &mut now, 40, 100);
        assert!(recovering.windows(2).all(|pair| pair[0] <= pair[1] + 1), "{recovering:?}");
        assert_eq!(recovering[39], 1_000);
        assert!(feedback.text().contains("no limit now"), "{}", feedback.text());
    }

    #[tokio::test(start_paused = true)]
    async fn few_failures_change_nothing() {
        let (feedback, mut now) = feedback("0.1");
        let sent = run(&mut feedback.unwrap(), &mut now, 5, 20);
        assert_eq!(sent, [1_000; 5]);
    }

    /// Goal: what comes back all at once, after a second in which nothing was sent, is no reason to stop.
    #[tokio::test(start_paused = true)]
    async fn half_is_taken_away_at_a_time() {
        let (feedback, mut now) = feedback("0.1");
        let mut feedback = feedback.unwrap();
        feedback.note_again(now, 1_000);
        now += Duration::from_secs(1);
        assert_eq!(feedback.left(now), Left::ALL);
        run(&mut feedback, &mut now, 2, 2);
        feedback.left(now);
        let rate = feedback.slowed.as_ref().unwrap().rate;
        assert!((200..=500).contains(&rate), "{rate}");
        feedback.note_again(now, 1_000);
        now += Duration::from_secs(1);
        feedback.left(now);
        assert_eq!(feedback.slowed.as_ref().unwrap().rate, rate / 2);
    }

    /// Goal: a batch that is larger than the rate is paid for, however often the rate changes.
    #[tokio::test(start_paused = true)]
    async fn batches_do_not_escape() {
        let (feedback, mut now) = feedback("0.1");
        let mut feedback = feedback.unwrap();
        let mut sent = 0;
        for second in 0..40 {
            for _ in 0..10 {
                now += Duration::from_millis(100);
                if 0 < feedback.left(now).messages {
                    feedback.note_sent(now, 10, 1_000);
                    feedback.note_again(now, 5);
                    sent += u64::from(20 < second);
                }
            }
        }
        assert!(sent <= 10, "{sent} batches of 1,000");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let (feedback, mut now) = feedback("0");
        let mut feedback = feedback.unwrap();
        run(&mut feedback, &mut now, 5, 1);
        now += Duration::from_secs(100);
        assert_eq!(feedback.left(now), Left::ALL);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_part_turns_it_off() {
        for text in ["", "x", "1", "-0.1", "NaN", "inf"] {
            assert!(feedback(text).0.is_none(), "{text}");
        }
    }
}
