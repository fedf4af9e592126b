//! The thread of a watch.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_system::{Clock as _, SystemClock};

use super::Shared;
use super::options::Options;
use super::place::{How, Place};
use super::source::{Backend, Events, Message, Source};
use crate::fingerprint::Fingerprints;

/// How many messages are taken at once before anything else is seen to.
const BATCH_MAX: usize = 4_096;

type OnChange = Box<dyn FnMut(&[Utf8PathBuf]) + Send>;

/// What the thread has.
pub(super) struct Keeper {
    source: Box<dyn Source>,
    events: Events,
    backend: Option<Box<dyn Backend>>,
    /// When a source that has failed is started again.
    restart_at: Duration,
    fingerprints: Fingerprints,
    options: Options,
    on_change: OnChange,
    clock: SystemClock,
    places: BTreeMap<Utf8PathBuf, Place>,
    /// Where something may have changed that was not told yet.
    suspects: BTreeSet<Utf8PathBuf>,
    /// When the first and the last of them became so.
    suspected: Option<(Duration, Duration)>,
    poll_at: Duration,
    rescan_at: Duration,
}

impl Keeper {
    pub(super) fn new(
        source: Box<dyn Source>,
        events: Events,
        fingerprints: Fingerprints,
        options: Options,
        on_change: OnChange,
    ) -> Self {
        let clock = SystemClock::new();
        let now = clock.monotonic();
        Self {
            source,
            events,
            backend: None,
            restart_at: Duration::ZERO,
            fingerprints,
            options,
            on_change,
            clock,
            places: BTreeMap::new(),
            suspects: BTreeSet::new(),
            suspected: None,
            poll_at: now.saturating_add(options.poll),
            rescan_at: now.saturating_add(options.rescan),
        }
    }

