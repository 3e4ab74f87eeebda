//! The iframe page, through which clients reach a service of another origin.

use bytes::Bytes;
use http::HeaderValue;
use sha2::{Digest, Sha256};

/// The page of one service: the same bytes and ETag on every node of a deployment.
#[derive(Debug)]
pub(crate) struct IframePage {
    pub(crate) body: Bytes,
    /// Quoted, and a function of the body alone.
    pub(crate) etag: HeaderValue,
}

impl IframePage {
    pub(crate) fn new(client_url: &str) -> Self {
        let body = format!(
            r#"<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>"#,
            attribute(client_url)
        );
        let digest: String = Sha256::digest(&body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hex digits in quotes");
        Self { body: body.into(), etag }
    }

    /// Whether `If-None-Match` names this very page.
    pub(crate) fn is(&self, if_none_match: Option<&HeaderValue>) -> bool {
        if_none_match.is_some_and(|etags| {
            etags.as_bytes().split(|byte| *byte == b',').any(|etag| etag.trim_ascii() == self.etag.as_bytes())
        })
    }
}

/// Text as the value of a double-quoted attribute.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_etag_depends_on_the_page_alone() {
        let page = IframePage::new("/a.js");
        assert_eq!(page.etag, IframePage::new("/a.js").etag);
        assert_ne!(page.etag, IframePage::new("/b.js").etag);
        assert!(page.is(Some(&page.etag)));
        let list = format!("\"x\", {}", page.etag.to_str().unwrap());
        assert!(page.is(Some(&list.parse().unwrap())));
        let unquoted = page.etag.to_str().unwrap().trim_matches('"').to_owned();
        assert!(!page.is(Some(&unquoted.parse().unwrap())));
        assert!(!page.is(None));
    }

    #[test]
    fn a_client_url_cannot_leave_its_attribute() {
        let page = IframePage::new("/a.js\"><script>");
        assert!(String::from_utf8_lossy(&page.body).contains("src=\"/a.js&quot;>&lt;script>\""));
    }
}
