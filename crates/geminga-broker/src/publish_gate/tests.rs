//! Rates over time, turns, and changes meanwhile.

use futures_util::{FutureExt as _, future::join_all};
use geminga_env::sim;

use geminga_metadata::values::resource_group::ResourceGroup;

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

fn groups() -> Arc<ResourceGroups> {
    Arc::new(ResourceGroups::new(clock(), true))
}

fn gate(of_topic: PublishRate, of_broker: PublishRate) -> PublishGate {
    PublishGate::with(broker(of_broker), groups(), of_topic, false)
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
    let topics: Vec<PublishGate> = (0..3)
        .map(|_| PublishGate::with(Arc::clone(&of_broker), groups(), unlimited, false))
        .collect();
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

/// Goal: topics of a group share its rate, a group that is within its rate does not notice who is not, and what
/// nobody uses is lent.
#[tokio::test(start_paused = true)]
async fn groups_keep_their_rates_and_lend_the_rest() {
    let groups = groups();
    let rates = [("a", 1_000), ("b", 3_000), ("idle", 2_000)];
    groups.set_all(
        rates
            .map(|(name, rate)| {
                let group =
                    ResourceGroup { publish_rate_in_msgs: Some(rate), ..ResourceGroup::default() };
                (Arc::from(name), group)
            })
            .into(),
    );
    let unlimited = PublishRate::UNLIMITED;
    let in_group = |name: &str| {
        let gate = PublishGate::with(broker(unlimited), Arc::clone(&groups), unlimited, false);
        gate.set_group(Some(&Arc::from(name)));
        gate
    };
    let (noisy, other, calm) = (in_group("a"), in_group("a"), in_group("b"));
    assert!(noisy.is_limited());
    let calm = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        publish_for(&calm, 1, 1, 10).await
    };
    let work = futures_util::future::join3;
    let (noisy, other, calm) =
        work(publish_for(&noisy, 50, 10, 20), publish_for(&other, 1, 1, 20), calm).await;
    // Ten seconds alone with 6,000 in a second; then loans are shared one to three.
    assert_close(noisy + other, 60_000 + 15_000, "what one group took");
    assert_close(calm, 45_000, "what the other took");
    assert!(1_000 < other, "{other}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_leaves_its_group_is_free_at_once() {
    let groups = groups();
    let group = ResourceGroup { publish_rate_in_msgs: Some(1), ..ResourceGroup::default() };
    groups.set_all([(Arc::from("a"), group)].into());
    let unlimited = PublishRate::UNLIMITED;
    let gate = PublishGate::with(broker(unlimited), groups, unlimited, false);
    gate.set_group(Some(&Arc::from("a")));
    assert_eq!(gate.admit_now([(1_000, 1), (1, 1)].into_iter()), 1);
    assert_eq!(gate.admit_now([(1, 1)].into_iter()), 0);
    gate.set_group(None);
    assert!(!gate.is_limited());
    assert_eq!(gate.admit_now([(1_000, 1), (1, 1)].into_iter()), 2);
}
