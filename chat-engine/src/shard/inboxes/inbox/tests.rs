mod schedule;

use std::time::Duration;

use shared::{
    RoomId,
    testing::{seq, user},
};

use super::*;
use crate::{
    history::{Latest, Recent},
    record::Draft,
};

const SECOND: Duration = Duration::from_secs(1);

fn room() -> RoomId {
    7.try_into().unwrap()
}

fn said(raw: i64, sender: i64) -> Arc<Record> {
    let draft = Draft::message(room(), user(sender), None, None, &raw.to_string());
    Arc::new(Record { seq: seq(raw), draft })
}

fn deleted(raw: i64, target: i64) -> Arc<Record> {
    Arc::new(Record { seq: seq(raw), draft: Draft::deleted(room(), user(9), seq(target), None) })
}

fn edited(raw: i64, target: i64, content: &str) -> Arc<Record> {
    Arc::new(Record { seq: seq(raw), draft: Draft::edited(room(), user(9), seq(target), None, content) })
}

fn positions(version: u64, positions: &[(i64, Option<i64>)]) -> MemberPositions {
    let positions = positions.iter().map(|(id, to)| (user(*id), to.map(seq))).collect();
    MemberPositions { life: Life(1), version, positions }
}

fn change(version: u64, id: i64, to: Option<i64>) -> Change {
    Change { life: Life(1), version, user: user(id), to: to.map(seq) }
}

fn id(id: u64) -> SubscriberId {
    SubscriberId(id)
}

/// What a line says of what is unread.
fn unread(line: &Line) -> Option<u32> {
    line.state.unread.map(|unread| unread.count)
}

/// To whom lines go, and how many messages they say are unread.
fn told(lines: &[Line]) -> Vec<(Vec<u64>, Option<u32>)> {
    let mut told: Vec<_> =
        lines.iter().map(|line| (line.to.iter().map(|id| id.0).collect(), unread(line))).collect();
    told.sort();
    told
}

/// A room of which everything is known, with one person in it who stands there.
fn known(position: Option<i64>, now: Instant) -> Inbox {
    let mut inbox = Inbox::new(Seq::ZERO, None);
    inbox.attach(user(1), id(10), false, now);
    assert_eq!(inbox.ask(), (vec![user(1)], true));
    inbox.answer(positions(1, &[(1, position)]), now);
    assert_eq!(told(&inbox.look(now)), [(vec![10], Some(0))]);
    inbox
}

#[test]
fn a_person_gets_one_line_a_second_and_the_last_state_is_in_it() {
    let start = Instant::now();
    let mut inbox = known(Some(0), start);
    let (mut lines, mut at) = (Vec::new(), start);
    // Ten messages a second for ten seconds.
    for n in 1..=100 {
        at += SECOND / 10;
        inbox.record(&said(n, 2), at);
        let due = inbox.look(at);
        assert!(due.len() <= 1);
        lines.extend(due.into_iter().map(|line| (at, line)));
        assert!(inbox.deadline().is_none_or(|deadline| deadline > at));
    }
    assert!(lines.windows(2).all(|pair| pair[1].0 - pair[0].0 >= SECOND), "{lines:?}");
    assert_eq!(lines.len(), 10);
    // Nothing is lost at the end.
    while let Some(deadline) = inbox.deadline() {
        lines.extend(inbox.look(deadline).into_iter().map(|line| (deadline, line)));
    }
    let (last, line) = lines.last().unwrap();
    assert_eq!((unread(line), line.state.read), (Some(100), Some(seq(0))));
    assert!(*last <= at + SECOND);
    // After a quiet time the next one is told at once.
    let later = at + 5 * SECOND;
    inbox.record(&said(101, 2), later);
    assert_eq!(told(&inbox.look(later)), [(vec![10], Some(101))]);
    // What happens to them alone waits for its time, too.
    inbox.change(change(2, 1, Some(100)), later + SECOND / 2);
    assert!(inbox.look(later + SECOND / 2).is_empty());
    assert_eq!(inbox.deadline(), Some(later + SECOND));
    assert_eq!(told(&inbox.look(later + SECOND)), [(vec![10], Some(1))]);
    assert_eq!(inbox.deadline(), None);
}

