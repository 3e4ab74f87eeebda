//! The scripts: each operation of the store is one of them, on one hash slot.

use redis::Cmd;

use super::lean::lean;
use crate::id::hex;

/// A script, and the name by which servers know it once it is loaded.
pub(super) struct Script {
    /// What it does, for errors.
    pub(super) operation: &'static str,
    /// What kind of key it works on, for errors.
    pub(super) kind: &'static str,
    flags: &'static str,
    source: &'static str,
    /// What is sent, and its name.
    lean: std::sync::OnceLock<(String, String)>,
}

macro_rules! scripts {
    ($($name:ident: $operation:literal on $kind:literal = $flags:literal + $($file:literal)+;)*) => {
        $(pub(super) static $name: Script = Script {
            operation: $operation,
            kind: $kind,
            flags: $flags,
            source: concat!($(include_str!(concat!("scripts/", $file, ".lua")), "\n"),+),
            lean: std::sync::OnceLock::new(),
        };)*

        /// All of them, to be loaded when a server is connected to.
        pub(super) static ALL: &[&Script] = &[$(&$name),*];
    };
}

// Only what grows a channel is refused by a server that is out of memory: sessions live on.
scripts! {
    ATTACH: "attach" on "session" = " flags=allow-oom" + "session" "attach";
    ANCHOR: "anchor" on "session" = " flags=allow-oom" + "session" "anchor";
    PENDING: "look" on "session" = " flags=allow-oom" + "session" "pending";
    RELEASE: "release" on "session" = " flags=allow-oom" + "session" "release";
    COMMIT: "commit" on "session" = " flags=allow-oom" + "session" "commit";
    DISOWN: "disown" on "session" = " flags=allow-oom" + "session" "disown";
    LOST: "lose" on "session" = " flags=allow-oom" + "session" "lost";
    PUSH: "send" on "session" = " flags=allow-oom" + "session" "push";
    CLOSE: "close" on "session" = " flags=allow-oom" + "session" "close";
    SUBSCRIBE: "subscribe" on "session" = " flags=allow-oom" + "session" "subscribe";
    UNSUBSCRIBE: "unsubscribe" on "session" = " flags=allow-oom" + "session" "unsubscribe";
    BRANCH: "subscribe" on "session" = " flags=allow-oom" + "session" "branch";
    UNTAG: "unsubscribe" on "session" = " flags=allow-oom" + "session" "untag";
    ATTRIBUTE: "set an attribute" on "session" = " flags=allow-oom" + "session" "attribute";
    BEGIN: "begin a call" on "session" = " flags=allow-oom" + "session" "begin";
    FINISH: "finish a call" on "session" = " flags=allow-oom" + "session" "finish";
    CLOSED: "forget" on "session" = " flags=allow-oom" + "session" "closed";
    END: "end" on "session" = " flags=no-writes" + "session" "end";
    SWEEP: "sweep" on "session" = " flags=allow-oom" + "session" "sweep";
    PUBLISH: "publish" on "channel" = "" + "channel" "publish";
    PUBLISH_ONCE: "publish once" on "channel" = "" + "channel" "ids" "publish_once";
    ENLIST: "enlist" on "channel" = "" + "channel" "enlist";
    LISTED: "list" on "channel" = " flags=allow-oom" + "channel" "listed";
    READ: "read" on "channel" = " flags=no-writes" + "channel" "read";
    EXCERPT: "look up" on "channel" = " flags=no-writes" + "channel" "excerpt";
    TAIL: "tail" on "channel" = " flags=allow-oom" + "channel" "tail";
    HEAD: "head" on "channel" = " flags=allow-oom" + "channel" "head";
    ENQUEUE: "enqueue" on "queue" = "" + "channel" "queue" "enqueue";
    ENQUEUE_ONCE: "enqueue once" on "queue" = "" + "channel" "queue" "ids" "enqueue_once";
    CONSUME: "consume" on "queue" = " flags=allow-oom" + "channel" "queue" "consume";
    SETTLE: "settle" on "queue" = " flags=allow-oom" + "channel" "queue" "settle";
    CANCEL: "cancel" on "queue" = " flags=allow-oom" + "channel" "queue" "cancel";
    ENTER: "enter" on "roster" = "" + "channel" "roster" "enter";
    EXIT: "exit" on "roster" = " flags=allow-oom" + "channel" "roster" "exit";
    HERE: "read" on "roster" = " flags=allow-oom" + "channel" "roster" "here";
    KEYS: "list" on "bucket" = " flags=no-writes" + "keys";
    KNOWN: "look up" on "session" = " flags=no-writes" + "session" "known";
    APPEND: "append to a list" on "list" = "" + "list_append";
    TAKE: "take from a list" on "list" = " flags=allow-oom" + "list_take";
    DONE: "remove from a list" on "list" = " flags=allow-oom" + "list_done";
    STAY: "go on with a list" on "list" = " flags=allow-oom" + "list_stay";
    YIELD: "leave a list" on "list" = " flags=allow-oom" + "list_yield";
    RENEW: "renew" on "node" = " flags=allow-oom" + "renew";
    LEAVE: "leave" on "node" = " flags=allow-oom" + "leave";
}

impl Script {
    fn lean(&self) -> &(String, String) {
        self.lean.get_or_init(|| {
            use sha1::{Digest, Sha1};
            let lean = format!("#!lua{}\n{}", self.flags, lean(self.source));
            let name = hex(&Sha1::digest(lean.as_bytes()));
            (lean, name)
        })
    }

    /// The command that runs the script, if the server knows it.
    pub(super) fn command(&self, keys: &[String], arguments: &[Argument<'_>]) -> Cmd {
        let bytes = |argument: &Argument<'_>| match argument {
            Argument::Bytes(bytes) => bytes.len(),
            Argument::Text(text) => text.len(),
            Argument::Number(_) => 20,
        };
        let size = keys.iter().map(String::len).sum::<usize>() + arguments.iter().map(bytes).sum::<usize>();
        let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), 48 + size);
        command.arg("EVALSHA").arg(&self.lean().1).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        for argument in arguments {
            match argument {
                Argument::Bytes(bytes) => command.arg(*bytes),
                Argument::Text(text) => command.arg(*text),
                Argument::Number(number) => command.arg(*number),
            };
        }
        command
    }

    /// The command that makes a server know it.
    pub(super) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(&self.lean().0);
        command
    }
}

/// What a script is given.
#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Number(u64),
}

impl<'a> From<&'a [u8]> for Argument<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Argument<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Argument<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Argument<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Argument<'_> {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<bool> for Argument<'_> {
    fn from(yes: bool) -> Self {
        Self::Number(u64::from(yes))
    }
}

/// The arguments of a script, each from its own type.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        [$($crate::store::redis::script::Argument::from($argument)),*]
    };
}
pub(super) use arguments;
