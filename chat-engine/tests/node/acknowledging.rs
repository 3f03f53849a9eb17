//! Reading by ACK: what was acknowledged has been read, and nothing else has.
//!
//! That something is *not* read shows by what comes behind it: Cho, on the node of who is looked at, acknowledges
//! something after it, and when everybody sees that, they would have seen the other.

mod limits;
mod versions;

use stomp::{Command, Frame};

use crate::{
    client::Client,
    world::{Person, World},
};

pub(crate) fn chat(room: i64) -> String {
    format!("/chat/{room}")
}

fn alarm(room: i64) -> String {
    format!("/chatalarm/{room}")
}

impl Client {
    /// Follows under this id, with these headers more, and says by ACK what was read.
    pub(crate) async fn follow_by(&mut self, ack: &str, id: &str, destination: &str, more: &[(&str, &str)]) {
        let own = [("id", id), ("destination", destination), ("ack", ack), ("receipt", "follow")];
        let headers: Vec<_> = own.into_iter().chain(more.iter().copied()).collect();
        self.send(Command::Subscribe, &headers, "").await;
        self.expect_receipt("follow").await;
    }

    /// The MESSAGE of the record at `seq` on the subscription of that id.
    pub(crate) async fn message_at(&mut self, id: &str, seq: i64) -> Frame {
        let seq = seq.to_string();
        let has =
            |frame: &Frame, header, value: &str| frame.headers.first(header).is_some_and(|v| **v == *value);
        let is_it = |frame: &Frame| {
            frame.command == Command::Message && has(frame, "seq", &seq) && has(frame, "subscription", id)
        };
        self.try_expect(is_it).await.unwrap_or_else(|| panic!("{seq} never comes"))
    }

    /// ACK or NACK of a MESSAGE, with these headers more.
    pub(crate) async fn answer(&mut self, command: Command, message: &Frame, more: &[(&str, &str)]) {
        let ack = message.headers.first("ack").unwrap_or_else(|| panic!("no ack in {message:?}"));
        let headers: Vec<_> =
            [("id", &**ack), ("receipt", "answered")].into_iter().chain(more.iter().copied()).collect();
        self.send(command, &headers, "").await;
        self.expect_receipt("answered").await;
    }

    /// ACK of the record at `seq`, which comes on the subscription `acks`.
    pub(crate) async fn ack(&mut self, seq: i64) {
        let message = self.message_at("acks", seq).await;
        self.answer(Command::Ack, &message, &[]).await;
    }

    async fn nack(&mut self, seq: i64) {
        let message = self.message_at("acks", seq).await;
        self.answer(Command::Nack, &message, &[]).await;
    }

    /// The counts of these messages, as they are shown.
    pub(crate) fn shows<const N: usize>(&self, seqs: [i64; N]) -> [i64; N] {
        seqs.map(|seq| self.counts()[&seq])
    }
}

/// Anna has the room open; Bo follows it in a mode, and so does Cho, on the same node.
struct Scene {
    room: i64,
    bo: Person,
    cho: Person,
    a: Client,
    b: Client,
    c: Client,
}

impl Scene {
    /// Bo's subscription is called `acks`, has this mode and these headers; so many messages were before it.
    async fn begin<const N: usize>(world: &World, ack: &str, more: &[(&str, &str)]) -> (Self, [i64; N]) {
        let (anna, bo, cho) = (world.person().await, world.person().await, world.person().await);
        let room = world.room(&[&anna, &bo, &cho]).await;
        let mut a = world.connect_to(&anna, room).await;
        let mut said = [0; N];
        for (n, seq) in said.iter_mut().enumerate() {
            *seq = a.post(room, &n.to_string()).await;
            a.expect_count(*seq, 2).await;
        }
        let mut b = world.connect(&bo).await;
        b.follow_by(ack, "acks", &chat(room), more).await;
        let mut c = Client::connect(world.addr_for(&bo), &cho.token).await;
        c.follow_by("client", "acks", &chat(room), &[("history", "100")]).await;
        (Self { room, bo, cho, a, b, c }, said)
    }

    async fn post(&mut self, content: &str) -> i64 {
        let seq = self.a.post(self.room, content).await;
        self.a.message_at("chat", seq).await;
        seq
    }
}

const HISTORY: &[(&str, &str)] = &[("history", "100")];

