use std::collections::BTreeSet;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// Closed ledgers 3 (4 entries), 5 (none) and 6 (2 entries), and open ledger 9 with 3 entries.
fn spans() -> Spans {
    let closed = [(3, 4), (5, 0), (6, 2)];
    let mut spans = Spans::new(
        [],
        closed.map(|(id, entries)| (LedgerId(id), entries, entries * 10, Timestamp(1))),
    );
    spans.open(LedgerId(9));
    for ordinal in 6..9 {
        assert_eq!(spans.confirm(7), Ordinal(ordinal));
    }
    spans
}

fn positions(chain: &Chain) -> Vec<(i64, i64)> {
    let position = |ordinal| chain.position_of(Ordinal(ordinal)).unwrap();
    let pair = |p: Position| (p.ledger_id.0, p.entry_id.0);
    (chain.first().0..chain.end().0).map(|ordinal| pair(position(ordinal))).collect()
}

#[test]
fn numbers_entries_without_gaps_across_ledgers() {
    let spans = spans();
    let chain = spans.chain();
    let expected = [(3, 0), (3, 1), (3, 2), (3, 3), (6, 0), (6, 1), (9, 0), (9, 1), (9, 2)];
    assert_eq!(positions(chain), expected);
    for (ordinal, (ledger, entry)) in (0..).zip(expected) {
        assert_eq!(chain.ordinal_of(Position::new(ledger, entry)), Ordinal(ordinal));
    }
    assert_eq!(chain.position_of(Ordinal(9)), None);
    assert_eq!((chain.entries(), chain.bytes()), (9, 81));
    assert_eq!(chain.last_position(), Some(Position::new(9, 2)));
}

#[test]
fn a_position_between_entries_means_the_next_one() {
    let spans = spans();
    let ordinal_of = |ledger, entry| spans.chain().ordinal_of(Position::new(ledger, entry)).0;
    assert_eq!(ordinal_of(-1, -1), 0);
    assert_eq!(ordinal_of(2, 99), 0);
    assert_eq!(ordinal_of(3, -1), 0);
    assert_eq!(ordinal_of(3, 4), 4);
    assert_eq!(ordinal_of(4, 0), 4);
    assert_eq!(ordinal_of(5, 3), 4);
    assert_eq!(ordinal_of(6, 2), 6);
    assert_eq!(ordinal_of(9, 2), 8);
    assert_eq!(ordinal_of(9, 3), 9);
    assert_eq!(ordinal_of(9, i64::MAX), 9);
    assert_eq!(ordinal_of(10, 0), 9);
    assert_eq!(spans.chain().ordinal_of(Position::LATEST), Ordinal(9));
}

#[test]
fn a_lookup_answers_as_the_chain_does() {
    let mut spans = spans();
    for _ in 0..2 {
        let chain = spans.chain();
        let mut lookup = chain.lookup();
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..10_000 {
            let position = Position::new(random.random_range(2..11), random.random_range(-1..6));
            let ordinal = chain.ordinal_of(position);
            let exact = chain.position_of(ordinal) == Some(position);
            assert_eq!(lookup.ordinal_of(position), ordinal, "{position}");
            let next = if exact { ordinal.plus(1) } else { ordinal };
            assert_eq!(lookup.next_after(position), next, "{position}");
            assert_eq!(lookup.exact_ordinal(position), exact.then_some(ordinal), "{position}");
            let ordinal = Ordinal(random.random_range(0..12));
            assert_eq!(lookup.position_of(ordinal), chain.position_of(ordinal), "{ordinal:?}");
        }
        spans.remove(&BTreeSet::from([LedgerId(3)]), Some(LedgerId(3)));
    }
}

#[test]
fn a_mark_delete_position_is_that_of_the_entry_before() {
    let mut spans = spans();
    let position = |spans: &Spans, next| spans.chain().mark_delete_position(Ordinal(next));
    assert_eq!(position(&spans, 0), Position::new(3, -1));
    assert_eq!(position(&spans, 1), Position::new(3, 0));
    assert_eq!(position(&spans, 4), Position::new(3, 3));
    assert_eq!(position(&spans, 6), Position::new(6, 1));
    assert_eq!(position(&spans, 99), Position::new(9, 2));
    spans.remove(&BTreeSet::from([LedgerId(3)]), None);
    assert_eq!(position(&spans, 2), Position::new(5, -1));
    assert_eq!(position(&spans, 4), Position::new(5, -1));
    assert_eq!(position(&spans, 5), Position::new(6, 0));
    assert_eq!(position(&Spans::new([], []), 0), Position::EARLIEST);
}

#[test]
fn trimming_moves_the_first_ordinal_and_no_other() {
    let mut spans = spans();
    let before = spans.chain().clone();
    spans.remove(&BTreeSet::from([LedgerId(3), LedgerId(5)]), None);
    let chain = spans.chain();
    assert_eq!((chain.first(), chain.end()), (Ordinal(4), Ordinal(9)));
    assert_eq!(chain.position_of(Ordinal(3)), None);
    assert_eq!(positions(chain), positions(&before)[4..]);
    assert_eq!((before.first(), before.end()), (Ordinal(0), Ordinal(9)));
    spans.close(Timestamp(2));
    spans.remove(&BTreeSet::from([LedgerId(6), LedgerId(9)]), None);
    assert_eq!((spans.chain().first(), spans.chain().end()), (Ordinal(9), Ordinal(9)));
    assert_eq!(spans.chain().last_position(), None);
    spans.open(LedgerId(11));
    assert_eq!(spans.confirm(1), Ordinal(9));
    assert_eq!(spans.chain().ordinal_of(Position::new(11, 0)), Ordinal(9));
}

/// Goal: what a compacted ledger has entries of keeps its ordinals, trimmed in this load or before.
#[test]
fn a_compacted_ledger_is_named_after_it_is_trimmed() {
    let mut spans = spans();
    let before = spans.chain().clone();
    spans.remove(&BTreeSet::from([LedgerId(3), LedgerId(5), LedgerId(6)]), Some(LedgerId(5)));
    let chain = spans.chain();
    assert_eq!((chain.first_with_gone(), chain.first()), (Ordinal(0), Ordinal(6)));
    for ordinal in (0..4).map(Ordinal) {
        let position = before.position_of(ordinal).unwrap();
        assert_eq!(chain.position_of(ordinal), Some(position));
        assert_eq!((chain.ordinal_of(position), chain.after(position)), (ordinal, ordinal.plus(1)));
    }
    assert_eq!(chain.position_of(Ordinal(4)), None, "beyond the horizon nothing is remembered");
    assert_eq!(chain.ordinal_of(Position::new(6, 0)), Ordinal(6));
    assert_eq!(chain.mark_delete_position(Ordinal(0)), Position::new(3, -1));
    assert_eq!(chain.mark_delete_position(Ordinal(2)), Position::new(3, 1));
    assert_eq!(chain.entries(), 3);

    let loaded = Spans::new([(LedgerId(3), 4)], [(LedgerId(9), 3, 21, Timestamp(1))]);
    let chain = loaded.chain();
    assert_eq!((chain.first_with_gone(), chain.first()), (Ordinal(0), Ordinal(4)));
    assert_eq!((chain.end(), chain.entries()), (Ordinal(7), 3));
    assert_eq!(chain.position_of(Ordinal(3)), Some(Position::new(3, 3)));
    assert_eq!(chain.position_of(Ordinal(4)), Some(Position::new(9, 0)));
    assert_eq!(chain.after(Position::new(4, 9)), Ordinal(4));
    assert_eq!(chain.ordinal_of(Position::EARLIEST), Ordinal(0));
}
