//! Who a client is: its CONNECT, and a fresh token.

use std::time::Instant;

use shared::{SessionId, UserId, token::Claims};
use stomp::Connect;

use super::{Connection, Stepped};
use crate::{
    access::AccessError,
    connection::{CloseReason, frames, requests::Refusal},
};

/// What a SEND to `/app/token` is told that brings none.
const NO_TOKEN: &str =
    "a SEND to /app/token needs an access token, as `Authorization: Bearer …`, in `passcode`, or as the body";

/// Who said CONNECT.
#[derive(Clone, Copy)]
pub(super) struct Identity {
    pub(super) user: UserId,
    session: SessionId,
}

impl Connection {
    pub(super) fn authenticate(&mut self, connect: &Connect) {
        let (engine, token) = (self.engine.clone(), connect.token.clone());
        self.step = Some(Box::pin(async move {
            Stepped::Authenticated(engine.access.authenticate(token.as_deref()).await)
        }));
    }

    pub(super) fn connected(
        &mut self,
        claims: Result<Claims, AccessError>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let claims = claims.map_err(|error| Refusal::NotAllowed(error.to_string()))?;
        let identity = Identity { user: claims.sub, session: claims.sid };
        let version = self.session.accept(now);
        self.outbox.set_version(version);
        let limit = self.engine.max_connections_per_user;
        if !self.engine.registry.identify(self.id, identity.user, identity.session, limit) {
            self.outbox.close(CloseReason::TooManyConnections);
            return Ok(());
        }
        self.identity = Some(identity);
        // Revoked between the check and the line above: the registry was asked before this connection was in it.
        if self.engine.access.is_revoked(identity.session) {
            self.outbox.close(CloseReason::SessionRevoked);
            return Ok(());
        }
        if self.engine.access.is_withdrawn(identity.user) {
            self.outbox.close(CloseReason::UserWithdrawn);
            return Ok(());
        }
        let heart_beat = self.engine.session_settings.heart_beat;
        self.say(frames::connected(version, identity.user, self.id, heart_beat));
        self.lifetime.set_token(claims.exp, now);
        self.rearm(now);
        Ok(())
    }

    /// A fresh token of the same person and session takes the old one's place.
    pub(super) fn renew(
        &mut self,
        claims: Result<Claims, AccessError>,
        receipt: Option<&str>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let claims = claims.map_err(|error| match error {
            AccessError::Missing => Refusal::NotAllowed(NO_TOKEN.into()),
            other => Refusal::NotAllowed(other.to_string()),
        })?;
        let same = |identity: Identity| identity.user == claims.sub && identity.session == claims.sid;
        if !self.identity.is_some_and(same) {
            return Err(Refusal::NotAllowed("the access token is of another person or session".into()));
        }
        self.lifetime.set_token(claims.exp, now);
        self.rearm(now);
        self.receipt_if(receipt);
        Ok(())
    }
}
