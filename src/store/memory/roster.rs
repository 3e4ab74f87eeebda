//! One roster in memory.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use sockhop_transports::Message;
use tokio::time::Instant;

use super::log::wall_clock;
use crate::store::roster::{folded, reference, referred};
use crate::store::{Entered, Here, Left, Place, Position, Present, SessionRef, Stay, StoreError, Visitor};

/// Who is somewhere.
#[derive(Default)]
pub(super) struct Roster {
    /// Sessions in the order of members, a user's side by side.
    order: BTreeSet<Vec<u8>>,
    visits: HashMap<SessionRef, Visit>,
    count: u64,
    /// Stays that are over, and until when that is known.
    over: HashMap<(SessionRef, u64), Instant>,
    forgotten: Option<Instant>,
}

struct Visit {
    number: u64,
    since: u64,
    user: String,
    about: String,
}

/// What became of a member, to be told.
pub(super) struct News {
    kind: &'static str,
    about: String,
    count: u64,
}

/// How long a stay that is over is remembered.
const OVER_TTL: Duration = Duration::from_secs(120);

impl News {
    /// How it is told behind a lead.
    pub(super) fn message(&self, lead: &str) -> Message {
        let Self { kind, about, count } = self;
        let at = humantime::format_rfc3339_millis(SystemTime::now());
        Message::new(&format!(r#"{lead}{{"type":"{kind}",{about},"count":{count},"at":"{at}"}}"#))
    }
}

impl Roster {
    pub(super) fn enter(
        &mut self,
        stay: Stay,
        visitor: Visitor<'_>,
        news: &mut Vec<News>,
    ) -> Result<Entered, StoreError> {
        let user = folded(visitor.user)?;
        if self.is_over(stay) {
            return Ok(Entered::Over);
        }
        if self.visits.get(&stay.session).is_some_and(|visit| visit.user != user) {
            self.depart(stay.session, news);
        }
        let since = self.visits.get(&stay.session).map(|visit| visit.since);
        let mut entered = Entered::Present;
        if since.is_none() {
            if !self.has_session(&user) {
                self.count += 1;
                entered = Entered::Joined;
                news.push(News { kind: "join", about: visitor.about.to_owned(), count: self.count });
            }
            self.order.insert(place(&user, stay.session));
        }
        let since = since.unwrap_or_else(wall_clock);
        let visit = Visit { number: stay.number, since, user, about: visitor.about.to_owned() };
        self.visits.insert(stay.session, visit);
        Ok(entered)
    }

    pub(super) fn exit(&mut self, stay: Stay, news: &mut Vec<News>) -> Left {
        if self.is_over(stay) {
            return Left::Absent;
        }
        self.over.insert((stay.session, stay.number), Instant::now() + OVER_TTL);
        match self.visits.get(&stay.session) {
            Some(visit) if visit.number == stay.number => self.depart(stay.session, news),
            _ => Left::Absent,
        }
    }

    fn is_over(&mut self, stay: Stay) -> bool {
        let now = Instant::now();
        if self.forgotten.is_none_or(|at| now.duration_since(at) >= OVER_TTL) {
            self.forgotten = Some(now);
            self.over.retain(|_, until| *until > now);
        }
        self.over.get(&(stay.session, stay.number)).is_some_and(|until| *until > now)
    }

    fn depart(&mut self, session: SessionRef, news: &mut Vec<News>) -> Left {
        let Some(visit) = self.visits.remove(&session) else { return Left::Absent };
        self.order.remove(&place(&visit.user, session));
        if self.has_session(&visit.user) {
            return Left::Present;
        }
        self.count -= 1;
        news.push(News { kind: "leave", about: visit.about, count: self.count });
        Left::Gone
    }

    fn sessions(&self, user: &str) -> impl Iterator<Item = &Vec<u8>> {
        let bound = |end: u8| [b"0", user.as_bytes(), &[end]].concat();
        self.order.range(bound(0)..bound(1))
    }

    fn has_session(&self, user: &str) -> bool {
        !user.is_empty() && self.sessions(user).next().is_some()
    }

    pub(super) fn here(&self, after: Option<&Place>, most: usize, at: Position) -> Here {
        let mut here = Here { count: self.count, members: Vec::new(), next: None, at };
        let mut from = after.map(|Place(place)| behind(place)).unwrap_or_default();
        while let Some(place) = self.order.range(from..).next() {
            if here.members.len() == most {
                return here;
            }
            let session = place.len().checked_sub(24).and_then(|at| referred(&place[at..]));
            let Some((session, visit)) = session.and_then(|session| Some((session, self.visits.get(&session)?)))
            else {
                break;
            };
            let (sessions, known) = match visit.user.as_str() {
                "" => (1, 9),
                user => (self.sessions(user).count() as u64, place.len() - 25),
            };
            here.members.push(Present { session, sessions, since: visit.since, about: visit.about.clone() });
            from = behind(&place[..known]);
            here.next = Some(Place(place[..known].to_vec()));
        }
        Here { next: None, ..here }
    }

    /// Whether nobody can miss it.
    pub(super) fn is_abandoned(&self, now: Instant) -> bool {
        self.order.is_empty() && self.over.values().all(|until| *until <= now)
    }
}

/// Where a session stands among the members.
fn place(user: &str, session: SessionRef) -> Vec<u8> {
    let who = reference(session);
    if user.is_empty() { [&b"1"[..], &who].concat() } else { [b"0", user.as_bytes(), b"\0", &who].concat() }
}

/// Behind all sessions of a user, or behind all that begin as a session of its own does.
fn behind(place: &[u8]) -> Vec<u8> {
    let end: &[u8] = if place.first() == Some(&b'0') { &[1] } else { &[0xff; 17] };
    // The next there is after that.
    [place, end, &[0]].concat()
}
