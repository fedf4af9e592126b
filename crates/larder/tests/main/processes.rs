//! Tasks of several processes that want the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use larder::{Cache, Terms};
use larder_testkit::{Child, Upstream, child};
use tokio::task::JoinSet;

use crate::shared::{Place, fetch_from, key, no_fetch, text, until, until_called, until_waiting};

const CHILD: &str = "processes::child_entry";
const TASKS: usize = 64;

fn spawn(place: &Place, tasks: usize, keys: usize) -> Child {
    spawn_that(place, tasks, keys, true)
}

/// One whose fetches may be `stored`, or not.
fn spawn_that(place: &Place, tasks: usize, keys: usize, stores: bool) -> Child {
    let (root, upstream) = (place.root(), place.scratch.utf8_path().join("upstream"));
    let (tasks, keys, stores) = (tasks.to_string(), keys.to_string(), stores.to_string());
    let places = [("root", root.as_str()), ("upstream", upstream.as_str())];
    let numbers = [("tasks", &*tasks), ("keys", &*keys), ("stores", &*stores)];
    Child::spawn_through(CHILD, "ask", &[&places[..], &numbers[..]].concat())
}

/// What a child says of each of its answers.
fn answers_of(child: &mut Child) -> Vec<String> {
    child.hang_up();
    let mut said = Vec::new();
    while let Some(line) = child.next_line() {
        said.extend(line.strip_prefix("answer ").map(str::to_owned));
    }
    child.wait_for_success();
    said
}

#[test]
fn sixty_four_tasks_in_each_of_thirty_two_processes_make_one_call() {
    let place = Place::new("processes-64");
    let hold = place.upstream.hold();
    let mut children = [(); 32].map(|()| spawn(&place, TASKS, 1));
    for child in &mut children {
        child.wait_for_line("waiting");
    }
    place.upstream.wait_for_calls(1);
    drop(hold);
    let said: Vec<String> = children.iter_mut().flat_map(answers_of).collect();
    assert_eq!(said.len(), 32 * TASKS);
    assert!(said.iter().all(|line| line.starts_with("a/0, call 1 | larder; fwd=uri-miss")), "{said:#?}");
    assert_eq!(said.iter().filter(|line| !line.contains("; collapsed")).count(), 1, "{said:#?}");
    assert_eq!(place.upstream.calls(), 1);
}

#[test]
fn when_the_process_that_fetches_is_killed_exactly_one_other_fetches() {
    for _ in 0..3 {
        let place = Place::new("processes-killed");
        let hold = place.upstream.hold();
        let mut leader = spawn(&place, 8, 1);
        place.upstream.wait_for_calls(1);
        let mut others = [(); 3].map(|()| spawn(&place, 8, 1));
        for child in &mut others {
            child.wait_for_line("waiting");
        }
        leader.kill();
        place.upstream.wait_for_calls(2);
        drop(hold);
        let said: Vec<String> = others.iter_mut().flat_map(answers_of).collect();
        assert_eq!(said.len(), 24);
        assert!(said.iter().all(|line| line.starts_with("a/0, call 2 |")), "{said:#?}");
        assert_eq!(place.upstream.calls(), 2);
    }
}

#[test]
fn an_answer_that_is_not_stored_is_that_of_all_processes_who_waited() {
    let place = Place::new("processes-carried");
    let hold = place.upstream.hold();
    let mut children = [(); 3].map(|()| spawn_that(&place, 4, 1, false));
    for child in &mut children {
        child.wait_for_line("waiting");
    }
    drop(hold);
    let said: Vec<String> = children.iter_mut().flat_map(answers_of).collect();
    assert_eq!(said.len(), 12);
    assert!(said.iter().all(|line| line.starts_with("a/0, call 1 |") && line.contains("; stored=?0")), "{said:#?}");
    assert_eq!(said.iter().filter(|line| !line.contains("; collapsed")).count(), 1, "{said:#?}");
    assert_eq!(place.upstream.calls(), 1);
}

#[test]
fn a_failure_in_one_process_is_that_of_all_who_waited() {
    let place = Place::new("processes-failure");
    place.upstream.fails("overloaded");
    let hold = place.upstream.hold();
    let mut children = [(); 3].map(|()| spawn(&place, 4, 1));
    for child in &mut children {
        child.wait_for_line("waiting");
    }
    place.upstream.wait_for_calls(1);
    drop(hold);
    let said: Vec<String> = children.iter_mut().flat_map(answers_of).collect();
    assert_eq!(said.len(), 12);
    assert!(said.iter().all(|line| line.starts_with("`a/0` could not be fetched: overloaded")), "{said:#?}");
    assert_eq!(place.upstream.calls(), 1);
}

#[test]
fn waiting_for_another_process_takes_none_of_the_threads_that_read_the_disk() {
    let place = Place::new("processes-threads");
    let hold = place.upstream.hold();
    let mut leader = spawn(&place, 8, 8);
    place.upstream.wait_for_calls(8);
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = place.cache();
        let waiting: JoinSet<_> = (0..8)
            .map(|number| {
                let cache = cache.clone();
                async move { cache.get_or_fetch(&key(&format!("a/{number}")), no_fetch).await }
            })
            .collect();
        until_waiting(&cache, 8).await;
        cache.put(&key("b"), "there is a thread for this", &Terms::new()).await.unwrap();
        assert!(cache.get(&key("b")).await.unwrap().is_some());
        // nobody wants it any more: the threads that wait go
        until(async || cache.stats().await.unwrap().elsewhere == 8).await;
        drop(waiting);
        until(async || cache.stats().await.unwrap().elsewhere == 0).await;
        assert_eq!(cache.stats().await.unwrap().flights, 0);
    });
    drop(hold);
    assert_eq!(answers_of(&mut leader).len(), 8);
    assert_eq!(place.upstream.calls(), 8);
}

/// The child: as many tasks as told ask for as many keys as told.
#[test]
#[ignore = "a child of other tests"]
fn child_entry() {
    child::run(|_, args| {
        let upstream = Arc::new(Upstream::open(args.get("upstream")));
        let cache = Cache::builder(args.get("root")).build().unwrap();
        let (tasks, keys) = (args.parse::<usize>("tasks"), args.parse::<usize>("keys"));
        let (stores, called) = (args.parse::<bool>("stores"), Arc::new(AtomicUsize::new(0)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let asking: JoinSet<_> = (0..tasks)
                .map(|number| {
                    let (cache, fetch, called) = (cache.clone(), fetch_from(&upstream), Arc::clone(&called));
                    let fetch = move |context| {
                        called.fetch_add(1, Ordering::SeqCst);
                        let fetched = fetch(context);
                        async move { fetched.await.map(|fetched| if stores { fetched } else { fetched.do_not_store() }) }
                    };
                    async move { cache.get_or_fetch(&key(&format!("a/{}", number % keys)), fetch).await }
                })
                .collect();
            until_waiting(&cache, tasks).await;
            // each flight is its own fetch, or has met the one of another process
            let is_settled = async || called.load(Ordering::SeqCst) + cache.stats().await.unwrap().elsewhere == keys;
            until(is_settled).await;
            child::say("waiting");
            for answer in asking.join_all().await {
                match answer {
                    Ok(answer) => child::say(&format!("answer {} | {}", text(&answer), answer.outcome)),
                    Err(error) => child::say(&format!("answer {error}")),
                }
            }
            until_called(&upstream, 1).await;
        });
    });
}
