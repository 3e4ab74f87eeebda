//! What the options say about STOMP: users and their rights.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use sockhop::ServiceBuilder;
use sockhop::stomp::{PresencePattern, Rule, Stomp, Tokens};
use sockhop::store::RedisLists;

use crate::hooks;
use crate::settings::{at_least, time};
use crate::tuning::Tuning;
use crate::units::{Size, Time};

/// What a service has to know of what is around it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Around<'a> {
    /// Somebody may ask which sessions there are.
    pub(crate) listed: bool,
    /// Where lists are, if anywhere.
    pub(crate) lists: Option<&'a RedisLists>,
}

/// A STOMP service with these options. Reads the keys that they name.
pub(crate) fn stomp(tuning: &Tuning, lists: Option<&RedisLists>) -> anyhow::Result<Stomp> {
    let stomp = Stomp::new().rules(rules(tuning)?).presence(presence(tuning)?);
    let stomp = limited(stomp, tuning).anonymous(tuning.anonymous.unwrap_or(false));
    let stomp = match tokens(tuning)? {
        Some(tokens) => stomp.tokens(tokens),
        None => stomp,
    };
    hooks::mount(stomp, tuning, lists)
}

/// A service with the limits that are given; the others stay the library's defaults.
fn limited(mut stomp: Stomp, tuning: &Tuning) -> Stomp {
    if let Some(Size(bytes)) = tuning.stomp_frame_limit {
        stomp = stomp.frame_limit(bytes);
    }
    if let Some(headers) = tuning.stomp_max_headers {
        stomp = stomp.max_headers(headers);
    }
    if let Some(Size(bytes)) = tuning.stomp_header_limit {
        stomp = stomp.header_limit(bytes);
    }
    if let Some(Size(bytes)) = tuning.stomp_transaction_limit {
        stomp = stomp.transaction_limit(bytes);
    }
    if let Some(Time(silence)) = tuning.stomp_heart_beat {
        stomp = stomp.heart_beat(silence, silence);
    }
    stomp
}

/// A STOMP service below a prefix.
pub(crate) fn service(prefix: &str, tuning: &Tuning, around: Around<'_>) -> anyhow::Result<ServiceBuilder> {
    let service = stomp(tuning, around.lists)?.all_sessions_known(around.listed).service(prefix);
    Ok(match tuning.stomp_max_subscriptions {
        Some(most) => service.max_subscriptions(most),
        None => service,
    })
}

/// A STOMP service for the page, with one topic for all.
pub(crate) fn demo(prefix: &str, tuning: &Tuning) -> anyhow::Result<ServiceBuilder> {
    let rule = "all /topic/demo anyone".parse()?;
    Ok(limited(Stomp::new().rules([rule]), tuning).service(prefix))
}

/// Whether the limits are any.
fn check_limits(tuning: &Tuning) -> anyhow::Result<()> {
    let size = |size: Option<Size>| size.map(|Size(bytes)| bytes);
    for (name, given) in [
        ("stomp-frame-limit", size(tuning.stomp_frame_limit)),
        ("stomp-max-headers", tuning.stomp_max_headers),
        ("stomp-header-limit", size(tuning.stomp_header_limit)),
        ("stomp-transaction-limit", size(tuning.stomp_transaction_limit)),
        ("stomp-max-subscriptions", tuning.stomp_max_subscriptions),
    ] {
        given.map(|given| at_least(name, given, 1)).transpose()?;
    }
    if let Some(beat) = tuning.stomp_heart_beat.filter(|beat| beat.0 != Duration::ZERO) {
        time("stomp-heart-beat", Some(beat), Duration::ZERO)?;
    }
    Ok(())
}

/// Whether the options fit together.
pub(crate) fn check(tuning: &Tuning) -> anyhow::Result<()> {
    check_limits(tuning)?;
    rules(tuning)?;
    presence(tuning)?;
    hooks::check(tuning)?;
    let Tuning { jwt_issuer, jwt_audience, jwt_leeway, jwt_user_claim, jwt_cookie, jwt_query, anonymous, .. } =
        tuning;
    let further = [
        ("jwt-issuer", jwt_issuer.is_some()),
        ("jwt-audience", jwt_audience.is_some()),
        ("jwt-leeway", jwt_leeway.is_some()),
        ("jwt-user-claim", jwt_user_claim.is_some()),
        ("jwt-cookie", jwt_cookie.is_some()),
        ("jwt-query", jwt_query.is_some()),
        ("anonymous", *anonymous == Some(true)),
    ];
    if tuning.jwt_jwks_ca.is_some() && tuning.jwt_jwks.is_none() {
        bail!("jwt-jwks-ca: there is no jwt-jwks that it is for");
    }
    if !has_keys(tuning)
        && let Some(name) = first_given(&further)
    {
        bail!(
            "{name}: this is of use only with tokens: say how they are signed, with jwt-secret, jwt-key or jwt-jwks"
        );
    }
    Ok(())
}

