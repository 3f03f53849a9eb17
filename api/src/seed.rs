//! People and meetups made in bulk: for load tests (`moyiza seed`) and for a first look (the demo).

mod demo;
mod people_and_rooms;

pub use demo::{Demo, DemoPerson, demo};
pub use people_and_rooms::{Seeded, people_and_rooms};
