//! Users by JSON Web Token: which keys are trusted, and where clients put their tokens.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::jwks::{InvalidJwks, Jwks};
use super::users::Principal;

/// How clients show who they are: with a JSON Web Token, signed with HS256 to HS512, RS256 to RS512, PS256 to PS512, ES256
/// or ES384, which a key that is named here verifies.
///
/// A client puts it into its CONNECT frame, as `Authorization: Bearer TOKEN` or as `passcode`; or, where that is allowed,
/// into a query parameter or a cookie of the request that opens its session. Its session ends with its token, with 4511.
///
/// ```
/// use std::time::Duration;
/// use sockhop::stomp::{Stomp, Tokens};
///
/// let tokens = Tokens::new()
///     .secret(b"a secret of at least thirty-two bytes")
///     .unwrap()
///     .issuer("https://login.example.com")
///     .leeway(Duration::from_secs(30));
/// let stomp = Stomp::new().tokens(tokens);
/// ```
#[derive(Debug)]
pub struct Tokens {
    keys: Vec<DecodingKey>,
    jwks: Option<Jwks>,
    issuer: Option<String>,
    audience: Option<String>,
    leeway: Duration,
    user_claim: String,
    cookie: Option<String>,
    query: Option<String>,
}

/// A key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// A shorter one could be found by trying.
    #[error("a secret needs at least 32 bytes")]
    ShortSecret,
    /// It is no PEM of a public key.
    #[error("no public key of RSA or of an elliptic curve in PEM")]
    Malformed,
    /// A set of keys cannot be had from there.
    #[error(transparent)]
    Jwks(#[from] InvalidJwks),
}

/// A token does not show who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the token is longer than 8 KiB")]
    TooLong,
    #[error("the token is malformed")]
    Malformed,
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    #[error("the token's key is not known")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    Immature,
    #[error("the token's issuer is another")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token has no claim {0}")]
    Missing(String),
    #[error("the keys that verify tokens cannot be read now")]
    KeysUnavailable,
}

/// Bytes that a token may have.
const LONGEST: usize = 8 * 1024;
/// Keys that a token without a key id is tried with.
const MOST_TRIED: usize = 16;

impl Default for Tokens {
    fn default() -> Self {
        Self::new()
    }
}

