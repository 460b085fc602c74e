//! Micro benchmarks: `cargo bench -p geminga-checksum`.

use divan::{Bencher, black_box, counter::BytesCount};
use geminga_checksum::Sum;

const LENS: [usize; 6] = [64, 128, 256, 1_000, 8_000, 64_000];

fn main() {
    divan::main();
}

/// Reads the bytes.
#[divan::bench(args = LENS)]
fn read(bencher: Bencher<'_, '_>, len: usize) {
    let bytes = vec![7; len];
    bencher.counter(BytesCount::new(len)).bench_local(|| Sum::of(black_box(&bytes)));
}

/// Combines without reading them.
#[divan::bench(args = LENS)]
fn combine(bencher: Bencher<'_, '_>, len: usize) {
    let (head, body) = (Sum::of(b"head"), Sum::of(&vec![7; len]));
    bencher.bench_local(|| black_box(head).then(black_box(body)));
}
