//! What the kernel says of another process: CPU seconds and resident memory.

use std::fs;

use anyhow::{Context, ensure};

/// CPU seconds (user and system, all threads) that the process `pid` has used so far.
///
/// The kernel counts in ticks of usually 10 ms, so compare instants that are seconds apart.
///
/// # Errors
/// When there is no such process, or its `stat` line has another shape than expected.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("{path} has an unknown shape"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident bytes of the process `pid`, counted page by page.
///
/// The cheaper counters in `status` and `statm` are kept per core and may be off by hundreds of KiB.
///
/// # Errors
/// When there is no such process or this one may not look into it.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    rss_of_rollup(&rollup).with_context(|| format!("{path} has an unknown shape"))
}

/// utime + stime. The second field, the command's name, may hold spaces and brackets: count from its end.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn rss_of_rollup(rollup: &str) -> anyhow::Result<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).context("there is no Rss line")?;
    let (kib, unit) = line.trim().split_once(' ').context("the Rss line has no unit")?;
    ensure!(unit == "kB", "the Rss line counts in {unit}");
    Ok(kib.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_ticks_are_found_behind_a_name_with_spaces_and_brackets() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 5 0 0 0 31 11 0 0 20 0 2 0 99 1 2 3";
        assert_eq!(cpu_ticks(stat), Some(42));
    }

    #[test]
    fn a_short_stat_line_gives_no_ticks() {
        assert_eq!(cpu_ticks("7 (a) S 1 2 3"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn rss_is_read_in_kib() {
        let rollup = "00400000-7fff r--p 00000000 00:00 0 [rollup]\nRss:    1234 kB\nPss:    99 kB\n";
        assert_eq!(rss_of_rollup(rollup).unwrap(), 1234 * 1024);
        assert!(rss_of_rollup("Pss:  1 kB\n").is_err());
    }

    #[test]
    fn this_process_has_used_memory_and_may_be_asked_for_cpu_time() {
        let own = std::process::id();
        assert!(resident_bytes(own).unwrap() > 0);
        assert!(cpu_seconds(own).unwrap() >= 0.0);
    }
}
