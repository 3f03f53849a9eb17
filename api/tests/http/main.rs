//! The api over real HTTP: each test has an api on a free port with a database of its own.

mod codes;
mod document;
mod log_in;
mod meetups;
mod page;
mod problems;
mod refresh;
mod relay;
mod running;
mod seed;
mod sign_up;
mod support;
mod tokens;
