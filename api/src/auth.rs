//! Signing up, in and out.

pub(crate) mod access;
mod code;
mod log_in;
mod log_out;
mod refresh;
mod request_code;
pub(crate) mod session;
mod sign_up;

use utoipa_actix_web::service_config::ServiceConfig;

pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(request_code::request_code)
        .service(sign_up::sign_up)
        .service(log_in::log_in)
        .service(refresh::refresh)
        .service(log_out::log_out);
}
