//! Access tokens: short-lived JWTs signed with EdDSA (Ed25519, RFC 8037). The api mints, the engine only
//! verifies.

use std::{collections::HashMap, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{SessionId, UserId};

/// How long an access token from log-in or refresh lives.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
/// The longest life of any access token (those of `moyiza seed`); revocations are remembered this long.
pub const LONGEST_TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// `iss` of every token.
pub const ISSUER: &str = "moyiza";
/// `aud` of an access token.
pub const AUDIENCE: &str = "moyiza";

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum Role {
    /// Signed in socially, profile not completed: looks around.
    Guest,
    /// A person with an account.
    User,
    /// Runs the place.
    Admin,
}

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who, as a decimal (`sub` is a string, RFC 7519 §4.1.2).
    #[serde(with = "decimal")]
    pub sub: UserId,
    /// Which session; it may be revoked before the token ends.
    pub sid: SessionId,
    /// What they may do.
    pub role: Role,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
}

impl Claims {
    /// Claims for a session, good from now for `lifetime`.
    pub fn new(user: UserId, session: SessionId, role: Role, lifetime: Duration) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            sub: user,
            sid: session,
            role,
            iat: now.unix_timestamp(),
            exp: (now + lifetime).unix_timestamp(),
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
        }
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Its life is over: refresh it.
    #[error("the access token has expired")]
    Expired,
    /// Signed by a key that is not, or not yet, known here.
    #[error("the access token names an unknown key")]
    UnknownKey(String),
    /// Anything else: not ours, altered, the wrong algorithm.
    #[error("the access token is not valid")]
    Invalid,
}

/// Mints access tokens.
pub struct Signer {
    kid: String,
    key: EncodingKey,
}

impl Signer {
    /// A signer with an Ed25519 private key in PKCS#8 DER.
    pub fn new(kid: String, pkcs8: &[u8]) -> Self {
        Self { kid, key: EncodingKey::from_ed_der(pkcs8) }
    }

    /// The signed token.
    pub fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| TokenError::Invalid)
    }
}

/// The public keys that verify access tokens, by `kid`.
#[derive(Default)]
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
}

impl Verifier {
    /// Verifies with these Ed25519 public keys (32 raw bytes each).
    pub fn new(keys: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let keys = keys.into_iter().map(|(kid, public)| (kid, DecodingKey::from_ed_der(&public))).collect();
        Self { keys }
    }

    /// Whether it knows no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The claims of a token that one of the keys signed and that has not ended. The algorithm is EdDSA
    /// whatever the header says: neither `none` nor HS256 with the public key as its secret gets in.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.alg != Algorithm::EdDSA {
            return Err(TokenError::Invalid);
        }
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let Some(key) = self.keys.get(&kid) else { return Err(TokenError::UnknownKey(kid)) };
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = 0;
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        match jsonwebtoken::decode::<Claims>(token, key, &validation) {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => TokenError::Invalid,
            }),
        }
    }
}

mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::UserId;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
    pub(super) fn serialize<S: Serializer>(id: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserId, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
    use jsonwebtoken::{EncodingKey, Header};

    use super::*;

    const LIFE: Duration = Duration::from_mins(1);

    fn keys() -> (Signer, Verifier, [u8; 32]) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let signer = Signer::new("k".into(), key.to_pkcs8_der().unwrap().as_bytes());
        (signer, Verifier::new([("k".to_owned(), public.to_vec())]), public)
    }

    fn claims() -> Claims {
        Claims::new(7.try_into().unwrap(), 8.try_into().unwrap(), Role::User, LIFE)
    }

    #[test]
    fn a_signed_token_gives_its_claims_back() {
        let (signer, verifier, _) = keys();
        let claims = claims();
        assert_eq!(verifier.verify(&signer.sign(&claims).unwrap()), Ok(claims));
    }

    #[test]
    fn an_ended_token_says_so() {
        let (signer, verifier, _) = keys();
        let mut claims = claims();
        claims.exp = claims.iat - 1;
        assert_eq!(verifier.verify(&signer.sign(&claims).unwrap()), Err(TokenError::Expired));
    }

    #[test]
    fn the_algorithm_is_not_the_forgers_to_choose() {
        let (signer, verifier, public) = keys();
        let hs256 = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
        let with_public_key =
            jsonwebtoken::encode(&hs256, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        let genuine = signer.sign(&claims()).unwrap();
        let payload = genuine.split('.').nth(1).unwrap();
        // {"alg":"none","kid":"k"}
        let unsigned = format!("eyJhbGciOiJub25lIiwia2lkIjoiayJ9.{payload}.");
        let (start, end) = genuine.split_at(genuine.len() - 10);
        let other = if end.starts_with('x') { 'y' } else { 'x' };
        let altered = format!("{start}{other}{}", &end[1..]);
        for token in [with_public_key, unsigned, altered, String::new(), "a.b.c".into()] {
            assert_eq!(verifier.verify(&token), Err(TokenError::Invalid), "{token}");
        }
    }

    #[test]
    fn a_token_for_others_or_by_others_is_not_ours() {
        let (signer, verifier, _) = keys();
        for change in [|c: &mut Claims| c.aud = "x".into(), |c: &mut Claims| c.iss = "x".into()] {
            let mut claims = claims();
            change(&mut claims);
            assert_eq!(verifier.verify(&signer.sign(&claims).unwrap()), Err(TokenError::Invalid));
        }
        let stranger =
            Signer::new("other".into(), SigningKey::from_bytes(&[8; 32]).to_pkcs8_der().unwrap().as_bytes());
        assert_eq!(
            verifier.verify(&stranger.sign(&claims()).unwrap()),
            Err(TokenError::UnknownKey("other".into()))
        );
    }
}
