//! `POST /api/auth/sign-up`

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    code::{self, Code, Purpose},
    session::{self, Session},
};
use crate::{
    account::{Email, Locale, Nickname, Password},
    input::{Fields, Json, fields},
    me::Me,
    problem::{Problem, ProblemDetails},
    state::State,
};

#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    /// An address that a code was sent to.
    #[serde(default)]
    #[schema(required, example = "mina@example.com")]
    email: String,
    /// That code.
    #[serde(default)]
    #[schema(required, example = "042042")]
    code: String,
    /// 8 to 64 characters.
    #[serde(default)]
    #[schema(required, min_length = 8, max_length = 64)]
    password: String,
    /// 2 to 16 characters, and nobody else's.
    #[serde(default)]
    #[schema(required, example = "민아", min_length = 2, max_length = 16)]
    nickname: String,
    /// Korean if left out.
    #[schema(value_type = Option<Locale>)]
    locale: Option<String>,
}

/// The same, each of it acceptable.
struct Account {
    email: Email,
    code: Code,
    password: Password,
    nickname: Nickname,
    locale: Locale,
}

impl SignUp {
    fn check(self) -> Result<Account, Problem> {
        let mut checks = Fields::default();
        let locale = self.locale.map_or(Ok(Locale::default()), |word| fields::one_of(&word, "ko, en"));
        let (Some(email), Some(code), Some(password), Some(nickname), Some(locale)) = (
            checks.check("email", Email::parse(&self.email)),
            checks.check("code", Code::parse(&self.code)),
            checks.check("password", Password::parse(&self.password)),
            checks.check("nickname", Nickname::parse(&self.nickname)),
            checks.check("locale", locale),
        ) else {
            return Err(checks.into_problem());
        };
        Ok(Account { email, code, password, nickname, locale })
    }
}

/// Open an account with a code that was mailed.
#[utoipa::path(
    tag = "auth",
    request_body = SignUp,
    responses(
        (status = 201, body = Session, description = "Signed up and in; sets the refresh cookie"),
        (status = 400, response = ProblemDetails), (status = 409, response = ProblemDetails),
        (status = 415, response = ProblemDetails), (status = 422, response = ProblemDetails),
    )
)]
#[post("/api/auth/sign-up")]
pub(super) async fn sign_up(
    state: web::Data<State>,
    request: HttpRequest,
    Json(body): Json<SignUp>,
) -> Result<HttpResponse, Problem> {
    let account = body.check()?;
    let code_hash = account.code.hash(&account.email, Purpose::SignUp);

    // The code is checked before the password is hashed, so that guessing codes does not cost us a hash
    // each; and no connection is held while it is. Rolling back a right guess returns the try.
    let mut transaction = state.database.begin().await?;
    if let Err(flaw) = code::guess(&mut transaction, &account.email, Purpose::SignUp, &code_hash).await? {
        transaction.commit().await?;
        return Err(flaw.of("code"));
    }
    transaction.rollback().await?;
    let password_hash = state.hashing.hash(account.password).await?;

    let mut transaction = state.database.begin().await?;
    code::consume(&mut transaction, &account.email, Purpose::SignUp, &code_hash)
        .await?
        .map_err(|flaw| flaw.of("code"))?;
    let user: Me = sqlx::query_as(
        "insert into users (email, email_verified_at, nickname, password_hash, locale)
         values ($1, now(), $2, $3, $4) returning id, nickname, email, role, locale",
    )
    .bind(&account.email)
    .bind(&account.nickname)
    .bind(password_hash)
    .bind(account.locale)
    .fetch_one(&mut *transaction)
    .await?;
    let session = session::open(&mut transaction, user.id, &request).await?;
    let token = session::next_refresh_token(&mut transaction, session, &state).await?;
    transaction.commit().await?;

    tracing::info!(user = %user.id, %session, "signed up");
    let body = session::session(&state, session, user)?;
    Ok(HttpResponse::Created().cookie(token.cookie(&state)).json(body))
}
