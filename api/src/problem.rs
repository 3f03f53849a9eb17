//! What a client is told when a request fails: RFC 9457 problem details, from one type.

use std::{error::Error, fmt};

use actix_web::{HttpResponse, ResponseError, http::StatusCode, http::header};
use serde::Serialize;
use utoipa::{ToResponse, ToSchema};

/// Media type of problem details (RFC 9457 §3).
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// The only error of every handler.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    /// For the log, never for the client.
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field's name in the request.
    #[schema(example = "nickname")]
    pub(crate) field: String,
    /// For programs: stable.
    #[schema(example = "taken")]
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
}

/// Problem details (RFC 9457). `code` says what went wrong and is stable; `errors` names the fields at fault.
#[derive(Debug, Serialize, ToSchema, ToResponse)]
#[response(description = "Problem details", content_type = "application/problem+json")]
pub(crate) struct ProblemDetails<'a> {
    /// A URN that ends with `code`.
    #[serde(rename = "type")]
    #[schema(example = "urn:moyiza:problem:invalid")]
    kind: String,
    /// What the status means.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// The kind of problem, for programs.
    #[schema(example = "invalid")]
    code: &'a str,
    /// This occurrence, for people.
    detail: &'a str,
    /// The fields at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), cause: None }
    }

    /// Nobody is signed in, or not any more.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// Signed in, but not enough: `detail` says what is missing.
    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// The request was fine, but not in the present state of things.
    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// The request could be read, and these fields of it cannot be accepted.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let fields = errors.iter().map(|error| error.field.as_str()).collect::<Vec<_>>().join(", ");
        let detail = format!("cannot be accepted: {fields}");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    /// A field whose value somebody else has already.
    pub(crate) fn taken(field: &'static str, message: &'static str) -> Self {
        let error = FieldError { field: field.into(), code: "taken", message: message.into() };
        Self { errors: vec![error], ..Self::conflict("taken", message) }
    }

    /// Our own fault. The client learns only that; the log has the cause.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "something went wrong on our side";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        if let Some(cause) = &self.cause {
            tracing::error!(status = self.status.as_u16(), cause = %cause, "a request failed");
        }
        let mut response = HttpResponse::build(self.status);
        response.content_type(CONTENT_TYPE);
        match self.status {
            // RFC 6750 §3: a challenge goes with every 401.
            StatusCode::UNAUTHORIZED => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE if self.code == "busy" => {
                response.insert_header((header::RETRY_AFTER, "2"));
            }
            _ => {}
        }
        let details = ProblemDetails {
            kind: format!("urn:moyiza:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            errors: &self.errors,
        };
        // Not `.json()`, which would keep its own content type from us on some paths.
        response.body(serde_json::to_vec(&details).unwrap_or_default())
    }
}

/// Named constraints are rules that a client can break; everything else that SQL says is ours to mend.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error.as_database_error().and_then(|error| error.constraint());
        match constraint {
            Some("users_email_key") => Self::taken("email", "there is an account with this address already"),
            Some("users_nickname_key") => Self::taken("nickname", "somebody has this nickname already"),
            _ if is_unstorable(&error) => Self::new(
                StatusCode::BAD_REQUEST,
                "malformed",
                "a text has a character that cannot be stored",
            ),
            _ if matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::Io(_)) => Self {
                cause: Some(error.into()),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "try again in a moment")
            },
            _ => Self::internal(error),
        }
    }
}

/// `character_not_in_repertoire`: NUL, which PostgreSQL's text cannot hold, wherever it came in.
fn is_unstorable(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "22021")
}