    /// Until the watch is dropped.
    pub(super) fn run(mut self, shared: &Shared, messages: &Receiver<Message>) {
        while !shared.has_ended() {
            self.start();
            self.see_to_wanted(shared);
            match messages.recv_timeout(self.until_due()) {
                Ok(message) => {
                    self.take(message);
                    messages.try_iter().take(BATCH_MAX).for_each(|message| self.take(message));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some((generation, why)) = shared.failure() {
                self.take(Message::Failed { generation, why });
            }
            if shared.has_lost.swap(false, Ordering::AcqRel) {
                self.take(Message::Lost);
            }
            if shared.has_ended() {
                return;
            }
            self.look();
            self.tell(shared);
        }
    }

    /// Starts the source, if there is none and it is time.
    fn start(&mut self) {
        let now = self.clock.monotonic();
        if self.backend.is_some() || now < self.restart_at {
            return;
        }
        self.restart_at = now.saturating_add(self.options.retry);
        self.events.generation += 1;
        match self.source.start(self.events.clone()) {
            Ok(backend) => {
                self.backend = Some(backend);
                for place in self.places.values_mut() {
                    place.how = How::Itself { retry_at: Duration::ZERO };
                }
                self.offer();
            }
            Err(error) => {
                tracing::warn!(%error, "files are not watched by the system: they are looked at now and then");
            }
        }
    }

    /// Begins and ends what the watch's owner has asked for.
    fn see_to_wanted(&mut self, shared: &Shared) {
        let wanted = {
            let wanted = shared.wanted();
            if !wanted.is_new {
                return;
            }
            wanted.paths.clone()
        };
        let gone: Vec<Utf8PathBuf> = self.places.keys().filter(|path| !wanted.contains(*path)).cloned().collect();
        for path in gone {
            self.places.remove(&path);
            self.suspects.remove(&path);
            if let Some(backend) = &mut self.backend {
                backend.unwatch(path.as_std_path());
            }
        }
        let paths_max = self.options.paths_max;
        if wanted.len() > paths_max {
            tracing::warn!(paths = wanted.len(), paths_max, "not all paths are watched: hints for some come late");
        }
        let mut new = Vec::new();
        for path in wanted.iter().take(paths_max) {
            if shared.has_ended() {
                return;
            }
            if self.places.contains_key(path) {
                continue;
            }
            // watched first, looked at then: what happens in between is told
            let how = self.offered(path, &mut false);
            let mut place = Place::new(path, &self.fingerprints);
            place.how = how;
            self.places.insert(path.clone(), place);
            new.push(path.clone());
        }
        // what changed before it was watched is found by whoever compares now
        self.suspect(new);
        let mut now_wanted = shared.wanted();
        now_wanted.is_new = now_wanted.paths != wanted;
    }

    /// Asks the source to watch the path.
    fn offered(&mut self, path: &Utf8PathBuf, is_told: &mut bool) -> How {
        let retry_at = self.clock.monotonic().saturating_add(self.options.retry);
        let Some(backend) = &mut self.backend else { return How::Itself { retry_at } };
        match backend.watch(path.as_std_path()) {
            Ok(()) => How::Source,
            Err(error) => {
                if *is_told || error.kind() == std::io::ErrorKind::Unsupported {
                    tracing::debug!(%path, %error, "still not watched by the system");
                } else {
                    tracing::info!(%path, %error, "not watched by the system: it is looked at now and then");
                    *is_told = true;
                }
                How::Itself { retry_at }
            }
        }
    }

    /// Offers the source those that it does not watch and whose time has come.
    fn offer(&mut self) {
        let now = self.clock.monotonic();
        let is_due = |place: &Place| matches!(place.how, How::Itself { retry_at } if retry_at <= now);
        let due: Vec<Utf8PathBuf> =
            self.places.iter().filter(|(_, place)| is_due(place)).map(|(path, _)| path.clone()).collect();
        for path in due {
            let mut is_told = self.places.get(&path).is_some_and(|place| place.is_told);
            let how = self.offered(&path, &mut is_told);
            if let Some(place) = self.places.get_mut(&path) {
                (place.how, place.is_told) = (how, is_told);
            }
        }
    }

    /// How long nothing is to be done unless something comes.
    fn until_due(&self) -> Duration {
        let mut due = self.poll_at.min(self.rescan_at);
        if let Some((first, last)) = self.suspected {
            let quiet = last.saturating_add(self.options.debounce);
            due = due.min(quiet.min(first.saturating_add(self.options.debounce_max)));
        }
        due.saturating_sub(self.clock.monotonic())
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Changed(paths) => {
                let near: Vec<Utf8PathBuf> = paths.iter().flat_map(|path| self.near(path)).collect();
                self.suspect(near);
            }
            Message::Lost => {
                tracing::info!("events of files were lost: everything that is watched is looked at");
                let all: Vec<Utf8PathBuf> = self.places.keys().cloned().collect();
                self.suspect(all);
            }
            Message::Failed { generation, why } if generation == self.events.generation => {
                tracing::warn!(%why, "files are no longer watched by the system: they are looked at now and then");
                self.backend = None;
                let retry_at = self.clock.monotonic().saturating_add(self.options.retry);
                self.restart_at = retry_at;
                for place in self.places.values_mut() {
                    place.how = How::Itself { retry_at };
                }
                self.poll_at = Duration::ZERO;
            }
            Message::Failed { .. } | Message::Wake => {}
        }
    }

    /// What an event at this path may concern: the watched paths above it, and those below, which may have gone with it.
    fn near(&self, path: &Path) -> Vec<Utf8PathBuf> {
        if self.fingerprints.leaves_out(path) {
            return Vec::new();
        }
        let above = path.ancestors().filter_map(Utf8Path::from_path).filter(|path| self.places.contains_key(*path));
        let mut near: Vec<Utf8PathBuf> = above.map(ToOwned::to_owned).collect();
        if let Some(path) = Utf8Path::from_path(path) {
            let from = self.places.range::<Utf8Path, _>((Bound::Excluded(path), Bound::Unbounded));
            near.extend(from.map(|(below, _)| below).take_while(|below| below.starts_with(path)).cloned());
        }
        near
    }

    fn suspect(&mut self, paths: Vec<Utf8PathBuf>) {
        if paths.is_empty() {
            return;
        }
        let now = self.clock.monotonic();
        let first = self.suspected.map_or(now, |(first, _)| first);
        self.suspected = Some((first, now));
        self.suspects.extend(paths);
    }

    /// Looks at what is due to be looked at.
    fn look(&mut self) {
        let now = self.clock.monotonic();
        let is_rescan = self.rescan_at <= now;
        if !is_rescan && now < self.poll_at {
            return;
        }
        let mut changed = Vec::new();
        for (path, place) in &mut self.places {
            let is_watched = place.how == How::Source;
            let is_another = place.is_another(path);
            if is_another {
                place.leave(path, self.backend.as_mut());
            }
            if (is_rescan || is_another || !is_watched) && place.has_changed(path, &self.fingerprints) {
                changed.push(path.clone());
            }
        }
        self.suspect(changed);
        self.offer();
        let now = self.clock.monotonic();
        self.poll_at = now.saturating_add(self.options.poll);
        if is_rescan {
            self.rescan_at = now.saturating_add(self.options.rescan);
        }
    }

    /// Gives the hint, when it has been quiet for long enough.
    fn tell(&mut self, shared: &Shared) {
        let Some((first, last)) = self.suspected else { return };
        let now = self.clock.monotonic();
        let is_quiet = now.saturating_sub(last) >= self.options.debounce;
        if !is_quiet && now.saturating_sub(first) < self.options.debounce_max {
            return;
        }
        self.suspected = None;
        let paths: Vec<Utf8PathBuf> = std::mem::take(&mut self.suspects).into_iter().collect();
        for path in &paths {
            let Some(place) = self.places.get_mut(path) else { continue };
            if place.is_another(path) {
                // a file that was replaced by another is not what the source watches
                place.leave(path, self.backend.as_mut());
            }
        }
        self.offer();
        for path in &paths {
            if let Some(place) = self.places.get_mut(path) {
                // after it is watched again, and before it is told: the next look finds what comes later
                place.has_changed(path, &self.fingerprints);
            }
        }
        if !shared.has_ended() {
            (self.on_change)(&paths);
        }
    }
}
