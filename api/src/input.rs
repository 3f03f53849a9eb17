//! What comes in: bodies, query strings and paths become values, or problems that name the field.

pub(crate) mod fields;
mod json;
mod query;

pub(crate) use fields::{Fields, Flaw};
pub(crate) use json::Json;
pub(crate) use query::Query;

use actix_web::web;

use crate::problem::Problem;

/// A path whose parameter is not an id names nothing that exists.
pub(crate) fn path_config() -> web::PathConfig {
    web::PathConfig::default().error_handler(|error, _| {
        tracing::debug!(%error, "a path parameter does not parse");
        Problem::not_found("there is nothing at this address").into()
    })
}
