//! What is printed: a tally, tables, and what is being done.

use std::fmt;
use std::io::{self, IsTerminal};
use std::iter::Sum;
use std::ops::AddAssign;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{Cell, Color, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

/// How many checks passed and how many did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
}

impl Tally {
    /// Counts one check.
    pub fn count(&mut self, passed: bool) {
        if passed { self.passed += 1 } else { self.failed += 1 }
    }

    /// One check alone.
    pub fn of(passed: bool) -> Self {
        let mut tally = Self::default();
        tally.count(passed);
        tally
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |mut sum, tally| {
            sum += tally;
            sum
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Says how it went, to people and to who called the program.
pub fn exit(result: Result<Tally>) -> ExitCode {
    match result {
        Ok(tally) => {
            println!("\n{tally}");
            if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is being done: a spinner on a terminal, lines elsewhere.
pub struct Progress(ProgressBar);

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// A bar with the time left, for work whose length is known: see `expect` and `advance`.
    pub fn timed() -> Self {
        let progress = Self::new();
        let template = "{spinner} [{bar:24}] {percent:>3}%, {eta} left  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            progress.0.set_style(style.progress_chars("=> "));
        }
        progress
    }

    /// How long all of it may take.
    pub fn expect(&self, time: Duration) {
        self.0.set_length(millis(time));
        self.0.reset_eta();
    }

    /// How much of it is done.
    pub fn advance(&self, time: Duration) {
        self.0.inc(millis(time));
    }

    /// Says what is done now, if it may take a while.
    pub fn say(&self, what: &str) {
        if self.0.is_hidden() {
            eprintln!("  {what}");
        }
        self.detail(what);
    }

    /// Says what is done now, for moments: not worth a line in a log.
    pub fn detail(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A table as all commands print it.
pub fn table<T: Into<Cell>>(header: impl IntoIterator<Item = T>) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        // A log has no width; a line of it may be long.
        table.set_width(LOG_WIDTH);
    }
    table.set_header(header.into_iter().map(Into::into).collect::<Vec<Cell>>());
    table
}

/// A cell that shows whether it is good.
pub fn cell(text: impl ToString, good: bool) -> Cell {
    Cell::new(text).fg(if good { Color::Green } else { Color::Red })
}

/// `3.2 s`, `2 min 5 s`.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}

/// The text with `new` between two markers, in place of what stood there.
pub fn between(text: &str, [begin, end]: [&str; 2], new: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n\n{new}\n{end}{after}"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const LOG_WIDTH: u16 = 180;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_outside_of_the_markers_stays() {
        let markers = ["<a>", "<b>"];
        let new = between("before\n<a>\nold\n<b>\nafter\n", markers, "new\n");
        let new = new.expect("it has markers");
        assert_eq!(new, "before\n<a>\n\nnew\n\n<b>\nafter\n");
        assert_eq!(between(&new, markers, "new\n"), Some(new.clone()));
        assert_eq!(between("nothing", markers, "new"), None);
    }
}
