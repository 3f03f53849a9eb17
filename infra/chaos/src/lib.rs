//! Breaks a cluster at random, then holds what its clients saw against what it stored.
//!
//! The harness ([`cluster`]) shares code with the launcher. The [`client`](wire), the [`person`] who uses it and the
//! [`checker`] share none with the engine: they are written from `docs/wire.md` and read rows with plain SQL.

pub mod checker;
pub mod cluster;
pub mod counts;
pub mod journal;
pub mod person;
pub mod proxy;
pub mod run;
pub mod schedule;
pub mod view;
pub mod wire;
pub mod world;
