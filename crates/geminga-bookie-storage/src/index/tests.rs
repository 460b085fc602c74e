//! Rows, files and what is live in them.

use super::*;

fn row(first: i64, last: i64, newness: u64, file: u64) -> Row {
    let offset = 4096 * newness;
    let (first, last) = (EntryId(first), EntryId(last));
    Row { first, last, newness, file, offset, length: 100, count: 1 }
}

fn index() -> Index {
    let mut index = Index::default();
    for number in [1, 2] {
        index.put_file(number, 7, 8192, true);
    }
    index
}

fn live(index: &Index) -> (u64, u64) {
    (index.file(1).unwrap().live_bytes, index.file(2).unwrap().live_bytes)
}

/// First entries and newness of what is selected.
fn selected(index: &Index, first: i64, last: i64) -> Vec<(i64, u64)> {
    let rows = index.select(LedgerId(1), EntryId(first), EntryId(last));
    rows.map(|row| (row.first.0, row.newness)).collect()
}

#[test]
fn a_moved_run_is_live_at_its_new_place_only() {
    let mut index = index();
    let (old, other) = (row(0, 9, 1, 1), row(10, 19, 2, 1));
    index.insert(LedgerId(1), old);
    index.insert(LedgerId(1), other);
    assert_eq!((live(&index), index.row_count()), ((200, 0), 2));
    assert!(index.is_live(LedgerId(1), &old) && index.has_run(LedgerId(1), &old));
    let moved = Row { file: 2, offset: 0, length: 90, ..old };
    assert!(!index.is_live(LedgerId(1), &moved) && index.has_run(LedgerId(1), &moved));
    index.insert(LedgerId(1), moved);
    assert_eq!((live(&index), index.row_count()), ((100, 90), 2));
    assert!(index.is_live(LedgerId(1), &moved) && !index.is_live(LedgerId(1), &old));
    assert!(index.is_live(LedgerId(1), &other));
    // The same file or the same offset alone is another place.
    assert!(!index.is_live(LedgerId(1), &Row { offset: 4096, ..moved }));
    assert!(!index.is_live(LedgerId(1), &Row { file: 1, ..moved }));
    // Another name, another ledger.
    let unknown = Row { newness: 3, ..moved };
    assert!(!index.is_live(LedgerId(1), &unknown) && !index.has_run(LedgerId(1), &unknown));
    assert!(!index.is_live(LedgerId(2), &moved) && !index.has_run(LedgerId(2), &moved));
}

#[test]
fn runs_that_overlap_are_all_found() {
    // Whichever comes first.
    for rows in [[row(0, 20, 1, 1), row(10, 12, 2, 1)], [row(10, 12, 2, 1), row(0, 20, 1, 1)]] {
        let mut index = index();
        rows.into_iter().for_each(|row| index.insert(LedgerId(1), row));
        assert_eq!(selected(&index, 15, 30), [(0, 1)], "{rows:?}");
        assert_eq!(selected(&index, 12, 30), [(0, 1), (10, 2)], "{rows:?}");
    }
    // By one entry only.
    for rows in [[row(0, 10, 1, 1), row(10, 10, 2, 1)], [row(10, 10, 2, 1), row(0, 10, 1, 1)]] {
        let mut index = index();
        rows.into_iter().for_each(|row| index.insert(LedgerId(1), row));
        assert!(index.ledgers[&LedgerId(1)].overlap, "{rows:?}");
        assert_eq!(selected(&index, 10, 10), [(0, 1), (10, 2)], "{rows:?}");
    }
    let mut index = index();
    for row in [row(0, 9, 1, 1), row(20, 29, 2, 1), row(10, 19, 3, 1)] {
        index.insert(LedgerId(1), row);
    }
    assert!(!index.ledgers[&LedgerId(1)].overlap, "neighbours do not");
    assert_eq!(selected(&index, 10, 19), [(10, 3)]);
    assert_eq!(selected(&index, 9, 20), [(0, 1), (10, 3), (20, 2)]);
}

#[test]
fn what_is_deleted_is_neither_found_nor_live() {
    let mut index = index();
    for ledger in 1..=4 {
        index.insert(LedgerId(ledger), row(0, 9, 1, 1));
        index.insert(LedgerId(ledger), row(10, 19, 2, 2));
    }
    assert_eq!((live(&index), index.row_count()), ((400, 400), 8));
    index.delete(LedgerId(1));
    index.delete(LedgerId(1));
    assert_eq!((live(&index), index.row_count()), ((300, 300), 6));
    assert_eq!(selected(&index, 0, 19), []);
    index.delete_range(LedgerId(3), LedgerId(2));
    assert_eq!(index.row_count(), 6, "an empty range");
    index.delete_range(LedgerId(2), LedgerId(2));
    assert_eq!(index.row_count(), 4);
    index.delete_range(LedgerId(0), LedgerId(3));
    assert_eq!((live(&index), index.row_count()), ((100, 100), 2));
    assert_eq!(index.rows().map(|(id, _)| id).collect::<Vec<_>>(), [LedgerId(4); 2]);
}

#[test]
fn rows_of_files_that_are_gone_are_dropped() {
    let mut index = index();
    index.insert(LedgerId(1), row(0, 9, 1, 1));
    index.insert(LedgerId(1), row(10, 19, 2, 2));
    index.insert(LedgerId(1), row(20, 29, 3, 2));
    index.insert(LedgerId(2), row(0, 9, 1, 1));
    index.remove_file(1);
    index.drop_dangling();
    assert_eq!(index.row_count(), 2);
    assert_eq!(selected(&index, 0, 99), [(10, 2), (20, 3)]);
    assert!(!index.has_run(LedgerId(2), &row(0, 9, 1, 1)));
    assert_eq!(index.files().len(), 1);
}

#[test]
fn a_file_keeps_its_live_bytes_when_it_changes() {
    let mut index = index();
    index.insert(LedgerId(1), row(0, 9, 1, 1));
    index.put_file(1, 7, 9000, false);
    let file = index.file_mut(1).unwrap();
    assert_eq!((file.live_bytes, file.bytes, file.is_sealed), (100, 9000, false));
    assert!(index.file_mut(3).is_none());
}
