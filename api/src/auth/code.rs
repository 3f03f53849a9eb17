//! Verification codes: six digits that show that an address is somebody's.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use utoipa::ToSchema;

use crate::{account::Email, input::Flaw, problem::Problem};

/// How long a code is good, in seconds.
pub(super) const LIFETIME_SECONDS: u32 = 5 * 60;
/// How often it may be guessed.
pub(super) const TRIES: i16 = 5;

/// What a code is asked for; one for another purpose does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub(super) enum Purpose {
    /// To open an account.
    SignUp,
}

/// Six digits.
pub(super) struct Code(u32);

impl Code {
    /// A fresh one from the operating system's generator.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        const CODES: u32 = 1_000_000;
        loop {
            let number = getrandom::u32()?;
            // Taking the remainder of the last, incomplete million would favour low codes.
            if number < u32::MAX / CODES * CODES {
                return Ok(Self(number % CODES));
            }
        }
    }

    /// Six ASCII digits; blanks around and between are forgiven, as people copy them from mails.
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.is_empty() {
            return Err(Flaw::new("required", "is missing"));
        }
        let flaw = || Flaw::new("format", "is six digits");
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(flaw());
        }
        digits.parse().map(Self).map_err(|_| flaw())
    }

    /// What is stored. A million codes are hashed in a blink, so this keeps a code from being read at a
    /// glance, and bound to its address and purpose; the rest is done by five minutes and five tries.
    pub(super) fn hash(&self, email: &Email, purpose: Purpose) -> Vec<u8> {
        let text = format!("{purpose:?}\n{}\n{self}", email.as_str());
        Sha256::digest(text).to_vec()
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06}", self.0)
    }
}

/// Spends one try. The row's lock, held until `transaction` ends, makes guesses at one code take turns, so
/// that five tries are five however many connections guess at once. After `Ok`, rolling back returns the
/// try; after `Err` of a wrong guess the caller commits.
pub(super) async fn guess(
    transaction: &mut PgConnection,
    email: &Email,
    purpose: Purpose,
    hash: &[u8],
) -> Result<Result<(), Flaw>, Problem> {
    let spent: Option<(Vec<u8>, i16)> = sqlx::query_as(
        "update verification_codes set tries_left = tries_left - 1
         where email = $1 and purpose = $2 and expires_at > now() and tries_left > 0
         returning code_hash, tries_left",
    )
    .bind(email)
    .bind(purpose)
    .fetch_optional(transaction)
    .await?;
    Ok(match spent {
        Some((expected, _)) if expected == hash => Ok(()),
        Some((_, 0)) => Err(Flaw::new("exhausted", "is not the one we sent; ask for a new one")),
        Some((_, left)) => Err(Flaw::new("wrong", format!("is not the one we sent ({left} tries left)"))),
        None => Err(expired()),
    })
}

/// Takes the code out of the world, in the transaction of what it was for.
pub(super) async fn consume(
    transaction: &mut PgConnection,
    email: &Email,
    purpose: Purpose,
    hash: &[u8],
) -> Result<Result<(), Flaw>, Problem> {
    let deleted = sqlx::query(
        "delete from verification_codes
         where email = $1 and purpose = $2 and code_hash = $3 and expires_at > now()",
    )
    .bind(email)
    .bind(purpose)
    .bind(hash)
    .execute(transaction)
    .await?;
    Ok(if deleted.rows_affected() == 1 { Ok(()) } else { Err(expired()) })
}

fn expired() -> Flaw {
    Flaw::new("expired", "is no longer good; ask for a new one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_and_bound_to_its_address() {
        assert_eq!(Code(42).to_string(), "000042");
        assert_eq!(Code::parse(" 000 042 ").map(|code| code.0).unwrap(), 42);
        for bad in ["", "12345", "1234567", "12345a", "+12345", "١٢٣٤٥٦"] {
            assert!(Code::parse(bad).is_err(), "{bad}");
        }
        let (kim, lee) = (Email::parse("kim@a.kr").unwrap(), Email::parse("lee@a.kr").unwrap());
        assert_ne!(Code(1).hash(&kim, Purpose::SignUp), Code(1).hash(&lee, Purpose::SignUp));
    }
}
