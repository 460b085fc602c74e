//! Rates over time, turns, and changes meanwhile.

use futures_util::{FutureExt as _, future::join_all};
use geminga_env::sim;

use super::*;

fn clock() -> Arc<dyn Clock> {
    sim::World::new(1).env().clock
}

const fn rate(messages: Option<u64>, bytes: Option<u64>) -> PublishRate {
    PublishRate { messages, bytes }
}

fn broker(rate: PublishRate) -> Arc<PublishLimiter> {
    Arc::new(PublishLimiter::new(clock(), rate))
}

fn gate(of_topic: PublishRate, of_broker: PublishRate) -> PublishGate {
    PublishGate::with(broker(of_broker), of_topic, false)
}

/// Publishes without end, up to `each` entries of `messages` messages and as many times 10 bytes at once,
/// for so many seconds; how many messages that were.
async fn publish_for(gate: &PublishGate, each: usize, messages: u64, seconds: u64) -> u64 {
    let entries = vec![(messages, 10 * messages); each];
    let mut published = 0;
    let work = async {
        loop {
            let now = gate.admit_now(entries.iter().copied());
            published += now as u64 * messages;
            if now < each {
                let left = &entries[now..];
                published += gate.admit(left.iter().copied()).await as u64 * messages;
            }
        }
    };
    let ended: Result<(), _> = tokio::time::timeout(Duration::from_secs(seconds), work).await;
    assert!(ended.is_err(), "it publishes without end");
    published
}

fn assert_close(got: u64, expected: u64, what: &str) {
    assert!(got.abs_diff(expected) <= expected / 20, "{what}: {got} instead of {expected}");
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_held_within_a_twentieth_over_ten_seconds() {
    for (limit, each, messages, expected) in [
        (rate(Some(100), None), 1, 1, 1_000),
        (rate(Some(100), None), 50, 7, 1_000),
        (rate(Some(200_000), None), 900, 1, 2_000_000),
        (rate(None, Some(10_000)), 30, 1, 10_000),
        (rate(Some(1_000_000), Some(50_000)), 10, 100, 50_000),
    ] {
        for is_of_broker in [false, true] {
            let unlimited = PublishRate::UNLIMITED;
            let gate = if is_of_broker { gate(unlimited, limit) } else { gate(limit, unlimited) };
            assert!(gate.is_limited());
            let published = publish_for(&gate, each, messages, 10).await;
            assert_close(published, expected, &format!("{limit:?} {is_of_broker}"));
            assert!(0 < gate.limited_times());
        }
    }
}

/// Goal: the lower of two rates holds, whichever it is.
#[tokio::test(start_paused = true)]
async fn both_rates_hold() {
    for (of_topic, of_broker) in [(50, 500), (500, 50)] {
        let gate = gate(rate(Some(of_topic), None), rate(Some(of_broker), None));
        assert_close(publish_for(&gate, 3, 1, 10).await, 500, "the lower rate");
    }
}

/// Goal: who shares a rate gets a part of it, however much the others want.
#[tokio::test(start_paused = true)]
async fn a_rate_is_divided_among_who_wants_it() {
    let unlimited = PublishRate::UNLIMITED;
    let of_broker = broker(rate(Some(300), None));
    let topics: Vec<PublishGate> =
        (0..3).map(|_| PublishGate::with(Arc::clone(&of_broker), unlimited, false)).collect();
    let greed = [1, 10, 900];
    let work = topics.iter().zip(greed).map(|(topic, each)| publish_for(topic, each, 1, 10));
    let published = join_all(work).await;
    assert_close(published.iter().sum(), 3_000, "all together");
    assert!(published.iter().all(|part| 500 < *part), "{published:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_passes_who_waits() {
    let gate = gate(rate(Some(10), None), PublishRate::UNLIMITED);
    assert_eq!(gate.admit_now([(100, 1)].into_iter()), 1, "on credit");
    let mut first = Box::pin(gate.admit([(1, 1)].into_iter()));
    assert!(first.as_mut().now_or_never().is_none());
    let mut second = Box::pin(gate.admit([(1, 1)].into_iter()));
    assert!(second.as_mut().now_or_never().is_none());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(gate.admit_now([(1, 1)].into_iter()), 0, "others wait");
    assert_eq!(first.await, 1);
    drop(second);
    assert_eq!(gate.admit_now([(1, 1)].into_iter()), 1, "who waited has given up");
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_who_waits() {
    let gate = gate(rate(Some(1), None), PublishRate::UNLIMITED);
    assert_eq!(gate.admit_now([(1_000_000, 1)].into_iter()), 1);
    let mut waiting = Box::pin(gate.admit([(1, 1), (1, 1)].into_iter()));
    assert!(waiting.as_mut().now_or_never().is_none());
    gate.of_topic.set_rate(rate(Some(2), None));
    assert_eq!(waiting.await, 1, "at the new rate, without the debt of the old one");
    let mut waiting = Box::pin(gate.admit([(1, 1), (1, 1)].into_iter()));
    assert!(waiting.as_mut().now_or_never().is_none());
    gate.of_topic.set_rate(PublishRate::UNLIMITED);
    assert!(!gate.is_limited());
    assert_eq!(waiting.await, 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_rate_everything_passes() {
    let gate = gate(PublishRate::UNLIMITED, PublishRate::UNLIMITED);
    assert!(!gate.is_limited());
    assert_eq!(gate.admit_now([(1 << 40, 1 << 40), (1, 1)].into_iter()), 2);
    assert_eq!(gate.limited_times(), 0);
}
