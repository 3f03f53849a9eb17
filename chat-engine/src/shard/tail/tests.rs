use super::*;
use crate::{record::Draft, shard::Place};

fn record_of(room: RoomId, seq: i64) -> Arc<Record> {
    let draft = Draft::message(room, 1.try_into().unwrap(), None, None, "x");
    Arc::new(Record { seq: place(seq), draft })
}

fn record(seq: i64) -> Arc<Record> {
    record_of(room(), seq)
}

fn edit(seq: i64, target: i64, content: &str) -> Arc<Record> {
    let draft = Draft::edited(room(), 1.try_into().unwrap(), place(target), None, content);
    Arc::new(Record { seq: place(seq), draft })
}

fn delete(seq: i64, target: i64) -> Arc<Record> {
    let draft = Draft::deleted(room(), 1.try_into().unwrap(), place(target), None);
    Arc::new(Record { seq: place(seq), draft })
}

fn room() -> RoomId {
    1.try_into().unwrap()
}

fn place(raw: i64) -> Seq {
    Seq::from_raw(raw).unwrap()
}

/// A memory for so many messages of one partition.
fn tail(messages: usize) -> Tail {
    Tail::new(&[Seq::ZERO], messages * size(&record(1)))
}

fn missed(tail: &Tail, after: i64) -> Vec<i64> {
    tail.missed(room(), place(after), 1_000).iter().map(|record| record.seq.get()).collect()
}

fn text(tail: &Tail, seq: i64) -> String {
    String::from_utf8(tail.find(room(), place(seq)).unwrap().draft.body.to_vec()).unwrap()
}

#[test]
fn what_is_stored_stays_while_there_is_room_and_goes_first() {
    let mut tail = Tail::new(&[Seq::ZERO; 2], 6 * size(&record(1)));
    let other: RoomId = (2..100)
        .map(|id| RoomId::try_from(id).unwrap())
        .find(|other| partition_of(*other, 2) != partition_of(room(), 2))
        .unwrap();
    (1..=3).for_each(|seq| assert!(tail.push(&record(seq))));
    (1..=3).for_each(|seq| assert!(tail.push(&record_of(other, seq))));
    tail.stored(partition_of(other, 2), place(3));
    assert_eq!((tail.floor(room()), tail.floor(other)), (place(0), place(0)));
    // Younger, but it is in the database.
    tail.push(&record(4));
    assert_eq!((tail.floor(room()), tail.floor(other)), (place(0), place(1)));
    tail.push(&record(5));
    assert_eq!((tail.floor(room()), tail.floor(other)), (place(0), place(2)));
    // Nothing is left that is in the database: the oldest goes.
    tail.push(&record(6));
    assert_eq!((tail.floor(room()), tail.floor(other)), (place(1), place(2)));
    assert_eq!(missed(&tail, 1), [2, 3, 4, 5, 6]);
}

#[test]
fn a_room_without_records_takes_no_memory() {
    let mut tail = tail(1);
    for id in 1..100 {
        tail.push(&record_of(id.try_into().unwrap(), id));
        let hold = tail.hold(200.try_into().unwrap());
        tail.extend(&hold, Vec::new(), place(id), Seq::ZERO);
        tail.release(hold);
    }
    assert_eq!((tail.rooms.len(), tail.partitions[0].order.len(), tail.read.len()), (1, 1, 0));
    tail.push(&record_of(7.try_into().unwrap(), 100));
    tail.budget = 0;
    tail.trim();
    assert_eq!((tail.rooms.len(), tail.bytes), (0, 0));
}

#[test]
fn what_was_read_stands_before_what_is_here_and_leaves_as_one() {
    let mut tail = Tail::new(&[place(10)], 8 * size(&record(1)));
    (11..=13).for_each(|seq| assert!(tail.push(&record(seq))));
    let hold = tail.hold(room());
    // What comes meanwhile pushes nothing out of a held room, as far as that may take more.
    (14..=20).for_each(|seq| assert!(tail.push(&record(seq))));
    assert!(tail.is_whole(&hold) && tail.floor(room()) == place(10));
    tail.extend(&hold, (4..=10).map(record).collect(), place(13), place(3));
    assert_eq!(tail.floor(room()), place(3));
    assert_eq!(missed(&tail, 3), (4..=20).collect::<Vec<_>>());
    tail.release(hold);
    let floor = tail.floor(room()).get();
    assert!(tail.bytes <= tail.budget && floor >= 12, "{floor}");
    assert_eq!(missed(&tail, floor), (floor + 1..=20).collect::<Vec<_>>());
}

