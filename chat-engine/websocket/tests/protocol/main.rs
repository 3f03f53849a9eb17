//! The protocol against the words of its specifications, against a reference parser, against another
//! implementation, and against every way to cut its input.

mod conversation;
mod interoperation;
mod properties;
mod reference;
mod rfc6455;
mod rfc7692;
mod streams;
