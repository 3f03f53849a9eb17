//! Whoever asks.

mod meetups;
mod profile;

use serde::Serialize;
use shared::{UserId, token::Role};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::account::Locale;

/// What a person sees of their own account.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Me {
    #[schema(value_type = i64, example = 7)]
    pub(crate) id: UserId,
    #[schema(example = "민아")]
    pub(crate) nickname: String,
    #[schema(example = "mina@example.com")]
    pub(crate) email: String,
    /// `GUEST`, `USER` or `ADMIN`.
    #[schema(value_type = String, example = "USER")]
    pub(crate) role: Role,
    pub(crate) locale: Locale,
}

pub(crate) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(profile::me).service(meetups::my_meetups);
}
