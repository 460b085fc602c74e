use geminga_env::sim::{self, Seeds};

use super::*;

const PAUSE: Duration = Duration::from_millis(2);

fn now() -> Instant {
    sim::World::new(1).env().clock.now()
}

fn messages(count: u64) -> Quota {
    Quota { messages: Some(count), ..Quota::default() }
}

/// Who takes what is left whenever it has work.
#[derive(Clone, Copy)]
struct Taker {
    name: u32,
    /// Messages of 10 bytes at a time.
    each: u64,
    /// Of each second, how much it has work; and from when on.
    works: Duration,
    begins: Duration,
    again_at: Option<Instant>,
    taken: u64,
}

impl Taker {
    fn new(name: u32, each: u64) -> Self {
        let works = Duration::from_secs(1);
        Self { name, each, works, begins: Duration::ZERO, again_at: None, taken: 0 }
    }

    fn beginning(self, second: u64) -> Self {
        Self { begins: Duration::from_secs(second), ..self }
    }

    fn half_of_each_second(self) -> Self {
        Self { works: Duration::from_millis(500), ..self }
    }

    fn has_work(&self, passed: Duration) -> bool {
        self.begins <= passed && Duration::from_nanos(u64::from(passed.subsec_nanos())) < self.works
    }

    fn work(&mut self, lending: &mut Lending<u32>, now: Instant) {
        if self.again_at.is_some_and(|at| now < at) {
            return;
        }
        loop {
            let left = lending.ask(&self.name, now);
            self.again_at = left.again_at;
            if let Some(at) = left.again_at {
                assert!(now < at, "it would spin");
                return;
            }
            assert!(0 < left.messages && 0 < left.bytes);
            lending.take(&self.name, now, self.each, 10 * self.each);
            self.taken += self.each;
        }
    }
}

/// Lets them work for some seconds, a millisecond at a time; what each has taken in every second.
fn run(lending: &mut Lending<u32>, takers: &mut [Taker], seconds: u64) -> Vec<Vec<u64>> {
    let begin = now();
    let mut taken = Vec::new();
    for second in 0..seconds {
        let before: Vec<u64> = takers.iter().map(|taker| taker.taken).collect();
        for milli in 0..1_000 {
            let passed = Duration::from_secs(second) + Duration::from_millis(milli);
            for taker in takers.iter_mut().filter(|taker| taker.has_work(passed)) {
                taker.work(lending, begin + passed);
            }
        }
        taken.push(takers.iter().zip(before).map(|(taker, before)| taker.taken - before).collect());
    }
    taken
}

fn lending(lends: bool, quotas: &[Quota]) -> Lending<u32> {
    let mut lending = Lending::new(lends, PAUSE, now());
    for (name, &quota) in (0..).zip(quotas) {
        lending.set(&name, quota, now());
    }
    lending
}

#[track_caller]
fn assert_near(taken: u64, expected: u64) {
    assert!(taken.abs_diff(expected) <= expected / 20, "{taken} instead of {expected}");
}