fn has_keys(tuning: &Tuning) -> bool {
    tuning.jwt_secret.is_some() || tuning.jwt_key.is_some() || tuning.jwt_jwks.is_some()
}

fn rules(tuning: &Tuning) -> anyhow::Result<Vec<Rule>> {
    let rule = |text: &String| text.parse().with_context(|| format!("rules: {text:?}"));
    tuning.rules.iter().flatten().map(rule).collect()
}

fn presence(tuning: &Tuning) -> anyhow::Result<Vec<PresencePattern>> {
    let pattern = |text: &String| text.parse().with_context(|| format!("presence: {text:?}"));
    tuning.presence.iter().flatten().map(pattern).collect()
}

fn tokens(tuning: &Tuning) -> anyhow::Result<Option<Tokens>> {
    if !has_keys(tuning) {
        return Ok(None);
    }
    let mut tokens = Tokens::new();
    if let Some(file) = &tuning.jwt_secret {
        let secret = read("jwt-secret", file)?;
        // An editor's line feed at the end is no part of it.
        tokens = tokens.secret(secret.trim_ascii_end()).with_context(|| told("jwt-secret", file))?;
    }
    if let Some(file) = &tuning.jwt_key {
        tokens = tokens.public_key(&read("jwt-key", file)?).with_context(|| told("jwt-key", file))?;
    }
    if let Some(place) = &tuning.jwt_jwks {
        let is_url = place.contains("://");
        tokens = if is_url { tokens.jwks_url(place) } else { tokens.jwks_file(place) }.context("jwt-jwks")?;
        if let Some(file) = &tuning.jwt_jwks_ca {
            let pem = read("jwt-jwks-ca", file)?;
            tokens = tokens.jwks_authorities(&pem).with_context(|| told("jwt-jwks-ca", file))?;
        }
    }
    if let Some(issuer) = &tuning.jwt_issuer {
        tokens = tokens.issuer(issuer);
    }
    if let Some(audience) = &tuning.jwt_audience {
        tokens = tokens.audience(audience);
    }
    if let Some(Time(leeway)) = tuning.jwt_leeway {
        tokens = tokens.leeway(leeway);
    }
    if let Some(name) = &tuning.jwt_user_claim {
        tokens = tokens.user_claim(name);
    }
    if let Some(name) = &tuning.jwt_cookie {
        tokens = tokens.cookie(name);
    }
    if let Some(name) = &tuning.jwt_query {
        tokens = tokens.query(name);
    }
    Ok(Some(tokens))
}

/// The first of these options that is given, for those that are of use only with another.
pub(crate) fn first_given<'a>(options: &[(&'a str, bool)]) -> Option<&'a str> {
    options.iter().find(|(_, is_given)| *is_given).map(|(name, _)| *name)
}

pub(crate) fn read(option: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| told(option, file))
}

pub(crate) fn told(option: &str, file: &Path) -> String {
    format!("{option} = {}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_be_used_are_named_with_their_option() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short");
        std::fs::write(&short, "too short\n").unwrap();
        let none = folder.path().join("none");
        let text = |path: &std::path::PathBuf| path.display().to_string();
        for (tuning, parts) in [
            (Tuning { jwt_secret: Some(short.clone()), ..Tuning::default() }, ["jwt-secret", "32 bytes"]),
            (Tuning { jwt_secret: Some(none.clone()), ..Tuning::default() }, ["jwt-secret", "none"]),
            (Tuning { jwt_key: Some(short.clone()), ..Tuning::default() }, ["jwt-key", "PEM"]),
            (Tuning { jwt_jwks: Some(text(&short)), ..Tuning::default() }, ["jwt-jwks", "Key Set"]),
            (Tuning { jwt_jwks: Some("ftp://x".to_owned()), ..Tuning::default() }, ["jwt-jwks", "http"]),
            (
                Tuning {
                    jwt_jwks: Some("https://x".to_owned()),
                    jwt_jwks_ca: Some(short.clone()),
                    ..Tuning::default()
                },
                ["jwt-jwks-ca", "PEM"],
            ),
        ] {
            let message = format!("{:#}", stomp(&tuning, None).unwrap_err());
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let good = folder.path().join("good");
        std::fs::write(&good, "a secret of at least thirty-two bytes\n").unwrap();
        assert!(stomp(&Tuning { jwt_secret: Some(good), ..Tuning::default() }, None).is_ok());
    }
}
