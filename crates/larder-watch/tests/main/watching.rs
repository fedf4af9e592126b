//! Hints, from the system and from looks, with sources that fail in every way.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_system::SystemClock;
use larder_testkit::Scratch;
use larder_watch::fingerprint::Fingerprints;
use larder_watch::watch::{Backend, Events, Options, Polling, Source, Watch};

/// How long a test waits for what must come.
const WAIT_MAX: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(10);
/// Longer than any test: what is to happen then does not.
const NEVER: Duration = Duration::from_secs(86_400);

type Hints = Receiver<Vec<Utf8PathBuf>>;

struct Place {
    scratch: Scratch,
}

impl Place {
    fn new(name: &str) -> Self {
        let place = Self { scratch: Scratch::new(name) };
        std::fs::create_dir(place.path("tree")).unwrap();
        place
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        self.scratch.utf8_path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn fingerprints(&self) -> Fingerprints {
        Fingerprints::new(Arc::new(SystemClock::new())).leaving_out(self.path("tree/cache").as_std_path())
    }

    fn watch(&self, source: impl Source + 'static, options: Options, paths: &[&str]) -> (Watch, Hints) {
        let (sender, hints) = channel();
        let tell = move |paths: &[Utf8PathBuf]| drop(sender.send(paths.to_vec()));
        let watch = Watch::start(source, self.fingerprints(), options, tell).unwrap();
        watch.add(paths.iter().map(|path| self.path(path)));
        // each is told once when it is watched
        let mut told = Vec::new();
        while told.len() < paths.len().min(options.paths_max) {
            told.extend(hints.recv_timeout(WAIT_MAX).unwrap());
        }
        assert!(watch.is_settled());
        (watch, hints)
    }
}

/// Looks at everything soon.
fn looking() -> Options {
    Options::default().poll(SOON).rescan(SOON).retry(SOON).debounce(Duration::from_millis(1))
}

/// Looks at nothing by itself.
fn trusting() -> Options {
    Options::default().poll(NEVER).rescan(NEVER).retry(NEVER).debounce(Duration::from_millis(1))
}

fn until(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < WAIT_MAX, "it never came to be so");
        std::thread::yield_now();
    }
}

/// Waits for a hint at this path.
#[track_caller]
fn hears(hints: &Hints, path: &Utf8PathBuf) {
    loop {
        let paths = hints.recv_timeout(WAIT_MAX).expect("a hint comes");
        if paths.contains(path) {
            return;
        }
    }
}

/// A source that a test plays: what it is asked to watch, and how it fails.
#[derive(Clone, Default)]
struct Played {
    starts: Arc<AtomicU32>,
    fails_at_start: bool,
    refuses: bool,
    events: Arc<Mutex<Option<Events>>>,
    watched: Arc<Mutex<Vec<PathBuf>>>,
}

impl Played {
    fn events(&self) -> Events {
        self.events.lock().unwrap().clone().unwrap()
    }
}

impl Source for Played {
    fn start(&self, events: Events) -> io::Result<Box<dyn Backend>> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        if self.fails_at_start {
            return Err(io::Error::other("no more instances"));
        }
        *self.events.lock().unwrap() = Some(events);
        self.watched.lock().unwrap().clear();
        Ok(Box::new(self.clone()))
    }
}

impl Backend for Played {
    fn watch(&mut self, path: &Path) -> io::Result<()> {
        if self.refuses {
            return Err(io::Error::other("no more watches"));
        }
        self.watched.lock().unwrap().push(path.to_owned());
        Ok(())
    }

    fn unwatch(&mut self, path: &Path) {
        self.watched.lock().unwrap().retain(|watched| watched != path);
    }
}

#[test]
fn without_a_source_a_watch_looks_for_itself() {
    let place = Place::new("polling");
    let (_watch, hints) = place.watch(Polling, looking(), &["tree", "other"]);
    place.write("tree/a", "one");
    hears(&hints, &place.path("tree"));
    place.write("other", "appears");
    hears(&hints, &place.path("other"));
}

