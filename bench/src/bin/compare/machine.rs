//! The machine: which core does what, and how it is named in the report.

use std::fs;

use anyhow::{Context, ensure};
use clap::Args;
use sockhop_bench::limits;

/// Which cores to use.
#[derive(Args)]
pub(crate) struct CoreChoice {
    /// Core of the server [default: the first that is usable].
    #[arg(long, value_name = "CORE")]
    server_core: Option<usize>,
    /// Core of the generator [default: the next that is usable].
    #[arg(long, value_name = "CORE")]
    generator_core: Option<usize>,
}

/// The cores in use.
pub(crate) struct Cores {
    usable: Vec<usize>,
    server: usize,
    generator: usize,
}

impl CoreChoice {
    /// Fills in what was not chosen.
    ///
    /// # Errors
    /// When there are not two different cores.
    pub(crate) fn choose(&self) -> anyhow::Result<Cores> {
        let usable = limits::usable_cores()?;
        let free = |taken: Option<usize>| usable.iter().copied().find(|&core| Some(core) != taken);
        let server = self.server_core.or_else(|| free(self.generator_core));
        let server = server.context("no core for the server")?;
        let generator = self.generator_core.or_else(|| free(Some(server)));
        let generator = generator.context("two cores are needed: one for the server, one for the generator")?;
        ensure!(server != generator, "server and generator need a core each");
        Ok(Cores { usable, server, generator })
    }
}

impl Cores {
    /// Runs `start` so that the process it starts lives on the server's core.
    pub(crate) fn on_server_core<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.on(self.server, start)
    }

    /// Runs `start` so that the process it starts lives on the generator's core.
    pub(crate) fn on_generator_core<T>(&self, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.on(self.generator, start)
    }

    /// A child inherits the affinity of the thread that starts it, so no moment is left in which it
    /// could start threads elsewhere.
    fn on<T>(&self, core: usize, start: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        limits::run_on_cores(&[core])?;
        let started = start();
        limits::run_on_cores(&self.usable)?;
        started
    }
}

/// Processor and kernel.
pub(crate) fn description() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}
