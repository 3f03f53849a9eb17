//! How many may come in: in all, and from one address.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;

/// Counts who is in.
#[derive(Debug)]
pub(crate) struct Door {
    max_connections: usize,
    max_per_address: usize,
    inside: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
}

/// Why there is no way in at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// The node has as many connections as it takes.
    Node,
    /// The address has as many connections as it may.
    Address,
}

/// A place inside, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    door: Arc<Door>,
    address: IpAddr,
}

impl Door {
    /// At most so many in all, and of one address.
    pub(crate) fn new(max_connections: usize, max_per_address: usize) -> Arc<Self> {
        let by_address = DashMap::new();
        Arc::new(Self { max_connections, max_per_address, inside: AtomicUsize::new(0), by_address })
    }

    /// Lets a connection in.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Seat, Crowded> {
        let free = |inside: usize| (inside < self.max_connections).then_some(inside + 1);
        if self.inside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_err() {
            return Err(Crowded::Node);
        }
        let mut of_address = self.by_address.entry(address).or_insert(0);
        *of_address += 1;
        let seat = Seat { door: self.clone(), address };
        let full = *of_address > self.max_per_address;
        // The seat's drop takes this lock.
        drop(of_address);
        if full { Err(Crowded::Address) } else { Ok(seat) }
    }

    /// How many are in.
    pub(crate) fn inside(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.door.inside.fetch_sub(1, Ordering::Relaxed);
        self.door.by_address.remove_if_mut(&self.address, |_, count| {
            *count -= 1;
            *count == 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_makes_room() {
        let (door, here, there) =
            (Door::new(3, 2), IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1]));
        let first = door.enter(here).unwrap();
        let _second = door.enter(here).unwrap();
        assert_eq!(door.enter(here).unwrap_err(), Crowded::Address);
        let _third = door.enter(there).unwrap();
        assert_eq!(door.enter(there).unwrap_err(), Crowded::Node);
        drop(first);
        assert_eq!(door.inside(), 2);
        assert!(door.enter(here).is_ok());
    }
}
