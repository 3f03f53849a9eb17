//! Who is asking. A handler names what it needs as an argument: [`Anyone`], [`Guest`] or [`User`].

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web};
use futures_util::future::{FutureExt, LocalBoxFuture};
use shared::{
    SessionId, UserId,
    token::{Role, TokenError},
};

use crate::{problem::Problem, state::State};

/// Somebody with a good access token and a session that is not revoked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedIn {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) role: Role,
}

/// Signed in or not. A bad token is refused all the same: its owner wants to know, and refresh it.
pub(crate) struct Anyone(pub(crate) Option<SignedIn>);

/// Signed in, profile completed or not.
pub(crate) struct Guest(pub(crate) SignedIn);

/// Signed in with a completed profile. What a route needs unless it says otherwise.
pub(crate) struct User(pub(crate) SignedIn);

/// The token's owner, or `None` without a token.
async fn authenticate(request: HttpRequest) -> Result<Option<SignedIn>, Problem> {
    let Some(header) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    // RFC 7235 §2.1: the scheme's case does not matter.
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Problem::unauthenticated("Authorization has to be `Bearer` and an access token"));
    };
    let state = request.app_data::<web::Data<State>>().ok_or_else(|| Problem::internal("no state"))?;
    let claims = state.verifier.verify(token.trim()).map_err(|error| match error {
        TokenError::Expired => Problem::unauthenticated("the access token has expired: refresh it"),
        _ => Problem::unauthenticated("the access token is not valid"),
    })?;
    // The role is read, not taken from the token: one that was lowered counts at once.
    let role = sqlx::query_scalar(
        "select role from sessions join users on users.id = sessions.user_id
         where sessions.id = $1 and user_id = $2 and revoked_at is null and withdrawn_at is null",
    )
    .bind(claims.sid)
    .bind(claims.sub)
    .fetch_optional(&state.database)
    .await?;
    match role {
        Some(role) => Ok(Some(SignedIn { user: claims.sub, session: claims.sid, role })),
        None => Err(Problem::unauthenticated("this session has ended: log in again")),
    }
}

async fn signed_in(request: HttpRequest) -> Result<SignedIn, Problem> {
    authenticate(request).await?.ok_or_else(|| Problem::unauthenticated("log in first"))
}

impl FromRequest for Anyone {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        authenticate(request.clone()).map(|outcome| outcome.map(Self)).boxed_local()
    }
}

impl FromRequest for Guest {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        signed_in(request.clone()).map(|outcome| outcome.map(Self)).boxed_local()
    }
}

impl FromRequest for User {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        signed_in(request.clone())
            .map(|outcome| match outcome? {
                SignedIn { role: Role::Guest, .. } => {
                    Err(Problem::forbidden("profile-incomplete", "complete your profile first"))
                }
                user => Ok(Self(user)),
            })
            .boxed_local()
    }
}
