//! What rosters in Redis do over longer times.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use sockhop::stomp::{Broker, Stomp};
use sockhop::store::{Entered, Left, Retention, Roster, SessionRef, Stay, Store, Telling, Visitor};
use sockhop::{ChannelName, Service, SessionKey};

use crate::server::Redis;
use crate::trial::{Member, eventually};

fn stay(number: u64) -> Stay {
    Stay { session: SessionRef { key: SessionKey::of("/s", &number.to_string()), life: number }, number }
}

async fn enter(store: &dyn Store, channel: &ChannelName, number: u64) -> Entered {
    let roster = Roster { channel, telling: Some(Telling { lead: "", retention: Retention::default() }) };
    let about = format!("\"user\":\"{number}\"");
    store.enter(roster, stay(number), Visitor { user: Some(&number.to_string()), about: &about }).await.unwrap()
}

#[test]
fn instants_in_scripts_are_written_as_rfc_3339_wants() {
    let redis = Redis::start();
    let script = include_str!("../../src/store/redis/scripts/roster.lua");
    let from = script.find("local function instant").expect("there is such a function");
    let script = format!("{}\nreturn instant(tonumber(ARGV[1]))", &script[from..script.find("-- Tells").unwrap()]);
    let day = 86_400_000_u64;
    let turns = [0, 58, 59, 60, 364, 365, 789, 790, 11_016, 11_017, 47_540, 47_541, 47_542];
    let some = (0..400).map(|number| number * 7_919 * day / 97 + number * 1_234_567);
    for at in turns.iter().flat_map(|days| [days * day, days * day + day - 1]).chain(some) {
        let instant = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at);
        let expected = humantime::format_rfc3339_millis(instant).to_string();
        assert_eq!(redis.text(&["EVAL", &script, "0", &at.to_string()]), expected, "{at}");
    }
}

#[tokio::test]
async fn a_member_of_whom_nobody_speaks_any_more_is_told_to_have_left() {
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store);
    member.ready().await;
    let store = &*member.store;
    let channel = ChannelName::new("room").unwrap();
    for number in 1..=20 {
        assert_eq!(enter(store, &channel, number).await, Entered::Joined);
    }
    // An hour goes by for half of them.
    let stays = "sockhop:{c:room}:stays";
    let age = "for _, ref in ipairs(redis.call('HKEYS', KEYS[1])) do
        local visit = redis.call('HGET', KEYS[1], ref)
        if ref ~= '' and string.byte(visit, 8) % 2 == 0 then
            local stay, since, heard, length = struct.unpack('>c8I6I6I2', visit)
            redis.call('HSET', KEYS[1], ref, struct.pack('>c8I6I6I2', stay, since, heard - 3600000, length) .. string.sub(visit, 23))
        end
    end";
    redis.command(&["EVAL", age, "1", stays]);
    for _ in 0..200 {
        for number in (1..=20).step_by(2) {
            assert_eq!(enter(store, &channel, number).await, Entered::Present);
        }
    }
    let here = store.here(&channel, None, 100).await.unwrap();
    assert_eq!((here.count, here.members.len()), (10, 10));
    assert_eq!(here.at.seq, 30, "twenty came, ten left");
    assert_eq!(enter(store, &channel, 2).await, Entered::Joined, "it was there after all");
}

#[tokio::test]
async fn a_roster_goes_by_itself() {
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store);
    member.ready().await;
    let channel = ChannelName::new("room").unwrap();
    enter(&*member.store, &channel, 1).await;
    let roster = Roster { channel: &channel, telling: None };
    member.store.exit(roster, stay(2)).await.unwrap();
    let keys = redis.keys("sockhop:{c:room}");
    assert_eq!(keys.len(), 5, "{keys:?}");
    for key in keys {
        assert!(redis.number(&["PTTL", &key]) > 0, "{key}");
    }
}

