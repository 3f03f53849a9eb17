//! The fan-out of the shapes with a task for each connection: two tasks own the rooms, take all that waits for
//! them, queue it to everybody, and only then see to it that it is written.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::{
    net::TcpStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{
    Options,
    bytes::{Post, room_of},
};
use crate::frames::RawFrame;

/// A connection, as the fan-out sees it.
pub(super) trait Peer: Send + Sync + 'static {
    /// Whether it is given whole WebSocket frames, or their payloads.
    const FRAMED: bool;

    /// To be written at the next [`flush`](Self::flush). Whether it is the first since then.
    fn queue(&self, frame: Bytes) -> bool;

    /// Has all that is queued written.
    fn flush(&self);
}

#[derive(Debug)]
enum Order<P> {
    Subscribe { peer: Arc<P>, id: Vec<u8>, destination: Vec<u8> },
    Post(Post),
    Leave { peer: Arc<P>, room: Vec<u8> },
}

/// Where connections bring their frames.
#[derive(Debug)]
pub(super) struct Shards<P> {
    orders: Vec<UnboundedSender<Order<P>>>,
    ids: AtomicU64,
}

impl<P: Peer> Shards<P> {
    fn start(options: Options) -> Arc<Self> {
        let start = |_| {
            let (sender, receiver) = unbounded_channel();
            tokio::spawn(fan_out(receiver, options.eager));
            sender
        };
        Arc::new(Self { orders: (0..2).map(start).collect(), ids: AtomicU64::new(0) })
    }

    fn put(&self, room: &[u8], order: Order<P>) {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        let shard = usize::from(hasher.finish() % 2 == 1);
        // The shards end with the runtime only.
        let _ = self.orders[shard].send(order);
    }

    /// Passes a frame on, if it is one for the fan-out: the room that the connection follows by it.
    pub(super) fn on_frame(&self, peer: &Arc<P>, frame: &RawFrame<'_>) -> Option<Vec<u8>> {
        let destination = frame.header("destination").unwrap_or_default();
        let room = room_of(destination);
        match frame.command {
            b"SEND" => {
                let id = self.ids.fetch_add(1, Ordering::Relaxed);
                self.put(room, Order::Post(Post::new(frame, id)));
                None
            }
            b"SUBSCRIBE" => {
                let id = frame.header("id").unwrap_or_default().to_vec();
                let destination = destination.to_vec();
                self.put(room, Order::Subscribe { peer: peer.clone(), id, destination });
                Some(room.to_vec())
            }
            _ => None,
        }
    }

    pub(super) fn leave(&self, peer: Arc<P>, room: Option<Vec<u8>>) {
        if let Some(room) = room {
            self.put(&room.clone(), Order::Leave { peer, room });
        }
    }
}

/// Subscribers with the same subscription id and destination, who get the same bytes.
#[derive(Debug)]
struct Group<P> {
    id: Vec<u8>,
    destination: Vec<u8>,
    members: Vec<Arc<P>>,
}

async fn fan_out<P: Peer>(mut orders: UnboundedReceiver<Order<P>>, eager: bool) {
    let mut rooms: HashMap<Vec<u8>, Vec<Group<P>>> = HashMap::new();
    let mut batch = Vec::new();
    let mut dirty: Vec<Arc<P>> = Vec::new();
    while orders.recv_many(&mut batch, 1_024).await > 0 {
        if !eager {
            // Woken by the first of several SENDs that have arrived: the connections which hold the others are
            // about to run. Let them go first, and what is written leaves in a fraction of the writes.
            tokio::task::yield_now().await;
            while batch.len() < 1_024
                && let Ok(order) = orders.try_recv()
            {
                batch.push(order);
            }
        }
        for order in batch.drain(..) {
            match order {
                Order::Subscribe { peer, id, destination } => {
                    let groups = rooms.entry(room_of(&destination).to_vec()).or_default();
                    match groups.iter_mut().find(|group| group.id == id && group.destination == destination) {
                        Some(group) => group.members.push(peer),
                        None => groups.push(Group { id, destination, members: vec![peer] }),
                    }
                }
                Order::Leave { peer, room } => {
                    for group in rooms.get_mut(&room).into_iter().flatten() {
                        group.members.retain(|member| !Arc::ptr_eq(member, &peer));
                    }
                }
                Order::Post(post) => {
                    for group in rooms.get(&post.room).into_iter().flatten() {
                        let mut frame = Vec::new();
                        post.write(&group.id, &group.destination, P::FRAMED, &mut frame);
                        let frame = Bytes::from(frame);
                        let first = |member: &&Arc<P>| member.queue(frame.clone());
                        dirty.extend(group.members.iter().filter(first).cloned());
                    }
                }
            }
        }
        for peer in dirty.drain(..) {
            peer.flush();
        }
    }
}

/// Accepts for ever, a task for each connection.
pub(super) fn serve<P, F>(
    listener: TcpListener,
    options: Options,
    connection: impl Fn(TcpStream, Arc<Shards<P>>) -> F + Send + Sync + 'static,
) -> io::Result<()>
where
    P: Peer,
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_io().build()?;
    runtime.block_on(async {
        let shards = Shards::start(options);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let accept = async move {
            loop {
                let (stream, _): (_, SocketAddr) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(connection(stream, shards.clone()));
            }
        };
        // Accepting in a worker thread saves a wake-up for each connection.
        tokio::spawn(accept).await.map_err(io::Error::other)?
    })
}
