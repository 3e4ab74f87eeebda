//! The names of keys and Pub/Sub channels. What one script touches shares a hash tag, so that it shares a slot.

use crate::id::{ChannelName, NodeId, SessionKey, hex, push_hex};

/// Sessions hash into so many buckets, each with its deadlines.
pub(super) const BUCKETS: u16 = SessionKey::BUCKETS;
/// Hash slots of a cluster (Redis Cluster Specification, "Key distribution model").
pub(super) const SLOTS: u16 = 16_384;

/// Names keys below a prefix.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

/// The keys of one channel: its head, its log, and the Pub/Sub channel that carries its entries.
pub(super) struct ChannelKeys {
    pub(super) keys: [String; 2],
    pub(super) inbox: String,
    pub(super) slot: u16,
}

/// The key of a queue's head, by which scripts know the keys of all else that belongs to the queue: its messages, its
/// consumers, and the channel of each.
pub(super) struct QueueKeys {
    pub(super) keys: [String; 1],
    pub(super) slot: u16,
}

impl ChannelKeys {
    /// The keys of the ids that the channel remembers: the younger and the elder generation.
    pub(super) fn ids(&self) -> [String; 2] {
        let stem = self.keys[0].trim_end_matches("head");
        ["ids", "ids-old"].map(|kind| format!("{stem}{kind}"))
    }
}

impl QueueKeys {
    /// As those of a channel.
    pub(super) fn ids(&self) -> [String; 2] {
        ["ids", "ids-old"].map(|kind| format!("{}-{kind}", self.keys[0]))
    }
}

/// The keys of one roster: those of the channel that it belongs to, its members, their stays, and those that are over.
pub(super) struct RosterKeys {
    pub(super) keys: [String; 5],
    pub(super) inbox: String,
    pub(super) slot: u16,
}

/// The key of one session's record. Scripts know by it the keys of all else that belongs to the session: its own frames,
/// its subscriptions, origin and attributes, and its bucket's deadlines.
pub(super) struct SessionKeys {
    pub(super) keys: [String; 1],
    pub(super) slot: u16,
}

/// The slot of a hash tag.
pub(super) fn slot_of(tag: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS
}

/// The hash tag of a channel or a queue.
fn channel_tag(name: &str) -> String {
    let mut tag = String::with_capacity(name.len() + 2);
    tag.push_str("c:");
    for c in name.chars() {
        match c {
            // A brace would end the hash tag.
            '{' => tag.push_str("%7B"),
            '}' => tag.push_str("%7D"),
            '%' => tag.push_str("%25"),
            c => tag.push(c),
        }
    }
    tag
}

/// The bucket of a session.
pub(super) fn bucket_of(key: SessionKey) -> u16 {
    key.bucket()
}

/// The hash tag of a bucket: `s` and its number.
fn push_tag(text: &mut String, bucket: u16) {
    text.push('s');
    let mut place = 10_000;
    while place > 1 && bucket < place {
        place /= 10;
    }
    while place > 0 {
        text.push(char::from(b'0' + (bucket / place % 10) as u8));
        place /= 10;
    }
}

/// How a session is called in keys and among deadlines: 32 hex digits.
pub(super) fn member_of(key: SessionKey) -> String {
    hex(&key.to_bytes())
}

