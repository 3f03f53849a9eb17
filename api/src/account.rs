//! What a person is known by. Each type parses, and cannot hold a bad value.

pub(crate) mod email;
pub(crate) mod hashing;
pub(crate) mod nickname;
pub(crate) mod password;

pub(crate) use email::Email;
pub(crate) use nickname::Nickname;
pub(crate) use password::Password;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The language somebody wants to be spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub(crate) enum Locale {
    /// Korean.
    #[default]
    Ko,
    /// English.
    En,
}