#[test]
fn a_record_says_what_has_become_of_it() {
    let mut tail = tail(100);
    for record in [record(1), record(2), edit(3, 1, "first"), edit(4, 1, "second"), delete(5, 2)] {
        assert!(tail.push(&record));
    }
    // A deletion is final.
    assert!(!tail.push(&edit(6, 2, "third")));
    assert!(tail.push(&delete(7, 2)));
    assert!(text(&tail, 1).contains("second") && text(&tail, 1).contains("edited"));
    assert!(text(&tail, 2).contains("deleted") && !text(&tail, 2).contains("content"));
    // The first edit was overtaken; what came after the deletion is nothing.
    assert_eq!(missed(&tail, 0), [1, 2, 4, 5, 7]);
    assert_eq!(tail.shown_before(room(), place(9), 9).len(), 2);
    let change = tail.change_of(room(), place(1)).unwrap();
    assert_eq!(change.seq, place(4));
}

#[test]
fn changes_that_are_no_rows_yet_reach_the_rows_that_are_read() {
    let mut tail = Tail::new(&[place(10)], 1 << 20);
    assert!(tail.push(&edit(11, 3, "older than the row")));
    assert!(tail.push(&edit(12, 4, "newer")));
    assert!(tail.push(&delete(13, 5)));
    let hold = tail.hold(room());
    // The rows are as of 12: the first change is in them, and so is another edit of 4.
    let row = edit(9, 4, "row");
    tail.extend(&hold, vec![record(3), record(4), record(5), row], place(12), place(2));
    tail.release(hold);
    assert!(!text(&tail, 3).contains("edited"));
    assert!(text(&tail, 4).contains("newer"));
    assert!(text(&tail, 5).contains("deleted"));
    assert_eq!(missed(&tail, 2), [3, 4, 5, 11, 12, 13]);
    assert!(!tail.push(&edit(14, 5, "too late")));
}

#[test]
fn a_page_repeats_nothing_when_memory_has_reached_further_back_meanwhile() {
    use crate::shard::{page::Sought, reader::Rows};
    let rows = |seqs: std::ops::RangeInclusive<i64>| Rows {
        records: seqs.map(record).collect(),
        applied: place(101),
        more: true,
    };
    let mut tail = Tail::new(&[place(100)], 1_000 * size(&record(1)));
    for (seek, older, newer, expected) in [
        (Place::Before(place(81)), Some(rows(61..=80)), None, 61..=80),
        (Place::After(place(80)), None, Some(rows(81..=100)), 81..=100),
    ] {
        let hold = tail.hold(room());
        // Somebody else's rows come first.
        let other = tail.hold(room());
        tail.extend(&other, (71..=100).map(record).collect(), place(101), place(70));
        tail.release(other);
        let sought = Sought { place: seek, limit: 20, looks_further: false };
        let page = sought.complete(&tail, room(), older, newer, hold.floor);
        let seqs: Vec<_> = page.records.iter().map(|record| record.seq.get()).collect();
        assert_eq!(seqs, expected.collect::<Vec<_>>());
        tail.release(hold);
        tail = Tail::new(&[place(100)], 1_000 * size(&record(1)));
    }
}

#[test]
fn a_room_that_is_read_again_and_again_leaves_no_trace() {
    let mut tail = Tail::new(&[place(100)], 1_000 * size(&record(1)));
    for _ in 0..10_000 {
        let hold = tail.hold(room());
        tail.extend(&hold, (91..=100).map(record).collect(), place(101), place(90));
        tail.release(hold);
    }
    assert!(tail.read.len() < 200, "{}", tail.read.len());
}

