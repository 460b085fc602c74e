//! Rates that are held: so much in a period, little at once.

use std::time::Duration;

use geminga_env::Instant;

pub(crate) mod lending;

/// What may be saved up while nothing happens: so that a rate holds over seconds, not only over
/// minutes.
const BURST: Duration = Duration::from_millis(100);
/// Who waits looks again after this long at the earliest, for more than one message, unless it says
/// otherwise.
const PAUSE: Duration = Duration::from_millis(20);

/// How much may be dispatched in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchRate {
    /// Messages; `None` is no limit.
    pub messages: Option<u64>,
    /// Bytes; `None` is no limit.
    pub bytes: Option<u64>,
    /// The period, at least a second.
    pub period: Duration,
    /// Whether what is published in a period comes on top.
    pub is_relative: bool,
}

/// Holds a [`DispatchRate`].
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: DispatchRate,
    pause: Duration,
    messages: Bucket,
    bytes: Bucket,
}

/// So much in a period. It knows no tokens, only until when what was taken is paid for.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// At least 1; `None` is no limit.
    amount: Option<u64>,
    period: Duration,
    paid_until: Instant,
}

/// What a limiter leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// When there is more, if one of them is used up.
    pub(crate) again_at: Option<Instant>,
}

impl DispatchRate {
    /// No limit.
    pub const UNLIMITED: Self =
        Self { messages: None, bytes: None, period: Duration::from_secs(1), is_relative: false };

    pub(crate) const fn is_limited(&self) -> bool {
        self.messages.is_some() || self.bytes.is_some()
    }

    /// As a sentence says it.
    pub(crate) fn text(&self) -> String {
        let seconds = self.period.as_secs();
        let limit = |amount: Option<u64>, what| {
            amount.map(|amount| format!("{amount} {what} in {seconds} s"))
        };
        let limits = [limit(self.messages, "messages"), limit(self.bytes, "bytes")];
        let limits = limits.into_iter().flatten().collect::<Vec<_>>().join(" and ");
        if self.is_relative { format!("{limits} more than are published") } else { limits }
    }
}

impl Left {
    pub(crate) const ALL: Self = Self { messages: u64::MAX, bytes: u64::MAX, again_at: None };

    /// What both leave.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            messages: self.messages.min(other.messages),
            bytes: self.bytes.min(other.bytes),
            again_at: self.again_at.max(other.again_at),
        }
    }
}

impl Limiter {
    pub(crate) fn new(rate: DispatchRate, now: Instant) -> Self {
        let bucket = |amount: Option<u64>| Bucket {
            period: rate.period,
            ..Bucket::new(amount.map(|amount| amount.max(1)), now)
        };
        let (messages, bytes) = (bucket(rate.messages), bucket(rate.bytes));
        Self { rate, pause: PAUSE, messages, bytes }
    }

    /// Who waits looks again after `pause` at the earliest.
    pub(crate) const fn with_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    pub(crate) const fn rate(&self) -> &DispatchRate {
        &self.rate
    }

    /// Messages and bytes published in a second, for a rate that is relative to them.
    pub(crate) fn note_published(&mut self, now: Instant, messages: f64, bytes: f64) {
        if self.rate.is_relative {
            let period = self.rate.period;
            self.messages.change(now, more(self.rate.messages, messages, period));
            self.bytes.change(now, more(self.rate.bytes, bytes, period));
        }
    }

    /// So many messages from now on. What was taken stays taken.
    pub(crate) fn change(&mut self, now: Instant, messages: u64) {
        self.rate.messages = Some(messages);
        self.messages.change(now, Some(messages.max(1)));
    }

    pub(crate) fn left(&self, now: Instant) -> Left {
        let (messages, bytes) = (self.messages.left(now), self.bytes.left(now));
        let used_up = [(messages, &self.messages), (bytes, &self.bytes)];
        let used_up = used_up.into_iter().filter(|(left, _)| *left == 0);
        let again_at = used_up.map(|(_, bucket)| bucket.paid_until.max(now + self.pause)).max();
        Left { messages, bytes, again_at }
    }

    pub(crate) fn take(&mut self, now: Instant, messages: u64, bytes: u64) {
        self.messages.take(now, messages);
        self.bytes.take(now, bytes);
    }
}

/// A limit with what is published in a second on top.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that was measured is not negative, and as exact as that"
)]
fn more(amount: Option<u64>, published: f64, period: Duration) -> Option<u64> {
    amount.map(|amount| amount.saturating_add((published * period.as_secs_f64()) as u64).max(1))
}

impl Bucket {
    /// So much in a second.
    const fn new(amount: Option<u64>, now: Instant) -> Self {
        Self { amount, period: Duration::from_secs(1), paid_until: now }
    }

