//! What might help: free numbers, and names that are nearly right.

use super::{Hint, Linker};
use crate::ast::{File, Range};
use crate::parser::MAX_FIELD_NUMBER;
use crate::pool::{MessageId, Symbol};

impl Linker<'_> {
    /// Notes that numbers are wanted for a message; they are suggested at the first such place.
    pub(super) fn want_numbers(&mut self, message: Option<MessageId>, below: &[i32], count: i64) {
        let Some(message) = message else { return };
        let path = [&self.path, below].concat();
        let hint = self.hints.entry(message).or_insert(Hint { wanted: 0, path });
        hint.wanted = hint.wanted.saturating_add(count.max(0));
    }

    pub(super) fn suggest_numbers(&mut self, ast: &File) {
        for message in &ast.messages {
            let Some(hint) = self.hints.remove(&message.id) else { continue };
            let mut wanted = hint.wanted.min(MAX_SUGGESTIONS);
            if wanted <= 0 {
                continue;
            }
            let single = |number: i32| Range { start: number, end: number.saturating_add(1) };
            let fields = message.fields.iter().chain(&message.extensions);
            let mut used: Vec<Range> = fields.map(|field| single(field.number)).collect();
            used.extend(&message.reserved_ranges);
            used.extend(message.extension_ranges.iter().map(|it| it.range));
            used.push(single(MAX_FIELD_NUMBER));
            used.push(Range { start: 19_000, end: 20_000 });
            used.retain(|range| range.start < range.end && range.end > 0);
            used.sort_unstable_by_key(|range| (range.start, range.end));
            let mut numbers = Vec::new();
            let mut next = 1;
            for range in used {
                while next < range.start && wanted > 0 {
                    numbers.push(next.to_string());
                    next += 1;
                    wanted -= 1;
                }
                next = next.max(range.end);
            }
            let name = self.pool.message(message.id).name.clone();
            let numbers = numbers.join(", ");
            self.error_at(hint.path, format!("Suggested field numbers for {name}: {numbers}"));
        }
    }

    /// The ranges that a message of this file reserves, with their last numbers.
    pub(super) fn reserved_of(&self, message: MessageId) -> Vec<(i64, i64)> {
        self.reserved.get(&message).cloned().unwrap_or_default()
    }

    /// A type whose name is nearly the one that was not found.
    pub(super) fn similar_name(&mut self, name: &str) -> Option<String> {
        let own = name.rsplit('.').next().unwrap_or(name);
        self.guesses += 1;
        if own.len() < 3 || self.guesses > MAX_GUESSES {
            return None;
        }
        let visible = |symbol: Symbol| {
            let file = self.pool.file_of(symbol);
            file == self.file || self.visible.contains(&file)
        };
        let mut names: Vec<&str> = self
            .pool
            .symbol_names()
            .filter(|(_, symbol)| symbol.is_type() && visible(*symbol))
            .map(|(name, _)| &**name)
            .collect();
        names.sort_unstable();
        let last = |full: &&str| full.rsplit('.').next().unwrap_or_default().to_owned();
        let lasts: Vec<String> = names.iter().map(last).collect();
        let near = nearest(own, lasts.iter().map(String::as_str))?;
        let at = lasts.iter().position(|it| it == near)?;
        Some(format!("did you mean {}?", names[at]))
    }
}

/// The name that is fewest edits away, if they are few.
pub(crate) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (name.len() / 3).clamp(1, 3);
    names
        .filter(|other| other.len().abs_diff(name.len()) <= most)
        .map(|other| (distance(name, other), other))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, other)| other)
}

/// Levenshtein's distance, without regard to case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<u8> = other.bytes().map(|it| it.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.bytes().enumerate() {
        let byte = byte.to_ascii_lowercase();
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, candidate) in other.iter().enumerate() {
            let substituted = diagonal + usize::from(*candidate != byte);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// More numbers than this help nobody.
const MAX_SUGGESTIONS: i64 = 3;
/// Looking for a name goes over all names there are.
const MAX_GUESSES: u32 = 20;
