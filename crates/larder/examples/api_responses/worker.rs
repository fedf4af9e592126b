//! A worker of the service: asks through the cache, and tells what it got.

use std::sync::Arc;

use larder::{Answer, Builder, Cache, Context, Durability, Fetched, Terms, fetch};
use larder_testkit::Upstream;
use larder_testkit::child::{self, Args};

use crate::criteria::Outcome;
use crate::place::{Fetching, fetch_from, text, until};
use crate::requests::{Request, book_tag, classes, tags};

/// Asks for what the request is for. Its fetch is one call, and tags a list with the books that are in it.
pub(crate) async fn ask(cache: &Cache, upstream: &Arc<Upstream>, request: &Request) -> Outcome<Answer> {
    let key = request.key()?.ok_or("only what changes nothing is answered from the cache")?;
    Ok(ask_as(cache, upstream, &key, &Terms::new().tags(tags(request)?)).await?)
}

pub(crate) async fn ask_as(
    cache: &Cache,
    upstream: &Arc<Upstream>,
    key: &larder::Key,
    terms: &Terms,
) -> Result<Answer, fetch::Error> {
    cache.get_or_fetch_with(key, terms, calling(upstream)).await
}

fn calling(upstream: &Arc<Upstream>) -> impl FnOnce(Context) -> Fetching + Send + 'static {
    let fetch = fetch_from(upstream);
    move |context| {
        Box::pin(async move {
            let fetched = fetch(context).await?;
            let books = fetched.body.as_deref().map(books_in).unwrap_or_default();
            Ok(books.iter().filter_map(|book| book_tag(book).ok()).fold(fetched, Fetched::tag))
        })
    }
}

/// The books that an answer names: the words after `books:`.
fn books_in(body: &[u8]) -> Vec<String> {
    let body = String::from_utf8_lossy(body);
    let named = body.split_once("books:").map(|(_, books)| books).unwrap_or_default();
    named.split_whitespace().map(str::to_owned).collect()
}

/// A cache as all workers open it. A service can fetch again what a loss of power takes, and need not wait for the disk.
pub(crate) fn configured(builder: Builder) -> Outcome<Builder> {
    Ok(builder.classes(classes()?).durability(Durability::Relaxed))
}

/// Does what its parent says, a line at a time: `ask PART PART…`, `many COUNT PART…`, until that hangs up.
pub(crate) fn child(_role: &str, args: &Args) -> Outcome {
    let upstream = Arc::new(Upstream::open(args.get("upstream")));
    let cache = configured(Cache::builder(args.get("root")))?.build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    child::say("ready");
    while let Some(line) = child::hear() {
        let words: Vec<_> = line.split(' ').collect();
        let (count, path) = match words.as_slice() {
            ["ask", path @ ..] => (1, path),
            ["many", count, path @ ..] => (count.parse()?, path),
            _ => return Err(format!("a worker does not understand {line:?}").into()),
        };
        runtime.block_on(answer(&cache, &upstream, &Request::get(path), count))?;
    }
    Ok(())
}

async fn answer(cache: &Cache, upstream: &Arc<Upstream>, request: &Request, count: usize) -> Outcome {
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (cache, upstream, request) = (cache.clone(), Arc::clone(upstream), request.clone());
        asking.spawn(async move { ask(&cache, &upstream, &request).await });
    }
    if count > 1 {
        // all of them wait for one flight, which is this worker's or another one's
        until("all wait", async || cache.stats().await.is_ok_and(|stats| stats.waiting == count)).await?;
        child::say("waiting");
    }
    while let Some(answered) = asking.join_next().await {
        let answer = answered??;
        child::say(&format!("{} | {}", text(&answer), answer.outcome));
    }
    Ok(())
}
