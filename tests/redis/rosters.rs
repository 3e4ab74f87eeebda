//! What rosters in Redis do over longer times.

use sockhop::store::{Entered, Retention, Roster, SessionRef, Stay, Store, Telling, Visitor};
use sockhop::{ChannelName, SessionKey};

use crate::server::Redis;
use crate::trial::Member;

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
