//! A process frozen before each call of a put or an invalidation: everybody else goes on, and so does it afterwards.

use std::sync::Arc;
use std::time::Duration;

use larder_storage::{Put, Scope, Store, Token, Wait, put};
use larder_system::SystemDisk;
use larder_testkit::child::{self, Args};
use larder_testkit::{Action, Child, FaultDisk, Operation, Scratch};

use crate::cases::{Case, Ended};
use crate::place::{BOOT, Place, key, look};

/// More calls than any case makes: a bound on the loop.
const CALLS_MAX: u64 = 1_000;
/// How long anybody waits for the frozen process before the test fails.
const WAIT: Duration = Duration::from_secs(10);

/// Said of an invalidation whose record was written after the freeze.
const LATE: &str = ", recorded late";

/// How the frozen process goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Resumed,
    Killed,
}

/// A child that stops itself before one of its calls.
pub(crate) fn freeze(args: &Args) {
    let case = Case::named(args.get("case"));
    let at: u64 = args.parse("at");
    let fault = FaultDisk::over(Arc::new(SystemDisk::new()));
    let store = Place::new(Arc::new(fault.clone()), args.get("path")).open(case.boot);
    (case.warm)(&store);
    let token = store.token().unwrap();
    child::say("warm");
    fault.reset();
    fault.record();
    fault.before(move |call| if call.index == at { Action::StopProcess } else { Action::Proceed });
    let ended = match args.get("work") {
        "fetched" => match store.put(&key(case.changes[0].key), b"new", &Put::new().fetched_in(token)) {
            Err(put::Error::Fenced { .. }) => Ended::Failed("fenced".to_owned()),
            other => other.into(),
        },
        _ => (case.act)(&store),
    };
    let calls = fault.calls();
    let appended = calls.iter().find(|call| {
        call.operation == Operation::Write
            && call.path.as_ref().is_some_and(|path| path.extension() == Some("stamps".as_ref()))
    });
    // a put's announcement says nothing of validity
    let invalidates = case.name.contains("invalidation");
    let late = invalidates && appended.is_some_and(|call| call.index >= at);
    // another one must find nothing broken in its own process
    store.put(&key("from/it"), b"alive", &Put::new()).unwrap();
    let stopped = fault.count() > at;
    drop(store);
    let never = if stopped { "" } else { ", never stopped" };
    child::say(&format!("{ended:?}{}{never}", if late { LATE } else { "" }));
}

struct Frozen {
    child: Child,
    place: Place,
    store: Store,
    before: Token,
    context: String,
    _scratch: Scratch,
}

/// A child that stands before its call `at`; `None` when it has fewer calls.
fn frozen(case: &Case, work: &str, at: u64) -> Option<Frozen> {
    let scratch = Scratch::new("frozen");
    let place = Place::new(Arc::new(SystemDisk::new()), scratch.utf8_path().join("root"));
    case.set_up(&place);
    let store = place.open(BOOT);
    let before = store.token().unwrap();
    let number = at.to_string();
    let arguments = [("case", case.name), ("work", work), ("path", place.path.as_str()), ("at", &number)];
    let mut child = Child::spawn("frozen", &arguments);
    child.wait_for_line("warm");
    let context = format!("{} ({work}) frozen before call {at}", case.name);
    let runs_through = child.stands_or_says()?;
    (!runs_through).then_some(Frozen { child, place, store, before, context, _scratch: scratch })
}

/// What a parent sees first of a child that may stop.
trait StandsOrSays {
    fn stands_or_says(&mut self) -> Option<bool>;
}

impl StandsOrSays for Child {
    fn stands_or_says(&mut self) -> Option<bool> {
        for _ in 0..100_000 {
            if !self.said().iter().all(|line| line == "warm") {
                return None;
            }
            let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
            let (_, fields) = state.rsplit_once(')').unwrap();
            if fields.trim_start().starts_with('T') {
                return Some(false);
            }
            std::thread::yield_now();
        }
        panic!("neither stopped nor done: {}", self.printed());
    }
}