async fn client_reads_up_to_what_it_acknowledges(world: &World) {
    let (Scene { room, mut a, mut b, mut c, .. }, [first, second, third]) =
        Scene::begin(world, "client", HISTORY).await;
    // To follow is not to read.
    for seq in [first, second, third] {
        b.expect_count(seq, 2).await;
    }
    b.ack(second).await;
    for client in [&mut a, &mut b] {
        client.expect_count(second, 1).await;
        client.expect_count(first, 1).await;
    }
    // What was refused was not read; nor is it, said once more, by an ACK of something before it.
    b.nack(third).await;
    b.ack(first).await;
    c.ack(third).await;
    a.expect_count(first, 0).await;
    assert_eq!(a.shows([first, second, third]), [0, 0, 1]);
    // An ACK of what comes behind it is one to that, too.
    let fourth = a.post(room, "다음").await;
    a.expect_count(fourth, 2).await;
    b.ack(fourth).await;
    a.expect_count(fourth, 1).await;
    assert_eq!(a.shows([first, second, third]), [0, 0, 0]);
    // Another one who reads sees the same.
    c.expect_count(fourth, 1).await;
    b.expect_count(third, 0).await;
}

async fn client_individual_reads_to_the_end_of_the_unbroken_run(world: &World) {
    let (mut scene, [first, second, third]) = Scene::begin(world, "client-individual", HISTORY).await;
    scene.b.ack(third).await;
    scene.b.ack(second).await;
    scene.c.ack(first).await;
    scene.a.expect_count(first, 1).await;
    assert_eq!(scene.a.shows([first, second, third]), [1, 2, 2]);
    scene.b.ack(first).await;
    scene.a.expect_count(third, 1).await;
    assert_eq!(scene.a.shows([first, second, third]), [0, 1, 1]);
    // A run ends where something was refused, and what comes behind it is not read.
    let (fourth, fifth) = (scene.post("넷").await, scene.post("다섯").await);
    scene.b.nack(fourth).await;
    scene.b.ack(fifth).await;
    scene.c.ack(second).await;
    scene.a.expect_count(second, 0).await;
    assert_eq!(scene.a.shows([third, fourth, fifth]), [1, 2, 2]);
}

async fn live_messages_are_acknowledged_as_those_of_history_are(world: &World) {
    for ack in ["client", "client-individual"] {
        let (mut scene, []) = Scene::begin(world, ack, &[]).await;
        for _ in 0..3 {
            let seq = scene.post("안녕").await;
            scene.a.expect_count(seq, 2).await;
            scene.b.ack(seq).await;
            scene.a.expect_count(seq, 1).await;
        }
    }
}

async fn an_alarm_reads_nothing(world: &World) {
    let (mut scene, [first, second]) = Scene::begin(world, "auto", &[]).await;
    scene.a.expect_count(second, 1).await;
    // Bo closes the room, and follows its alarm.
    scene.b.send(Command::Unsubscribe, &[("id", "acks"), ("receipt", "u")], "").await;
    scene.b.expect_receipt("u").await;
    let third = scene.post("알림").await;
    scene.a.expect_count(third, 2).await;
    for ack in ["client", "client-individual"] {
        scene.b.follow_by(ack, ack, &alarm(scene.room), HISTORY).await;
        let message = scene.b.message_at(ack, third).await;
        scene.b.answer(Command::Ack, &message, &[]).await;
    }
    scene.c.ack(first).await;
    scene.a.expect_count(first, 0).await;
    assert_eq!(scene.a.shows([second, third]), [1, 2]);
}

async fn a_transaction_reads_when_it_commits(world: &World) {
    let (mut scene, [first, second, third]) = Scene::begin(world, "client", HISTORY).await;
    let Scene { a, b, c, .. } = &mut scene;
    b.send(Command::Begin, &[("transaction", "t")], "").await;
    b.send(Command::Begin, &[("transaction", "dropped")], "").await;
    for (seq, transaction) in [(first, "t"), (second, "t"), (third, "dropped")] {
        let message = b.message_at("acks", seq).await;
        b.answer(Command::Ack, &message, &[("transaction", transaction)]).await;
    }
    b.send(Command::Abort, &[("transaction", "dropped"), ("receipt", "aborted")], "").await;
    b.expect_receipt("aborted").await;
    c.ack(first).await;
    a.expect_count(first, 1).await;
    assert_eq!(a.shows([first, second, third]), [1, 2, 2]);
    b.send(Command::Commit, &[("transaction", "t"), ("receipt", "committed")], "").await;
    b.expect_receipt("committed").await;
    a.expect_count(second, 1).await;
    assert_eq!(a.shows([first, third]), [0, 2]);
}

/// A transaction of which one part cannot be done is not done.
async fn a_transaction_with_a_wrong_ack_reads_nothing(world: &World) {
    let (mut scene, [first, second]) = Scene::begin(world, "client", HISTORY).await;
    let Scene { a, b, c, .. } = &mut scene;
    let message = b.message_at("acks", first).await;
    b.send(Command::Begin, &[("transaction", "t")], "").await;
    b.answer(Command::Ack, &message, &[("transaction", "t")]).await;
    let never = format!("{}@acks", second + 1_000);
    b.send(Command::Ack, &[("id", &never), ("transaction", "t")], "").await;
    b.send(Command::Commit, &[("transaction", "t")], "").await;
    let error = b.expect(Command::Error).await;
    assert_eq!(error.headers.first("message").map(|title| &**title), Some("protocol violation"), "{error:?}");
    c.ack(second).await;
    a.expect_count(second, 1).await;
    assert_eq!(a.shows([first]), [1]);
}

