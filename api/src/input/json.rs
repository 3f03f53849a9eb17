//! JSON request bodies.

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::StatusCode, web};
use futures_util::future::{FutureExt, LocalBoxFuture};
use serde::de::DeserializeOwned;

use super::Flaw;
use crate::problem::Problem;

/// The longest body accepted, in bytes. The longest field there is, a meetup's content, fits several times.
const LIMIT: usize = 128 * 1024;

/// A JSON body. Unlike actix's own, its errors name the field.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // A form of another site can send neither this type nor a preflight that we would answer.
        if request.content_type() != "application/json" {
            let problem = Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "the body has to be JSON, with Content-Type: application/json",
            );
            return std::future::ready(Err(problem)).boxed_local();
        }
        let body = web::Payload::from_request(request, payload);
        async move {
            let body = body.await.map_err(|_| malformed("the body did not arrive"))?;
            let body = body.to_bytes_limited(LIMIT).await.map_err(|_| {
                Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too-large",
                    format!("a body has at most {LIMIT} bytes"),
                )
            })?;
            let body = body.map_err(|_| malformed("the body did not arrive whole"))?;
            parse(&body).map(Self)
        }
        .boxed_local()
    }
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // serde would take an array for a struct, field by field.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(malformed("the body has to be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // "." is the whole document: not an object, or not JSON at all.
        if error.is_data() && path != "." {
            Flaw::new("type", format!("is not of the expected type: {error}")).of(&path)
        } else {
            malformed(format!("the body is not the expected JSON: {error}"))
        }
    })?;
    deserializer.end().map_err(|error| malformed(format!("the body is not the expected JSON: {error}")))?;
    Ok(value)
}
