//! What the options say about hooks: where the application is.

use anyhow::{Context, bail};
use sockhop::stomp::{HttpHook, Stomp, WorkerList};
use sockhop::store::{ListName, RedisLists};

use crate::settings::{at_least, time};
use crate::stomp::{first_given, read, told};
use crate::tuning::Tuning;
use crate::units::{Size, Time};

/// Where the application is.
enum To<'a> {
    Url(&'a str),
    List(ListName),
}

/// Whether the options speak of lists.
pub(crate) fn need_lists(tuning: &Tuning) -> bool {
    app_hooks(tuning).is_ok_and(|hooks| has_list(&hooks))
}

/// A STOMP service with the hooks of these options. Reads the secret that they name.
pub(crate) fn mount(mut stomp: Stomp, tuning: &Tuning, lists: Option<&RedisLists>) -> anyhow::Result<Stomp> {
    for (destination, to) in app_hooks(tuning)? {
        stomp = match to {
            To::Url(url) => {
                let hook = hook("app-hooks", url, tuning)?;
                stomp.app(destination, hook.clone()).app_subscribe(destination, hook)
            }
            To::List(name) => {
                let lists = lists.context("app-hooks: lists of workers are in a Redis")?.clone();
                let workers = match tuning.app_list_limit {
                    Some(most) => WorkerList::bounded(lists, name, most),
                    None => WorkerList::new(lists, name),
                };
                stomp.app(destination, workers)
            }
        };
    }
    if let Some(url) = &tuning.connect_hook {
        stomp = stomp.on_connect(hook("connect-hook", url, tuning)?);
    }
    if let Some(url) = &tuning.disconnect_hook {
        stomp = stomp.on_disconnect(hook("disconnect-hook", url, tuning)?);
    }
    Ok(stomp)
}

/// Whether the options fit together.
pub(crate) fn check(tuning: &Tuning) -> anyhow::Result<()> {
    let app_hooks = app_hooks(tuning)?;
    let mut urls = Vec::new();
    for (_, to) in &app_hooks {
        if let To::Url(url) = to {
            urls.push(("app-hooks", *url));
        }
    }
    urls.extend(tuning.connect_hook.iter().map(|url| ("connect-hook", url.as_str())));
    urls.extend(tuning.disconnect_hook.iter().map(|url| ("disconnect-hook", url.as_str())));
    for (option, url) in &urls {
        HttpHook::builder(url).context(*option)?;
    }
    let further = [
        ("hook-secret", tuning.hook_secret.is_some()),
        ("hook-timeout", tuning.hook_timeout.is_some()),
        ("hook-concurrency", tuning.hook_concurrency.is_some()),
        ("hook-answer-limit", tuning.hook_answer_limit.is_some()),
    ];
    if urls.is_empty()
        && let Some(name) = first_given(&further)
    {
        bail!("{name}: this is of use only with a hook: app-hooks, connect-hook or disconnect-hook");
    }
    if tuning.app_list_limit.is_some() && !has_list(&app_hooks) {
        bail!(
            "app-list-limit: this is of use only with a list of workers, like redis:sockhop:{{orders}} in app-hooks"
        );
    }
    at_least("app-list-limit", tuning.app_list_limit.unwrap_or(1), 1)?;
    time("hook-timeout", tuning.hook_timeout, std::time::Duration::from_secs(1))?;
    at_least("hook-concurrency", tuning.hook_concurrency.unwrap_or(1), 1)?;
    at_least("hook-answer-limit", tuning.hook_answer_limit.map_or(1, |size| size.0), 1)?;
    Ok(())
}

fn has_list(app_hooks: &[(&str, To<'_>)]) -> bool {
    app_hooks.iter().any(|(_, to)| matches!(to, To::List(_)))
}

/// Destinations of the application, and who handles what is sent there.
fn app_hooks(tuning: &Tuning) -> anyhow::Result<Vec<(&str, To<'_>)>> {
    let mut hooks = Vec::new();
    for text in tuning.app_hooks.iter().flatten() {
        let mut parts = text.split_whitespace();
        let (Some(destination), Some(to), None) = (parts.next(), parts.next(), parts.next()) else {
            bail!("app-hooks: {text:?}: write it like `/app/** https://backend.example.com/sockhop`");
        };
        if !destination.starts_with("/app/") {
            bail!("app-hooks: {destination:?}: destinations of the application begin with /app/");
        }
        let to = match to.strip_prefix("redis:") {
            Some(name) if !name.starts_with("//") => To::List(name.parse().context("app-hooks")?),
            _ => To::Url(to),
        };
        hooks.push((destination, to));
    }
    Ok(hooks)
}

fn hook(option: &str, url: &str, tuning: &Tuning) -> anyhow::Result<HttpHook> {
    let mut hook = HttpHook::builder(url).with_context(|| option.to_owned())?;
    if let Some(file) = &tuning.hook_secret {
        let secret = read("hook-secret", file)?;
        // An editor's line feed at the end is no part of it.
        hook = hook.secret(secret.trim_ascii_end()).with_context(|| told("hook-secret", file))?;
    }
    if let Some(Time(timeout)) = tuning.hook_timeout {
        hook = hook.timeout(timeout);
    }
    if let Some(calls) = tuning.hook_concurrency {
        hook = hook.concurrency(calls);
    }
    if let Some(Size(bytes)) = tuning.hook_answer_limit {
        hook = hook.answer_limit(bytes);
    }
    Ok(hook.build())
}
