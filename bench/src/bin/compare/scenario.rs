//! What is measured, and what is asked of it.

/// One kind of load, and its goal.
#[derive(Debug, PartialEq)]
pub(crate) struct Scenario {
    /// Short name, for the command line.
    pub(crate) name: &'static str,
    /// Name in the table.
    pub(crate) title: &'static str,
    /// The generator's scenario.
    pub(crate) load: &'static str,
    pub(crate) sessions: u32,
    /// Messages under way (of each client; in fan-out: of the publisher).
    pub(crate) in_flight: u32,
    /// The bare server's mode.
    pub(crate) bare: &'static str,
    /// Path of the service on a SockJS server.
    pub(crate) service: &'static str,
    pub(crate) goal: Goal,
}

/// What a server should reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Goal {
    /// CPU seconds, as a multiple of the bare server's.
    TimesBare(f64),
    /// Resident bytes per session.
    Bytes(f64),
}

impl Goal {
    /// The number itself.
    pub(crate) fn limit(self) -> f64 {
        match self {
            Self::TimesBare(limit) | Self::Bytes(limit) => limit,
        }
    }
}

impl Scenario {
    /// Whether it measures memory rather than CPU seconds.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.goal, Goal::Bytes(_))
    }
}

/// All scenarios, in the order in which they are run and shown.
pub(crate) static SCENARIOS: [Scenario; 7] = [
    Scenario {
        name: "ws-echo-10",
        title: "websocket echo, 100 connections, 10 in flight",
        load: "ws-echo",
        sessions: 100,
        in_flight: 10,
        bare: "ws-echo",
        service: "/bench",
        goal: Goal::TimesBare(1.3),
    },
    Scenario {
        name: "ws-echo-1",
        title: "websocket echo, 100 connections, 1 in flight",
        load: "ws-echo",
        sessions: 100,
        in_flight: 1,
        bare: "ws-echo",
        service: "/bench",
        goal: Goal::TimesBare(1.15),
    },
    Scenario {
        name: "xhr-streaming",
        title: "xhr-streaming echo, 50 sessions, 1 in flight",
        load: "xhr-streaming",
        sessions: 50,
        in_flight: 1,
        bare: "xhr-streaming",
        service: "/bench",
        goal: Goal::TimesBare(1.3),
    },
    Scenario {
        name: "xhr-polling",
        title: "xhr-polling echo (a send and a poll), 50 sessions, 1 in flight",
        load: "xhr-polling",
        sessions: 50,
        in_flight: 1,
        bare: "xhr-polling",
        service: "/bench",
        goal: Goal::TimesBare(1.3),
    },
    Scenario {
        name: "fan-out",
        title: "fan-out to 500 websockets, full speed (per delivery)",
        load: "fan-out",
        sessions: 500,
        in_flight: 4,
        bare: "fan-out",
        service: "/fan",
        goal: Goal::TimesBare(1.1),
    },
    Scenario {
        name: "idle-ws",
        title: "idle websocket session",
        load: "idle-ws",
        sessions: 5_000,
        in_flight: 1,
        bare: "ws-echo",
        service: "/bench",
        goal: Goal::Bytes(8_000.0),
    },
    Scenario {
        name: "idle-xhr-streaming",
        title: "idle xhr-streaming session",
        load: "idle-xhr-streaming",
        sessions: 5_000,
        in_flight: 1,
        bare: "xhr-streaming",
        service: "/bench",
        goal: Goal::Bytes(12_000.0),
    },
];

/// The scenario of this name.
///
/// # Errors
/// When there is none; the message lists the names there are.
pub(crate) fn by_name(name: &str) -> Result<&'static Scenario, String> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        format!("the scenarios are {}", names.join(", "))
    })
}
