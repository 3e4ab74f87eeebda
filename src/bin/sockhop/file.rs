//! The file with options, read key by key, so that what is wrong is told with its key and value.

use std::collections::BTreeMap;

use anyhow::Context;
use clap::Args;
use config::{Config, File, FileFormat, Value};
use serde::Deserialize;

use crate::channels::Keeping;
use crate::options::{HandlerKind, Options};
use crate::tuning::Tuning;

/// Whether all of a file's options can be read.
pub(crate) fn check(source: File<config::FileSourceString, FileFormat>) -> anyhow::Result<()> {
    let options: BTreeMap<String, Value> = Config::builder().add_source(source).build()?.try_deserialize()?;
    for (key, value) in options {
        match key.as_str() {
            "services" => {
                for service in value.into_array().context("services: write each as a [[services]] table")? {
                    check_service(service)?;
                }
            }
            "channels" => {
                for channels in value.into_array().context("channels: write each as a [[channels]] table")? {
                    check_channels(channels)?;
                }
            }
            _ => alone::<Options>(&key, value)?,
        }
    }
    Ok(())
}

fn check_channels(channels: Value) -> anyhow::Result<()> {
    let mut options = channels.into_table().context("channels: write each as a [[channels]] table")?;
    let pattern =
        options.remove("pattern").context("channels: each [[channels]] table needs a pattern, like news/*")?;
    let known = |(key, value)| alone::<Keeping>(key, value).with_context(|| format!("channels {pattern}"));
    options.iter().map(|(key, value)| (key.as_str(), value.clone())).try_for_each(known)
}

fn check_service(service: Value) -> anyhow::Result<()> {
    let options = service.into_table().context("services: write each as a [[services]] table")?;
    let prefix = options.get("prefix").map_or_else(|| "without a prefix".to_owned(), Value::to_string);
    for (key, value) in options {
        match key.as_str() {
            "prefix" => {}
            "handler" => HandlerKind::named(&value.to_string())
                .map(|_| ())
                .map_err(|error| anyhow::anyhow!("service {prefix}: handler: {error}"))?,
            _ => alone::<Tuning>(&key, value).with_context(|| format!("service {prefix}"))?,
        }
    }
    Ok(())
}

/// An option of a table that does not exist, and which may be meant.
pub(crate) fn unknown_option(name: &str) -> anyhow::Error {
    let list = || "`sockhop serve --help` lists them".to_owned();
    let hint = meant(name).map_or_else(list, |meant| format!("did you mean `{meant}`?"));
    anyhow::anyhow!("there is no option `{name}`; {hint}")
}

/// Whether one option alone can be read.
fn alone<'de, T: Deserialize<'de>>(key: &str, value: Value) -> anyhow::Result<()> {
    let shown = value.to_string();
    let read = Config::builder().set_override(key, value)?.build()?.try_deserialize::<T>();
    read.map(|_| ()).with_context(|| match meant(key) {
        Some(meant) => format!("{key} = {shown} (did you mean `{meant}`?)"),
        None => format!("{key} = {shown}"),
    })
}

/// The option whose name is like that of one that does not exist.
fn meant(key: &str) -> Option<String> {
    let command = Options::augment_args(clap::Command::new("sockhop"));
    let names: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    if names.contains(&key) {
        return None;
    }
    let likeness = |name: &&str| strsim::jaro_winkler(name, key);
    let nearest = names.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&nearest) > 0.8).then(|| nearest.to_owned())
}
