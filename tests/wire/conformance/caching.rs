//! What may be kept by caches, and what never.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::http::{Request, Response};
use crate::server::shared;
use crate::session::{Session, Transport};

const NO_CACHE: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";
const CACHEABLE: &str = "public, max-age=31536000";
const YEAR: u64 = 31_536_000;

fn head_of(request: &Request) -> Response {
    let mut connection = shared().connect();
    connection.send(request);
    connection.head()
}

#[test]
fn what_belongs_to_a_session_is_never_cached() {
    let open = Session::open(shared(), "/echo");
    let mut requests = vec![
        Request::get("/echo/info"),
        Request::post(&open.at("xhr_send"), "[\"x\"]"),
        Request::post(&open.at("jsonp_send"), "[\"x\"]"),
    ];
    for transport in Transport::ALL {
        requests.push(transport.request(&Session::fresh(shared(), "/echo").url));
    }
    for request in requests {
        let head = head_of(&request);
        assert!(head.status < 300, "{request:?}: {head:?}");
        assert_eq!(head.header("Cache-Control"), Some(NO_CACHE), "{request:?}");
        assert_eq!(head.header("Expires"), None, "{request:?}");
        assert_eq!(head.header("Last-Modified"), None, "{request:?}");
    }
}

#[test]
fn the_iframe_page_and_preflights_are_cached_for_a_year() {
    let mut requests = vec![Request::get("/echo/iframe.html")];
    for path in ["info", "0/0/xhr", "0/0/xhr_send", "0/0/xhr_streaming"] {
        requests.push(Request::options(&format!("/echo/{path}")));
    }
    for request in requests {
        let head = head_of(&request);
        assert_eq!(head.header("Cache-Control"), Some(CACHEABLE), "{request:?}");
        assert_eq!(head.header("Last-Modified"), None, "{request:?}");
        let expires = head.header("Expires").expect("an Expires header");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
        let ahead = seconds_since_epoch(expires).abs_diff(now);
        assert!(ahead.abs_diff(YEAR) < 120, "{expires} is {ahead} s ahead");
    }
}

/// Of an HTTP date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds_since_epoch(date: &str) -> u64 {
    let parts: Vec<&str> = date.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = parts[..] else {
        panic!("not an HTTP date: {date}");
    };
    let number = |digits: &str| digits.parse::<u64>().expect("a number in the date");
    let (day, year) = (number(day), number(year));
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(month).expect("a month") / 3;
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leap_days(year) != leap_days(year - 1);
    let before_month = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month];
    let leap_day_passed = u64::from(is_leap && month > 1);
    let days =
        (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969) + before_month + leap_day_passed + (day - 1);
    days * 86_400 + number(hour) * 3600 + number(minute) * 60 + number(second)
}

#[test]
fn content_types_are_exact() {
    let open = Session::open(shared(), "/echo");
    let text = "text/plain; charset=UTF-8";
    for (request, wanted) in [
        (Request::post(&open.at("xhr_send"), "[\"x\"]"), text),
        (Request::post(&open.at("jsonp_send"), "[\"x\"]"), text),
    ] {
        let head = head_of(&request);
        assert_eq!(head.header("Content-Type"), Some(wanted), "{request:?}");
    }
    for transport in Transport::ALL {
        let head = head_of(&transport.request(&Session::fresh(shared(), "/echo").url));
        assert_eq!(head.header("Content-Type"), Some(transport.content_type()), "{transport:?}");
    }
}

#[test]
fn streams_are_not_compressed() {
    for transport in Transport::STREAMS {
        let request = transport.request(&Session::fresh(shared(), "/echo").url);
        let head = head_of(&request.header("Accept-Encoding", "gzip, br"));
        assert_eq!(head.header("Content-Encoding"), None, "{transport:?}");
    }
}