/// The session of a member, and its life where it is the end of one.
pub(super) fn session_of(member: &[u8]) -> Option<(SessionKey, Option<u64>)> {
    let (hex, life) = member.split_at_checked(32)?;
    let mut key = [0; 16];
    for (byte, digits) in key.iter_mut().zip(hex.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    let life = if life.is_empty() { None } else { Some(u64::from_be_bytes(life.try_into().ok()?)) };
    Some((SessionKey::from_bytes(key), life))
}

impl SessionKeys {
    /// How the session is called among deadlines.
    pub(super) fn member(&self) -> &str {
        let [record] = &self.keys;
        &record[record.len() - 32..]
    }
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    pub(super) fn channel(&self, name: &ChannelName) -> ChannelKeys {
        let prefix = &self.prefix;
        // What a queue's consumer is given stands beside the queue.
        let (name, part) = match name.consumer() {
            Some((queue, consumer)) => (queue, format!("{consumer}:")),
            None => (name.as_str(), String::new()),
        };
        let tag = channel_tag(name);
        let slot = slot_of(&tag);
        let key = |kind: &str| format!("{prefix}:{{{tag}}}:{part}{kind}");
        ChannelKeys { keys: [key("head"), key("log")], inbox: key("live"), slot }
    }

    pub(super) fn queue(&self, name: &ChannelName) -> QueueKeys {
        let tag = channel_tag(name.as_str());
        let slot = slot_of(&tag);
        QueueKeys { keys: [format!("{}:{{{tag}}}:queue", self.prefix)], slot }
    }

    pub(super) fn roster(&self, name: &ChannelName) -> RosterKeys {
        let ChannelKeys { keys: [head, log], inbox, slot } = self.channel(name);
        let key = |kind: &str| format!("{}{kind}", &head[..head.len() - "head".len()]);
        let keys = [key("members"), key("stays"), key("over")];
        let [members, stays, over] = keys;
        RosterKeys { keys: [head, log, members, stays, over], inbox, slot }
    }

    /// The keys of a catalogue: those of its channel, its names, and whether one was left out of late.
    pub(super) fn catalogue(&self, name: &ChannelName) -> ([String; 4], String, u16) {
        let ChannelKeys { keys: [head, log], inbox, slot } = self.channel(name);
        let beside = |kind: &str| format!("{}{kind}", head.trim_end_matches("head"));
        let (names, full) = (beside("names"), beside("full"));
        ([head, log, names, full], inbox, slot)
    }

    pub(super) fn session(&self, key: SessionKey) -> SessionKeys {
        let bucket = bucket_of(key);
        let mut record = String::with_capacity(self.prefix.len() + 42);
        record.push_str(&self.prefix);
        // Not formatted: every operation on a session comes by here.
        record.push_str(":{");
        let tag = record.len();
        push_tag(&mut record, bucket);
        let slot = slot_of(&record[tag..]);
        record.push_str("}:");
        push_hex(&mut record, &key.to_bytes());
        SessionKeys { keys: [record], slot }
    }

    /// When the sessions of a bucket have to be looked at.
    pub(super) fn deadlines(&self, bucket: u16) -> String {
        let mut deadlines = format!("{}:{{", self.prefix);
        push_tag(&mut deadlines, bucket);
        deadlines.push_str("}:deadlines");
        deadlines
    }

    /// The sessions of a bucket that live in a node's memory, and the ends that it was given.
    pub(super) fn anchors(&self, bucket: u16, node: NodeId) -> String {
        let mut anchors = self.deadlines(bucket);
        anchors.truncate(anchors.len() - "deadlines".len());
        anchors + &format!("anchors:{node}")
    }

    pub(super) fn bucket_slot(bucket: u16) -> u16 {
        let mut tag = String::with_capacity(5);
        push_tag(&mut tag, bucket);
        slot_of(&tag)
    }

    /// Where a node gets signals, and its slot.
    pub(super) fn inbox(&self, node: NodeId) -> (String, u16) {
        let tag = format!("n:{node}");
        (format!("{}:{{{tag}}}:inbox", self.prefix), slot_of(&tag))
    }

    /// A Pub/Sub channel by which a node looks whether its subscriptions in some shard live: the first of its own whose
    /// slot is there.
    pub(super) fn probe(&self, node: NodeId, is_there: impl Fn(u16) -> bool) -> Option<(String, u16)> {
        (0..u32::from(SLOTS)).find_map(|number| {
            let tag = format!("n:{node}:{number}");
            let slot = slot_of(&tag);
            is_there(slot).then(|| (format!("{}:{{{tag}}}:probe", self.prefix), slot))
        })
    }

    /// A Pub/Sub channel that nobody listens to, in the slot of [`nodes`](Self::nodes).
    pub(super) fn nobody(&self) -> String {
        format!("{}:{{nodes}}:nobody", self.prefix)
    }

    /// The leases of all nodes, the format of all keys, and their slot.
    pub(super) fn nodes(&self) -> ([String; 2], u16) {
        let key = |kind: &str| format!("{}:{{nodes}}:{kind}", self.prefix);
        ([key("leases"), key("format")], slot_of("nodes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // The example of the specification.
        assert_eq!(crc16::State::<crc16::XMODEM>::calculate(b"123456789"), 0x31C3);
        assert_eq!(slot_of("123456789"), 12_739);
    }

    #[test]
    fn a_channels_name_cannot_leave_its_hash_tag() {
        let keys = Keys::new("p");
        let odd = keys.channel(&ChannelName::new("a}b{%7D").unwrap());
        assert_eq!(odd.keys[0], "p:{c:a%7Db%7B%257D}:head");
        assert_ne!(odd.keys[0], keys.channel(&ChannelName::new("a%7Db{}").unwrap()).keys[0]);
    }

    #[test]
    fn what_a_consumer_is_given_stands_in_its_queues_slot() {
        let (keys, queue) = (Keys::new("p"), ChannelName::new("/queue/{a}").unwrap());
        let consumer = ChannelName::of_consumer(&queue, "0f");
        let (of_queue, of_consumer) = (keys.queue(&queue), keys.channel(&consumer));
        assert_eq!(of_queue.keys[0], "p:{c:/queue/%7Ba%7D}:queue");
        assert_eq!(of_consumer.keys[1], "p:{c:/queue/%7Ba%7D}:0f:log");
        assert_eq!(of_queue.slot, of_consumer.slot);
    }

    #[test]
    fn a_sessions_key_has_its_buckets_tag_and_its_member() {
        let (keys, session) = (Keys::new("p"), SessionKey::of("/echo", "x"));
        let bucket = bucket_of(session);
        let of_session = keys.session(session);
        assert_eq!(of_session.keys[0], format!("p:{{s{bucket}}}:{}", member_of(session)));
        assert_eq!((of_session.member(), of_session.slot), (&*member_of(session), Keys::bucket_slot(bucket)));
        for bucket in [0, 7, 10, 99, 100, 1023] {
            assert_eq!(keys.deadlines(bucket), format!("p:{{s{bucket}}}:deadlines"));
        }
    }

    #[test]
    fn members_lead_back_to_their_sessions() {
        let key = SessionKey::of("/echo", "x");
        let mut member = member_of(key).into_bytes();
        assert_eq!(session_of(&member), Some((key, None)));
        member.extend(7u64.to_be_bytes());
        assert_eq!(session_of(&member), Some((key, Some(7))));
        assert_eq!(session_of(b"short"), None);
    }
}