#[test]
fn who_opens_a_room_sees_at_once_that_nothing_is_unread_there() {
    let start = Instant::now();
    let mut inbox = known(Some(0), start);
    let at = start + 2 * SECOND;
    inbox.record(&said(1, 2), at);
    assert_eq!(told(&inbox.look(at)), [(vec![10], Some(1))]);
    inbox.change(change(2, 1, None), at + SECOND / 10);
    assert_eq!(told(&inbox.look(at + SECOND / 10)), [(vec![10], Some(0))]);
    // What is said before them waits.
    inbox.record(&said(2, 2), at + SECOND / 5);
    assert!(inbox.look(at + SECOND / 5).is_empty());
    // So does what is unread when they go.
    inbox.change(change(3, 1, Some(1)), at + SECOND / 2);
    assert!(inbox.look(at + SECOND / 2).is_empty());
    assert_eq!(told(&inbox.look(at + SECOND)), []);
    assert_eq!(inbox.deadline(), Some(at + SECOND / 10 + SECOND));
    assert_eq!(told(&inbox.look(at + SECOND / 10 + SECOND)), [(vec![10], Some(1))]);
    assert_eq!(inbox.deadline(), None);
}

#[test]
fn a_second_device_that_began_in_between_is_told_how_it_is_again() {
    let start = Instant::now();
    let mut inbox = known(Some(0), start);
    let after = |tenths: u32| start + 2 * SECOND + tenths * SECOND / 10;
    inbox.record(&said(1, 2), after(0));
    assert_eq!(told(&inbox.look(after(0))), [(vec![10], Some(1))]);
    inbox.change(change(2, 1, None), after(1));
    assert_eq!(told(&inbox.look(after(1))), [(vec![10], Some(0))]);
    // Their page is loaded anew before it had taken the message, and the list of it comes before the room.
    inbox.change(change(3, 1, Some(0)), after(5));
    assert_eq!(told(&inbox.look(after(5))), []);
    inbox.attach(user(1), id(11), false, after(6));
    assert_eq!(told(&inbox.look(after(6))), [(vec![11], Some(1))]);
    inbox.change(change(4, 1, None), after(8));
    let mut lines = inbox.look(after(8));
    while let Some(deadline) = inbox.deadline() {
        lines.extend(inbox.look(deadline));
    }
    assert_eq!(told(&lines), [(vec![10, 11], Some(0))]);
}

#[test]
fn nothing_is_told_of_what_is_the_same_for_somebody() {
    let now = Instant::now();
    let mut inbox = known(Some(0), now);
    let at = now + 2 * SECOND;
    let joined = Arc::new(Record { seq: seq(1), draft: Draft::joined(room(), user(3), 1) });
    inbox.record(&joined, at);
    inbox.change(change(2, 3, Some(1)), at);
    inbox.change(change(3, 1, Some(0)), at);
    assert!(inbox.look(at).is_empty());
    assert_eq!(inbox.deadline(), None);
}

#[test]
fn a_second_device_gets_its_first_line_at_once_and_the_first_is_not_told_again() {
    let now = Instant::now();
    let mut inbox = known(Some(0), now);
    inbox.record(&said(1, 2), now + 2 * SECOND);
    assert_eq!(told(&inbox.look(now + 2 * SECOND)), [(vec![10], Some(1))]);
    let at = now + 2 * SECOND + SECOND / 10;
    inbox.attach(user(1), id(11), false, at);
    assert!(!inbox.wants_positions(), "it is known where they stand");
    assert_eq!(told(&inbox.look(at)), [(vec![11], Some(1))]);
    // From then on both are told together.
    inbox.record(&said(2, 2), at);
    assert!(inbox.look(at).is_empty());
    assert_eq!(told(&inbox.look(at + SECOND)), [(vec![10, 11], Some(2))]);
    inbox.detach(user(1), id(10), at);
    inbox.record(&said(3, 2), at + 3 * SECOND);
    assert_eq!(told(&inbox.look(at + 3 * SECOND)), [(vec![11], Some(3))]);
    inbox.detach(user(1), id(11), at);
    assert!(inbox.is_idle());
}

