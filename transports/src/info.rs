//! `GET /info`: what the service offers, answered without a look at any shared state.

use crate::Options;

/// The body of an info answer.
///
/// `entropy` is a fresh number each time: old clients seed their session ids from it.
#[derive(Debug, serde::Serialize)]
struct Info {
    websocket: bool,
    cookie_needed: bool,
    origins: [&'static str; 1],
    entropy: u32,
}

pub(crate) fn body(options: &Options) -> String {
    let info = Info {
        websocket: options.websocket,
        cookie_needed: options.cookie_needed,
        // A constant of the protocol: clients ignore it.
        origins: ["*:*"],
        entropy: rand::random(),
    };
    serde_json::to_string(&info).expect("an info has no map and no custom serializer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_says_what_is_offered_with_fresh_entropy() {
        let read = |options: &Options| serde_json::from_str::<serde_json::Value>(&body(options)).unwrap();
        let info = read(&Options::default());
        assert_eq!(info["websocket"], true);
        assert_eq!(info["cookie_needed"], false);
        assert_eq!(info["origins"], serde_json::json!(["*:*"]));
        let entropies: std::collections::HashSet<u64> =
            (0..4).map(|_| read(&Options::default())["entropy"].as_u64().unwrap()).collect();
        assert!(entropies.len() > 1, "four equal numbers of 32 bits");
        let other = read(&Options { websocket: false, cookie_needed: true, ..Options::default() });
        assert_eq!((&other["websocket"], &other["cookie_needed"]), (&false.into(), &true.into()));
    }
}
