//! Who leads, who has joined, and who comes too late.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder_lock::Cancellation;
use larder_storage::{Key, Token};
use tokio::sync::watch;

/// How often a task may find another flight than the one it was looking at.
const ROUNDS_MAX: u32 = 64;

/// The flights of this process's tasks, whose answers are `A`. Clones share.
#[derive(Debug)]
pub struct Group<A> {
    slots: Arc<Slots<A>>,
}

type Slots<A> = Mutex<HashMap<Key, Slot<A>>>;

/// One flight. It is in the map until its lead has landed or was dropped.
#[derive(Debug)]
struct Slot<A> {
    /// No other flight of this process has the same.
    number: u64,
    /// A generation that is not later than the one in which its fetch began, or will.
    since: Option<Token>,
    /// Whether whoever comes now may have its answer.
    is_open: bool,
    /// How many tasks want its answer.
    wanted: usize,
    /// How many wait for its end alone.
    behind: usize,
    /// Whether it goes on when nobody does.
    is_committed: bool,
    answer: watch::Receiver<Option<A>>,
    cancellation: Cancellation,
}

/// What a task has to do.
#[derive(Debug)]
#[must_use = "a lead that is dropped is abandoned"]
pub enum Role<A> {
    /// Land with an answer. The ticket says that this task wants it.
    Lead(Lead<A>, Ticket<A>),
    /// Wait for the answer.
    Join(Ticket<A>),
    /// Wait for the end of a flight whose answer is for those who came earlier, and enter again.
    Behind(Ticket<A>),
}

/// How a flight ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<A> {
    /// With this answer.
    Landed(A),
    /// Without: enter again.
    Abandoned,
}

impl<A> Group<A> {
    /// Nothing is under way.
    pub fn new() -> Self {
        Self { slots: Arc::default() }
    }

    /// How many flights are under way in this process.
    pub fn len(&self) -> usize {
        locked(&self.slots).len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks hold a ticket of a flight that is under way.
    pub fn waiting(&self) -> usize {
        locked(&self.slots).values().map(|slot| slot.wanted + slot.behind).sum()
    }

    /// Gives the calling task its role. To be called when it has just looked for an answer and found none.
    ///
    /// `now` is asked for the generation of this moment when there is no flight to join; `may_join` whether an answer
    /// fetched in this generation is good enough for the caller, `None` being a generation that could not be told. Both
    /// may block for as long as a cheap system call does; neither is called with a lock held.
    pub fn enter(
        &self,
        key: &Key,
        mut now: impl FnMut() -> Option<Token>,
        mut may_join: impl FnMut(Option<Token>) -> bool,
    ) -> Role<A> {
        for _ in 0..ROUNDS_MAX {
            let seen = locked(&self.slots).get(key).map(|slot| (slot.number, slot.since, slot.is_open));
            let Some((number, since, is_open)) = seen else {
                let since = now();
                let mut slots = locked(&self.slots);
                if slots.contains_key(key) {
                    continue;
                }
                return self.lead(&mut slots, key, since);
            };
            let joins = is_open && may_join(since);
            let mut slots = locked(&self.slots);
            let Some(slot) = slots.get_mut(key).filter(|slot| slot.number == number) else { continue };
            return if joins && slot.is_open {
                slot.wanted += 1;
                Role::Join(self.ticket(key, number, slot.answer.clone(), true))
            } else {
                slot.behind += 1;
                Role::Behind(self.ticket(key, number, slot.answer.clone(), false))
            };
        }
        // so many flights began and ended meanwhile that there is no harm in one beside them
        self.lead(&mut locked(&self.slots), key, None)
    }

    fn lead(&self, slots: &mut HashMap<Key, Slot<A>>, key: &Key, since: Option<Token>) -> Role<A> {
        let (sender, answer) = watch::channel(None);
        let cancellation = Cancellation::new();
        let number = next_number();
        let ticket = self.ticket(key, number, answer.clone(), true);
        let lead = Lead {
            slots: Arc::clone(&self.slots),
            key: key.clone(),
            number,
            sender,
            cancellation: cancellation.clone(),
        };
        let slot =
            Slot { number, since, is_open: true, wanted: 1, behind: 0, is_committed: false, answer, cancellation };
        slots.insert(key.clone(), slot);
        Role::Lead(lead, ticket)
    }

    fn ticket(&self, key: &Key, number: u64, answer: watch::Receiver<Option<A>>, wants: bool) -> Ticket<A> {
        Ticket { answer, place: Place { slots: Arc::clone(&self.slots), key: key.clone(), number, wants } }
    }
}

impl<A> Clone for Group<A> {
    fn clone(&self) -> Self {
        Self { slots: Arc::clone(&self.slots) }
    }
}

impl<A> Default for Group<A> {
    fn default() -> Self {
        Self::new()
    }
}

fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn locked<A>(slots: &Slots<A>) -> MutexGuard<'_, HashMap<Key, Slot<A>>> {
    // no step that is made under the lock can panic half done
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place at the end of a flight.
///
/// Dropping the ticket of a task that wants the answer says that it no longer does.
pub struct Ticket<A> {
    answer: watch::Receiver<Option<A>>,
    place: Place<A>,
}

impl<A> fmt::Debug for Ticket<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("wants", &self.place.wants).finish_non_exhaustive()
    }
}

