//! The floor itself: two threads, each with an epoll and half of the connections. A SEND is handed to the other
//! thread too, and each writes to its own half: no connection has a queue or a lock.

use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};
use parking_lot::Mutex;

use super::{
    Options,
    bytes::{CLOSE, Inbound, Input, Post, answer, room_of},
};

const THREADS: usize = 2;
const WAKE: Token = Token(usize::MAX);
const LISTENER: Token = Token(usize::MAX - 1);

/// A running floor; dropped, it stops.
#[derive(Debug)]
pub struct Bare {
    address: SocketAddr,
    inboxes: Arc<[Inbox]>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// What other threads have for one.
#[derive(Debug)]
struct Inbox {
    mail: Mutex<Vec<Mail>>,
    waker: Waker,
}

#[derive(Debug)]
enum Mail {
    Connection(TcpStream),
    Post(Arc<Post>),
    Stop,
}

impl Inbox {
    fn put(&self, mail: impl IntoIterator<Item = Mail>) {
        self.mail.lock().extend(mail);
        self.waker.wake().expect("an eventfd can be written");
    }
}

impl Bare {
    /// Serves until it is dropped.
    pub fn start(listener: std::net::TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let polls = (0..THREADS).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let inbox =
            |poll: &Poll| Ok(Inbox { mail: Mutex::default(), waker: Waker::new(poll.registry(), WAKE)? });
        let inboxes = polls.iter().map(inbox).collect::<io::Result<Arc<[_]>>>()?;
        let ids = Arc::new(AtomicU64::new(0));
        let mut listener = Some(TcpListener::from_std(listener));
        let mut threads = Vec::new();
        for (index, poll) in polls.into_iter().enumerate() {
            let mut half = Half {
                index,
                poll,
                listener: listener.take(),
                inboxes: inboxes.clone(),
                ids: ids.clone(),
                options,
                peers: Vec::new(),
                free: Vec::new(),
                rooms: Vec::new(),
                room_indexes: HashMap::new(),
                dirty: Vec::new(),
                posts: Vec::new(),
                accepted: 0,
            };
            threads
                .push(std::thread::Builder::new().name(format!("floor-{index}")).spawn(move || half.run())?);
        }
        Ok(Self { address, inboxes, threads })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until something ends it.
    pub fn wait(mut self) -> io::Result<()> {
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| io::Error::other("a thread of the floor panicked"))??;
        }
        Ok(())
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for inbox in &*self.inboxes {
            inbox.put([Mail::Stop]);
        }
        for thread in self.threads.drain(..) {
            // Nothing can be done about a failure while stopping.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Peer {
    socket: TcpStream,
    inbound: Inbound,
    /// What the socket did not take.
    rest: Vec<u8>,
    room: Option<usize>,
}

/// A room's subscribers on one thread. All have the same subscription id and destination, which is what makes
/// one buffer do for all of them.
#[derive(Debug)]
struct Room {
    subscription: Vec<u8>,
    destination: Vec<u8>,
    members: Vec<usize>,
    /// What is to be written to each of them; where the messages in it end.
    due: Vec<u8>,
    ends: Vec<usize>,
}

/// A thread and its connections.
struct Half {
    index: usize,
    poll: Poll,
    listener: Option<TcpListener>,
    inboxes: Arc<[Inbox]>,
    ids: Arc<AtomicU64>,
    options: Options,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    rooms: Vec<Room>,
    /// By room name, subscription id and destination.
    room_indexes: HashMap<Vec<u8>, Vec<usize>>,
    dirty: Vec<usize>,
    posts: Vec<Arc<Post>>,
    accepted: usize,
}

impl Half {
    fn run(&mut self) -> io::Result<()> {
        if let Some(listener) = &mut self.listener {
            self.poll.registry().register(listener, LISTENER, Interest::READABLE)?;
        }
        let mut events = Events::with_capacity(1_024);
        let mut buffer = vec![0; 65_536];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                match event.token() {
                    WAKE => {
                        let mails = std::mem::take(&mut *self.inboxes[self.index].mail.lock());
                        for mail in mails {
                            match mail {
                                Mail::Connection(socket) => self.add(socket)?,
                                Mail::Post(post) => self.queue(&post),
                                Mail::Stop => return Ok(()),
                            }
                        }
                    }
                    LISTENER => self.accept()?,
                    Token(slot) => {
                        if event.is_writable() {
                            self.write(slot, &[]);
                        }
                        if event.is_readable() {
                            self.read(slot, &mut buffer);
                        }
                    }
                }
            }
            self.hand_over();
            self.flush();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let accepted = match &self.listener {
                Some(listener) => listener.accept(),
                None => return Ok(()),
            };
            match accepted {
                Ok((socket, _)) => {
                    self.accepted += 1;
                    match self.accepted % THREADS {
                        index if index == self.index => self.add(socket)?,
                        index => self.inboxes[index].put([Mail::Connection(socket)]),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn add(&mut self, mut socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let slot = self.free.pop().unwrap_or(self.peers.len());
        self.poll.registry().register(&mut socket, Token(slot), Interest::READABLE | Interest::WRITABLE)?;
        let peer = Peer { socket, inbound: Inbound::default(), rest: Vec::new(), room: None };
        if slot == self.peers.len() {
            self.peers.push(Some(peer));
        } else {
            self.peers[slot] = Some(peer);
        }
        Ok(())
    }

    fn remove(&mut self, slot: usize) {
        let Some(peer) = self.peers[slot].take() else { return };
        if let Some(room) = peer.room {
            self.rooms[room].members.retain(|&member| member != slot);
        }
        self.free.push(slot);
    }

    fn read(&mut self, slot: usize, buffer: &mut [u8]) {
        loop {
            let Some(Some(peer)) = self.peers.get_mut(slot) else { return };
            let count = match peer.socket.read(buffer) {
                Ok(0) => return self.remove(slot),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.remove(slot),
            };
            let mut inbound = std::mem::take(&mut peer.inbound);
            inbound.receive(&mut buffer[..count], |input| self.on_input(slot, &input));
            if let Some(peer) = &mut self.peers[slot] {
                peer.inbound = inbound;
            }
            // An edge-triggered socket is empty when it gave less than was asked for (epoll(7)).
            if count < buffer.len() {
                return;
            }
        }
    }

    fn on_input(&mut self, slot: usize, input: &Input<'_>) {
        match input {
            Input::Upgrade(reply) => self.write(slot, reply),
            Input::Close => self.write(slot, CLOSE),
            Input::Frame(frame) => {
                match frame.command {
                    b"SUBSCRIBE" => {
                        let id = frame.header("id").unwrap_or_default();
                        self.subscribe(slot, id, frame.header("destination").unwrap_or_default());
                    }
                    b"SEND" => {
                        let id = self.ids.fetch_add(1, Ordering::Relaxed);
                        self.posts.push(Arc::new(Post::new(frame, id)));
                    }
                    _ => {}
                }
                if let Some(answer) = answer(frame) {
                    self.write(slot, &answer);
                }
            }
        }
    }

    fn subscribe(&mut self, slot: usize, id: &[u8], destination: &[u8]) {
        let indexes = self.room_indexes.entry(room_of(destination).to_vec()).or_default();
        let same = |&index: &usize| {
            self.rooms[index].subscription == id && self.rooms[index].destination == destination
        };
        let index = indexes.iter().copied().find(same).unwrap_or_else(|| {
            self.rooms.push(Room {
                subscription: id.to_vec(),
                destination: destination.to_vec(),
                members: Vec::new(),
                due: Vec::new(),
                ends: Vec::new(),
            });
            indexes.push(self.rooms.len() - 1);
            self.rooms.len() - 1
        });
        self.rooms[index].members.push(slot);
        if let Some(peer) = &mut self.peers[slot] {
            peer.room = Some(index);
        }
    }

    /// This batch's SENDs, to the other threads and to this one.
    fn hand_over(&mut self) {
        let posts = std::mem::take(&mut self.posts);
        if posts.is_empty() {
            return;
        }
        for (_, inbox) in self.inboxes.iter().enumerate().filter(|&(index, _)| index != self.index) {
            inbox.put(posts.iter().cloned().map(Mail::Post));
        }
        for post in &posts {
            self.queue(post);
        }
        self.posts = posts;
        self.posts.clear();
    }

    fn queue(&mut self, post: &Post) {
        for &index in self.room_indexes.get(&post.room).into_iter().flatten() {
            let room = &mut self.rooms[index];
            if room.due.is_empty() {
                self.dirty.push(index);
            }
            post.write(&room.subscription, &room.destination, true, &mut room.due);
            room.ends.push(room.due.len());
        }
    }

    /// Writes all that is due.
    fn flush(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            let room = &mut self.rooms[index];
            let members = std::mem::take(&mut room.members);
            let mut due = std::mem::take(&mut room.due);
            let mut ends = std::mem::take(&mut room.ends);
            if !self.options.write_each {
                ends.clear();
                ends.push(due.len());
            }
            for &slot in &members {
                let mut start = 0;
                for &end in &ends {
                    self.write(slot, &due[start..end]);
                    start = end;
                }
            }
            due.clear();
            ends.clear();
            let room = &mut self.rooms[index];
            (room.members, room.due, room.ends) = (members, due, ends);
        }
    }

    /// Writes what was left, then `bytes`.
    fn write(&mut self, slot: usize, bytes: &[u8]) {
        let Some(Some(peer)) = self.peers.get_mut(slot) else { return };
        if !peer.rest.is_empty() {
            let written = write_some(&mut peer.socket, &peer.rest);
            peer.rest.drain(..written);
            if !peer.rest.is_empty() {
                peer.rest.extend_from_slice(bytes);
                return;
            }
            peer.rest = Vec::new();
        }
        let written = write_some(&mut peer.socket, bytes);
        peer.rest.extend_from_slice(&bytes[written..]);
    }
}

/// How many bytes the socket took. A broken one takes none, and is found out by reading.
fn write_some(socket: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}