#[test]
fn without_the_authority_there_is_no_count_until_it_is_back() {
    let now = Instant::now();
    let in_memory = [said(1, 2)];
    let mut inbox = Inbox::new(Seq::ZERO, in_memory.first());
    inbox.attach(user(1), id(10), false, now);
    inbox.ask();
    assert!(inbox.look(now).is_empty());
    inbox.fail(now);
    assert!(inbox.wants_positions());
    inbox.ask();
    let patience = inbox.deadline().unwrap();
    assert_eq!(patience, now + COUNTS_PATIENCE);
    let lines = inbox.look(patience);
    assert_eq!(told(&lines), [(vec![10], None)]);
    assert_eq!(inbox.last().unwrap().seq, seq(1));
    // A message is news all the same.
    inbox.record(&said(2, 2), patience + SECOND);
    assert_eq!(told(&inbox.look(patience + SECOND)), [(vec![10], None)]);
    let back = patience + 5 * SECOND;
    inbox.answer(positions(4, &[(1, Some(0))]), back);
    inbox.recall(Seq::ZERO, in_memory.iter(), back);
    assert_eq!(told(&inbox.look(back)), [(vec![10], Some(2))]);
    assert_eq!(inbox.deadline(), None);
}

#[test]
fn rows_are_read_as_far_back_as_somebody_stands_and_no_further() {
    let now = Instant::now();
    let in_memory = [said(12, 9), said(11, 9)];
    let mut inbox = Inbox::new(seq(10), in_memory.first());
    for person in 1..=3 {
        inbox.attach(user(person), id(person.cast_unsigned()), false, now);
    }
    inbox.ask();
    assert!(!inbox.wants_rows());
    inbox.answer(positions(1, &[(1, Some(11)), (2, Some(5)), (3, None)]), now);
    inbox.recall(seq(10), in_memory.iter(), now);
    assert_eq!(told(&inbox.look(now)), [(vec![1], Some(1)), (vec![3], Some(0))]);
    let recent = inbox.ask_rows(room(), Vec::new()).unwrap();
    assert_eq!((recent.since, recent.up_to), (seq(5), seq(10)));
    // Meanwhile one of them is deleted, and another comes.
    inbox.record(&deleted(13, 8), now);
    inbox.record(&said(14, 1), now);
    let latest = |counted: &[i64]| Latest {
        room: room(),
        last: None,
        counted: counted.iter().map(|raw| (seq(*raw), user(9))).collect(),
        stored: seq(11),
    };
    inbox.look(now);
    inbox.rows(Some(latest(&[6, 8, 9])), now);
    assert_eq!(told(&inbox.look(now)), [(vec![2], Some(5))]);
    // Whoever stands above that needs none.
    inbox.attach(user(4), id(4), false, now);
    inbox.ask();
    inbox.answer(positions(2, &[(4, Some(6))]), now);
    assert!(!inbox.wants_rows());
    assert_eq!(told(&inbox.look(now)), [(vec![4], Some(4))]);
    // Rows that could not be read are asked for again.
    inbox.attach(user(5), id(5), false, now);
    inbox.ask();
    inbox.answer(positions(2, &[(5, Some(1))]), now);
    assert_eq!(inbox.ask_rows(room(), Vec::new()).unwrap().since, seq(1));
    inbox.rows(None, now);
    assert_eq!(inbox.ask_rows(room(), Vec::new()).unwrap().since, seq(1));
    inbox.rows(Some(latest(&[2, 3])), now);
    assert_eq!(told(&inbox.look(now)), [(vec![5], Some(7))]);
}

#[test]
fn the_last_message_is_shown_as_it_reads_by_now() {
    let now = Instant::now();
    let text = |inbox: &Inbox| String::from_utf8(inbox.last().unwrap().draft.body.to_vec()).unwrap();
    // It is a row; while it is read it is changed.
    let mut inbox = Inbox::new(seq(10), None);
    inbox.attach(user(1), id(1), false, now);
    inbox.ask();
    inbox.answer(positions(1, &[(1, Some(10))]), now);
    assert!(inbox.look(now).is_empty(), "what was said last is not known");
    let recent = inbox.ask_rows(room(), vec![edited(11, 5, "once")]).unwrap();
    assert_eq!((recent.since, recent.up_to), (seq(10), seq(10)));
    inbox.record(&edited(12, 5, "twice"), now);
    let last = Some((*said(5, 2)).clone());
    inbox.rows(Some(Latest { room: room(), last, counted: Vec::new(), stored: seq(11) }), now);
    assert_eq!(told(&inbox.look(now)), [(vec![1], Some(0))]);
    assert!(text(&inbox).contains("twice"));
    inbox.record(&deleted(13, 5), now + SECOND);
    assert_eq!(told(&inbox.look(now + SECOND)), [(vec![1], Some(0))]);
    assert!(!text(&inbox).contains("twice") && text(&inbox).contains("deleted"));
}

