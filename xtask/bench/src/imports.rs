//! What `import grpc` takes in a fresh interpreter: time, and resident memory.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::figures::median;
use crate::process;

/// A round: milliseconds and MiB, each the median of some imports.
pub(crate) fn once(python: &Path) -> Result<[f64; 2]> {
    let mut taken = Vec::new();
    for _ in 0..IMPORTS {
        let mut command = Command::new(python);
        command.args(["-I", "-c", SCRIPT]);
        let text = process::output(&mut command, "import grpc", process::MINUTE)?;
        taken.push(read(&text).with_context(|| format!("no two numbers: {text}"))?);
    }
    Ok([0, 1].map(|which| median(taken.iter().map(|pair| pair[which]))))
}

fn read(line: &str) -> Option<[f64; 2]> {
    let (time, memory) = line.trim().split_once(' ')?;
    Some([time.parse().ok()?, memory.parse().ok()?])
}

/// The first import of a round may have to write bytecode; the median does not see it.
const IMPORTS: usize = 5;

/// The interpreter alone is not counted.
const SCRIPT: &str = "\
import time
def resident():
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmRSS')) / 1024
memory, begun = resident(), time.perf_counter()
import grpc
print((time.perf_counter() - begun) * 1e3, resident() - memory)
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers() {
        assert_eq!(read("53.5 8.25\n"), Some([53.5, 8.25]));
        assert_eq!(read("53.5\n"), None);
    }
}
