//! Runs and footers: golden bytes, every flipped bit.

use proptest::prelude::*;

use super::*;

const HEAD: RunHead = RunHead {
    salt: 0x22,
    ledger_id: LedgerId(5),
    first: EntryId(3),
    last: EntryId(9),
    newness: 0x44,
    count: 0,
    length: 0,
};

fn example() -> Vec<u8> {
    let bodies: [&[u8]; 3] = [b"three", b"", b"nine"];
    let entries: Vec<RunEntry> = [3, 4, 9]
        .into_iter()
        .zip(bodies)
        .map(|(id, body)| RunEntry {
            entry_id: EntryId(id),
            offset: 0,
            length: short(body.len()),
            crc: Sum::of(body).crc(),
        })
        .collect();
    let mut bytes = Vec::new();
    HEAD.encode_run(&entries, bodies.into_iter(), &mut bytes);
    bytes
}

#[test]
fn run_bytes_are_as_documented() {
    let run = example();
    assert_eq!(run[..4], *b"RUN\n");
    assert_eq!(run[4..8], Sum::of(&run[8..64 + 3 * 24]).crc().to_le_bytes());
    for (at, field) in [(8, 0x22_u64), (16, 5), (24, 3), (32, 9), (40, 0x44)] {
        assert_eq!(run[at..at + 8], field.to_le_bytes());
    }
    assert_eq!(run[48..52], 3_u32.to_le_bytes());
    assert_eq!(run[52..56], (64 + 3 * 24 + 9_u32).to_le_bytes());
    let table = &run[64 + 2 * 24..];
    assert_eq!(table[..8], 9_i64.to_le_bytes());
    assert_eq!(table[8..12], (64 + 3 * 24 + 5_u32).to_le_bytes());
    assert_eq!(table[12..16], 4_u32.to_le_bytes());
    assert_eq!(table[16..20], Sum::of(b"nine").crc().to_le_bytes());
    assert!(run.ends_with(b"threenine"));
}

#[test]
fn entries_are_found_in_a_run_with_gaps() {
    let run = Run::new(example().into()).unwrap();
    assert_eq!(run.count(), 3);
    let found = |id| run.entry(run.find(EntryId(id))).map(|entry| entry.entry_id.0);
    assert_eq!([found(0), found(3), found(4)], [Some(3), Some(3), Some(4)]);
    assert_eq!([found(5), found(9), found(10)], [Some(9), Some(9), None]);
    assert_eq!(run.stored(&run.entry(2).unwrap()).unwrap(), "nine");
    assert!(run.is_whole());
    let moved = Run::new(run.with_salt(7).into()).unwrap();
    assert_eq!(moved.head(), &RunHead { salt: 7, ..*run.head() });
    assert!(moved.is_whole());
}

/// Some bytes with each of their bits flipped, one at a time.
fn flipped(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}

#[test]
fn every_flipped_bit_of_a_run_is_detected() {
    for (bit, flipped) in flipped(&example()) {
        let is_whole = Run::new(flipped.into()).is_some_and(|run| run.is_whole());
        assert!(!is_whole, "bit {bit}");
    }
}

/// What a read of the entries `first..=last` alone has of a run.
fn part(run: &[u8], first: i64, last: i64) -> Option<Run> {
    let table = Run::of_table(run[..64 + 3 * 24].to_vec().into())?;
    assert!(!table.has_all());
    let Some(place) = table.place_of(EntryId(first), EntryId(last)) else { return Some(table) };
    let bodies = run[place.clone()].to_vec();
    Some(table.with_bodies(bodies.into(), place.start))
}

/// The entries of a run whose bodies are there and undamaged.
fn present(run: &Run) -> Vec<i64> {
    let entries = (0..run.count()).filter_map(|at| run.entry(at));
    entries.filter(|it| run.stored(it).is_some()).map(|it| it.entry_id.0).collect()
}

#[test]
fn a_part_of_a_run_has_the_bodies_that_were_asked_for() {
    let run = example();
    let has = |first, last| present(&part(&run, first, last).unwrap());
    // The body of 4 is empty, so that it is everywhere where another ends or begins.
    assert_eq!(has(3, 3), [3, 4]);
    assert_eq!(has(9, 9), [4, 9]);
    assert_eq!(has(4, 8), [4]);
    assert_eq!(has(0, i64::MAX - 1), [3, 4, 9]);
    assert!(part(&run, 0, 100).unwrap().has_all());
    assert_eq!((has(5, 8), has(10, 20)), (vec![4], vec![]), "neither 3 nor 9");
    assert_eq!(present(&Run::of_table(run.into()).unwrap()), [] as [i64; 0]);
}

#[test]
fn every_flipped_bit_of_a_part_is_detected() {
    let run = example();
    for (bit, flipped) in flipped(&run) {
        let Some(part) = part(&flipped, 9, 9) else { continue };
        // Only in a body that does not belong to it, it is of no matter.
        let is_there = part.stored(&part.entry(2).unwrap()).is_some();
        assert_eq!(is_there, (run.len() - 9..run.len() - 4).contains(&(bit / 8)), "bit {bit}");
    }
}

fn rows() -> Vec<(LedgerId, Row)> {
    let row = |first, offset| Row {
        first: EntryId(first),
        last: EntryId(first + 1),
        newness: 3,
        file: 4,
        offset,
        length: 100,
        count: 2,
    };
    vec![(LedgerId(1), row(0, 4096)), (LedgerId(2), row(7, 4196))]
}

#[test]
fn every_flipped_bit_of_a_footer_is_detected() {
    let footer = encode_footer(9, 5000, &rows());
    let trailer_at = footer.len() - TRAILER_BYTES;
    assert_eq!(trailer_at, FOOTER_HEAD_BYTES + 2 * FOOTER_RUN_BYTES);
    assert_eq!(decode_trailer(&footer[trailer_at..], 9), Some((5000, trailer_at as u64)));
    assert_eq!(decode_trailer(&footer[trailer_at..], 8), None);
    assert_eq!(decode_footer(&footer[..trailer_at], 9, 4), Some(rows()));
    assert!(is_footer(&footer, 9) && !is_footer(&footer, 8));
    for (bit, flipped) in flipped(&footer) {
        let (list, trailer) = flipped.split_at(trailer_at);
        let list = decode_footer(list, 9, 4);
        let trailer = decode_trailer(trailer, 9);
        // The last eight bytes of the trailer's 32 are within its sum, so nothing goes unseen.
        assert!(list.is_none() || trailer.is_none(), "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_a_file_head_is_detected() {
    let head = encode_file_head(3, 4);
    assert_eq!(head[..12], *b"GMGELOG\n\x01\0\0\0");
    assert_eq!(decode_file_head(&head), Some((1, 3, 4)));
    for (bit, flipped) in flipped(&head) {
        assert_eq!(decode_file_head(&flipped), None, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_no_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), count in 0_u32..12, is_sealed: bool) {
        if is_sealed && bytes.len() > 352 {
            let length = u32::try_from(bytes.len()).unwrap();
            RunHead { count, length, ..HEAD }.seal(&mut bytes);
        }
        if let Some(run) = Run::new(bytes.clone().into()) {
            _ = run.is_whole();
            _ = run.find(EntryId(4));
        }
        if let Some(run) = Run::of_table(bytes.clone().into()) {
            _ = run.place_of(EntryId(1), EntryId(i64::MAX));
            let run = run.with_bodies(bytes.clone().into(), 30);
            _ = run.is_whole();
        }
        _ = decode_file_head(&bytes);
        _ = decode_trailer(&bytes, 0);
        _ = decode_footer(&bytes, 0, 0);
    }
}
