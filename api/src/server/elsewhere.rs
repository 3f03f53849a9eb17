//! What no route took: a method that a route does not have, nothing at all, or the web page.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    dev::ResourceDef,
    http::{Method, StatusCode, header},
    web,
};
use utoipa::openapi::{OpenApi, path::PathItem};

use super::page;
use crate::{problem::Problem, state::State};

/// Under these an address that does not exist is an error, and not one that the page may know.
const NEVER_PAGES: [&str; 4] = ["/api", "/dev", "/.well-known", "/assets"];

/// Which methods each documented path has, to tell 405 from 404.
pub(super) struct Routes(Vec<(ResourceDef, String)>);

impl Routes {
    pub(super) fn of(document: &OpenApi) -> Self {
        let with_methods = |(path, item): (&String, &PathItem)| {
            let methods = [
                (&item.get, "GET"),
                (&item.post, "POST"),
                (&item.put, "PUT"),
                (&item.patch, "PATCH"),
                (&item.delete, "DELETE"),
            ];
            let allowed = methods.iter().filter(|(operation, _)| operation.is_some());
            let allowed = allowed.map(|(_, method)| *method).collect::<Vec<_>>().join(", ");
            (ResourceDef::new(path.as_str()), allowed)
        };
        Self(document.paths.paths.iter().map(with_methods).collect())
    }

    /// The `Allow` of a path that exists.
    fn allowed(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(template, _)| template.is_match(path)).map(|(_, allowed)| allowed.as_str())
    }
}

pub(super) async fn elsewhere(
    state: web::Data<State>,
    routes: web::Data<Routes>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let path = request.path();
    if let Some(allowed) = routes.allowed(path) {
        return Ok(method_not_allowed(allowed));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && let Some(file) = page::file(path) {
        return Ok(file);
    }
    let is_below =
        |folder| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if NEVER_PAGES.into_iter().any(is_below) {
        return Err(Problem::not_found("there is nothing at this address"));
    }
    Ok(if reads { page::index(&state, &request) } else { method_not_allowed("GET, HEAD") })
}

fn method_not_allowed(allowed: &str) -> HttpResponse {
    let detail = format!("only {allowed} here");
    let mut response =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).error_response();
    if let Ok(allowed) = header::HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}
