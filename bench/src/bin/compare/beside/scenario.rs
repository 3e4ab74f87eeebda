//! What is measured beside something else, and what is asked of it.

use std::fmt;

use crate::plan::{IDLE_ROUNDS, Plan};
use crate::report::thousands;

/// Scenarios that stand in one part of the report.
#[derive(Debug)]
pub(crate) struct Suite {
    /// Short name, for the command line.
    pub(super) name: &'static str,
    /// What its part of the report is called.
    pub(super) title: &'static str,
    /// Who has which core.
    pub(super) placement: &'static str,
    /// In the order in which they are run and shown.
    pub(super) scenarios: &'static [Scenario],
}

/// One kind of load.
#[derive(Debug, PartialEq)]
pub(crate) struct Scenario {
    /// Short name, for the command line.
    pub(crate) name: &'static str,
    pub(super) kind: Kind,
    /// The figures that it gives, in their order.
    pub(super) rows: &'static [Wanted],
}

impl Scenario {
    /// Rounds of it: memory hardly varies.
    pub(super) fn rounds(&self, plan: &Plan) -> u32 {
        match self.kind {
            Kind::Subscriptions { .. } => plan.rounds.min(IDLE_ROUNDS),
            _ => plan.rounds,
        }
    }
}

/// How it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// So many publishers on so many channels, against `redis-benchmark` with so many clients and commands under way.
    Publish { publishers: u32, channels: u32, clients: u32, pipeline: u32 },
    /// One message at a time from a websocket at one node to one at another.
    Delivery,
    /// A fan-out to websockets at three nodes, with so many messages under way.
    FanOut { in_flight: u32 },
    /// Publishing over the HTTP API from so many connections, so many messages a call, against as many publishers inside
    /// a node.
    Api { connections: u32, batch: u32 },
    /// A page of history, in Redis or in memory, by its cursor or by an offset, against the first page.
    History { page: u32, in_redis: bool, by_offset: bool },
    /// An echo by polls at three nodes.
    Polling { sessions: u32 },
    /// A fan-out to so many websockets that speak STOMP, against one to as many that do not.
    StompFanOut { members: u32 },
    /// Idle sessions of STOMP over websockets with so many subscriptions each, against such without.
    Subscriptions { each: u32 },
    /// Messages to the application by a hook and to a topic, against a bare POST to the application.
    Hook,
}

/// One figure.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) title: &'static str,
    /// What the figures count.
    pub(super) unit: &'static str,
    /// What stands beside it.
    pub(super) yardstick: &'static str,
    pub(super) goal: Goal,
}

/// What ours should be, measured by the yardstick's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    /// The ratio of ours to it.
    AtLeast(f64),
    AtMost(f64),
    /// How much more ours is.
    MoreByAtMost(f64),
    /// The ratio, for comparison only.
    None,
}

impl Goal {
    /// What it speaks of.
    pub(super) fn measure(self, ours: f64, yardstick: f64) -> f64 {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) | Self::None => ours / yardstick,
            Self::MoreByAtMost(_) => ours - yardstick,
        }
    }

    /// Whether that reaches it.
    pub(super) fn is_met(self, measure: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(measure >= least),
            Self::AtMost(most) | Self::MoreByAtMost(most) => Some(measure <= most),
            Self::None => None,
        }
    }

    /// What it speaks of, in words.
    pub(super) fn written(self, measure: f64) -> String {
        match self {
            Self::AtLeast(_) | Self::AtMost(_) | Self::None => format!("{measure:.2}"),
            Self::MoreByAtMost(_) => format!("{} more", thousands(measure)),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::MoreByAtMost(most) => write!(f, "at most {} more", thousands(*most)),
            Self::None => f.write_str("-"),
        }
    }
}

/// What goes through Redis.
pub(crate) static REDIS: Suite = Suite {
    name: "redis",
    title: "Over Redis",
    placement: "one core for the nodes and Redis, another for the generator",
    scenarios: &OVER_REDIS,
};

/// What STOMP and its hooks add.
pub(crate) static STOMP: Suite = Suite {
    name: "stomp",
    title: "STOMP and hooks",
    placement: "one core for the node, another for the generator; with a hook, client, node and application share both",
    scenarios: &OF_STOMP,
};