impl<A: Clone> Ticket<A> {
    /// Waits for the end of the flight, without bound: put a bound on it from outside.
    ///
    /// # Cancel safety
    /// Dropping this is leaving, and touches nobody else.
    pub async fn ended(mut self) -> Ended<A> {
        // the place is given up with the ticket, when this returns
        match self.answer.wait_for(Option::is_some).await {
            Ok(answer) => answer.clone().map_or(Ended::Abandoned, Ended::Landed),
            Err(_) => Ended::Abandoned,
        }
    }
}

/// One that waits.
struct Place<A> {
    slots: Arc<Slots<A>>,
    key: Key,
    number: u64,
    /// The answer, and not just the end.
    wants: bool,
}

impl<A> Drop for Place<A> {
    fn drop(&mut self) {
        let mut slots = locked(&self.slots);
        let Some(slot) = slots.get_mut(&self.key).filter(|slot| slot.number == self.number) else { return };
        if !self.wants {
            slot.behind -= 1;
            return;
        }
        slot.wanted -= 1;
        if slot.wanted == 0 && !slot.is_committed {
            let slot = slots.remove(&self.key);
            drop(slots);
            if let Some(slot) = slot {
                slot.cancellation.cancel();
            }
        }
    }
}

/// The duty to land. Dropped without, it is abandoned, and those who have joined enter again.
#[must_use = "dropping the lead abandons it"]
pub struct Lead<A> {
    slots: Arc<Slots<A>>,
    key: Key,
    number: u64,
    sender: watch::Sender<Option<A>>,
    cancellation: Cancellation,
}

impl<A> fmt::Debug for Lead<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("key", &self.key).finish_non_exhaustive()
    }
}

impl<A> Lead<A> {
    /// Happens when nobody wants the answer any more, as long as the lead has not [committed](Self::commit) itself.
    pub fn cancellation(&self) -> &Cancellation {
        &self.cancellation
    }

    /// Says that the fetch begins now, in this generation: from here on the flight goes on to its end, whoever leaves.
    /// False when nobody wants it any more; then nothing should be fetched.
    pub fn commit(&self, token: Option<Token>) -> bool {
        self.with_slot(|slot| {
            slot.is_committed = true;
            // when it cannot be told, the one from before still is not later
            if token.is_some() {
                slot.since = token;
            }
        })
    }

    /// Says that the fetch is over and its answer about to be stored. Whoever comes now looks at the store when that is
    /// done: what the store has may be changed by others between the storing and the landing.
    pub fn close(&self) {
        self.with_slot(|slot| slot.is_open = false);
    }

    /// Ends the flight: everybody who has joined gets a copy.
    pub fn land(self, answer: A) {
        // removed first: nobody may find a flight that is over
        self.leave();
        self.sender.send_replace(Some(answer));
    }

