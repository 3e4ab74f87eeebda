//! Who may subscribe and send to which destinations.

use std::fmt;
use std::str::FromStr;

use super::pattern::Pattern;
use super::users::Principal;

/// One rule: clients that fit it may do what it says. As soon as a service has rules, what none of them allows is
/// forbidden.
///
/// A rule is written `ACTION DESTINATION WHO`:
///
/// - the action is `subscribe`, `send` or `all`;
/// - in the destination `*` stands for what is between two of `/` and `.`, `**` for anything, and `{user}` for the name
///   of the client's user;
/// - who is `anyone`, `authenticated`, or `CLAIM=VALUE`: users whose token has that value in that claim.
///
/// ```
/// use sockhop::stomp::Rule;
///
/// for rule in ["subscribe /topic/news/** anyone", "all /topic/rooms/* authenticated", "send /topic/news/** roles=editor"] {
///     assert!(rule.parse::<Rule>().is_ok());
/// }
/// assert!("all /topic/** everybody".parse::<Rule>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    subscribe: bool,
    send: bool,
    pattern: String,
    who: Who,
}

/// What a client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Subscribe,
    Send,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    Anyone,
    Authenticated,
    Claim(String, String),
}

/// A text is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// It does not have three parts.
    #[error("a rule is ACTION DESTINATION WHO, such as `subscribe /topic/news/** anyone`")]
    Parts,
    /// The first part.
    #[error("{0:?} is no action: use subscribe, send or all")]
    Action(String),
    /// The second part.
    #[error(
        "{0:?} is no destination: it begins with /, and holds `{{user}}` only for authenticated users or a claim"
    )]
    Destination(String),
    /// The third part.
    #[error("{0:?} is nobody: use anyone, authenticated, or a claim like roles=admin")]
    Who(String),
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<_> = text.split_whitespace().collect();
        let &[action, pattern, who] = parts.as_slice() else { return Err(InvalidRule::Parts) };
        let (subscribe, send) = match action {
            "subscribe" => (true, false),
            "send" => (false, true),
            "all" => (true, true),
            _ => return Err(InvalidRule::Action(action.to_owned())),
        };
        let who = match (who, who.split_once('=')) {
            ("anyone", _) => Who::Anyone,
            ("authenticated", _) => Who::Authenticated,
            (_, Some((claim, value))) if !claim.is_empty() && !value.is_empty() => {
                Who::Claim(claim.to_owned(), value.to_owned())
            }
            _ => return Err(InvalidRule::Who(who.to_owned())),
        };
        if !pattern.starts_with('/') || who == Who::Anyone && pattern.contains(USER) {
            return Err(InvalidRule::Destination(pattern.to_owned()));
        }
        Ok(Self { subscribe, send, pattern: pattern.to_owned(), who })
    }
}

/// What stands for the user's name.
const USER: &str = "{user}";

impl Rule {
    /// Whether the rule lets this user, or nobody known, do this.
    pub(super) fn allows(&self, action: Action, destination: &str, user: Option<&Principal>) -> bool {
        let acts = match action {
            Action::Subscribe => self.subscribe,
            Action::Send => self.send,
        };
        acts && self.is_for(user) && matches(&self.pattern, destination, user.map(Principal::name))
    }

    /// Whether the rule lets this user subscribe to whatever a pattern stands for.
    pub(super) fn allows_all(&self, pattern: Pattern<'_>, user: Option<&Principal>) -> bool {
        let own = || with_user(&self.pattern, user.map(Principal::name));
        self.subscribe && self.is_for(user) && own().is_some_and(|own| Pattern::new(&own).covers(pattern))
    }