/// One request of a session of the service; what came.
async fn ask(service: &Service, endpoint: &str, body: &str) -> String {
    let request =
        Request::post(format!("/ws/000/member/{endpoint}")).body(Full::new(Bytes::from(body.to_owned())));
    let response = service.respond(request.unwrap()).await.expect("written");
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_roster_that_redis_has_lost_fills_up_again() {
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store.lease(Duration::from_secs(2)));
    member.ready().await;
    let service = Stomp::new()
        .presence(["/topic/**".parse().unwrap()])
        .service("/ws")
        .heartbeat(Duration::from_millis(500))
        .disconnect_delay(Duration::from_secs(3))
        .build(&member.node);
    assert_eq!(ask(&service, "xhr", "").await, "o\n");
    let frames = "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\0";
    ask(&service, "xhr_send", &serde_json::to_string(&[frames]).unwrap()).await;
    let broker = Broker::new(&member.node);
    assert_eq!(broker.here("/topic/a", None, 10).await.unwrap().count, 1);
    for key in redis.keys("sockhop:{c:/presence/topic/a}") {
        redis.command(&["DEL", &key]);
    }
    assert_eq!(broker.here("/topic/a", None, 10).await.unwrap().count, 0);
    // As if ten minutes had gone by since its handler last saw to the session.
    let origin = redis.keys("sockhop:{s").into_iter().find(|key| key.ends_with(":origin")).expect("a session");
    assert_eq!(redis.text(&["HGET", &origin, "asockhop.tended"]), "0");
    // It polls until its session is in it again.
    let filled = async {
        while broker.here("/topic/a", None, 10).await.unwrap().count == 0 {
            ask(&service, "xhr", "").await;
        }
    };
    tokio::time::timeout(Duration::from_secs(100), filled).await.expect("it is filled");
    let tended = redis.text(&["HGET", &origin, "asockhop.tended"]);
    assert_ne!(tended, "0", "and is not seen to again for a while");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roster_that_is_only_watched_costs_the_head_of_its_channel_and_goes_when_nobody_watches() {
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store);
    member.ready().await;
    let service = Stomp::new()
        .presence(["/topic/**".parse().unwrap()])
        .service("/ws")
        .disconnect_delay(Duration::from_secs(3))
        .build(&member.node);
    let frames = |frames: &str| serde_json::to_string(&[frames]).unwrap();
    assert_eq!(ask(&service, "xhr", "").await, "o\n");
    let subscribe = "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:0\ndestination:/presence/topic/a\n\n\0";
    ask(&service, "xhr_send", &frames(subscribe)).await;
    let mut told = String::new();
    while !told.contains("\\\"count\\\":0") {
        told += &ask(&service, "xhr", "").await;
    }
    let broker = Broker::new(&member.node);
    for _ in 0..10 {
        assert_eq!(broker.here("/topic/a", None, 10).await.unwrap().count, 0);
    }
    let head = "sockhop:{c:/presence/topic/a}:head";
    let keys = || redis.keys("sockhop:{c:");
    assert_eq!(keys(), [head], "neither members nor stays nor a log");
    assert!((1..=2 * 3_600_000).contains(&redis.number(&["PTTL", head])));
    assert!(redis.number(&["MEMORY", "USAGE", head]) < 300);
    let heard = || redis.texts(&["PUBSUB", "SHARDCHANNELS"]).iter().any(|name| name.contains("/presence/topic/a"));
    assert!(heard());

    ask(&service, "xhr_send", &frames("DISCONNECT\n\n\0")).await;
    eventually("nobody listens", || !heard()).await;
    eventually("the session is gone", || redis.keys("sockhop:{s").is_empty()).await;
    // Its time comes.
    assert_eq!(redis.number(&["PEXPIRE", head, "500"]), 1);
    eventually("nothing is left", || keys().is_empty()).await;
}