#[test]
fn an_event_is_a_hint_for_the_paths_above_and_below_it_and_no_other() {
    let place = Place::new("events");
    let source = Played::default();
    let (_watch, hints) = place.watch(source.clone(), trusting(), &["tree", "tree/a/b", "tree/ab", "other"]);
    source.events().changed(vec![place.path("tree/a").into()]);
    let hint = hints.recv_timeout(WAIT_MAX).unwrap();
    assert_eq!(hint, [place.path("tree"), place.path("tree/a/b")]);
    // the cache's own folder is not looked at
    source.events().changed(vec![place.path("tree/cache/entry").into(), place.path("other").into()]);
    assert_eq!(hints.recv_timeout(WAIT_MAX).unwrap(), [place.path("other")]);
}

#[test]
fn lost_events_make_everything_suspicious_also_when_there_is_no_room_to_say_so() {
    let place = Place::new("lost");
    let source = Played::default();
    let (gate, opened) = channel::<()>();
    let (sender, hints) = channel();
    let tell = move |paths: &[Utf8PathBuf]| {
        let _ = sender.send(paths.to_vec());
        let _ = opened.recv();
    };
    let watch = Watch::start(source.clone(), place.fingerprints(), trusting(), tell).unwrap();
    watch.add([place.path("tree"), place.path("other")]);
    hints.recv_timeout(WAIT_MAX).unwrap();
    gate.send(()).unwrap();
    source.events().lost();
    assert_eq!(hints.recv_timeout(WAIT_MAX).unwrap(), [place.path("other"), place.path("tree")]);
    // the call is still under way: nobody takes what comes
    for _ in 0..10_000 {
        source.events().changed(vec![place.path("elsewhere").into()]);
    }
    gate.send(()).unwrap();
    assert_eq!(hints.recv_timeout(WAIT_MAX).unwrap(), [place.path("other"), place.path("tree")]);
    drop((gate, watch));
}

#[test]
fn a_source_that_cannot_be_started_is_tried_again_and_the_watch_looks_meanwhile() {
    let place = Place::new("no-start");
    let source = Played { fails_at_start: true, ..Played::default() };
    let (_watch, hints) = place.watch(source.clone(), looking(), &["tree"]);
    place.write("tree/a", "one");
    hears(&hints, &place.path("tree"));
    until(|| source.starts.load(Ordering::SeqCst) > 2);
}

#[test]
fn a_source_that_dies_is_started_again_and_the_watch_looks_meanwhile() {
    let place = Place::new("dies");
    let source = Played::default();
    // only what the source does not watch is looked at
    let (_watch, hints) = place.watch(source.clone(), looking().rescan(NEVER), &["tree"]);
    let (first, starts) = (source.events(), source.starts.load(Ordering::SeqCst));
    first.failed("gone");
    until(|| source.starts.load(Ordering::SeqCst) > starts && !source.watched.lock().unwrap().is_empty());
    // what the first one still says is nothing
    first.failed("gone again");
    source.events().changed(vec![place.path("tree/a").into()]);
    hears(&hints, &place.path("tree"));
    assert_eq!(source.starts.load(Ordering::SeqCst), starts + 1);
}

#[test]
fn a_source_that_dies_for_good_leaves_a_watch_that_looks() {
    let place = Place::new("dead");
    let source = Played::default();
    let (_watch, hints) = place.watch(source.clone(), looking().rescan(NEVER).retry(NEVER), &["tree"]);
    source.events().failed("gone");
    place.write("tree/a", "one");
    hears(&hints, &place.path("tree"));
}

#[test]
fn a_path_that_the_source_refuses_is_looked_at() {
    let place = Place::new("refused");
    let source = Played { refuses: true, ..Played::default() };
    let (_watch, hints) = place.watch(source, looking().rescan(NEVER), &["tree"]);
    place.write("tree/a", "one");
    hears(&hints, &place.path("tree"));
}

#[test]
fn a_folder_that_is_removed_and_made_again_is_watched_again() {
    let place = Place::new("again");
    let source = Played::default();
    let (_watch, hints) = place.watch(source.clone(), looking().rescan(NEVER).retry(NEVER), &["tree"]);
    let watched = || source.watched.lock().unwrap().clone();
    assert_eq!(watched(), [place.path("tree")]);
    std::fs::rename(place.path("tree"), place.path("gone")).unwrap();
    hears(&hints, &place.path("tree"));
    std::fs::create_dir(place.path("tree")).unwrap();
    until(|| watched() == [place.path("tree")]);
    source.events().changed(vec![place.path("tree/a").into()]);
    hears(&hints, &place.path("tree"));
}

