//! What the options say about STOMP: users and their rights.

use std::path::Path;

use anyhow::{Context, bail};
use sockhop::stomp::{PresencePattern, Rule, Stomp, Tokens};

use crate::options::Tuning;
use crate::units::Time;

/// A STOMP service with these options. Reads the keys that they name.
pub(crate) fn stomp(tuning: &Tuning) -> anyhow::Result<Stomp> {
    let stomp = Stomp::new().rules(rules(tuning)?).presence(presence(tuning)?);
    let stomp = stomp.anonymous(tuning.anonymous.unwrap_or(false));
    Ok(match tokens(tuning)? {
        Some(tokens) => stomp.tokens(tokens),
        None => stomp,
    })
}

/// Whether the options fit together.
pub(crate) fn check(tuning: &Tuning) -> anyhow::Result<()> {
    rules(tuning)?;
    presence(tuning)?;
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
    if let Some((name, _)) = further.iter().find(|(_, given)| *given && !has_keys(tuning)) {
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

fn read(option: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| told(option, file))
}

fn told(option: &str, file: &Path) -> String {
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
        ] {
            let message = format!("{:#}", stomp(&tuning).unwrap_err());
            assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        }
        let good = folder.path().join("good");
        std::fs::write(&good, "a secret of at least thirty-two bytes\n").unwrap();
        assert!(stomp(&Tuning { jwt_secret: Some(good), ..Tuning::default() }).is_ok());
    }
}
