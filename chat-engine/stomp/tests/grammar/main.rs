//! The codec against the grammars of the three specifications, and against itself.

mod agreement;
mod inputs;
mod reference;
mod writing;