/// Fills a roster with so many users, behind those that are there.
fn fill(redis: &Redis, channel: &str, from: u64, to: u64) {
    let script = "for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
        local name = string.format('=user-%07d', number)
        local ref = struct.pack('>I8I8I8', number, number, number)
        redis.call('ZADD', KEYS[1], 0, '0' .. name .. '\\0' .. ref)
        local visit = struct.pack('>c8I6I6I2', 'somestay', 1, 99999999999999, #name) .. name
        redis.call('HSET', KEYS[2], ref, visit .. '\\\\\"user\\\\\":\\\\\"' .. string.sub(name, 2) .. '\\\\\"')
    end
    redis.call('HINCRBY', KEYS[2], '', ARGV[2] - ARGV[1] + 1)";
    let keys = ["members", "stays"].map(|kind| format!("sockhop:{{c:{channel}}}:{kind}"));
    for from in (from..=to).step_by(10_000) {
        let to = to.min(from + 9999);
        redis.command(&["EVAL", script, "2", &keys[0], &keys[1], &from.to_string(), &to.to_string()]);
    }
}

/// Microseconds of Redis that a script takes, on average.
async fn cost(redis: &Redis, work: impl AsyncFn(u64)) -> f64 {
    const TIMES: u64 = 400;
    redis.command(&["CONFIG", "RESETSTAT"]);
    for number in 0..TIMES {
        work(number).await;
    }
    let stats = redis.text(&["INFO", "commandstats"]);
    let stats = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:")).expect("scripts ran");
    let field =
        |name: &str| stats.split(',').find_map(|field| field.strip_prefix(name)).unwrap().parse::<f64>().unwrap();
    field("usec=") / field("calls=")
}

#[tokio::test]
async fn counts_pages_and_joins_of_a_large_roster_cost_what_they_cost_of_a_small_one() {
    // For figures, to be told how many: 1,000,000 for instance.
    let many = std::env::var("ROSTER_MEMBERS").ok().and_then(|many| many.parse().ok()).unwrap_or(50_000);
    let redis = Redis::start();
    let member = Member::with(&redis.url(), |store| store.lease(Duration::from_secs(6000)));
    member.ready().await;
    let store = &*member.store;
    let channel = ChannelName::new("room").unwrap();
    let name = "sockhop:{c:room}:members";
    let used = || {
        redis
            .text(&["INFO", "memory"])
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:")?.parse::<u64>().ok())
            .unwrap()
    };
    let mut costs = Vec::new();
    let mut filled = 0;
    for members in [100, many] {
        let before = used();
        fill(&redis, "room", filled + 1, members);
        let bytes = (used() - before) / (members - filled);
        filled = members;
        assert_eq!(redis.number(&["ZCARD", name]), i64::try_from(members).unwrap());
        let count = cost(&redis, async |_| {
            assert_eq!(store.here(&channel, None, 1).await.unwrap().count, members);
        })
        .await;
        let page = cost(&redis, async |_| {
            let page = store.here(&channel, None, 100).await.unwrap();
            assert_eq!((page.members.len(), page.members[0].about.as_str()), (100, "\"user\":\"user-0000001\""));
        })
        .await;
        let join = cost(&redis, async |number| {
            assert_eq!(enter(store, &channel, members * 10 + number).await, Entered::Joined);
        })
        .await;
        let leave = cost(&redis, async |number| {
            let roster =
                Roster { channel: &channel, telling: Some(Telling { lead: "", retention: Retention::default() }) };
            assert_eq!(store.exit(roster, stay(members * 10 + number)).await.unwrap(), Left::Gone);
        })
        .await;
        let figures = [count, page, join, leave];
        let told =
            format!("{members} members: {bytes} bytes each; count, page of 100, join, leave: {figures:.1?} us");
        let _ = writeln!(std::io::stderr(), "{told}");
        costs.push(figures);
    }
    for (small, large) in costs[0].iter().zip(costs[1]) {
        // Searching or counting them one by one would cost hundreds of times as much.
        assert!(large < 8.0 * small + 100.0, "{costs:?}");
    }
}
