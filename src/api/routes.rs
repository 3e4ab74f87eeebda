//! The paths of the API, and what each of them takes.

use http::Method;

use super::keys::Right;
use super::problem::Problem;

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Document,
    Publish,
    PublishBatch,
    PublishToUser,
    History,
    Presence,
    Sessions,
    EndSession,
    EndUser,
}

/// One path: its segments, `{}` for any one; its method; what it calls; the right that it needs, if any.
struct Route(&'static [&'static str], &'static str, Call, Option<Right>);

const ROUTES: &[Route] = &[
    Route(&["openapi.json"], GET, Call::Document, None),
    Route(&["publish"], POST, Call::Publish, Some(Right::Publish)),
    Route(&["publish", "batch"], POST, Call::PublishBatch, Some(Right::Publish)),
    Route(&["users", "{}", "publish"], POST, Call::PublishToUser, Some(Right::Publish)),
    Route(&["history"], GET, Call::History, Some(Right::Read)),
    Route(&["presence"], GET, Call::Presence, Some(Right::Read)),
    Route(&["sessions"], GET, Call::Sessions, Some(Right::Manage)),
    Route(&["sessions", "{}"], DELETE, Call::EndSession, Some(Right::Manage)),
    Route(&["users", "{}", "sessions"], DELETE, Call::EndUser, Some(Right::Manage)),
];

/// As `Allow` says it.
const GET: &str = "GET, HEAD";
const POST: &str = "POST";
const DELETE: &str = "DELETE";

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) call: Call,
    pub(super) right: Option<Right>,
    /// What stands in the path for each `{}`.
    pub(super) names: Vec<String>,
}

/// Finds what a path behind `/v1/` and a method ask for.
pub(super) fn find(method: &Method, path: &str) -> Result<Asked, Problem> {
    let mut allowed = None;
    for Route(pattern, methods, call, right) in ROUTES {
        let Some(names) = names(pattern, path)? else { continue };
        if methods.split(", ").any(|known| known == method.as_str()) {
            return Ok(Asked { call: *call, right: *right, names });
        }
        allowed = Some(*methods);
    }
    Err(allowed.map_or_else(unknown, Problem::not_allowed))
}

pub(super) fn unknown() -> Problem {
    let detail = "v1/openapi.json lists all paths.";
    Problem::new(http::StatusCode::NOT_FOUND, "unknown-path", "There is nothing at this path", detail)
}

fn names(pattern: &[&str], path: &str) -> Result<Option<Vec<String>>, Problem> {
    if !fits(pattern, path) {
        return Ok(None);
    }
    let named = pattern.iter().zip(path.split('/')).filter(|(part, _)| **part == "{}");
    let decode = |(_, segment): (&&str, &str)| {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8();
        decoded.map(Into::into).map_err(|_| Problem::field("user", "This is no UTF-8."))
    };
    named.map(decode).collect::<Result<_, _>>().map(Some)
}

fn fits(pattern: &[&str], path: &str) -> bool {
    let mut segments = path.split('/');
    let fits = |part: &&str| match segments.next() {
        Some(segment) => *part == "{}" && !segment.is_empty() || *part == segment,
        None => false,
    };
    pattern.iter().all(fits) && segments.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_calls() {
        let find = |method: Method, path: &str| find(&method, path);
        let asked = find(Method::POST, "users/a%2Fb%25/publish").unwrap();
        assert_eq!((asked.call, asked.names), (Call::PublishToUser, vec!["a/b%".to_owned()]));
        assert_eq!(find(Method::HEAD, "history").unwrap().call, Call::History);
        for path in ["", "publish/", "users//publish", "users/a/b/publish", "histor", "publish/batch/x"] {
            assert_eq!(find(Method::POST, path).unwrap_err().status, 404, "{path}");
        }
        for (method, path, allow) in [
            (Method::GET, "publish", "POST"),
            (Method::OPTIONS, "history", "GET, HEAD"),
            (Method::PUT, "users/a/publish", "POST"),
            (Method::GET, "sessions/a", "DELETE"),
            (Method::DELETE, "sessions", "GET, HEAD"),
        ] {
            let response = find(method, path).unwrap_err().response();
            assert_eq!(
                (response.status().as_u16(), &response.headers()["allow"]),
                (405, &http::HeaderValue::from_static(allow))
            );
        }
    }
}