#[test]
fn what_is_held_for_long_is_let_go_and_its_holder_learns_it() {
    let mut tail = tail(10);
    let other = 2.try_into().unwrap();
    let hold = tail.hold(room());
    (1..=100).for_each(|seq| assert!(tail.push(&record(seq))));
    assert!(tail.bytes <= tail.budget + tail.budget / 2, "{} bytes", tail.bytes);
    assert!(!tail.is_whole(&hold), "there is a gap between the rows and {:?}", tail.floor(room()));
    // Who comes now holds what there is.
    let late = tail.hold(room());
    tail.extend(&late, Vec::new(), place(100), Seq::ZERO);
    tail.release(hold);
    assert!(tail.is_whole(&late) && tail.floor(room()) == Seq::ZERO);
    tail.release(late);
    // Nobody loses anything for it.
    let third = 3.try_into().unwrap();
    let hold = tail.hold(third);
    (101..=105).for_each(|seq| assert!(tail.push(&record_of(third, seq))));
    (106..=200).for_each(|seq| assert!(tail.push(&record_of(other, seq))));
    assert!(tail.is_whole(&hold));
    assert_eq!(tail.missed(other, place(100), 99).len(), 10);
    tail.release(hold);
    assert_eq!((tail.kept, tail.held.len()), (0, 0));
}

#[test]
fn edits_of_what_is_held_are_counted_as_held() {
    let mut tail = tail(10);
    let hold = tail.hold(room());
    (1..=11).for_each(|seq| assert!(tail.push(&record(seq))));
    let long = "x".repeat(20 * size(&record(1)));
    assert!(tail.push(&edit(13, 1, &long)));
    assert!(tail.bytes <= tail.budget + tail.budget / 2, "{} bytes", tail.bytes);
    assert!(!tail.is_whole(&hold));
    tail.release(hold);
    assert_eq!(tail.kept, 0);
}

#[test]
fn an_edit_behind_a_deletion_that_memory_let_go_of_says_nothing() {
    let mut tail = tail(3);
    assert!(tail.push(&record(1)) && tail.push(&delete(2, 1)));
    (3..=9).for_each(|seq| assert!(tail.push(&record(seq))));
    assert!(tail.find(room(), place(2)).is_none());
    assert!(!tail.push(&edit(10, 1, "secret")));
    assert!(!missed(&tail, 9).contains(&10));
    assert!(tail.push(&edit(11, 9, "of another")));
}

#[test]
fn an_edit_behind_a_deletion_from_before_memory_begins_says_nothing() {
    let mut tail = Tail::new(&[place(10)], 1 << 20);
    // What was read to know repeats.
    assert!(!tail.push(&delete(9, 3)) && !tail.push(&delete(10, 4)));
    assert_eq!((tail.bytes, tail.floor(room())), (0, place(10)));
    assert!(!tail.push(&edit(11, 3, "secret")));
    assert!(tail.push(&edit(12, 5, "of another")));
    assert_eq!(missed(&tail, 10), [12]);
}

#[test]
fn rows_that_say_deleted_silence_what_is_here() {
    let deleted = |seq| {
        let draft = Draft::message(room(), 1.try_into().unwrap(), None, None, "x");
        let change = Draft::deleted(room(), 1.try_into().unwrap(), place(seq), None);
        let body = crate::record::present::body_after(&draft, &change).unwrap();
        Arc::new(Record { seq: place(seq), draft: Draft { body, ..draft } })
    };
    // The row of a message, and that of a deletion whose message is further back.
    for (row, target) in [(deleted(5), 5), (delete(6, 2), 2)] {
        let mut tail = Tail::new(&[place(10)], 1 << 20);
        assert!(tail.push(&edit(11, target, "secret")) && tail.push(&edit(12, 7, "of another")));
        let hold = tail.hold(room());
        let row_seq = row.seq.get();
        tail.extend(&hold, vec![row, record(7)], place(11), place(4));
        assert_eq!(missed(&tail, 4), [row_seq, 7, 12]);
        assert!(text(&tail, 11).is_empty() && text(&tail, 7).contains("of another"));
        let change = tail.change_of(room(), place(target));
        assert!(change.is_none_or(|change| change.draft.kind == RecordKind::Deleted), "{change:?}");
        tail.release(hold);
        assert_eq!(tail.kept, 0);
    }
}