static OVER_REDIS: [Scenario; 13] = [
    Scenario {
        name: "publish-64",
        kind: Kind::Publish { publishers: 64, channels: 8, clients: 50, pipeline: 32 },
        rows: &[Wanted {
            title: "64 publishers in one node, 8 channels",
            unit: "messages per second",
            yardstick: "redis-benchmark -P 32, the same script with one message",
            goal: Goal::AtLeast(2.0),
        }],
    },
    Scenario {
        name: "publish-1",
        kind: Kind::Publish { publishers: 1, channels: 1, clients: 1, pipeline: 1 },
        rows: &[Wanted {
            title: "one publisher",
            unit: "messages per second",
            yardstick: "redis-benchmark -c 1 -P 1, the same script",
            goal: Goal::AtLeast(0.7),
        }],
    },
    Scenario {
        name: "delivery",
        kind: Kind::Delivery,
        rows: &[
            Wanted {
                title: "delivery from node to node, half of the messages",
                unit: "microseconds",
                yardstick: "two bare PUBLISH hops and a websocket echo",
                goal: Goal::AtMost(1.0),
            },
            Wanted {
                title: "delivery from node to node, 99 of 100 messages",
                unit: "microseconds",
                yardstick: "two bare PUBLISH hops and a websocket echo",
                goal: Goal::AtMost(1.0),
            },
        ],
    },
    Scenario {
        name: "fan-out-1",
        kind: Kind::FanOut { in_flight: 1 },
        rows: &[Wanted {
            title: "fan-out to 500 websockets at three nodes, one message at a time",
            unit: "deliveries per CPU second of the nodes",
            yardstick: "one node, store in memory",
            goal: Goal::AtLeast(0.8),
        }],
    },
    Scenario {
        name: "fan-out-4",
        kind: Kind::FanOut { in_flight: 4 },
        rows: &[Wanted {
            title: "the same, four messages of one client under way",
            unit: "deliveries per CPU second of the nodes",
            yardstick: "one node, store in memory",
            goal: Goal::None,
        }],
    },
    Scenario {
        name: "xhr-polling",
        kind: Kind::Polling { sessions: 50 },
        rows: &[Wanted {
            title: "xhr-polling echo, 50 sessions, each request to the next of three nodes",
            unit: "CPU microseconds per echo, Redis among them",
            yardstick: "one node, store in memory",
            goal: Goal::AtMost(2.5),
        }],
    },
    Scenario {
        name: "api-64",
        kind: Kind::Api { connections: 64, batch: 1 },
        rows: &[Wanted {
            title: "HTTP API, 64 connections, one message a call",
            unit: "messages per second",
            yardstick: "as many publishers inside a node",
            goal: Goal::AtLeast(0.6),
        }],
    },
    Scenario {
        name: "api-1",
        kind: Kind::Api { connections: 1, batch: 1 },
        rows: &[Wanted {
            title: "HTTP API, one connection, one message a call",
            unit: "messages per second",
            yardstick: "as many publishers inside a node",
            goal: Goal::AtLeast(0.6),
        }],
    },
    Scenario {
        name: "api-64-batch",
        kind: Kind::Api { connections: 64, batch: 20 },
        rows: &[Wanted {
            title: "HTTP API, 64 connections, 20 messages a call",
            unit: "messages per second",
            yardstick: "as many publishers inside a node",
            goal: Goal::AtLeast(0.6),
        }],
    },
    Scenario {
        name: "history-1000",
        kind: Kind::History { page: 1000, in_redis: true, by_offset: false },
        rows: &[Wanted {
            title: "history, page 1,000 of 100,000 messages, 100 each",
            unit: "microseconds",
            yardstick: "page 1",
            goal: Goal::AtMost(2.0),
        }],
    },
    Scenario {
        name: "history-500",
        kind: Kind::History { page: 500, in_redis: true, by_offset: false },
        rows: &[Wanted {
            title: "history, page 500, in the middle of the log",
            unit: "microseconds",
            yardstick: "page 1",
            goal: Goal::AtMost(2.0),
        }],
    },
    Scenario {
        name: "history-memory",
        kind: Kind::History { page: 1000, in_redis: false, by_offset: false },
        rows: &[Wanted {
            title: "history, page 1,000, store in memory",
            unit: "microseconds",
            yardstick: "page 1",
            goal: Goal::AtMost(2.0),
        }],
    },
    Scenario {
        name: "history-offset",
        kind: Kind::History { page: 1000, in_redis: true, by_offset: true },
        rows: &[Wanted {
            title: "history, page 1,000 as an offset would have it: reading what is newer first",
            unit: "microseconds",
            yardstick: "page 1",
            goal: Goal::None,
        }],
    },
];

static OF_STOMP: [Scenario; 3] = [
    Scenario {
        name: "stomp-fan-out",
        kind: Kind::StompFanOut { members: 1000 },
        rows: &[Wanted {
            title: "STOMP: one of 1,000 websockets publishes to a topic that all are subscribed to",
            unit: "deliveries per CPU second",
            yardstick: "a channel's bare messages to 1,000 websockets",
            goal: Goal::AtLeast(0.7),
        }],
    },
    Scenario {
        name: "stomp-subscriptions",
        kind: Kind::Subscriptions { each: 10 },
        rows: &[Wanted {
            title: "STOMP: an idle session over a websocket with 10 subscriptions",
            unit: "resident bytes",
            yardstick: "without a subscription",
            goal: Goal::MoreByAtMost(2000.0),
        }],
    },
    Scenario {
        name: "hook",
        kind: Kind::Hook,
        rows: &[Wanted {
            title: "what a hook adds to a message from SEND to RECEIPT, half of the messages",
            unit: "microseconds",
            yardstick: "a bare POST to the application",
            goal: Goal::AtMost(1.0),
        }],
    },
];

/// The scenario of this name.
///
/// # Errors
/// When there is none; the message lists the names there are.
pub(super) fn by_name(name: &str) -> Result<&'static Scenario, String> {
    let all = || OVER_REDIS.iter().chain(&OF_STOMP);
    all().find(|scenario| scenario.name == name).ok_or_else(|| {
        let names: Vec<_> = all().map(|scenario| scenario.name).collect();
        format!("the scenarios are {}", names.join(", "))
    })
}
