//! Patterns of destinations: what a subscription with wildcards stands for, and whether a rule allows all of that.

use std::collections::{HashSet, VecDeque};

use crate::ChannelName;

/// A destination with wildcards: `*` stands for what is between two of `/` and `.`, `**` for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pattern<'a>(&'a str);

/// Steps that may be taken to compare two patterns, before they count as too much to be compared.
const MOST_STEPS: usize = 50_000;
/// Names that are looked at without a pause.
const AT_ONCE: usize = 256;
/// Wildcards that a subscription may have: what they stand for takes the longer to find out the more there are.
pub(crate) const MOST_WILDCARDS: usize = 8;

impl<'a> Pattern<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// How many wildcards there are.
    pub(crate) fn wildcards(self) -> usize {
        let blocks = self.0.split("**");
        blocks.map(|block| block.matches('*').count() + 1).sum::<usize>() - 1
    }

    /// What stands before the first wildcard.
    fn prefix(self) -> &'a str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Whether a destination is one of these. Takes time in proportion to both at most, and no memory.
    pub(crate) fn matches(self, destination: &str) -> bool {
        let destination = destination.as_bytes();
        let (first, others) = self.0.split_once("**").map_or((self.0, None), |(first, rest)| (first, Some(rest)));
        let Some(mut at) = end_of(first, destination, 0) else { return false };
        let Some(others) = others else { return at == destination.len() };
        let mut others = others.split("**").peekable();
        // Where a block ends rises with where it begins: the first place that fits leaves most room for the others.
        while let Some(block) = others.next() {
            let mut places = (at..=destination.len()).filter_map(|from| end_of(block, destination, from));
            if others.peek().is_none() {
                return places.any(|end| end == destination.len());
            }
            match places.next() {
                Some(end) => at = end,
                None => return false,
            }
        }
        false
    }

    /// Whether every destination of `other` is one of these. Patterns that are too much to be compared are none of these.
    pub(crate) fn covers(self, other: Pattern<'_>) -> bool {
        self.covers_within(other, &mut { MOST_STEPS })
    }

    /// Takes one of `steps` for each place that is looked at.
    fn covers_within(self, other: Pattern<'_>, steps: &mut usize) -> bool {
        if !other.prefix().starts_with(self.prefix()) {
            return false;
        }
        let (ours, theirs) = (Tokens::of(self), Tokens::of(other));
        let first = (theirs.begin(), ours.begin());
        let (mut seen, mut waiting) = (HashSet::from([first.clone()]), VecDeque::from([first]));
        while let Some((their, our)) = waiting.pop_front() {
            if theirs.is_end(&their) && !ours.is_end(&our) {
                return false;
            }
            // Both separators, what is named here, and what stands for all other letters.
            let mut letters: Vec<_> =
                theirs.named(&their).chain(ours.named(&our)).chain(['/', '.', '\0']).collect();
            letters.sort_unstable();
            letters.dedup();
            for letter in letters {
                let Some(left) = steps.checked_sub(their.len() + our.len() + 1) else { return false };
                *steps = left;
                let next = (theirs.step(&their, letter), ours.step(&our, letter));
                if !next.0.is_empty() && seen.insert(next.clone()) {
                    waiting.push_back(next);
                }
            }
        }
        true
    }
}

/// Those of many names that a pattern stands for; `None` where they are more than `most`. Others have their turn meanwhile.
pub(super) async fn find(pattern: &str, names: &[ChannelName], most: usize) -> Option<Vec<ChannelName>> {
    let (pattern, mut found) = (Pattern::new(pattern), Vec::new());
    for names in names.chunks(AT_ONCE) {
        found.extend(names.iter().filter(|name| pattern.matches(name.as_str())).cloned());
        if found.len() > most {
            return None;
        }
        tokio::task::yield_now().await;
    }
    Some(found)
}

/// Where what a block without `**` stands for ends, if it begins there: there is one such place at most.
fn end_of(block: &str, destination: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    for (index, literal) in block.split('*').enumerate() {
        if index > 0 {
            let is_separator = |byte: &u8| matches!(byte, b'/' | b'.');
            let length = destination[at..].iter().position(is_separator).unwrap_or(destination.len() - at);
            if length == 0 {
                return None;
            }
            at += length;
        }
        if !destination[at..].starts_with(literal.as_bytes()) {
            return None;
        }
        at += literal.len();
    }
    Some(at)
}

/// A pattern, as it is read along a text.
struct Tokens(Vec<Token>);

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

impl Tokens {
    fn of(pattern: Pattern<'_>) -> Self {
        let mut tokens = Vec::with_capacity(pattern.0.len());
        let mut chars = pattern.0.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if chars.next_if_eq(&'*').is_some() => Token::Rest,
                '*' => Token::Segment,
                c => Token::Literal(c),
            });
        }
        Self(tokens)
    }

    /// The letters that lead on from some places and no others do.
    fn named(&self, places: &[Place]) -> impl Iterator<Item = char> {
        places.iter().filter_map(|place| match place {
            Place::Before(at) => match self.0.get(*at) {
                Some(Token::Literal(letter)) => Some(*letter),
                _ => None,
            },
            Place::Within(_) => None,
        })
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
            && self.0.get(at) == Some(&Token::Rest)
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
                Place::Before(at) => match self.0.get(at) {
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
        let is_over = |at: usize| self.0[at..].iter().all(|token| *token == Token::Rest);
        places.iter().any(|place| match place {
            Place::Before(at) => is_over(*at),
            Place::Within(at) => is_over(at + 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            assert_eq!(Pattern::new(wide).covers(Pattern::new(narrow)), covered, "{wide} {narrow}");
        }
    }

    #[test]
    fn comparing_takes_few_steps_for_patterns_in_use_and_no_more_than_so_many_for_any() {
        let long = format!("/topic/{}", "room/".repeat(100));
        for (wide, narrow) in
            [("/topic/**", &*format!("{long}**")), (&long, &long), ("/topic/*/**", "/topic/a/*.c")]
        {
            let mut left = MOST_STEPS;
            assert!(Pattern::new(wide).covers_within(Pattern::new(narrow), &mut left));
            assert!(MOST_STEPS - left < 10_000, "{wide} {narrow}: {}", MOST_STEPS - left);
        }
        let (wide, narrow) = (format!("/{}", "**a*".repeat(100)), format!("/{}", "*/**a".repeat(100)));
        let mut left = MOST_STEPS;
        assert!(!Pattern::new(&wide).covers_within(Pattern::new(&narrow), &mut left), "too much");
        assert!(left < 1000, "{left}");
    }

    proptest! {
        #[test]
        fn what_a_pattern_covers_matches_it(pattern in "/[ab/.*]{0,8}", text in "/[ab/.é]{0,8}") {
            let (pattern, literal) = (Pattern::new(&pattern), Pattern::new(&text));
            prop_assert_eq!(pattern.matches(&text), pattern.covers(literal));
        }
    }
}