#[tokio::test(start_paused = true)]
async fn one_alone_gets_everything_and_with_lending_off_its_own() {
    for (lends, expected) in [(true, 40_000), (false, 10_000)] {
        let mut lending = lending(lends, &[messages(1_000), messages(3_000)]);
        let mut takers = [Taker::new(0, 1)];
        run(&mut lending, &mut takers, 10);
        assert_near(takers[0].taken, expected);
        let loans = lending.used(&0).unwrap().lent_messages;
        assert_eq!(0 < loans, lends, "{loans}");
        let other = lending.used(&1).unwrap();
        assert_eq!((other.lent_messages, other.lent_bytes), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_has_its_rate_within_its_first_second() {
    let mut lending = lending(true, &[messages(1_000), messages(3_000)]);
    let mut takers = [Taker::new(0, 7), Taker::new(1, 1).beginning(5)];
    let taken = run(&mut lending, &mut takers, 10);
    assert_near(taken[4][0], 4_000);
    assert!(2_950 <= taken[5][1], "{taken:?}");
    for second in &taken[6..] {
        assert_near(second[0], 1_000);
        assert_near(second[1], 3_000);
    }
}

#[tokio::test(start_paused = true)]
async fn loans_go_to_the_highest_priority_first() {
    let high = Quota { priority: 1, ..messages(1_000) };
    let mut lending = lending(true, &[messages(1_000), high, messages(2_000)]);
    let mut takers = [Taker::new(0, 1), Taker::new(1, 1).half_of_each_second()];
    run(&mut lending, &mut takers, 10);
    // Half of the time the second takes all but the first's own rate, then the first all.
    assert_near(takers[0].taken, 10 * (500 + 2_000));
    assert_near(takers[1].taken, 10 * 1_500);
}

#[tokio::test(start_paused = true)]
async fn equals_share_loans_in_proportion_to_their_rates() {
    let mut lending = lending(true, &[messages(1_000), messages(3_000), messages(4_000)]);
    let mut takers = [Taker::new(0, 100), Taker::new(1, 1)];
    run(&mut lending, &mut takers, 10);
    assert_near(takers[0].taken, 20_000);
    assert_near(takers[1].taken, 60_000);
}

/// Goal: what a group borrowed while it was alone is not held against it.
#[tokio::test(start_paused = true)]
async fn a_newcomer_has_no_claim_on_what_it_left_to_others() {
    let mut lending = lending(true, &[messages(1_000), messages(1_000), messages(2_000)]);
    let mut takers = [Taker::new(0, 1), Taker::new(1, 1).beginning(5)];
    let taken = run(&mut lending, &mut takers, 8);
    for second in &taken[6..] {
        assert_near(second[0], 2_000);
        assert_near(second[1], 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_without_limits_is_not_held_and_lends_nothing() {
    let mut lending = lending(true, &[messages(1_000), Quota::default()]);
    assert_eq!(lending.ask(&1, now()), Left::ALL);
    assert_eq!(lending.ask(&7, now()), Left::ALL);
    assert!(lending.is_limited(&0) && !lending.is_limited(&1) && !lending.is_limited(&7));
    lending.take(&1, now(), u64::MAX, u64::MAX);
    let mut takers = [Taker::new(0, 1)];
    run(&mut lending, &mut takers, 10);
    assert_near(takers[0].taken, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_change_counts_at_once_and_a_group_that_is_gone_lends_no_more() {
    let mut lending = lending(true, &[messages(1_000), messages(3_000)]);
    let mut takers = [Taker::new(0, 1)];
    run(&mut lending, &mut takers, 2);
    lending.remove(&1, now());
    lending.set(&0, messages(500), now());
    takers[0] = Taker::new(0, 1);
    lending.pool = [Bucket::new(Some(500), now()), Bucket::new(None, now())];
    lending.groups.get_mut(&0).unwrap().own[0].paid_until = now();
    run(&mut lending, &mut takers, 10);
    assert_near(takers[0].taken, 5_000);
}

/// Goal: whoever has work gets its rate at least, and all together no more than the sum, whatever they do.
///
/// Method: groups of random rates, priorities and habits; what is taken is counted by the second.
#[tokio::test(start_paused = true)]
async fn nobody_is_below_its_rate_and_all_are_within_the_sum() {
    let seeds = Seeds::of("broker-lending", 6);
    for seed in seeds.range() {
        let random = sim::World::new(seed).env().random;
        let below = |max: u64| random.next_u64() % max;
        let count = 2 + below(5);
        let mut quotas = Vec::new();
        let mut takers = Vec::new();
        for name in 0..u32::try_from(count).unwrap() {
            let amount = 200 + below(20_000);
            let limits = [(true, false), (false, true), (true, true)];
            let (in_messages, in_bytes) = limits[usize::try_from(below(3)).unwrap()];
            quotas.push(Quota {
                messages: in_messages.then_some(amount),
                bytes: in_bytes.then_some(10 * amount),
                priority: i32::try_from(below(3)).unwrap(),
            });
            let taker = Taker::new(name, 1 + below(amount / 100));
            let taker = if below(3) == 0 { taker.half_of_each_second() } else { taker };
            takers.push(taker.beginning(below(3)));
        }
        let mut lending = lending(true, &quotas);
        let taken = run(&mut lending, &mut takers, 10);
        for (name, (quota, taker)) in quotas.iter().zip(&takers).enumerate() {
            let rate = quota.messages.unwrap_or_else(|| quota.bytes.unwrap() / 10);
            let works = u64::from(taker.works.subsec_millis());
            let least = if works == 0 { rate } else { rate * works / 1_000 };
            for of_second in &taken[3..10] {
                let got = of_second[name];
                assert!(
                    least * 19 / 20 <= got + taker.each,
                    "seed {seed}: group {name} got {got} of {least}"
                );
            }
        }
        for of in 0..2 {
            let limited = |quota: &&Quota| quota.amounts()[of].is_some();
            let sum: u64 = quotas.iter().filter_map(|quota| quota.amounts()[of]).sum();
            let unit = [1, 10][of];
            let all: u64 = (0..quotas.len())
                .filter(|&name| limited(&&quotas[name]))
                .map(|name| unit * takers[name].taken)
                .sum();
            assert!(all <= sum * 10 * 21 / 20, "seed {seed}: {all} of {sum} in a second");
        }
    }
    seeds.passed("");
}