impl Frozen {
    fn put(&self, at: &str, body: &[u8]) {
        let put = self.store.put(&key(at), body, &Put::new().wait(Wait::up_to(WAIT)));
        put.unwrap_or_else(|error| panic!("{}: {at}: {error:?}", self.context));
        assert_eq!(look(&self.store, at).unwrap().as_bytes(), body, "{}: {at}", self.context);
    }

    /// Other keys, readers, invalidations and sweeps while it stands still.
    fn others_go_on(&self, case: &Case) {
        let change = case.changes[0];
        let at = change.key;
        let seen = look(&self.store, at);
        let seen = seen.as_deref();
        assert!(seen == change.old || seen == change.new, "{}: {at} shows {seen:?}", self.context);
        self.put("docs/other", b"other");
        self.put("docs/stay", b"stay on");
        self.store.invalidate(&[Scope::Key(key("docs/stay")).hard()]).unwrap();
        assert_eq!(look(&self.store, "docs/stay"), None, "{}", self.context);
        self.store.invalidate(&[Scope::Key(key(at)).hard()]).unwrap();
        assert_eq!(look(&self.store, at), None, "{}: {at}", self.context);
        let swept = self.store.sweep().unwrap();
        assert_eq!(swept.temporaries, 0, "{}: a live writer's file is swept", self.context);
        assert_eq!(look(&self.store, "docs/other").as_deref(), Some("other"), "{}", self.context);
    }

    /// It goes on, or dies; what it had begun before the invalidation is current for nobody.
    fn then(mut self, then: Then, at: &str, fenced: bool) {
        if !fenced {
            self.put(at, b"between");
        }
        let ended = match then {
            Then::Resumed => {
                self.child.resume();
                let said = self.child.next_line();
                self.child.wait_for_success();
                said.unwrap_or_else(|| panic!("{}: {}", self.context, self.child.printed()))
            }
            Then::Killed => {
                self.child.kill();
                "killed".to_owned()
            }
        };
        let context = format!("{}, then {then:?}, ended {ended}", self.context);
        assert!(!ended.starts_with("Failed") || ended == "Failed(\"fenced\")", "{context}");
        let fresh = self.place.open(BOOT);
        if ended == format!("{:?}{LATE}", Ended::Done) {
            // it covers what was put while it stood still, also when its record's file was folded meanwhile
            assert!(fresh.get(&key(at)).unwrap().is_none(), "{context}: an acknowledged invalidation is lost");
        }
        if fenced {
            for store in [&self.store, &fresh] {
                assert_eq!(store.get(&key(at)).unwrap().map(larder_storage::Entry::into_body), None, "{context}");
            }
        }
        let late = self.store.put(&key(at), b"late", &Put::new().fetched_in(self.before));
        assert!(matches!(late, Err(put::Error::Fenced { .. })), "{context}: {late:?}");
        self.put(at, b"next");
        self.put("docs/stay", b"stays");
        fresh.sweep().unwrap();
        drop(self.child);
        assert_eq!(self.place.leftovers(), Vec::<String>::new(), "{context}");
        assert_eq!(fresh.verify(false).unwrap().damaged, 0, "{context}");
    }
}

fn freeze_before_every_call(name: &str, work: &str) {
    let case = Case::named(name);
    for then in [Then::Resumed, Then::Killed] {
        let mut stops = 0;
        for at in 0..CALLS_MAX {
            let Some(frozen) = frozen(&case, work, at) else { break };
            frozen.others_go_on(&case);
            frozen.then(then, case.changes[0].key, work == "fetched");
            stops += 1;
        }
        assert!((5..CALLS_MAX).contains(&stops), "{name}: stopped at {stops} calls");
    }
}

#[test]
fn a_put_frozen_before_any_call_holds_nobody_up_and_is_not_current_after_an_invalidation() {
    freeze_before_every_call("put over another's entry", "fetched");
}

#[test]
fn a_put_into_new_folders_frozen_before_any_call_holds_nobody_up() {
    freeze_before_every_call("put into new folders", "fetched");
}

#[test]
fn an_invalidation_frozen_before_any_call_holds_nobody_up() {
    freeze_before_every_call("first invalidation of a process", "act");
}

#[test]
fn a_fold_frozen_before_any_call_holds_nobody_up() {
    freeze_before_every_call("invalidation that folds", "act");
}