#[test]
fn what_happens_to_one_person_is_looked_at_for_nobody_else() {
    let now = Instant::now();
    let mut inbox = Inbox::new(Seq::ZERO, None);
    // How often somebody is looked at until nothing is due any more.
    let visits = |inbox: &mut Inbox, at: Instant| {
        let before = inbox.visits.get();
        inbox.look(at);
        inbox.visits.get() - before
    };
    for person in 1..=1_000 {
        inbox.attach(user(person), id(person.cast_unsigned()), false, now);
        assert!(visits(&mut inbox, now) <= 1, "{person} comes");
    }
    inbox.ask();
    inbox.answer(positions(1, &(1..=500).map(|person| (person, Some(0))).collect::<Vec<_>>()), now);
    visits(&mut inbox, now);
    // Five hundred are told, as many wait.
    let mut at = now + SECOND / 10;
    for (version, person) in (2..).zip(1..=500) {
        at += SECOND / 1_000;
        inbox.change(change(version, person, None), at);
        inbox.attach(user(2_000), id(2_000), false, at);
        assert!(visits(&mut inbox, at) <= 3, "{person} moves, somebody comes");
        inbox.detach(user(2_000), id(2_000), at);
        assert_eq!(visits(&mut inbox, at), 0);
    }
}

#[test]
fn messages_are_kept_as_far_back_as_the_lowest_stands() {
    let mut at = Instant::now();
    let mut in_memory: Vec<_> = (51..=1_000).rev().map(|raw| said(raw, 9)).collect();
    let mut inbox = Inbox::new(seq(50), in_memory.first());
    assert!(inbox.tally.is_empty(), "nobody is known to stand anywhere");
    let comes = |inbox: &mut Inbox, in_memory: &[Arc<Record>], person: i64, to: i64, at: Instant| {
        inbox.attach(user(person), id(person.cast_unsigned()), false, at);
        inbox.ask();
        inbox.answer(positions(1, &[(person, Some(to))]), at);
        inbox.recall(seq(50), in_memory.iter(), at);
        told(&inbox.look(at))
    };
    assert_eq!(comes(&mut inbox, &in_memory, 1, 990, at), [(vec![1], Some(10))]);
    assert_eq!((inbox.tally.len(), inbox.wants_rows()), (10, false));
    assert_eq!(comes(&mut inbox, &in_memory, 2, 400, at), [(vec![2], Some(600))]);
    assert_eq!((inbox.tally.len(), inbox.wants_rows()), (600, false));
    // The lowest reads on; in a quiet room, too, it comes to rest.
    let rest = |inbox: &mut Inbox| {
        while let Some(deadline) = inbox.deadline() {
            inbox.look(deadline);
        }
        inbox.tally.len()
    };
    at += SECOND;
    inbox.change(change(2, 2, Some(950)), at);
    assert_eq!(rest(&mut inbox), 50);
    // They go; of those who read, nothing is kept.
    at += 5 * SECOND;
    inbox.detach(user(2), id(2), at);
    assert_eq!(rest(&mut inbox), 10);
    inbox.change(change(3, 1, None), at);
    assert_eq!(rest(&mut inbox), 0);
    in_memory.insert(0, said(1_001, 9));
    inbox.record(&in_memory[0], at);
    assert_eq!(rest(&mut inbox), 0);
    // Whoever comes then is told the same as ever, without a question where memory has it.
    at += 5 * SECOND;
    inbox.detach(user(1), id(1), at);
    assert_eq!(comes(&mut inbox, &in_memory, 3, 100, at), [(vec![3], Some(901))]);
    assert!(!inbox.wants_rows());
    // Only what is below that is read, and nothing is let go of meanwhile.
    assert!(comes(&mut inbox, &in_memory, 4, 20, at).is_empty());
    let recent = inbox.ask_rows(room(), Vec::new()).unwrap();
    assert_eq!((recent.since, recent.up_to), (seq(20), seq(50)));
    inbox.detach(user(3), id(3), at);
    inbox.look(at + 2 * SECOND);
    let counted = vec![(seq(21), user(9)), (seq(50), user(9))];
    inbox.rows(Some(Latest { room: room(), last: None, counted, stored: seq(51) }), at + 2 * SECOND);
    assert_eq!(told(&inbox.look(at + 4 * SECOND)), [(vec![4], Some(953))]);
}
