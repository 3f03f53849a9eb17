//! Query strings.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::StatusCode};
use serde::de::DeserializeOwned;

use super::Flaw;
use crate::problem::Problem;

/// A query string. Unlike actix's own, its errors name the field.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = serde_urlencoded::Deserializer::new(url_pairs(request.query_string()));
        ready(serde_path_to_error::deserialize(pairs).map(Self).map_err(|error| {
            let path = error.path().to_string();
            let error = error.into_inner();
            if path == "." {
                Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("the query: {error}"))
            } else {
                Flaw::new("type", error.to_string()).of(&path)
            }
        }))
    }
}

fn url_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}