    fn is_for(&self, user: Option<&Principal>) -> bool {
        match &self.who {
            Who::Anyone => true,
            Who::Authenticated => user.is_some(),
            Who::Claim(claim, value) => user.is_some_and(|user| user.has(claim, value)),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = match (self.subscribe, self.send) {
            (true, true) => "all",
            (true, false) => "subscribe",
            _ => "send",
        };
        match &self.who {
            Who::Anyone => write!(f, "{action} {} anyone", self.pattern),
            Who::Authenticated => write!(f, "{action} {} authenticated", self.pattern),
            Who::Claim(claim, value) => write!(f, "{action} {} {claim}={value}", self.pattern),
        }
    }
}

/// A pattern with the user's name in its places; `None` where the name must not stand there, as below.
fn with_user(pattern: &str, user: Option<&str>) -> Option<String> {
    let mut parts = pattern.split(USER);
    let mut written = parts.next()?.to_owned();
    for part in parts {
        let name = user.filter(|name| !name.is_empty() && !name.contains(['/', '*']))?;
        let whole = written.ends_with('/') && (part.is_empty() || part.starts_with('/'));
        if name.contains('.') && !whole {
            return None;
        }
        written.push_str(name);
        written.push_str(part);
    }
    Some(written)
}

/// Whether a destination is one of a pattern's.
pub(super) fn matches(pattern: &str, destination: &str, user: Option<&str>) -> bool {
    matches_from(pattern, destination, user, true)
}

/// `fresh`: what is before is a `/`, or nothing.
fn matches_from(pattern: &str, destination: &str, user: Option<&str>, fresh: bool) -> bool {
    if pattern.is_empty() {
        return destination.is_empty();
    }
    if pattern == "**" {
        return true;
    }
    if let Some(pattern) = pattern.strip_prefix("**") {
        // Destinations are short, and patterns come from the configuration.
        return destination.char_indices().map(|(at, _)| at).chain([destination.len()]).any(|at| {
            matches_from(pattern, &destination[at..], user, at > 0 && destination[..at].ends_with('/'))
        });
    }
    if let Some(pattern) = pattern.strip_prefix('*') {
        let end = destination.find(['/', '.']).unwrap_or(destination.len());
        return end > 0 && matches_from(pattern, &destination[end..], user, false);
    }
    if let Some(pattern) = pattern.strip_prefix(USER) {
        let Some(rest) = user.and_then(|name| destination.strip_prefix(name)) else { return false };
        let name = &destination[..destination.len() - rest.len()];
        // A name that holds a separator could pass for a place in that of another user: it has to fill its segment, and
        // one with a slash cannot.
        let whole = fresh && (rest.is_empty() || rest.starts_with('/'));
        let fits = !name.is_empty() && !name.contains(['/', '*']) && (whole || !name.contains('.'));
        return fits && matches_from(pattern, rest, user, false);
    }
    let mut chars = pattern.chars();
    let Some(first) = chars.next() else { return false };
    match destination.strip_prefix(first) {
        Some(rest) => matches_from(chars.as_str(), rest, user, first == '/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_segments_and_for_anything() {
        for (pattern, destination, fits) in [
            ("/topic/a", "/topic/a", true),
            ("/topic/a", "/topic/ab", false),
            ("/topic/*", "/topic/a", true),
            ("/topic/*", "/topic/a/b", false),
            ("/topic/*", "/topic/a.b", false),
            ("/topic/*", "/topic/", false),
            ("/topic/*.usd", "/topic/gold.usd", true),
            ("/topic/**", "/topic/a/b.c", true),
            ("/topic/**", "/topics", false),
            ("/topic/**/end", "/topic/a/b/end", true),
            ("/topic/**/end", "/topic/a/b", false),
            ("/**", "/anything", true),
        ] {
            assert_eq!(matches(pattern, destination, None), fits, "{pattern} {destination}");
        }
    }

    #[test]
    fn the_users_name_stands_for_nobody_elses_place() {
        for (pattern, destination, name, fits) in [
            ("/topic/inbox/{user}", "/topic/inbox/bob", "bob", true),
            ("/topic/inbox/{user}", "/topic/inbox/bob", "ann", false),
            ("/topic/inbox/{user}", "/topic/inbox/bobby", "bob", false),
            ("/topic/inbox/{user}/*", "/topic/inbox/bob/x", "bob", true),
            ("/topic/inbox/{user}", "/topic/inbox/bob@example.com", "bob@example.com", true),
            ("/topic/inbox.{user}.**", "/topic/inbox.bob.x", "bob", true),
            ("/topic/inbox.{user}.**", "/topic/inbox.bob.x.y", "bob.x", false),
            ("/topic/{user}.**", "/topic/bob.x.y", "bob.x", false),
            ("/topic/{user}/**", "/topic/bob/x/y", "bob/x", false),
            ("/topic/{user}", "/topic/", "", false),
            ("/topic/{user}", "/topic/{user}", "bob", false),
        ] {
            assert_eq!(matches(pattern, destination, Some(name)), fits, "{pattern} {destination} {name}");
        }
        assert!(!matches("/topic/{user}", "/topic/bob", None));
    }

    #[test]
    fn a_rule_allows_a_pattern_if_it_allows_all_that_it_stands_for() {
        for (rule, pattern, name, fits) in [
            ("/topic/public/**", "/topic/public/**", "bob", true),
            ("/topic/public/*", "/topic/public/**", "bob", false),
            ("/topic/{user}/**", "/topic/bob/*", "bob", true),
            ("/topic/{user}/**", "/topic/*/x", "bob", false),
            ("/topic/{user}/**", "/topic/ann/*", "bob", false),
            ("/topic/{user}.*", "/topic/bob.*", "bob", true),
            ("/topic/{user}.**", "/topic/bob.x.*", "bob.x", false),
            ("/topic/{user}/**", "/topic/bob.x/*", "bob.x", true),
            ("/topic/{user}/**", "/topic/**", "**", false),
            ("/topic/{user}", "/topic/*", "*", false),
        ] {
            let rule: Rule = format!("subscribe {rule} authenticated").parse().unwrap();
            let user = Principal { name: name.to_owned(), claims: serde_json::Map::new(), until: None };
            assert_eq!(rule.allows_all(Pattern::new(pattern), Some(&user)), fits, "{rule} {pattern} {name}");
            assert!(!rule.allows_all(Pattern::new(pattern), None));
        }
        let rule: Rule = "send /topic/** anyone".parse().unwrap();
        assert!(!rule.allows_all(Pattern::new("/topic/*"), None), "sending is not subscribing");
    }

    #[test]
    fn what_is_no_rule_says_what_would_be_right() {
        for (text, right) in [
            ("", "ACTION DESTINATION WHO"),
            ("all /topic/**", "ACTION DESTINATION WHO"),
            ("read /topic/** anyone", "subscribe, send or all"),
            ("all topic anyone", "begins with /"),
            ("all /topic/{user} anyone", "only for authenticated"),
            ("all /topic/** admins", "a claim like roles=admin"),
            ("all /topic/** =x", "a claim like roles=admin"),
        ] {
            let error = text.parse::<Rule>().unwrap_err().to_string();
            assert!(error.contains(right), "{text:?}: {error}");
        }
        for text in ["subscribe /a/** anyone", "send /a authenticated", "all /a/{user} roles=x"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
    }
}