#[test]
fn what_is_watched_no_longer_is_told_no_longer() {
    let place = Place::new("removed");
    let source = Played::default();
    let (watch, hints) = place.watch(source.clone(), trusting(), &["tree", "other"]);
    watch.remove([place.path("tree")]);
    until(|| watch.is_settled());
    assert_eq!(*source.watched.lock().unwrap(), [place.path("other")]);
    source.events().changed(vec![place.path("tree").into(), place.path("other").into()]);
    assert_eq!(hints.recv_timeout(WAIT_MAX).unwrap(), [place.path("other")]);
}

#[test]
fn a_watch_that_is_dropped_ends() {
    let place = Place::new("dropped");
    let (watch, hints) = place.watch(Polling, trusting(), &["tree"]);
    drop(watch);
    assert_eq!(hints.recv_timeout(WAIT_MAX), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn no_more_paths_are_watched_than_there_may_be() {
    let place = Place::new("many-paths");
    let source = Played::default();
    let (_watch, _hints) = place.watch(source.clone(), trusting().paths_max(1), &["a", "b"]);
    assert_eq!(*source.watched.lock().unwrap(), [place.path("a")]);
}

#[cfg(feature = "watch")]
mod native {
    use larder_watch::watch::Native;

    use super::*;

    #[test]
    fn the_system_tells_of_each_kind_of_change_also_among_thousands_of_files() {
        let place = Place::new("native");
        std::fs::create_dir(place.path("tree/folder")).unwrap();
        for number in 0..3_000 {
            place.write(&format!("tree/folder/{number}"), "text");
        }
        let (_watch, hints) = place.watch(Native, trusting(), &["tree"]);
        let changes: [&dyn Fn(); 5] = [
            &|| place.write("tree/folder/2999", "other"),
            &|| place.write("tree/new", ""),
            &|| std::fs::rename(place.path("tree/new"), place.path("tree/newer")).unwrap(),
            &|| std::fs::create_dir(place.path("tree/folder/below")).unwrap(),
            &|| std::fs::remove_file(place.path("tree/newer")).unwrap(),
        ];
        for change in changes {
            change();
            hears(&hints, &place.path("tree"));
        }
    }

    #[test]
    fn a_file_that_editors_replace_is_watched_again_each_time() {
        let place = Place::new("native-replaced");
        place.write("tree/file", "one");
        let (_watch, hints) = place.watch(Native, trusting(), &["tree/file"]);
        for number in 0..5 {
            place.write("tree/file.new", &number.to_string());
            std::fs::rename(place.path("tree/file.new"), place.path("tree/file")).unwrap();
            hears(&hints, &place.path("tree/file"));
        }
    }

    #[test]
    fn a_folder_that_is_removed_and_made_again_is_found_by_a_look_and_watched_again() {
        let place = Place::new("native-again");
        let (_watch, hints) = place.watch(Native, trusting().poll(SOON), &["tree"]);
        for number in 0..3 {
            std::fs::remove_dir_all(place.path("tree")).unwrap();
            hears(&hints, &place.path("tree"));
            std::fs::create_dir(place.path("tree")).unwrap();
            hears(&hints, &place.path("tree"));
            place.write("tree/a", &number.to_string());
            hears(&hints, &place.path("tree"));
        }
    }

    #[test]
    fn looking_at_files_is_no_event() {
        let place = Place::new("native-reading");
        place.write("tree/a", "text");
        let (_watch, hints) = place.watch(Native, trusting(), &["tree", "other"]);
        for _ in 0..10 {
            std::fs::read(place.path("tree/a")).unwrap();
        }
        std::fs::create_dir(place.path("tree/later")).unwrap();
        assert_eq!(hints.recv_timeout(WAIT_MAX).unwrap(), [place.path("tree")]);
        assert!(hints.try_recv().is_err());
    }
}
