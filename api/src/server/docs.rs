//! The OpenAPI document and the page to try it, both from this binary alone.

use std::sync::Arc;

use actix_web::{
    HttpResponse, get,
    http::{StatusCode, header},
    web,
};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_swagger_ui::Config;

use crate::problem::{FieldError, Problem, ProblemDetails};

/// Swagger UI sets styles from its scripts, and carries its icons as data.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Moyiza",
        description = "People, meetups and their members. Chat is the engine's, over STOMP.\n\n\
                       Errors are problem details (RFC 9457): `code` says what went wrong and is stable, \
                       `errors` names the fields at fault."
    ),
    components(schemas(FieldError), responses(ProblemDetails)),
    tags(
        (name = "auth", description = "Signing up, in and out"),
        (name = "me", description = "Whoever asks"),
        (name = "meetups", description = "Clubs and onedays, and who is in them"),
        (name = "operation", description = "For clients that start and for operators"),
    )
)]
struct Document;

/// The document without its paths, which are collected from the routes.
pub(super) fn document() -> OpenApi {
    let mut document = Document::openapi();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let cookie = ApiKey::Cookie(ApiKeyValue::new("moyiza_refresh"));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("accessToken", SecurityScheme::Http(bearer));
    components.add_security_scheme("refreshCookie", SecurityScheme::ApiKey(cookie));
    document
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let ui = Config::from("/api/openapi.json").persist_authorization(true);
    config
        .app_data(web::Data::from(Arc::<Config<'static>>::new(ui)))
        .service(openapi_json)
        .service(web::redirect("/api/docs", "/api/docs/").using_status_code(StatusCode::PERMANENT_REDIRECT))
        .service(swagger_ui);
}

#[get("/api/openapi.json")]
async fn openapi_json(document: web::Data<OpenApi>) -> HttpResponse {
    HttpResponse::Ok().json(document.get_ref())
}

#[get("/api/docs/{file:.*}")]
async fn swagger_ui(
    config: web::Data<Config<'static>>,
    file: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let found = utoipa_swagger_ui::serve(&file, config.into_inner())
        .map_err(|error| Problem::internal(error.to_string()))?
        .ok_or_else(|| Problem::not_found("Swagger UI has no such file"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .content_type(found.content_type)
        .body(found.bytes.into_owned()))
}
