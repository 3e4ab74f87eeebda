//! What is measured over Redis, and what is asked of it.

/// One kind of load.
#[derive(Debug, PartialEq)]
pub(crate) struct Scenario {
    /// Short name, for the command line.
    pub(crate) name: &'static str,
    pub(super) kind: Kind,
    /// The figures that it gives, in their order.
    pub(super) rows: &'static [Wanted],
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

/// What the ratio of ours to the yardstick's should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// For comparison only.
    None,
}

impl Goal {
    /// Whether a ratio reaches it.
    pub(super) fn is_met(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(ratio >= least),
            Self::AtMost(most) => Some(ratio <= most),
            Self::None => None,
        }
    }
}

/// All of them, in the order in which they are run and shown.
pub(super) static SCENARIOS: [Scenario; 13] = [
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

/// The scenario of this name.
///
/// # Errors
/// When there is none; the message lists the names there are.
pub(super) fn by_name(name: &str) -> Result<&'static Scenario, String> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("the scenarios are {}", names.join(", "))
    })
}
