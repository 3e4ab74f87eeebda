//! Patterns of destinations: what a subscription with wildcards stands for, and whether a rule allows all of that.

use std::collections::{HashSet, VecDeque};

/// A destination with wildcards: `*` stands for what is between two of `/` and `.`, `**` for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What stands before the first wildcard.
    prefix: Box<str>,
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// One segment, to its end.
    Segment,
    /// Anything, or nothing.
    Rest,
}

/// A place while a pattern is read along a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Place {
    /// Before this token.
    Before(usize),
    /// In the middle of the segment that this token stands for.
    Within(usize),
}

/// Pairs of places that are looked at before patterns count as too much to be compared.
const MOST_COMPARED: usize = 1024;
/// Wildcards that a subscription may have: what they stand for takes the longer to find out the more there are.
pub(crate) const MOST_WILDCARDS: usize = 8;

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let mut tokens = Vec::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => Token::Rest,
                '*' => Token::Segment,
                c => Token::Literal(c),
            });
        }
        let prefix = text.split('*').next().unwrap_or_default().into();
        Self { prefix, tokens }
    }

    /// How many wildcards there are.
    pub(crate) fn wildcards(&self) -> usize {
        self.tokens.iter().filter(|token| token.letter().is_none()).count()
    }

    /// Whether a destination is one of these. Takes time in proportion to both.
    pub(crate) fn matches(&self, destination: &str) -> bool {
        if !destination.starts_with(&*self.prefix) {
            return false;
        }
        let mut places = self.begin();
        for c in destination.chars() {
            places = self.step(&places, c);
        }
        self.is_end(&places)
    }

    /// Whether every destination of `other` is one of these. Patterns that are too much to be compared are none of these.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let mut letters: Vec<char> = self.tokens.iter().chain(&other.tokens).filter_map(Token::letter).collect();
        // Both separators, and what stands for all letters that neither pattern names.
        letters.extend(['/', '.', '\0']);
        letters.sort_unstable();
        letters.dedup();
        let first = (other.begin(), self.begin());
        let (mut seen, mut waiting) = (HashSet::from([first.clone()]), VecDeque::from([first]));
        while let Some((theirs, ours)) = waiting.pop_front() {
            if other.is_end(&theirs) && !self.is_end(&ours) || seen.len() > MOST_COMPARED {
                return false;
            }
            for &letter in &letters {
                let next = (other.step(&theirs, letter), self.step(&ours, letter));
                if !next.0.is_empty() && seen.insert(next.clone()) {
                    waiting.push_back(next);
                }
            }
        }
        true
    }

    fn begin(&self) -> Vec<Place> {
        let mut places = Vec::new();
        self.add(Place::Before(0), &mut places);
        places
    }

    /// Adds a place, and those that can be reached from there without a letter.
    fn add(&self, place: Place, places: &mut Vec<Place>) {
        if places.contains(&place) {
            return;
        }
        places.push(place);
        if let Place::Before(at) = place
            && self.tokens.get(at) == Some(&Token::Rest)
        {
            self.add(Place::Before(at + 1), places);
        }
    }

    /// Where a letter leads, in order.
    fn step(&self, places: &[Place], letter: char) -> Vec<Place> {
        let mut next = Vec::new();
        let is_separator = matches!(letter, '/' | '.');
        let mut pending: Vec<_> = places.to_vec();
        while let Some(place) = pending.pop() {
            match place {
                Place::Within(at) if !is_separator => self.add(Place::Within(at), &mut next),
                // The segment is over: what follows takes the separator.
                Place::Within(at) => {
                    let mut after = Vec::new();
                    self.add(Place::Before(at + 1), &mut after);
                    pending.extend(after);
                }
                Place::Before(at) => match self.tokens.get(at) {
                    Some(Token::Literal(c)) if *c == letter => self.add(Place::Before(at + 1), &mut next),
                    Some(Token::Segment) if !is_separator => self.add(Place::Within(at), &mut next),
                    Some(Token::Rest) => self.add(Place::Before(at), &mut next),
                    _ => {}
                },
            }
        }
        next.sort_unstable();
        next
    }

    fn is_end(&self, places: &[Place]) -> bool {
        let is_over = |at: usize| self.tokens[at..].iter().all(|token| *token == Token::Rest);
        places.iter().any(|place| match place {
            Place::Before(at) => is_over(*at),
            Place::Within(at) => is_over(at + 1),
        })
    }
}

impl Token {
    fn letter(&self) -> Option<char> {
        match self {
            Self::Literal(c) => Some(*c),
            Self::Segment | Self::Rest => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_segments_and_for_anything() {
        for (pattern, destination, fits) in [
            ("/topic/a", "/topic/a", true),
            ("/topic/*", "/topic/a", true),
            ("/topic/*", "/topic/ä b", true),
            ("/topic/*", "/topic/a/b", false),
            ("/topic/*", "/topic/a.b", false),
            ("/topic/*", "/topic/", false),
            ("/topic/*/b", "/topic/a/b", true),
            ("/topic/a.*", "/topic/a.b", true),
            ("/topic/a.*", "/topic/a/b", false),
            ("/topic/*.usd", "/topic/gold.usd", true),
            ("/topic/**", "/topic/a/b.c", true),
            ("/topic/**", "/topics", false),
            ("/topic/**/end", "/topic/a/b/end", true),
            ("/topic/**/end", "/topic/a/b", false),
            ("/topic/**.*", "/topic/a/b.c", true),
            ("/topic/**.*", "/topic/a/b.", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(destination), fits, "{pattern} {destination}");
        }
    }

    #[test]
    fn a_pattern_covers_another_whose_every_destination_is_its_own() {
        for (wide, narrow, covered) in [
            ("/topic/public/**", "/topic/public/*", true),
            ("/topic/public/**", "/topic/public/**", true),
            ("/topic/public/**", "/topic/public/a.*/b", true),
            ("/topic/public/*", "/topic/public/**", false),
            ("/topic/public/*", "/topic/public/*", true),
            ("/topic/public/*", "/topic/public/a", true),
            ("/topic/public/*", "/topic/*", false),
            ("/topic/public/**", "/topic/**", false),
            ("/topic/public/**", "/topic/*/a", false),
            ("/topic/**", "/topic/*.*", true),
            ("/topic/*.*", "/topic/**", false),
            ("/topic/**/x", "/topic/*/x", true),
            ("/topic/**x", "/topic/*", false),
            ("/topic/a", "/topic/*", false),
            ("/**", "/topic/**", true),
            ("/topic/*", "/topic/*/**", false),
            ("/topic/*/**", "/topic/*/*", true),
            ("/topic/**.**", "/topic/a.**", true),
        ] {
            assert_eq!(Pattern::new(wide).covers(&Pattern::new(narrow)), covered, "{wide} {narrow}");
        }
    }
}
