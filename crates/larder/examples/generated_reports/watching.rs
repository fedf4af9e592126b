//! A watcher: what it makes happen sooner, and that it changes nothing else.

use std::time::Duration;

use larder::Key;
use larder::watch::{Native, Options, Then};
use tokio::sync::mpsc;

use crate::criteria::{Outcome, check, same};
use crate::generation::{key, prepare, write};
use crate::place::{Place, text, until};
use crate::reports::{configured, generating, report};

/// How long after a change it is told, at the earliest.
const SOON: Duration = Duration::from_millis(5);

pub(crate) async fn early(place: &Place) -> Outcome<String> {
    prepare(place)?;
    let (cache, inputs) = (configured(place.builder())?.build()?, place.scratch.join("inputs"));
    let (changed, mut changes) = mpsc::unbounded_channel::<Key>();
    let refresher = cache.refresher(generating(&inputs, &place.upstream));
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn({
        let refresher = refresher.clone();
        async move { refresher.watch(async { _ = ended.await }).await }
    });
    // a folder that no watcher can be had for is looked at now and then instead
    let options = Options::default().poll(SOON).rescan(SOON).debounce(SOON);
    let watching = cache.watch(Native, options, Then::Nothing, move |key, _| _ = changed.send(key.clone()))?;
    report(&cache, &key()?, &inputs, &place.upstream).await?;
    for generation in 2..=3 {
        write(place, "one", &generation.to_string())?;
        let told = changes.recv().await.ok_or("the watch has ended")?;
        same("what is told", &told, &key()?)?;
        refresher.add(&[told]).await?;
        until("it is generated anew", async || refresher.counts().await.is_ok_and(|counts| counts.open() == 0)).await?;
        same("generations", place.upstream.calls(), generation)?;
        let answer = report(&cache, &key()?, &inputs, &place.upstream).await?;
        same("who asks then", text(&answer), format!("generation {generation} from {generation}"))?;
        check(answer.outcome.is_hit(), || format!("it had to be waited for: {}", answer.outcome))?;
    }
    drop(watching);
    // without it, whoever asks is told the truth all the same
    write(place, "one", "4")?;
    let answer = report(&cache, &key()?, &inputs, &place.upstream).await?;
    same("without a watcher", text(&answer).as_str(), "generation 4 from 4")?;
    drop(end);
    let report = working.await??;
    same("refreshed behind everybody's back", report.refreshed, 2)?;
    Ok("2 changes, 2 generations before anybody asked; the same without".to_owned())
}
