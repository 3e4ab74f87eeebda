//! The `sockhop` program: options, logging, commands. All else is the library's.

mod api;
mod channels;
mod cluster;
mod demo;
mod file;
mod hooks;
mod options;
mod page;
mod serve;
mod settings;
mod stomp;
mod tuning;
mod units;

use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::filter::LevelFilter;

use crate::options::{LogFormat, LogLevel, Options};
use crate::settings::Settings;

/// Idle connections hold large buffers that are hardly touched, and small things between them: this allocator keeps the
/// two apart, so that fewer pages are in use, and is quicker than the system's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A SockJS server: realtime messages to browsers, over WebSocket where it works and plain HTTP where it is blocked.
///
/// Without a command it serves. Every option can be given as a flag, in the environment as SOCKHOP_…, or in a TOML
/// file under the same name; flags win over the environment, which wins over the file.
#[derive(Debug, Parser)]
#[command(name = "sockhop", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default)
    Serve(Box<Serve>),
    /// Start Redis, several nodes and nginx on this machine, to play with
    ///
    /// Each request goes to another node. The page shows which node answered each, and has buttons to drain, kill and
    /// start nodes. From a shell, with the numbers that are printed at the start, `kill PROCESS` drains a node and
    /// `kill -9 PROCESS` kills it.
    ///
    /// It needs redis-server and nginx in the path, takes free ports for all but the page, and keeps its files in a
    /// temporary folder. Ctrl-C ends all of it.
    Cluster(cluster::Cluster),
    /// Say whether a file of options is right, and what is wrong with it
    Check {
        /// The TOML file
        config: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Serve {
    /// TOML file with options; flags and environment win over it
    #[arg(long, env = "SOCKHOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

const EXAMPLES: &str = "Examples:
  sockhop                                     the page with the transport lab, on http://127.0.0.1:8081/
  sockhop serve --listen 0.0.0.0:80 --service /chat=broadcast --origins https://app.example.com
  sockhop serve --config sockhop.toml --log-format json
  sockhop cluster                             three nodes, Redis and nginx on this machine, to play with
  sockhop check sockhop.toml";

fn main() -> ExitCode {
    let outcome = match Cli::parse() {
        Cli { command: Some(Command::Check { config }), .. } => check(&config),
        Cli { command: Some(Command::Serve(serve)), .. } => run(&serve),
        Cli { command: Some(Command::Cluster(cluster)), .. } => run_cluster(cluster),
        Cli { command: None, serve } => run(&serve),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to be done if not even this can be written.
            let _ = writeln!(std::io::stderr(), "sockhop: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn check(config: &std::path::Path) -> anyhow::Result<()> {
    let settings = Settings::load(&Options::default(), Some(config))?;
    writeln!(
        std::io::stdout(),
        "{} is right: {} service(s), listening on {}",
        config.display(),
        settings.services.len(),
        settings.listen
    )?;
    Ok(())
}

fn run(serve: &Serve) -> anyhow::Result<()> {
    let settings = Settings::load(&serve.options, serve.config.as_deref())?;
    start_log(settings.log_level, settings.log_format);
    raise_file_limit(settings.limits.connections);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve::run(settings))
}

fn run_cluster(cluster: cluster::Cluster) -> anyhow::Result<()> {
    start_log(LogLevel::Warn, LogFormat::Text);
    // nginx inherits it.
    raise_file_limit(cluster::CONNECTIONS);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(cluster.run())
}

fn start_log(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let log = tracing_subscriber::fmt().with_max_level(level).with_ansi(colours).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Each connection is an open file, and the usual limit is 1,024.
fn raise_file_limit(connections: usize) {
    let wanted = connections as u64 + 64;
    match rlimit::increase_nofile_limit(wanted) {
        Ok(limit) if limit < wanted => {
            tracing::info!(
                limit,
                max_connections = connections,
                "the system allows fewer open files than connections"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "could not raise the limit of open files"),
    }
}