    /// Another amount: what is owed is as much as before, and so is paid sooner or later.
    fn change(&mut self, now: Instant, amount: Option<u64>) {
        let debt = self.paid_until.saturating_duration_since(now);
        if let (Some(old), Some(new)) = (self.amount, amount)
            && old != new
            && !debt.is_zero()
        {
            let nanos = debt.as_nanos() * u128::from(old) / u128::from(new.max(1));
            self.paid_until = now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        self.amount = amount;
    }

    /// How much may be taken now. The last of it is on credit.
    fn left(&self, now: Instant) -> u64 {
        let Some(amount) = self.amount else { return u64::MAX };
        if now < self.paid_until {
            return 0;
        }
        let saved = now.saturating_duration_since(self.paid_until).min(BURST);
        let saved = saved.as_nanos() * u128::from(amount) / self.period.as_nanos().max(1);
        u64::try_from(saved).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn take(&mut self, now: Instant, count: u64) {
        let Some(amount) = self.amount else { return };
        if self.paid_until + BURST < now {
            self.paid_until = now.checked_sub(BURST).unwrap_or(now);
        }
        let cost = u128::from(count) * self.period.as_nanos() / u128::from(amount);
        self.paid_until += Duration::from_nanos(u64::try_from(cost).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use geminga_env::sim;

    use super::*;

    fn now() -> Instant {
        sim::World::new(1).env().clock.now()
    }

    fn rate(messages: Option<u64>, bytes: Option<u64>) -> DispatchRate {
        DispatchRate { messages, bytes, ..DispatchRate::UNLIMITED }
    }

    /// Takes whatever is left, `each` messages of 10 bytes at a time, for so many seconds.
    fn run(limiter: &mut Limiter, each: u64, seconds: u64) -> u64 {
        let begin = now();
        let mut now = begin;
        let mut taken = 0;
        while now < begin + Duration::from_secs(seconds) {
            let left = limiter.left(now);
            match left.again_at {
                Some(at) => {
                    assert!(now < at, "it would spin");
                    now = at;
                }
                None => {
                    assert!(0 < left.messages && 0 < left.bytes);
                    limiter.take(now, each, 10 * each);
                    taken += each;
                }
            }
        }
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_held_within_a_twentieth_over_ten_seconds() {
        for (messages, bytes, each, expected) in [
            (Some(100), None, 1, 1_000),
            (Some(100), None, 7, 1_000),
            (Some(50_000), None, 100, 500_000),
            (None, Some(1_000), 1, 1_000),
            (Some(1_000_000), Some(20_000), 10, 20_000),
        ] {
            let mut limiter = Limiter::new(rate(messages, bytes), now());
            let taken = run(&mut limiter, each, 10);
            let is_held = taken.abs_diff(expected) <= expected / 20;
            assert!(is_held, "{messages:?} {bytes:?}: {taken} instead of {expected}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn little_is_saved_up_and_a_large_batch_is_paid_for() {
        let begin = now();
        let mut limiter = Limiter::new(rate(Some(100), None), begin);
        let later = begin + Duration::from_secs(60);
        assert_eq!(limiter.left(later).messages, 11);
        limiter.take(later, 510, 0);
        assert_eq!(limiter.left(later).again_at, Some(later + Duration::from_secs(5)));
        assert_eq!(limiter.left(later + Duration::from_secs(5)).messages, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_published_comes_on_top_if_the_rate_says_so() {
        let relative = DispatchRate { is_relative: true, ..rate(Some(50), None) };
        let mut limiter = Limiter::new(relative, now());
        limiter.note_published(now(), 150.0, 0.0);
        let taken = run(&mut limiter, 1, 10);
        assert!((1_900..2_100).contains(&taken), "{taken}");
    }

    /// Goal: what a batch costs is paid at the rate that holds later, not at the one that held then.
    #[tokio::test(start_paused = true)]
    async fn a_debt_is_paid_at_the_new_rate() {
        let relative = DispatchRate { is_relative: true, ..rate(Some(10), None) };
        let begin = now();
        let mut limiter = Limiter::new(relative, begin);
        limiter.take(begin, 1_000, 0);
        assert_eq!(limiter.left(begin).again_at, Some(begin + Duration::from_secs(100)));
        limiter.note_published(begin, 990.0, 0.0);
        assert_eq!(limiter.left(begin).again_at, Some(begin + Duration::from_secs(1)));
        limiter.change(begin, 500);
        assert_eq!(limiter.left(begin).again_at, Some(begin + Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn extremes_do_not_overflow() {
        let now = now();
        let mut limiter = Limiter::new(rate(Some(u64::MAX), Some(1)), now);
        limiter.take(now, u64::MAX, u64::from(u32::MAX));
        assert_eq!(limiter.left(now).bytes, 0);
        assert!(0 < limiter.left(now + Duration::from_secs(2)).messages);
    }
}