/// Every MESSAGE can be acknowledged, so that a client may answer all it gets, or the last of it.
async fn pages_and_events_can_be_acknowledged(world: &World) {
    let (mut scene, [first, second]) = Scene::begin(world, "client", &[]).await;
    let Scene { room, cho, a, b, .. } = &mut scene;
    let destination = format!("/app/history/{room}");
    b.send(Command::Send, &[("destination", &*destination), ("limit", "2"), ("receipt", "page")], "").await;
    b.expect_receipt("page").await;
    b.ack(first).await;
    a.expect_count(first, 1).await;
    b.ack(second).await;
    a.expect_count(second, 1).await;
    let third = a.post(*room, "셋").await;
    b.message_at("acks", third).await;
    // Cho opens the room, and everybody is told of that.
    let _reader = world.connect_to(cho, *room).await;
    b.expect_count(third, 1).await;
    let is_event = |frame: &Frame| frame.command == Command::Message && frame.headers.first("seq").is_none();
    let told = std::iter::from_fn(|| b.take_early(is_event)).last().expect("an event told it");
    b.answer(Command::Ack, &told, &[]).await;
    a.expect_count(third, 0).await;
}

/// In all modes of one member at once: who reads now is past everything, and falls back to what was read.
async fn who_acknowledges_in_one_tab_may_read_in_another(world: &World) {
    let (mut scene, [first]) = Scene::begin(world, "client", HISTORY).await;
    let Scene { room, bo, a, b, c, .. } = &mut scene;
    // The same room twice on one connection.
    b.follow(*room).await;
    a.expect_count(first, 1).await;
    b.ack(first).await;
    b.send(Command::Unsubscribe, &[("id", "chat"), ("receipt", "u")], "").await;
    b.expect_receipt("u").await;
    let second = a.post(*room, "둘").await;
    a.expect_count(second, 2).await;
    // Another tab, on another node if there is one.
    let addr = world.addrs().take(world.nodes()).find(|addr| *addr != world.addr_for(bo));
    let mut tab = Client::connect(addr.unwrap_or_else(|| world.addr()), &bo.token).await;
    tab.follow(*room).await;
    a.expect_count(second, 1).await;
    let third = a.post(*room, "셋").await;
    a.expect_count(third, 1).await;
    b.ack(third).await;
    tab.disconnect().await;
    let fourth = a.post(*room, "넷").await;
    a.expect_count(fourth, 2).await;
    c.ack(fourth).await;
    a.expect_count(fourth, 1).await;
    assert_eq!(a.shows([first, second, third]), [0, 0, 0]);
    b.ack(fourth).await;
    a.expect_count(fourth, 0).await;
}

async fn what_was_acknowledged_stays_read(world: &World) {
    let (mut scene, [first, second]) = Scene::begin(world, "client", HISTORY).await;
    let Scene { room, bo, a, b, .. } = &mut scene;
    // The connection ends right behind the ACK.
    let message = b.message_at("acks", first).await;
    b.answer(Command::Ack, &message, &[]).await;
    let gone = std::mem::replace(b, world.connect(bo).await);
    gone.disconnect().await;
    a.expect_count(first, 1).await;
    let third = a.post(*room, "셋").await;
    a.expect_count(third, 2).await;
    // Resumed where the last ACK was.
    b.follow_by("client", "acks", &chat(*room), &[("after", &first.to_string())]).await;
    b.ack(second).await;
    a.expect_count(second, 1).await;
    assert_eq!(a.shows([first, third]), [1, 2]);
    let (room, anna) = (*room, scene.a);
    drop((anna, scene.b, scene.c));
    world.restart().await;

    let mut c = world.connect(&scene.cho).await;
    c.follow_by("client", "acks", &chat(room), HISTORY).await;
    for (seq, unread) in [(first, 1), (second, 1), (third, 2)] {
        c.expect_count(seq, unread).await;
    }
}

crate::world::on_both_backends!(
    client_reads_up_to_what_it_acknowledges,
    client_individual_reads_to_the_end_of_the_unbroken_run,
    live_messages_are_acknowledged_as_those_of_history_are,
    an_alarm_reads_nothing,
    a_transaction_reads_when_it_commits,
    a_transaction_with_a_wrong_ack_reads_nothing,
    pages_and_events_can_be_acknowledged,
    who_acknowledges_in_one_tab_may_read_in_another,
    what_was_acknowledged_stays_read,
);
