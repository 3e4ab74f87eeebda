//! Scripts as servers get them: a function that a script does not need is left out, and named constants are written
//! out. A server builds every function and captures every local anew each time that a script runs, which costs more
//! than what most scripts do.

use std::collections::{HashMap, HashSet};

/// One piece of a script.
enum Piece<'a> {
    /// A function of the script's outermost level, by its name.
    Function(&'a str, Vec<&'a str>),
    Line(&'a str),
}

/// The same script, made lean. Constants are lines `local A, B = 1, 'x'` with names in capitals, on the outermost level;
/// functions begin with `local function` there and end with an `end` alone.
pub(super) fn lean(script: &str) -> String {
    let (pieces, constants) = take_apart(script);
    let functions: HashMap<_, _> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Function(name, lines) => Some((*name, lines)),
            Piece::Line(_) => None,
        })
        .collect();
    let mut needed = HashSet::new();
    let mut unseen: Vec<&str> =
        pieces.iter().filter_map(|piece| if let Piece::Line(line) = piece { Some(*line) } else { None }).collect();
    while let Some(line) = unseen.pop() {
        for (word, _) in words(line) {
            if let Some(lines) = functions.get(word)
                && needed.insert(word)
            {
                unseen.extend(lines.iter());
            }
        }
    }
    let mut lean = String::with_capacity(script.len());
    for piece in &pieces {
        match piece {
            Piece::Line(line) => write_out(line, &constants, &mut lean),
            Piece::Function(name, lines) if needed.contains(name) => {
                lines.iter().for_each(|line| write_out(line, &constants, &mut lean));
            }
            Piece::Function(..) => {}
        }
    }
    lean
}

fn take_apart(script: &str) -> (Vec<Piece<'_>>, HashMap<&str, &str>) {
    let (mut pieces, mut constants) = (Vec::new(), HashMap::new());
    let mut lines = script.lines();
    while let Some(line) = lines.next() {
        if let Some(function) = line.strip_prefix("local function ") {
            let name = function.split('(').next().unwrap_or_default();
            let mut body = vec![line];
            for line in lines.by_ref() {
                body.push(line);
                if line == "end" {
                    break;
                }
            }
            pieces.push(Piece::Function(name, body));
        } else if let Some(found) = constants_of(line) {
            constants.extend(found);
        } else if !line.is_empty() && !line.starts_with("--") {
            pieces.push(Piece::Line(line));
        }
    }
    (pieces, constants)
}

/// The constants of a line that defines nothing else.
fn constants_of(line: &str) -> Option<Vec<(&str, &str)>> {
    let (names, values) = line.strip_prefix("local ")?.split_once(" = ")?;
    let (names, values): (Vec<_>, Vec<_>) = (names.split(", ").collect(), values.split(", ").collect());
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_number = |value: &str| value.bytes().all(|byte| byte.is_ascii_digit());
    let is_text = |value: &str| {
        value
            .strip_prefix('\'')
            .and_then(|value| value.strip_suffix('\''))
            .is_some_and(|text| !text.contains('\''))
    };
    let fits = names.len() == values.len()
        && names.iter().all(is_name)
        && values.iter().all(|value| is_number(value) || is_text(value));
    fits.then(|| names.into_iter().zip(values).collect())
}

fn write_out(line: &str, constants: &HashMap<&str, &str>, out: &mut String) {
    let mut from = 0;
    for (word, at) in words(line) {
        if let Some(value) = constants.get(word) {
            out.push_str(&line[from..at]);
            out.push_str(value);
            from = at + word.len();
        }
    }
    out.push_str(&line[from..]);
    out.push('\n');
}

/// The names in a line of Lua, and where they stand; those in texts and comments are none.
fn words(line: &str) -> Vec<(&str, usize)> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = line.as_bytes();
    let (mut words, mut at) = (Vec::new(), 0);
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'-' if bytes.get(at + 1) == Some(&b'-') => break,
            b'\'' | b'"' => {
                at += 1 + line[at + 1..].find(char::from(byte)).unwrap_or(line.len() - at - 1);
            }
            byte if is_word(byte) => {
                let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                if !byte.is_ascii_digit() {
                    words.push((&line[at..at + length], at));
                }
                at += length - 1;
            }
            _ => {}
        }
        at += 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
-- What it is for.
local ONE, TEXT = 1, 'a b'

local function inner(x)
  return x + ONE -- not ONE more
end

local function outer(x)
  return inner(x)
end

local function unused()
  return ONE
end
local list = { ONE, 'ONE', TEXT, NONE_OF_THEM }
return outer(list[ONE])
";

    #[test]
    fn functions_that_nobody_calls_are_left_out_and_constants_written_out() {
        let expected = "\
local function inner(x)
  return x + 1 -- not ONE more
end
local function outer(x)
  return inner(x)
end
local list = { 1, 'ONE', 'a b', NONE_OF_THEM }
return outer(list[1])
";
        assert_eq!(lean(SCRIPT), expected);
    }

    #[test]
    fn what_is_computed_is_no_constant() {
        for line in ["local A = B", "local A, B = 1", "local a = 1", "local A = f(1)", "local A = 1 + 1"] {
            assert_eq!(lean(line).trim_end(), line);
        }
    }
}
