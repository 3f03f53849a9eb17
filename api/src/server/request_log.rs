//! One line for each request, at level debug.

use std::time::Instant;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};

/// The path only: a query may hold an address, a header a token.
pub(super) async fn request_log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let response = next.call(request).await?;
    let took = began.elapsed().as_micros();
    tracing::debug!(%method, path, status = response.status().as_u16(), took_us = u64::try_from(took).ok());
    Ok(response)
}