    fn with_slot(&self, change: impl FnOnce(&mut Slot<A>)) -> bool {
        let mut slots = locked(&self.slots);
        let slot = slots.get_mut(&self.key).filter(|slot| slot.number == self.number);
        slot.map(change).is_some()
    }

    fn leave(&self) {
        let mut slots = locked(&self.slots);
        if slots.get(&self.key).is_some_and(|slot| slot.number == self.number) {
            slots.remove(&self.key);
        }
    }
}

impl<A> Drop for Lead<A> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const OLD: &str = "0000000000000001-1";
    const NEW: &str = "0000000000000001-2";

    fn token(text: &str) -> Token {
        text.parse().unwrap()
    }

    fn enter(group: &Group<u32>, since: &str, not_before: &str) -> Role<u32> {
        let key = Key::new("a").unwrap();
        group.enter(&key, || Some(token(since)), |since| since == Some(token(not_before)))
    }

    fn lead(group: &Group<u32>) -> (Lead<u32>, Ticket<u32>) {
        match enter(group, OLD, OLD) {
            Role::Lead(lead, ticket) => (lead, ticket),
            role => panic!("{role:?}"),
        }
    }

    fn join(group: &Group<u32>) -> Ticket<u32> {
        match enter(group, OLD, OLD) {
            Role::Join(ticket) => ticket,
            role => panic!("{role:?}"),
        }
    }

    /// How it has ended by now.
    fn ended(ticket: Ticket<u32>) -> Option<Ended<u32>> {
        match pin!(ticket.ended()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => Some(ended),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_first_leads_and_the_others_get_its_answer() {
        let group = Group::new();
        let (lead, own) = lead(&group);
        let others = [join(&group), join(&group)];
        assert_eq!((group.len(), group.waiting()), (1, 3));
        lead.land(7);
        assert!(group.is_empty());
        for ticket in others.into_iter().chain([own]) {
            assert_eq!(ended(ticket), Some(Ended::Landed(7)));
        }
    }

    #[test]
    fn nothing_has_ended_before_it_lands() {
        let group = Group::new();
        let (_lead, own) = lead(&group);
        assert_eq!(ended(own), None);
    }

    #[test]
    fn whoever_knows_of_an_invalidation_since_is_told_to_wait_for_the_end() {
        let group = Group::new();
        let (lead, _own) = lead(&group);
        let Role::Behind(behind) = enter(&group, NEW, NEW) else { panic!("it may not join") };
        assert_eq!(group.waiting(), 2);
        assert!(lead.commit(Some(token(NEW))));
        assert!(matches!(enter(&group, NEW, NEW), Role::Join(_)), "the fetch begins later than was known");
        lead.land(7);
        assert_eq!(ended(behind), Some(Ended::Landed(7)));
    }

    #[test]
    fn a_flight_whose_answer_is_about_to_be_stored_is_not_joined() {
        let group = Group::new();
        let (lead, _own) = lead(&group);
        lead.close();
        assert!(matches!(enter(&group, OLD, OLD), Role::Behind(_)));
    }

    #[test]
    fn an_abandoned_lead_lets_the_next_one_lead() {
        let group = Group::new();
        let (first, _own) = lead(&group);
        let joined = join(&group);
        drop(first);
        assert_eq!(ended(joined), Some(Ended::Abandoned));
        lead(&group).0.land(8);
    }

    #[test]
    fn a_lead_that_nobody_wants_is_cancelled_unless_it_has_committed_itself() {
        let group = Group::new();
        let (first, own) = lead(&group);
        let joined = join(&group);
        drop(own);
        assert!(!first.cancellation().is_cancelled());
        let Role::Behind(_behind) = enter(&group, NEW, NEW) else { panic!("it may not join") };
        drop(joined);
        assert!(first.cancellation().is_cancelled());
        assert!(!first.commit(None), "it must not fetch");
        let (second, own) = lead(&group);
        drop(first);
        assert!(second.commit(None), "the end of the first is none of its business");
        drop(own);
        assert!(!second.cancellation().is_cancelled());
        let late = join(&group);
        second.land(9);
        assert_eq!(ended(late), Some(Ended::Landed(9)));
    }
}
