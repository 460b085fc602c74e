use std::{io::Read as _, sync::Arc};

use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::*;

/// So many pieces, each of one number.
#[derive(Debug)]
struct Numbers(std::ops::Range<u32>);

impl Pieces for Numbers {
    fn next<'a>(&'a mut self, to: &'a mut Vec<u8>) -> BoxFuture<'a, bool> {
        if let Some(number) = self.0.next() {
            to.extend_from_slice(format!("{number} ").repeat(1_000).as_bytes());
        }
        Box::pin(async { !self.0.is_empty() })
    }
}

fn expected(count: u32) -> Vec<u8> {
    (0..count).flat_map(|number| format!("{number} ").repeat(1_000).into_bytes()).collect()
}

async fn begin(is_zipped: bool, count: u32) -> (Body, TaskTracker, Arc<Semaphore>) {
    let (tasks, slots) = (TaskTracker::new(), Arc::new(Semaphore::new(1)));
    let slot = Arc::clone(&slots).acquire_owned().await.unwrap();
    let (sender, body) = channel();
    tasks.spawn(make(Box::new(Numbers(0..count)), is_zipped, sender, slot));
    tasks.close();
    (body, tasks, slots)
}

#[tokio::test(start_paused = true)]
async fn all_pieces_arrive_in_order_zipped_or_not() {
    for count in [0, 1, 100] {
        let (body, tasks, slots) = begin(false, count).await;
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected(count));
        tasks.wait().await;
        assert_eq!(slots.available_permits(), 1);
        let (body, ..) = begin(true, count).await;
        let zipped = body.collect().await.unwrap().to_bytes();
        let mut found = Vec::new();
        GzDecoder::new(&zipped[..]).read_to_end(&mut found).unwrap();
        assert_eq!(found, expected(count));
    }
}

/// Goal: who does not read holds no slot for long, and does not take what it has for the whole.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_given_up() {
    let (mut body, tasks, slots) = begin(false, 100).await;
    body.frame().await.unwrap().unwrap();
    tasks.wait().await;
    assert_eq!(slots.available_permits(), 1);
    let mut frames = 0;
    let error = loop {
        match body.frame().await.expect("an error comes before the end") {
            Ok(_) => frames += 1,
            Err(error) => break error,
        }
    };
    assert!(frames <= AHEAD && error.to_string().contains("given up"), "{frames} {error}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_ends_it_at_once() {
    let (body, tasks, _) = begin(true, u32::MAX).await;
    drop(body);
    tasks.wait().await;
}
