//! Limits and placement of the calling process.

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Makes room for `wanted` open files, or says that the hard limit is below that.
///
/// # Errors
/// When the hard limit is lower than `wanted`, or the kernel refuses the change.
pub fn allow_open_files(wanted: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    ensure!(
        limit.maximum.is_none_or(|maximum| maximum >= wanted),
        "{wanted} open files are needed but the hard limit is {:?}; raise it with `ulimit -Hn`",
        limit.maximum,
    );
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).context("raising the limit of open files")
}

/// The cores this process may run on, in ascending order.
///
/// # Errors
/// When the kernel does not tell.
pub fn usable_cores() -> anyhow::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None).context("reading the CPU affinity")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect())
}

/// Binds the calling thread, and every process and thread it starts from now on, to `cores`.
///
/// # Errors
/// When the kernel refuses, for instance because a core does not exist.
pub fn run_on_cores(cores: &[usize]) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("binding to the cores {cores:?}"))
}
