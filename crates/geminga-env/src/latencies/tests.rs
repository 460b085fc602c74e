use super::*;
use crate::sim;

const US: Duration = Duration::from_micros(1);

fn ms(found: Option<Duration>) -> f64 {
    found.unwrap().as_secs_f64() * 1e3
}

#[tokio::test(start_paused = true)]
async fn quantiles_are_of_the_last_whole_minute_and_counts_of_all() {
    let begin = sim::World::new(1).env().clock.now();
    let at = |seconds| begin + Duration::from_secs(seconds);
    let latencies = Latencies::default();
    assert_eq!(latencies.figures(begin).quantile(0.5), None);
    latencies.note_many(begin, 1_000 * US, 99);
    latencies.note(at(59), 3 * US * 1_000_000);
    let first = latencies.figures(at(59));
    assert_eq!((first.count, first.sum), (100, 3_099_000 * US));
    assert!((0.7..=1.0).contains(&ms(first.quantile(0.5))), "{first:?}");
    assert!((ms(first.quantile(0.99)) - 1.0).abs() < 1e-9, "{first:?}");
    assert!((2_000.0..=5_000.0).contains(&ms(first.quantile(0.999))), "{first:?}");
    assert!((700.0..=1_000.0).contains(&(ms(first.quantile(0.0)) * 1e3)), "{first:?}");
    assert!((ms(first.quantile(1.0)) - 5_000.0).abs() < 1e-9, "{first:?}");
    // The next minute is not told of until it is over.
    latencies.note(at(61), 15 * US);
    let second = latencies.figures(at(119));
    assert_eq!(second.count, 101);
    assert_eq!(second.quantile(0.5), first.quantile(0.5));
    let third = latencies.figures(at(120));
    assert!((10.0..=20.0).contains(&(ms(third.quantile(0.5)) * 1e3)), "{third:?}");
    // What was noted in a minute that nobody ended in time is none of the last.
    latencies.note(at(121), 15 * US);
    assert_eq!(latencies.figures(at(300)).quantile(0.5), None);
    assert_eq!(latencies.figures(at(300)).count, 102);
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_every_limit_counts_as_the_last() {
    let (now, latencies) = (sim::World::new(1).env().clock.now(), Latencies::default());
    latencies.note(now, Duration::MAX);
    assert_eq!(latencies.figures(now).quantile(0.5), Some(Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_run_notes_all_that_single_ones_do() {
    let (now, single, together) =
        (sim::World::new(1).env().clock.now(), Latencies::default(), Latencies::default());
    let mut run = LatencyRun::default();
    for us in [5, 7, 12, 12, 999, 1_000, 1_001, 3, 90_000_000] {
        single.note(now, us * US);
        run.note(&together, now, us * US);
    }
    run.flush(&together, now);
    run.flush(&together, now);
    assert_eq!(together.figures(now), single.figures(now));
    assert_eq!(together.figures(now).count, 9);
}