impl Tokens {
    /// No key is trusted yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: Vec::new(),
            jwks: None,
            issuer: None,
            audience: None,
            leeway: Duration::from_secs(60),
            user_claim: "sub".to_owned(),
            cookie: None,
            query: None,
        }
    }

    /// Trusts tokens signed with this secret (HS256, HS384, HS512).
    ///
    /// # Errors
    /// It has fewer than 32 bytes.
    pub fn secret(mut self, secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < 32 {
            return Err(InvalidKey::ShortSecret);
        }
        self.keys.push(DecodingKey::from_secret(secret));
        Ok(self)
    }

    /// Trusts tokens signed with the private key of this public one, in PEM: RSA, or the curves P-256 and P-384.
    ///
    /// # Errors
    /// It is no such key.
    pub fn public_key(mut self, pem: &[u8]) -> Result<Self, InvalidKey> {
        let key = DecodingKey::from_rsa_pem(pem).or_else(|_| DecodingKey::from_ec_pem(pem));
        self.keys.push(key.map_err(|_| InvalidKey::Malformed)?);
        Ok(self)
    }

    /// Trusts the keys of a JSON Web Key Set in a file. It is read again when a token names a key that is not in it, and
    /// every five minutes.
    ///
    /// # Errors
    /// There is no such file, or no set of keys in it.
    pub fn jwks_file(mut self, path: impl Into<PathBuf>) -> Result<Self, InvalidKey> {
        self.jwks = Some(Jwks::file(path.into())?);
        Ok(self)
    }

    /// Trusts the keys of a JSON Web Key Set at an `http` or `https` URL. It is fetched with the first token, again when
    /// one names a key that is not in it, and every five minutes.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn jwks_url(mut self, url: &str) -> Result<Self, InvalidKey> {
        self.jwks = Some(Jwks::url(url)?);
        Ok(self)
    }

    /// Trusts the authorities of these certificates, in PEM format, where the key set of [`jwks_url`](Self::jwks_url) is
    /// read over https, and no others. Default: those that the system trusts. Comes after `jwks_url`.
    ///
    /// # Errors
    /// These are no certificates, or there is no such key set.
    pub fn jwks_authorities(mut self, pem: &[u8]) -> Result<Self, InvalidKey> {
        self.jwks.as_mut().ok_or(InvalidJwks::Authorities)?.trust(pem)?;
        Ok(self)
    }

    /// How long a key set is not read again, whatever tokens say; longer than a moment, so that tokens with made up keys
    /// cost nobody much. Default 10 s. Comes after the key set.
    #[must_use]
    pub fn jwks_pause(mut self, pause: Duration) -> Self {
        if let Some(jwks) = &mut self.jwks {
            jwks.pause(pause);
        }
        self
    }

    /// The `iss` that tokens must have. Default: any.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The `aud` that tokens must have, or have among others. Default: any.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// How far clocks may be apart. Default 60 s.
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The claim that holds the user's name. Default `sub`.
    #[must_use]
    pub fn user_claim(mut self, name: impl Into<String>) -> Self {
        self.user_claim = name.into();
        self
    }

    /// A cookie that may hold the token. Cookies come with requests of any page: have [`origins`] name yours. Default:
    /// none.
    ///
    /// [`origins`]: crate::ServiceBuilder::origins
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// A query parameter that may hold the token. URLs end up in logs of proxies. Default: none.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>) -> Self {
        self.query = Some(name.into());
        self
    }

    pub(super) fn cookie_name(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    pub(super) fn query_name(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Who a token says somebody is.
    pub(super) async fn verify(&self, token: &str) -> Result<Principal, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::TooLong);
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            // The header is read into the known algorithms: `none` is not one of them.
            ErrorKind::Json(_) => TokenError::Algorithm,
            _ => TokenError::Malformed,
        })?;
        let candidates = self.candidates(&header).await?;
        let mut failed = TokenError::UnknownKey;
        for key in candidates.iter().take(MOST_TRIED) {
            match decode::<Map<String, Value>>(token, key, &self.validation(key.family())) {
                Ok(data) => return self.principal(data.claims),
                Err(error) => failed = reason(&error),
            }
            if failed != TokenError::Signature {
                break;
            }
        }
        Err(failed)
    }

    /// The keys that may have signed a token.
    async fn candidates(&self, header: &Header) -> Result<Vec<DecodingKey>, TokenError> {
        let is_fit = |key: &DecodingKey| key.family().algorithms().contains(&header.alg);
        let mut keys: Vec<_> = self.keys.iter().filter(|key| is_fit(key)).cloned().collect();
        if let Some(jwks) = &self.jwks {
            match jwks.keys(header.kid.as_deref()).await {
                Ok(found) => keys.extend(found.into_iter().filter(is_fit)),
                // Another key may do.
                Err(_) if !keys.is_empty() => {}
                Err(error) => {
                    tracing::warn!(%error, "the keys that verify tokens cannot be read");
                    return Err(TokenError::KeysUnavailable);
                }
            }
        }
        Ok(keys)
    }

    fn validation(&self, family: AlgorithmFamily) -> Validation {
        let mut validation = Validation::new_for_family(family);
        let mut required = vec!["exp"];
        validation.leeway = self.leeway.as_secs();
        validation.validate_nbf = true;
        validation.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            required.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        validation
    }

    fn principal(&self, claims: Map<String, Value>) -> Result<Principal, TokenError> {
        let missing = |name: &str| TokenError::Missing(name.to_owned());
        let name = match claims.get(&self.user_claim) {
            Some(Value::String(name)) => name.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(missing(&self.user_claim)),
        };
        if !Principal::is_name(&name) {
            return Err(missing(&self.user_claim));
        }
        // A number of seconds, which may have a fraction.
        let expires = claims.get("exp").and_then(Value::as_f64).ok_or_else(|| missing("exp"))?;
        Ok(Principal { name, claims, until: Some(expires as u64 + self.leeway.as_secs()) })
    }
}

fn reason(error: &jsonwebtoken::errors::Error) -> TokenError {
    match error.kind() {
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::Immature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::MissingRequiredClaim(name) => TokenError::Missing(name.clone()),
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}
