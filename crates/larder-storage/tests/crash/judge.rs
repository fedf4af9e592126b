//! What must hold of a root after anything: nothing torn, nothing acknowledged lost, everything goes on.

use larder_storage::{Put, Scope, Store, Token, put};

use crate::cases::Case;
use crate::place::{Place, key, look};

/// What the keys of a case may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Old,
    New,
    Either,
    /// After a power cut under a relaxed put.
    EitherOrAbsent,
}

/// Judges the root as a new process of `boot` finds it. Each of `tokens` was taken before.
pub(crate) fn judge(place: &Place, boot: u128, case: &Case, allowed: Allowed, tokens: &[Token], context: &str) {
    let store = place.open(boot);
    changes_are_whole(&store, case, allowed, context);
    bystanders_are_there(&store, case, context);
    everything_goes_on(&store, case, tokens, context);
    nothing_is_left(place, &store, context);
}

fn changes_are_whole(store: &Store, case: &Case, allowed: Allowed, context: &str) {
    for change in case.changes {
        let seen = look(store, change.key);
        let seen = seen.as_deref();
        let fits = match allowed {
            Allowed::Old => seen == change.old,
            Allowed::New => seen == change.new,
            Allowed::Either => seen == change.old || seen == change.new,
            Allowed::EitherOrAbsent => seen == change.old || seen == change.new || seen.is_none(),
        };
        assert!(fits, "{}: {context}: {} shows {seen:?}, not {allowed:?} of {change:?}", case.name, change.key);
    }
}

/// What was acknowledged before, and is no business of the case's.
fn bystanders_are_there(store: &Store, case: &Case, context: &str) {
    if case.rooted && case.changes.iter().all(|change| change.key != "docs/stay") {
        assert_eq!(look(store, "docs/stay").as_deref(), Some("stay"), "{}: {context}", case.name);
    }
    assert_eq!(look(store, "gone/was"), None, "{}: {context}: an invalidation is forgotten", case.name);
}

fn everything_goes_on(store: &Store, case: &Case, tokens: &[Token], context: &str) {
    let context = format!("{}: {context}: afterwards", case.name);
    let touched = case.changes.iter().map(|change| change.key).chain(["docs/stay"]);
    for at in touched {
        // what was stored before the crash is covered by an invalidation after it, whatever numbers both got
        store.invalidate(&[Scope::Key(key(at)).hard()]).unwrap_or_else(|error| panic!("{context}: {error:?}"));
        assert_eq!(look(store, at), None, "{context}: {at} outlives its invalidation");
        for token in tokens {
            let late = store.put(&key(at), b"late", &Put::new().fetched_in(*token));
            assert!(matches!(late, Err(put::Error::Fenced { .. })), "{context}: {at}, {token}: {late:?}");
        }
        store.put(&key(at), b"next", &Put::new()).unwrap_or_else(|error| panic!("{context}: {at}: {error:?}"));
        assert_eq!(look(store, at).as_deref(), Some("next"), "{context}: {at}");
    }
}

fn nothing_is_left(place: &Place, store: &Store, context: &str) {
    store.sweep().unwrap_or_else(|error| panic!("{context}: {error:?}"));
    // its own session has no file at the moment
    assert_eq!(place.leftovers(), Vec::<String>::new(), "{context}: temporary files outlive a sweep");
    store.verify(true).unwrap();
    let verified = store.verify(false).unwrap();
    assert_eq!(verified.damaged, 0, "{context}: {:?}", verified.damage);
}

/// A token as a fetch before the case would have taken it.
pub(crate) fn token_before(place: &Place, case: &Case) -> Vec<Token> {
    if case.rooted { vec![place.open(case.boot).token().unwrap()] } else { Vec::new() }
}
