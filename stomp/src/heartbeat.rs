//! The `heart-beat` header: how often who sends something.

use std::fmt;
use std::time::Duration;

/// What one side says of its heart-beats; zero stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeartBeat {
    /// The longest silence that it can keep to when it sends.
    pub sends: Duration,
    /// The longest silence that it would like to see when it receives.
    pub wants: Duration,
}

/// The value of a `heart-beat` header is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("heart-beat must be two numbers of milliseconds, such as 10000,10000")]
pub struct InvalidHeartBeat;

impl HeartBeat {
    /// Reads the header's value.
    ///
    /// # Errors
    /// It is not two whole numbers below 2³², parted by a comma.
    pub fn parse(value: &str) -> Result<Self, InvalidHeartBeat> {
        let (sends, wants) = value.split_once(',').ok_or(InvalidHeartBeat)?;
        let time = |text: &str| {
            let text = text.trim();
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let millis: Option<u32> = digits.then(|| text.parse().ok()).flatten();
            millis.map(|millis| Duration::from_millis(millis.into())).ok_or(InvalidHeartBeat)
        };
        Ok(Self { sends: time(sends)?, wants: time(wants)? })
    }

    /// What this side sends to `other`, and what it gets: the longest silences, or `None` where there are no beats.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sockhop_stomp::HeartBeat;
    ///
    /// let (server, client) = (HeartBeat::parse("10000,0").unwrap(), HeartBeat::parse("5000,20000").unwrap());
    /// assert_eq!(server.with(client), (Some(Duration::from_secs(20)), None));
    /// ```
    #[must_use]
    pub fn with(self, other: Self) -> (Option<Duration>, Option<Duration>) {
        let agreed =
            |sends: Duration, wants: Duration| (!sends.is_zero() && !wants.is_zero()).then(|| sends.max(wants));
        (agreed(self.sends, other.wants), agreed(other.sends, self.wants))
    }
}

impl fmt::Display for HeartBeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.sends.as_millis(), self.wants.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_numbers_are_a_heart_beat() {
        for wrong in ["", "1", "1,", ",1", "-1,0", "1,2,3", "a,b", "+1,0", "4294967296,0", "1.5,0"] {
            assert_eq!(HeartBeat::parse(wrong), Err(InvalidHeartBeat), "{wrong}");
        }
        assert_eq!(HeartBeat::parse(" 1 , 2 ").unwrap().to_string(), "1,2");
    }

    #[test]
    fn there_are_no_beats_where_one_side_wants_or_sends_none() {
        let (none, ten) = (HeartBeat::default(), HeartBeat::parse("10,10").unwrap());
        assert_eq!(none.with(ten), (None, None));
        assert_eq!(ten.with(none), (None, None));
    }
}
